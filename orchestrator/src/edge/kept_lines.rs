//! The newest lines of the program's own log, kept in memory for the dashboard. They are gone with the process; whoever keeps standard
//! error (the journal of systemd) has all of them.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::Serialize;
use state::event::Micros;
use tracing::{Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

use super::clock;
use super::log::Fields;
use crate::happened::Level;

/// So many lines are kept.
const MOST: usize = 1_000;
/// Of a line no more than so many characters.
const LONGEST: usize = 4_000;

/// A line of the program's own log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct KeptLine {
    /// 1 for the first since the start, 2, 3, …
    pub number: u64,
    /// When it was written.
    pub at: Micros,
    /// How much it matters.
    pub level: Level,
    /// The part of the program that wrote it.
    pub target: String,
    /// The line, with its fields at the end.
    pub text: String,
}

struct Kept {
    written: u64,
    lines: VecDeque<KeptLine>,
}

static KEPT: Mutex<Kept> = Mutex::new(Kept {
    written: 0,
    lines: VecDeque::new(),
});

fn kept() -> MutexGuard<'static, Kept> {
    KEPT.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Lines before a number (or the newest), newest first, of at least this level; and the number to go on before, if there are more.
pub fn lines(before: Option<u64>, least: Level, most: usize) -> (Vec<KeptLine>, Option<u64>) {
    let kept = kept();
    let wanted = |line: &&KeptLine| before.is_none_or(|before| line.number < before) && line.level >= least;
    let mut found: Vec<KeptLine> = kept.lines.iter().rev().filter(wanted).take(most + 1).cloned().collect();
    let more = found.len() > most;
    found.truncate(most);
    let next = found.last().filter(|_| more).map(|line| line.number);
    (found, next)
}

/// Keeps what is worth a line.
pub(super) struct Keep;

impl<S: Subscriber> Layer<S> for Keep {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let metadata = event.metadata();
        let mut fields = Fields::default();
        event.record(&mut fields);
        let level = match *metadata.level() {
            tracing::Level::ERROR => Level::Error,
            tracing::Level::WARN => Level::Warn,
            tracing::Level::INFO => Level::Info,
            tracing::Level::DEBUG | tracing::Level::TRACE => Level::Debug,
        };
        let text = fields.line();
        let text = match text.char_indices().nth(LONGEST) {
            Some((end, _)) => format!("{}…", &text[..end]),
            None => text,
        };
        let (at, target) = (clock::now(), metadata.target().to_owned());
        let mut kept = kept();
        kept.written += 1;
        let number = kept.written;
        if kept.lines.len() == MOST {
            kept.lines.pop_front();
        }
        kept.lines.push_back(KeptLine {
            number,
            at,
            level,
            target,
            text,
        });
    }
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    #[test]
    fn the_newest_lines_are_kept_whole_and_in_their_order() {
        let _on = tracing::subscriber::set_default(tracing_subscriber::registry().with(Keep));
        for number in 0..MOST + 5 {
            tracing::info!(number, name = "a\nb", "line <b>{number}</b>");
        }
        tracing::error!("{}", "x".repeat(LONGEST + 1));
        let (found, next) = lines(None, Level::Info, 3);
        assert_eq!(found[0].level, Level::Error);
        assert!(found[0].text.ends_with("x…"));
        assert_eq!(found[1].text, format!("line <b>{0}</b> name=a\nb number={0}", MOST + 4));
        assert_eq!(next, Some(found[2].number));
        let (errors, next) = lines(None, Level::Error, 3);
        assert_eq!((errors.len(), next), (1, None));
        let (all, _) = lines(None, Level::Debug, 2 * MOST);
        assert_eq!(all.len(), MOST);
        assert!(all.windows(2).all(|pair| pair[0].number == pair[1].number + 1));
    }
}
