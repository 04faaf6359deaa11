//! One sensor: when it looks, and what is done with what it saw.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use assets::Sensor;
use state::event::Micros;
use tokio::sync::{Notify, mpsc};

use super::super::clock::{self, Stopwatch};
use super::super::engine::{EngineHandle, RequestError};
use super::look::Looker;
use super::watch::Watch;
use super::{Looked, Order, SensorNow};
use crate::core::{Answer, Input, SensorLook, SensorSight, remembered_from, wait_of};

/// Longest sleep without asking what is declared: an edit may have shortened it.
const ASK_AGAIN: Duration = Duration::from_secs(30);
/// How long after what may be forgotten was looked for it is looked for again.
const FORGET_AGAIN: Duration = Duration::from_secs(24 * 3600);
/// How long the sources of the selection may take to be looked at.
const SOURCES: Duration = Duration::from_secs(600);

/// What is known of the sensor before a look.
pub(super) struct Known {
    pub(super) sensor: Sensor,
    /// The number of its newest tick.
    pub(super) ticks: u64,
    /// Up to where it has read.
    pub(super) cursor: Option<String>,
    /// Whether the keys of all that it shows are wanted, because some of what it told of may be forgotten.
    pub(super) wants_shown: bool,
    paused: bool,
    /// How long it waits from the beginning of its last look.
    wait: Duration,
    failing: bool,
}

/// Keeps one sensor until it is told to end, or its declaration is gone.
pub(super) async fn keep_one(
    engine: EngineHandle,
    name: String,
    mut orders: mpsc::Receiver<Order>,
    now: Arc<Mutex<SensorNow>>,
    changed: Arc<Notify>,
    woken: Arc<Notify>,
    watch: Watch,
) {
    let mut looker: Option<Looker> = None;
    // Of the last look: when it began, when the next is to begin at the latest, and whether that is at once.
    let mut last: Option<Stopwatch> = None;
    let mut soon: Option<Duration> = None;
    let mut hint = false;
    // Since what may be forgotten was looked for.
    let mut forgot: Option<Stopwatch> = None;
    loop {
        let Some(Some(mut known)) = ask(&engine, &name).await else {
            return;
        };
        known.wants_shown &=
            engine.project().retention.enabled && forgot.as_ref().is_none_or(|forgot| forgot.elapsed() >= FORGET_AGAIN);
        if looker
            .as_ref()
            .is_none_or(|looker| !looker.is_for(&known.sensor, &engine))
        {
            looker = Some(Looker::of(&known.sensor, &engine, &watch, &woken));
            soon = None;
        }
        let looker = looker.as_mut().expect("it was made just now");
        if known.failing {
            // After a start it goes on waiting.
            last.get_or_insert_with(Stopwatch::start);
        }
        let elapsed = last.as_ref().map(Stopwatch::elapsed);
        let begin = begin_after(&known, looker, soon, hint);
        let left = match elapsed {
            _ if known.paused => ASK_AGAIN,
            None => Duration::ZERO,
            Some(elapsed) => begin.saturating_sub(elapsed),
        };
        set(&now, |now| {
            let at = clock::now() + Micros::try_from(left.as_micros()).unwrap_or(Micros::MAX / 2);
            now.next_at = (!known.paused).then_some(at);
        });
        let order = tokio::select! {
            biased;
            order = orders.recv() => match order {
                Some(order) => Some(order),
                // Nobody can ask any more: the keeper has taken the seat away.
                None => return,
            },
            () = changed.notified() => {
                // Who resumes a sensor, or changes it, waits for its next look.
                last = None;
                continue;
            }
            () = woken.notified(), if !hint => {
                hint = true;
                continue;
            }
            () = tokio::time::sleep(left.min(ASK_AGAIN)) => {
                if known.paused || left > ASK_AGAIN {
                    continue;
                }
                None
            }
        };
        hint = false;
        last = Some(Stopwatch::start());
        set(&now, |now| now.looking_since = Some(clock::now()));
        // A program is ended at the deadline with all that it started, which takes a moment.
        let deadline = Duration::from_secs(known.sensor.deadline_seconds) + Duration::from_secs(5);
        let looked = tokio::time::timeout(deadline, looker.look(&known, &engine)).await;
        let sight = looked.unwrap_or_else(|_| {
            Err(format!(
                "it did not answer within its deadline of {} s",
                known.sensor.deadline_seconds
            ))
        });
        set(&now, |now| {
            now.looking_since = None;
            now.looked_at = Some(clock::now());
            if let Ok(sight) = &sight {
                now.incomplete = sight.incomplete;
            }
        });
        // It says so at its end, and what counts is its beginning.
        let took = last.as_ref().map(Stopwatch::elapsed).unwrap_or_default();
        let again_in = sight.as_ref().ok().and_then(|sight| sight.again_in);
        soon = again_in.map(|again| again + took + Duration::from_millis(10));
        let sight = sight.map(|sight| sight.sight);
        let (by, reply) = match order {
            Some(Order { test: true, answer, .. }) => {
                // Who asked may have gone.
                answer.send(Looked::Tested(sight)).ok();
                // What it saw is still to be told.
                hint = true;
                continue;
            }
            Some(Order { by, answer, .. }) => (Some(by), Some(answer)),
            None => (None, None),
        };
        if sight.as_ref().is_ok_and(|sight| sight.shown.is_some()) {
            forgot = Some(Stopwatch::start());
        }
        let saw_something = sight.as_ref().is_ok_and(|sight| !sight.events.is_empty());
        let Some(decided) = tell(&engine, &known, sight, by).await else {
            return;
        };
        if let Answer::SensorTicked { tick } = &decided {
            match tick {
                Some(tick) if tick.lag > 0 && !tick.is_to_be_repeated() => soon = Some(Duration::ZERO),
                Some(tick) if tick.is_to_be_repeated() => {
                    tracing::warn!(sensor = %name, reason = tick.reason.as_deref().unwrap_or_default(), "a sensor failed");
                }
                // Another look came between.
                None if saw_something => hint = true,
                Some(_) | None => {}
            }
        }
        if let Some(reply) = reply {
            // Who asked may have gone.
            reply.send(Looked::Decided(decided)).ok();
        }
    }
}

