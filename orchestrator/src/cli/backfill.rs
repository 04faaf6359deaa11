//! `millpond backfill`: a stretch of partitions, at a pace, in one run that can be paused, resumed, canceled and retried.

use clap::{Args, ValueEnum};
use serde_json::json;
use state::event::{Only, Pace};

use super::look::Place;
use super::materialize::{accepted, here_or_there};
use super::plan::Choice;
use super::remote::Remote;
use super::terminal::{Terminal, start_log};
use super::{Exit, Stop};

/// Materialize a stretch of partitions: what is stale, missing or failed, at a pace.
///
/// All of it is one run: `millpond runs RUN` tells how far it is, `millpond pause`, `resume` and `cancel` steer it while a
/// daemon runs it, and `millpond retry RUN` runs again what did not succeed. A partition of an asset begins as soon as those
/// that it reads are there.
#[derive(Args)]
pub struct Backfill {
    #[command(flatten)]
    choice: Choice,
    /// Of these partitions, only some.
    #[arg(long, value_enum, value_name = "WHICH", conflicts_with = "force")]
    only: Option<Which>,
    /// The newest partitions first, each as far downstream as it can get.
    #[arg(long)]
    newest_first: bool,
    /// Most partitions in flight at once.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    max_in_flight: Option<u32>,
    /// Most partitions that one worker takes at a time.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    batch: Option<u32>,
    /// Leave the run to the daemon and return.
    #[arg(long)]
    detach: bool,
}

/// Which of the chosen partitions.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Which {
    /// Those that were never materialized.
    Missing,
    /// Those whose newest outcome is a failure.
    Failed,
}

impl Backfill {
    pub fn run(self, place: &Place, terminal: &Terminal) -> Result<Exit, Stop> {
        start_log("warn");
        let mut body = self.choice.body()?;
        body.only = self.only.map(|which| match which {
            Which::Missing => Only::Missing,
            Which::Failed => Only::Failed,
        });
        body.pace = Pace {
            newest_first: self.newest_first,
            max_in_flight: self.max_in_flight,
            batch: self.batch,
            priority: self.choice.priority,
        };
        body.trigger = Some("backfill".to_owned());
        if !self.detach {
            return here_or_there(place, body, terminal);
        }
        let remote = Remote::of(place)?;
        let answer = super::runtime()?.block_on(remote.submit(&body))?;
        Ok(match accepted(answer, terminal) {
            Ok(run) => {
                if terminal.json() {
                    terminal.answer(&json!({ "run": run }));
                } else {
                    terminal.say(run.as_str());
                }
                Exit::Done
            }
            Err(exit) => exit,
        })
    }
}
