//! Sensors: what becomes of what one has seen. Whoever looks reports all of it in one input; here it is decided which of the
//! events are new and whether they start a run. Cursor, events and run are one tick, committed at once, so a look that comes
//! twice, late, or after a crash tells nothing again and loses nothing.
//!
//! A run materializes what is stale among the sensor's assets: in the partitions that the events name, or in all if one of
//! them names none. An event is told of once, whatever comes of it; a look that failed takes nothing in and is made again.

use std::collections::BTreeSet;

use assets::{PartitionKey, Sensor};
use state::event::{Event, Micros, OwnerMode, Pace, PartitionChoice, RunRequest};
use state::ids::RunId;
use state::schedule::TickStatus;
use state::sensor::{SensorEvent, SensorTick};

use super::super::definitions::Definitions;
use super::super::effect::{Answer, Decision, Effect, RequestId};
use super::super::input::{SensorLook, SensorSight};
use super::super::plan::{PlanProblem, PlanRequest, plan};
use super::super::world::{Run, SensorRecord, World, split_mix, watched_by};
use super::submit::{accept, selected};

/// Most problems of a plan that are told in the reason of a tick.
const MOST_TOLD: usize = 3;
/// Longest pause after looks that failed, in microseconds, unless the sensor looks more seldom anyway.
const LONGEST_PAUSE: Micros = 600 * 1_000_000;
/// How long what a sensor told of is remembered once it is declared no more, whatever its `remember` was.
const REMEMBERED_OF_THE_GONE: Micros = 90 * 24 * 3600 * 1_000_000;
/// What the trigger of a sensor's runs begins with.
const TRIGGER: &str = "sensor ";

/// The sensor that requested a run.
pub fn sensor_of(run: &Run) -> Option<&str> {
    run.request.trigger.strip_prefix(TRIGGER)
}

/// How long a sensor waits from the beginning of one look to that of the next: `every`, and after failures twice as long for
/// each, up to ten minutes, give or take a quarter so that sensors of one source do not come back together.
pub fn wait_of(sensor: &Sensor, record: &SensorRecord) -> Micros {
    let every = i64::try_from(sensor.every_seconds).unwrap_or(i64::MAX / 2_000_000) * 1_000_000;
    if record.failures == 0 {
        return every;
    }
    let longest = LONGEST_PAUSE.max(every);
    let pause = every.saturating_mul(1 << record.failures.min(20)).min(longest);
    let seed = sensor
        .name
        .bytes()
        .fold(0, |seed, byte| split_mix(seed, u64::from(byte)));
    let quarter = pause / 4;
    let jitter = (split_mix(seed, record.ticks) % (2 * quarter as u64 + 1)) as Micros - quarter;
    pause + jitter
}

/// What follows for sensors from the project as it is declared now: new ones, those that watch something else than before,
/// those that are gone, and what those that were gone before need not remember any more.
pub(super) fn declared(world: &World, at: Micros, definitions: &Definitions) -> Vec<Event> {
    let mut events = Vec::new();
    for (name, sensor) in definitions.sensors() {
        let watched = watched_by(sensor);
        let paused = match world.sensor(name) {
            Some(record) if record.declared && record.watched == watched => continue,
            Some(record) => record.paused.is_some() || (!record.declared && sensor.paused),
            None => sensor.paused,
        };
        events.push(Event::SensorDeclared {
            sensor: name.clone(),
            declared: watched,
            paused,
        });
    }
    let gone = world
        .sensors()
        .filter(|(name, record)| record.declared && !definitions.sensors().contains_key(*name));
    events.extend(gone.map(|(name, _)| Event::SensorRemoved { sensor: name.clone() }));
    let long_gone = world
        .sensors()
        .filter(|(name, record)| !record.declared && !definitions.sensors().contains_key(*name))
        .filter(|_| definitions.settings.forgets);
    events.extend(long_gone.filter_map(|(name, record)| {
        // Nobody looks any more, so nothing is shown.
        let ticks = record.forgettable(at.saturating_sub(REMEMBERED_OF_THE_GONE), &BTreeSet::new());
        (!ticks.is_empty()).then(|| Event::SensorForgot {
            sensor: name.clone(),
            ticks,
        })
    }));
    events
}