/// How long after the beginning of one look the next one begins. `soon`: what the last look said of it; `hint`: something
/// changed since.
fn begin_after(known: &Known, looker: &Looker, soon: Option<Duration>, hint: bool) -> Duration {
    if known.failing {
        return known.wait;
    }
    if soon == Some(Duration::ZERO) {
        return Duration::ZERO;
    }
    let rest = if hint {
        known.wait
    } else {
        looker.rests_for(&known.sensor).unwrap_or(known.wait)
    };
    soon.map_or(rest, |soon| soon.min(rest)).max(known.wait)
}

/// The sensor as it is declared and as far as it has read; `None` inside if it is gone.
async fn ask(engine: &EngineHandle, name: &str) -> Option<Option<Known>> {
    let name = name.to_owned();
    let question = engine.driver().ask(move |world, at| {
        let sensor = world.definitions().sensors().get(&name)?;
        let record = world.sensor(&name).filter(|record| record.declared)?;
        Some(Known {
            sensor: sensor.clone(),
            ticks: record.ticks,
            cursor: record.cursor.clone(),
            wants_shown: record
                .oldest_told_at()
                .is_some_and(|oldest| oldest < remembered_from(at, sensor)),
            paused: record.paused.is_some(),
            wait: Duration::from_micros(wait_of(sensor, record).unsigned_abs()),
            failing: record.failures > 0,
        })
    });
    question.await
}

/// Tells the core what was seen; before that, what is new in it has the sources of the selection looked at. `None`: millpond is
/// stopping.
async fn tell(
    engine: &EngineHandle,
    known: &Known,
    sight: Result<SensorSight, String>,
    by: Option<String>,
) -> Option<Answer> {
    let unseen = match &sight {
        Ok(sight) if !sight.events.is_empty() => look_at_sources(engine, &known.sensor).await,
        Ok(_) | Err(_) => None,
    };
    let (sensor, after) = (known.sensor.name.clone(), Some(known.ticks));
    let look = Box::new(SensorLook { after, sight, unseen });
    let request = engine.driver().request(move |request| Input::SensorLooked {
        request: Some(request),
        sensor,
        look,
        by,
    });
    request.await
}

/// Looks at the sources; why that was not possible.
pub async fn look_at_sources(engine: &EngineHandle, sensor: &Sensor) -> Option<String> {
    match tokio::time::timeout(SOURCES, engine.observe(&sensor.selection)).await {
        // A selection that means nothing now is the core's to tell.
        Ok(Ok(()) | Err(RequestError::Selection(_) | RequestError::Stopping)) => None,
        Ok(Err(error @ RequestError::Sources { .. })) => Some(error.to_string()),
        Err(_) => Some(format!(
            "the sources of its selection could not be looked at within {} minutes",
            SOURCES.as_secs() / 60
        )),
    }
}

fn set(now: &Mutex<SensorNow>, change: impl FnOnce(&mut SensorNow)) {
    change(&mut now.lock().unwrap_or_else(PoisonError::into_inner));
}
