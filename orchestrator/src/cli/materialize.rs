//! `millpond materialize`: run what is stale, here or in the daemon that owns the project.

use std::sync::Arc;

use clap::Args;
use serde_json::json;
use state::event::{OwnerMode, Recorded};
use state::ids::RunId;
use state::status::RunStatus;
use tokio::sync::broadcast;

use super::follow::Follower;
use super::look::Place;
use super::owner::daemon_or_engine;
use super::plan::Choice;
use super::terminal::{Terminal, count, start_log};
use super::{Exit, Stop};
use crate::edge::engine::EngineHandle;
use crate::wire::{RunAnswer, RunBody};

/// Materialize what is stale among the selected assets.
///
/// With a daemon running, asks it and follows. Ctrl-C cancels the run; a second one leaves at once.
#[derive(Args)]
pub struct Materialize {
    #[command(flatten)]
    choice: Choice,
}

impl Materialize {
    pub fn run(self, place: &Place, terminal: &Terminal) -> Result<Exit, Stop> {
        start_log("warn");
        here_or_there(place, self.choice.body()?, terminal)
    }
}

/// Submits and follows a run: in the daemon that owns the project, or in an engine of this process.
pub fn here_or_there(place: &Place, body: RunBody, terminal: &Terminal) -> Result<Exit, Stop> {
    daemon_or_engine(
        place.project(terminal)?,
        async |daemon| daemon.materialize(body.clone(), terminal).await,
        async |engine| materialize(&engine, body.clone(), OwnerMode::Foreground, "cli", terminal).await,
    )
}

/// Submits and follows a run in an engine of this process.
pub async fn materialize(
    engine: &EngineHandle,
    body: RunBody,
    owner: OwnerMode,
    trigger: &str,
    terminal: &Terminal,
) -> Result<Exit, Stop> {
    let request = body
        .request(owner, trigger)
        .map_err(|error| Stop::new(Exit::Usage, error))?;
    // Listening begins before asking, so that no event of the run is missed.
    let live = engine.driver().live();
    let answer = tokio::select! {
        answer = engine.submit(request) => answer?,
        // Looking at large sources takes a while.
        signal = tokio::signal::ctrl_c() => {
            signal?;
            return Err(Stop::new(Exit::Interrupted, "interrupted before anything ran"));
        }
    };
    match accepted(answer.into(), terminal) {
        Ok(run) => follow(engine, run, live, terminal).await,
        Err(exit) => Ok(exit),
    }
}

/// The run, or how the command ends without one.
pub fn accepted(answer: RunAnswer, terminal: &Terminal) -> Result<RunId, Exit> {
    match answer {
        RunAnswer::Accepted { run, problems, .. } => {
            for problem in problems {
                terminal.note(format!("left out: {problem}"));
            }
            Ok(run)
        }
        RunAnswer::NothingToDo {
            fresh,
            problems,
            mistakes,
        } => {
            let partitions: usize = fresh.values().sum();
            if terminal.json() {
                terminal.answer(&json!({ "run": null, "fresh": partitions, "problems": problems }));
            } else {
                for problem in &problems {
                    terminal.note(format!("left out: {problem}"));
                }
                terminal.note(format!(
                    "nothing to do: {} fresh",
                    count(partitions as u64, "partition is", "partitions are")
                ));
            }
            Err(if mistakes { Exit::Failed } else { Exit::Done })
        }
        RunAnswer::Refused { reasons } => {
            if terminal.json() {
                terminal.answer(&json!({ "run": null, "refused": reasons }));
            }
            for reason in reasons {
                terminal.note(format!("error: {reason}"));
            }
            Err(Exit::NotFound)
        }
    }
}

async fn follow(
    engine: &EngineHandle,
    run: RunId,
    mut live: broadcast::Receiver<Arc<Vec<Recorded>>>,
    terminal: &Terminal,
) -> Result<Exit, Stop> {
    let mut follower = Follower::new(run.clone(), terminal);
    let mut interrupted = false;
    while follower.ended.is_none() {
        tokio::select! {
            events = live.recv() => match events {
                Ok(events) => events.iter().for_each(|recorded| follower.see(recorded)),
                // What was missed is in the store.
                Err(broadcast::error::RecvError::Lagged(_)) => {
                    let reader = engine.reader()?;
                    if let Some(detail) = state::sqlite::queries::run::run(&reader, &run)?
                        && detail.row.status.is_terminal()
                    {
                        follower.ended = Some(detail.row.status);
                    }
                }
                Err(broadcast::error::RecvError::Closed) => return Err(Stop::broken("the driver ended; see the message above")),
            },
            // Stopping the engine says why.
            () = engine.driver().ended() => return Ok(Exit::Broken),
            signal = tokio::signal::ctrl_c() => {
                signal?;
                if interrupted {
                    return Ok(Exit::Interrupted);
                }
                interrupted = true;
                follower.line("canceling; press Ctrl-C again to leave at once");
                engine.cancel(run.clone()).await?;
            }
        }
    }
    if terminal.json() {
        terminal.answer(&follower.summary());
    }
    Ok(exit_of(follower.ended, interrupted))
}

/// The exit code for how a run ended.
pub fn exit_of(status: Option<RunStatus>, interrupted: bool) -> Exit {
    match status {
        _ if interrupted => Exit::Interrupted,
        Some(RunStatus::Succeeded) => Exit::Done,
        _ => Exit::Failed,
    }
}