/// A sensor has looked.
pub(super) fn looked(
    world: &World,
    at: Micros,
    request: Option<RequestId>,
    name: &str,
    look: &SensorLook,
    by: Option<&str>,
) -> Decision {
    let mut decision = Decision::default();
    let known = world.definitions().sensors().get(name).zip(world.sensor(name));
    let answer = match known.filter(|(_, record)| record.declared && world.keeps_schedules()) {
        None => unknown(world, name),
        Some((sensor, record)) => {
            let tick = judge(world, at, sensor, record, look, by, &mut decision);
            decision
                .events
                .extend(tick.clone().map(|tick| Event::SensorTicked { tick }));
            decision.events.extend(forgotten(at, sensor, record, look));
            Answer::SensorTicked { tick }
        }
    };
    decision
        .effects
        .extend(request.map(|request| Effect::Reply { request, answer }));
    decision
}

/// The tick that a look comes to, if it comes to one.
fn judge(
    world: &World,
    at: Micros,
    sensor: &Sensor,
    record: &SensorRecord,
    look: &SensorLook,
    by: Option<&str>,
    decision: &mut Decision,
) -> Option<SensorTick> {
    // Another look was made since this one began: it is late, or it came twice.
    if look.after.is_some_and(|after| after != record.ticks) {
        return None;
    }
    if record.paused.is_some() && by.is_none() {
        return None;
    }
    let tick = |status, reason: Option<String>| SensorTick {
        sensor: sensor.name.clone(),
        number: record.ticks + 1,
        status,
        reason,
        run: None,
        asked_by: by.map(str::to_owned),
        events: Vec::new(),
        cursor: record.cursor.clone(),
        lag: record.lag,
        failures: None,
    };
    let failed = |reason: String| SensorTick {
        failures: Some(u64::from(record.failures) + 1),
        ..tick(TickStatus::Failed, Some(reason))
    };
    let sight = match &look.sight {
        Ok(sight) => sight,
        Err(reason) => return Some(failed(reason.clone())),
    };
    let Fresh { events, before } = fresh(record, sight);
    let mut remarks: Vec<String> = sight.remark.iter().cloned().collect();
    if before > 0 {
        remarks.push(format!(
            "{} told of before",
            counted(before, "event was", "events were")
        ));
    }
    // A push has no cursor of its own.
    let cursor = if look.after.is_some() {
        sight.cursor.clone()
    } else {
        record.cursor.clone()
    };
    if events.is_empty() {
        let changed = cursor != record.cursor || sight.lag != record.lag || record.failures > 0;
        if by.is_none() && !changed {
            return None;
        }
        remarks.insert(0, "nothing new".to_owned());
        return Some(SensorTick {
            cursor,
            lag: sight.lag,
            ..tick(TickStatus::Skipped, Some(remarks.join("; ")))
        });
    }
    if let Some(why) = &look.unseen {
        return Some(failed(why.clone()));
    }
    let (status, run, why) = request(world, at, sensor, &events, decision);
    remarks.splice(0..0, why);
    Some(SensorTick {
        run,
        cursor,
        lag: sight.lag,
        events,
        ..tick(status, (!remarks.is_empty()).then(|| remarks.join("; ")))
    })
}

/// What was told of long ago and is shown no more need not be remembered.
fn forgotten(at: Micros, sensor: &Sensor, record: &SensorRecord, look: &SensorLook) -> Option<Event> {
    let shown = look.sight.as_ref().ok()?.shown.as_ref()?;
    if look.after != Some(record.ticks) {
        return None;
    }
    let ticks = record.forgettable(remembered_from(at, sensor), shown);
    (!ticks.is_empty()).then(|| Event::SensorForgot {
        sensor: sensor.name.clone(),
        ticks,
    })
}

/// From when on a sensor remembers what it told of, whether it is still shown or not.
pub fn remembered_from(at: Micros, sensor: &Sensor) -> Micros {
    let seconds = i64::try_from(sensor.remember_seconds).unwrap_or(i64::MAX);
    at.saturating_sub(seconds.saturating_mul(1_000_000))
}

/// The events of a look that are new, and how many are not.
struct Fresh {
    events: Vec<SensorEvent>,
    before: usize,
}

