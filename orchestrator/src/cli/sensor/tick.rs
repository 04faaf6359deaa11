//! `millpond sensor tick`: look now.

use std::time::Duration;

use clap::Args;
use state::schedule::TickStatus;

use super::super::look::Place;
use super::super::terminal::{Terminal, table};
use super::super::{Exit, Stop};
use super::daemon;
use crate::wire::SensorLooked;

/// How long the sources of the selection may take beside the look itself.
const BESIDE: Duration = Duration::from_secs(630);

/// Have a sensor look now and start what follows; with --test only show what it sees.
#[derive(Args)]
pub struct Tick {
    /// The sensor.
    name: String,
    /// Show what it would tell of; start nothing and remember nothing.
    #[arg(long)]
    test: bool,
}

impl Tick {
    pub fn run(self, place: &Place, terminal: &Terminal) -> Result<Exit, Stop> {
        let (daemon, sensor) = daemon(&self.name, place, terminal)?;
        let deadline = Duration::from_secs(sensor.deadline_seconds).saturating_add(BESIDE);
        let looked = super::super::runtime()?.block_on(daemon.look(&self.name, self.test, deadline))?;
        if terminal.json() {
            terminal.answer(&looked);
        }
        let say = |text: String| {
            if !terminal.json() {
                terminal.note(text);
            }
        };
        Ok(match looked {
            SensorLooked::Ticked { tick: None } => {
                say("another look came between: `millpond sensor list` shows its tick".to_owned());
                Exit::Done
            }
            SensorLooked::Ticked { tick: Some(tick) } => {
                let reason = tick.reason.as_deref().unwrap_or_default();
                say(match &tick.run {
                    Some(run) => format!(
                        "{} new: requested {run}; `millpond logs {run} -f` follows it",
                        tick.events.len()
                    ),
                    None => format!("{}: {reason}", tick.status.as_str()),
                });
                match tick.status {
                    TickStatus::Failed => Exit::Failed,
                    TickStatus::Requested | TickStatus::Skipped | TickStatus::Missed => Exit::Done,
                }
            }
            SensorLooked::Blind { reason } => {
                say(format!("it would fail: {reason}"));
                Exit::Failed
            }
            SensorLooked::Seen {
                events, lag, remark, ..
            } => {
                if !terminal.json() {
                    let rows: Vec<Vec<String>> = events
                        .iter()
                        .map(|event| {
                            let partitions: Vec<&str> =
                                event.partitions.iter().map(assets::PartitionKey::as_str).collect();
                            vec![event.what.clone(), partitions.join(", ")]
                        })
                        .collect();
                    terminal.say(table(&rows));
                }
                let remark = remark.map(|remark| format!("; {remark}")).unwrap_or_default();
                let more = if lag > 0 {
                    format!(", and {lag} more")
                } else {
                    String::new()
                };
                say(format!("{} new{more}{remark}; nothing was started", events.len()));
                Exit::Done
            }
        })
    }
}
