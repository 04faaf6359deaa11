//! `millpond backfills`: how far each backfill is.

use clap::Args;
use serde::Serialize;
use state::sqlite::queries::runs::{BackfillRow, backfills};

use super::look::{Look, Place};
use super::runs::state_text;
use super::terminal::{Terminal, duration, moment, table, thousands};
use super::{Exit, Stop};
use crate::edge::clock;
use crate::rate::Rate;

/// List backfills: how far each is, how fast it goes and when it will be over.
///
/// `millpond runs RUN` shows one asset by asset; `millpond pause`, `resume`, `cancel` and `retry` steer it.
#[derive(Args)]
pub struct Backfills {
    /// Only those that are not over.
    #[arg(long)]
    open: bool,
    /// How many to list.
    #[arg(long, short = 'n', default_value_t = 20)]
    limit: usize,
}

#[derive(Serialize)]
struct Listed<'r> {
    #[serde(flatten)]
    backfill: &'r BackfillRow,
    rate: Option<Rate>,
}

impl Backfills {
    pub fn run(self, place: &Place, terminal: &Terminal) -> Result<Exit, Stop> {
        let look = Look::new(place, terminal)?;
        let page = backfills(look.store()?, self.open, None, self.limit)?;
        let now = clock::now();
        if terminal.json() {
            for backfill in &page.rows {
                let rate = Rate::of(&backfill.row, now);
                terminal.answer(&Listed { backfill, rate });
            }
            return Ok(Exit::Done);
        }
        if page.rows.is_empty() {
            terminal.note("no backfill: `millpond backfill SELECTION --from A --to B`");
            return Ok(Exit::Done);
        }
        let head = [
            "backfill",
            "state",
            "done",
            "steps",
            "failed",
            "rate",
            "end",
            "selection",
        ];
        let mut rows = vec![head.map(|head| terminal.dim(head)).to_vec()];
        let zone = &look.project.settings.timezone;
        for BackfillRow { row, .. } in &page.rows {
            let (over, total) = (row.steps.over(), row.steps.total());
            let rate = Rate::of(row, now);
            let end = match (row.ended_at, &rate) {
                (Some(at), _) => moment(at, zone),
                (None, Some(rate)) => format!("in about {}", duration(rate.expected_end - now)),
                (None, None) => String::new(),
            };
            let failed = thousands(row.steps.failed);
            rows.push(vec![
                row.run.to_string(),
                state_text(row, terminal),
                format!("{} %", (over * 100).checked_div(total).unwrap_or(100)),
                format!("{}/{}", thousands(over), thousands(total)),
                if row.steps.failed > 0 {
                    terminal.red(&failed)
                } else {
                    failed
                },
                rate.as_ref().map(Rate::pace).unwrap_or_default(),
                end,
                row.selection.clone(),
            ]);
        }
        terminal.say(table(&rows));
        if page.next.is_some() {
            terminal.say(terminal.dim(&format!("older ones: --limit {}", self.limit * 5)));
        }
        Ok(Exit::Done)
    }
}
