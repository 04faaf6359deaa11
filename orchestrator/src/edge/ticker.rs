//! Wakes the core when a schedule is due, an asset becomes late or its automation ticks: asks it which are and when the next one will be, looks at the sources of those that
//! are, and sleeps.
//!
//! It decides nothing and remembers nothing. Timers stand still while a machine is suspended and know nothing of a clock that
//! is set, so the sleep is cut into slices after each of which the time of day is read again. Each schedule is looked after by
//! a task of its own: one whose sources do not answer delays no other.

use std::collections::HashSet;
use std::time::Duration;

use assets::selection::Selection;
use state::event::{Event, Micros};
use tokio::sync::broadcast::error::RecvError;
use tokio::task::{JoinHandle, JoinSet};

use super::clock;
use super::engine::{EngineHandle, RequestError};
use crate::core::Input;

/// Longest sleep without a look at the time of day.
const SLICE: Duration = Duration::from_secs(1);
/// Longest sleep without asking the core.
const ASK_AGAIN: Micros = 30_000_000;
/// A clock that is this much behind what was decided last was set back, and did not just stand still for a moment.
const SET_BACK: Micros = 60_000_000;
/// Most schedules whose sources are looked at side by side.
const AT_ONCE: usize = 32;
/// How long the sources of a schedule may take to be looked at.
const LOOK: Duration = Duration::from_secs(600);

/// Keeps the schedules of an engine.
pub struct Ticker(JoinHandle<()>);

impl Ticker {
    /// Starts it. Must be called inside a tokio runtime.
    pub fn start(engine: EngineHandle) -> Self {
        Self(tokio::spawn(keep(engine)))
    }

    /// Stops it between two instants, or while it looks at sources: what was not decided is due at the next start.
    pub async fn stop(self) {
        self.0.abort();
        // Either it was aborted, or it ended by itself because the driver did.
        self.0.await.ok();
    }
}

async fn keep(engine: EngineHandle) {
    let mut live = engine.driver().live();
    let mut looking: JoinSet<String> = JoinSet::new();
    let mut looked_after: HashSet<String> = HashSet::new();
    let mut set_back = false;
    loop {
        let limit = AT_ONCE + looked_after.len();
        let question = engine.driver().ask(move |world, at| {
            let due = world.due_schedules(at, limit);
            (due, world.next_wake(), world.next_alarm(), at)
        });
        let Some((due, wake, alarm, decided)) = question.await else {
            return;
        };
        if alarm.is_some_and(|alarm| alarm <= decided) {
            // The next question is answered by the world that this one made.
            engine.driver().send(Input::TimePassed);
            continue;
        }
        let behind = decided - clock::now();
        if behind > SET_BACK && !set_back {
            tracing::warn!(
                seconds = behind / 1_000_000,
                "the clock was set back: what is decided already is not decided again, and schedules wait until it is there"
            );
        }
        set_back = behind > SET_BACK;
        for name in due {
            if looked_after.len() < AT_ONCE && looked_after.insert(name.clone()) {
                let engine = engine.clone();
                looking.spawn(async move {
                    look_and_tick(&engine, &name).await;
                    name
                });
            }
        }
        // What is due and looked after already is asked for again when that is done.
        let soon = clock::now() + ASK_AGAIN;
        let until = match wake {
            Some(wake) if looked_after.is_empty() || wake > clock::now() => wake.min(soon),
            _ => soon,
        };
        let until = alarm.map_or(until, |alarm| until.min(alarm));
        tokio::select! {
            done = looking.join_next(), if !looking.is_empty() => {
                match done {
                    Some(Ok(name)) => {
                        looked_after.remove(&name);
                    }
                    Some(Err(error)) => {
                        tracing::error!(%error, "a look at the sources of a schedule broke off; it is looked at again");
                        // Which one is not told; asking for one twice does no harm.
                        looked_after.clear();
                    }
                    None => {}
                }
            }
            () = sleep_until(until) => {}
            () = change_of_times(&mut live) => {}
        }
    }
}

/// Sleeps until the time of day has come, however the clock gets there.
pub(super) async fn sleep_until(until: Micros) {
    loop {
        let left = until - clock::now();
        if left <= 0 {
            return;
        }
        tokio::time::sleep(SLICE.min(Duration::from_micros(left.unsigned_abs()))).await;
    }
}

/// Waits until something may be due at another time than before: a schedule is declared, paused, resumed or removed, something
/// was materialized that can be late, automation goes on.
async fn change_of_times(live: &mut tokio::sync::broadcast::Receiver<std::sync::Arc<Vec<state::event::Recorded>>>) {
    loop {
        match live.recv().await {
            Ok(events) => {
                let about_times = |event: &Event| {
                    matches!(
                        event,
                        Event::ScheduleDeclared { .. }
                            | Event::ScheduleRemoved { .. }
                            | Event::SchedulePaused { .. }
                            | Event::ScheduleResumed { .. }
                            | Event::FreshnessChanged { .. }
                            | Event::AutomationResumed { .. }
                            | Event::AutomationRequested { .. }
                            | Event::Started { .. }
                    )
                };
                if events.iter().any(|recorded| about_times(&recorded.event)) {
                    return;
                }
            }
            Err(RecvError::Lagged(_)) => return,
            // The driver has ended; the next question finds out.
            Err(RecvError::Closed) => std::future::pending().await,
        }
    }
}

async fn look_and_tick(engine: &EngineHandle, name: &str) {
    let schedule = name.to_owned();
    let selection = engine.driver().ask(move |world, _| {
        let declared = world.definitions().schedules().get(&schedule);
        declared.map(|declared| declared.selection.clone())
    });
    let Some(selection) = selection.await else { return };
    let unseen = match selection {
        Some(selection) => look(engine, &selection).await,
        None => None,
    };
    engine.driver().send(Input::ScheduleDue {
        schedule: name.to_owned(),
        unseen,
    });
}

/// Looks at the sources; why that was not possible.
async fn look(engine: &EngineHandle, selection: &Selection) -> Option<String> {
    match tokio::time::timeout(LOOK, engine.observe(selection)).await {
        // A selection that means nothing now is the core's to tell.
        Ok(Ok(()) | Err(RequestError::Selection(_) | RequestError::Stopping)) => None,
        Ok(Err(error @ RequestError::Sources { .. })) => Some(error.to_string()),
        Err(_) => Some(format!(
            "its sources could not be looked at within {} minutes",
            LOOK.as_secs() / 60
        )),
    }
}
