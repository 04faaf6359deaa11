//! `millpond rollback`: a table shows again what it showed in an older snapshot.

use assets::AssetPartition;
use clap::Args;

use super::look::{Look, Place};
use super::owner::daemon_or_engine;
use super::terminal::{Terminal, count};
use super::{Exit, Stop};
use crate::wire::{RollbackAnswer, RollbackBody};

/// Partitions that are named; the rest is counted.
const MOST_NAMED: usize = 4;

/// Take a table back to what it showed in an older snapshot.
///
/// One transaction: the table gets a new snapshot with the old rows, its partitions count as made by what made them then, and
/// what reads it is stale where it saw other rows. Nothing is lost: what is taken back stays in the history. The partitions
/// are left as they are until their code or what they read changes, or until `millpond materialize --force` makes them anew.
#[derive(Args)]
pub struct Rollback {
    /// The asset: silver.flights
    asset: String,
    /// Where to go back to: `-1` (the snapshot before the current one), an id, a time or a tag.
    #[arg(allow_negative_numbers = true)]
    to: String,
    /// Why, for the record.
    #[arg(long)]
    note: Option<String>,
}

impl Rollback {
    pub fn run(self, place: &Place, terminal: &Terminal) -> Result<Exit, Stop> {
        let look = Look::new(place, terminal)?;
        let asset = look.asset(&self.asset)?;
        if asset.kind == "training" {
            return Err(Stop::not_found(format!("{} is a model and has no table", asset.key))
                .with_help("`millpond promote MODEL previous ALIAS` points an alias back"));
        }
        let (project, key) = (look.project, asset.key.clone());
        let answer = daemon_or_engine(
            project,
            async |daemon| {
                let body = RollbackBody {
                    to: self.to.clone(),
                    note: self.note.clone(),
                    by: Some("cli".to_owned()),
                };
                daemon.roll_back(&key, &body).await
            },
            async |engine| Ok(engine.roll_back(&key, &self.to, self.note.as_deref(), "cli").await?),
        )?;
        if terminal.json() {
            terminal.answer(&answer);
        } else {
            tell(&answer, terminal);
        }
        Ok(Exit::Done)
    }
}

fn tell(answer: &RollbackAnswer, terminal: &Terminal) {
    let asset = terminal.bold(answer.asset.as_str());
    if answer.already {
        terminal.say(format!(
            "{asset} shows the rows of snapshot {} already: nothing was changed",
            answer.to
        ));
        return;
    }
    terminal.say(format!(
        "{asset} shows the rows of snapshot {} again, as snapshot {}",
        answer.to, answer.snapshot
    ));
    for (word, steps) in [("back", &answer.restored), ("gone", &answer.removed)] {
        if !steps.is_empty() {
            terminal.say(format!("  {word}: {}", named(steps)));
        }
    }
    if !answer.published_with.is_empty() {
        let names: Vec<String> = answer.published_with.iter().map(ToString::to_string).collect();
        terminal.say(format!(
            "  published together with it and not taken back: {}",
            names.join(", ")
        ));
    }
    if !answer.stale.is_empty() {
        let names: Vec<String> = answer.stale.iter().map(ToString::to_string).collect();
        terminal.say(format!("  stale by it: {}", names.join(", ")));
        terminal.say(format!(
            "  to make that again: millpond materialize '{}+'",
            answer.asset
        ));
    }
    terminal.note(format!(
        "{} is left as it is until its code or what it reads changes; `millpond materialize {} --force` makes it anew",
        answer.asset, answer.asset
    ));
}

fn named(steps: &[AssetPartition]) -> String {
    let name = |step: &AssetPartition| match &step.partition {
        Some(partition) => partition.to_string(),
        None => "all of it".to_owned(),
    };
    let names: Vec<String> = steps.iter().take(MOST_NAMED).map(name).collect();
    match steps.len().checked_sub(MOST_NAMED).filter(|more| *more > 0) {
        Some(more) => format!(
            "{} and {}",
            names.join(", "),
            count(more as u64, "more partition", "more partitions")
        ),
        None => names.join(", "),
    }
}