fn fresh(record: &SensorRecord, sight: &SensorSight) -> Fresh {
    let mut keys: BTreeSet<&str> = BTreeSet::new();
    let mut events: Vec<SensorEvent> = Vec::new();
    for event in &sight.events {
        if !record.has_told(&event.key) && keys.insert(&event.key) {
            events.push(event.clone());
        }
    }
    let before = sight.events.len() - events.len();
    Fresh { events, before }
}

/// Requests the run of these events, or says why there is none.
fn request(
    world: &World,
    at: Micros,
    sensor: &Sensor,
    events: &[SensorEvent],
    decision: &mut Decision,
) -> (TickStatus, Option<RunId>, Vec<String>) {
    let selection = sensor.selection.as_str();
    let assets = match selected(world, at, selection) {
        Ok(assets) => assets,
        Err(error) => {
            // `stale` and `missing` may be nobody; any other selection was resolved when it was declared.
            let status = match selection.contains("stale") || selection.contains("missing") {
                true => TickStatus::Skipped,
                false => TickStatus::Failed,
            };
            return (status, None, vec![error.message]);
        }
    };
    let named: BTreeSet<&PartitionKey> = events.iter().flat_map(|event| &event.partitions).collect();
    let everywhere = events.iter().any(|event| event.partitions.is_empty());
    let partitions = (!everywhere).then(|| PartitionChoice::These(named.into_iter().cloned().collect()));
    let plan = plan(
        world,
        at,
        &PlanRequest {
            assets,
            partitions: partitions.clone(),
            force: false,
            only: None,
            alone: false,
        },
    );
    let run = RunRequest {
        selection: selection.to_owned(),
        partitions,
        force: false,
        only: None,
        pace: Pace::default(),
        owner: OwnerMode::Daemon,
        trigger: format!("{TRIGGER}{}", sensor.name),
    };
    let some_of = |problems: &[PlanProblem]| -> Vec<String> {
        problems.iter().take(MOST_TOLD).map(ToString::to_string).collect()
    };
    match accept(world, at, &run, plan, &mut decision.events) {
        Answer::Accepted { run, problems, .. } => (TickStatus::Requested, Some(run), some_of(&problems)),
        Answer::NothingToDo { fresh, problems } => {
            let fresh: usize = fresh.values().sum();
            let mut reasons = vec![format!(
                "nothing is stale: {} fresh",
                counted(fresh, "partition is", "partitions are")
            )];
            reasons.extend(some_of(&problems));
            (TickStatus::Skipped, None, reasons)
        }
        Answer::Refused { mut reasons } => {
            reasons.truncate(MOST_TOLD);
            (TickStatus::Failed, None, reasons)
        }
        _ => unreachable!("a plan is accepted, refused, or nothing to do"),
    }
}

/// Someone asks to pause a sensor, or to resume it.
pub(super) fn pause(world: &World, request: RequestId, name: &str, pause: bool, by: &str) -> Decision {
    let mut decision = Decision::default();
    let answer = match world.sensor(name).filter(|record| record.declared) {
        None => unknown(world, name),
        Some(record) => {
            let (sensor, by) = (name.to_owned(), by.to_owned());
            match (record.paused.is_some(), pause) {
                (false, true) => decision.events.push(Event::SensorPaused { sensor, by }),
                (true, false) => decision.events.push(Event::SensorResumed { sensor, by }),
                (true, true) | (false, false) => {}
            }
            Answer::Sensor { paused: pause }
        }
    };
    decision.effects.push(Effect::Reply { request, answer });
    decision
}

fn unknown(world: &World, name: &str) -> Answer {
    let known = world.definitions().sensors();
    let reason = match assets::diagnostic::closest(name, known.keys().map(String::as_str)) {
        _ if known.contains_key(name) => format!("sensor `{name}` is kept by a daemon: start `millpond up`"),
        Some(near) => format!("there is no sensor `{name}`: did you mean `{near}`?"),
        None => format!("there is no sensor `{name}`: `millpond sensor list` lists them"),
    };
    Answer::Refused { reasons: vec![reason] }
}

/// `1 event was`, `3 events were`.
fn counted(count: usize, one: &str, many: &str) -> String {
    match count {
        1 => format!("1 {one}"),
        count => format!("{count} {many}"),
    }
}
