//! Schedules: which instants are due, and what becomes of each. Decided from what is committed and the time alone, so asking
//! twice, late, or after the clock was set back ticks no instant again.
//!
//! One input decides at most one run of a schedule, and the instants before it that were missed; who asks goes on asking
//! while the schedule is due. An instant is **on time** for a minute. Later it was missed, and `catch_up` says whether it
//! runs still. Runs that are caught up follow one another whatever `overlap` says: they are wanted, each for its instant.
//!
//! A tick materializes what is stale among its assets, as `millpond materialize` does, in the partitions that exist at its
//! instant: a tick that is caught up does not reach for partitions that came to exist later.

use assets::Schedule;
use assets::cron::{Cron, Repeated, Timetable};
use assets::schedule::{CatchUpPolicy, Overlap};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use state::event::{Event, Micros, OwnerMode, Pace, RunRequest};
use state::schedule::{DeclaredTimes, Tick, TickStatus};

use super::super::definitions::Definitions;
use super::super::effect::{Answer, Decision, Effect, RequestId};
use super::super::plan::{PlanRequest, plan};
use super::super::scope::timestamp;
use super::super::world::{Run, ScheduleRecord, World, delay, times_of};
use super::cancel::cancel;
use super::submit::{accept, selected};

/// How late an instant may be looked at and still be on time: a busy machine, a slow look at the sources.
const ON_TIME: Micros = 60 * 1_000_000;

/// Most instants of a stretch that are counted one by one.
const MOST_COUNTED: usize = 100_000;

/// Most problems of a plan that are told in the reason of a tick.
const MOST_TOLD: usize = 3;

/// What the trigger of a schedule's runs begins with.
const TRIGGER: &str = "schedule ";

/// The schedule that requested a run.
pub fn schedule_of(run: &Run) -> Option<&str> {
    run.request.trigger.strip_prefix(TRIGGER)
}

/// What follows for schedules from the project as it is declared now: new ones, those that are due at other times than
/// before, and those that are gone. Instants count from here on; what came before counts by the times that held then.
pub(super) fn declared(world: &World, at: Micros, definitions: &Definitions) -> Vec<Event> {
    let mut events = Vec::new();
    for (name, schedule) in definitions.schedules() {
        let times = times_of(schedule);
        let known = world.schedule(name);
        let paused = match known {
            Some(record) if record.declared && record.times == times => continue,
            Some(record) => {
                let changed = "the schedule was changed before it ran";
                events.extend(told_off(record, name, at, changed).filter(|_| record.declared));
                record.paused.is_some() || (!record.declared && schedule.paused)
            }
            None => schedule.paused,
        };
        let schedule = name.clone();
        events.push(Event::ScheduleDeclared {
            schedule,
            times,
            paused,
        });
    }
    for (name, record) in world.schedules().filter(|(_, record)| record.declared) {
        if !definitions.schedules().contains_key(name) {
            events.extend(told_off(
                record,
                name,
                at,
                "the schedule was taken out of the project before it ran",
            ));
            events.push(Event::ScheduleRemoved { schedule: name.clone() });
        }
    }
    events
}

/// A schedule may be due.
pub(super) fn due(world: &World, at: Micros, name: &str, unseen: Option<&str>) -> Decision {
    let mut decision = Decision::default();
    let schedule = world.definitions().schedules().get(name);
    let due = world.due(name).filter(|due| due.at <= at && world.keeps_schedules());
    let (Some(schedule), Some(due)) = (schedule, due) else {
        return decision;
    };
    let (chosen, newest) = choose(world, schedule, at);
    let missed_until = match chosen {
        Some(chosen) => instant_before(&schedule.timetable, chosen),
        None => newest,
    };
    if let Some(last) = missed_until.filter(|last| *last >= due.instant) {
        let why = match schedule.catch_up.policy {
            CatchUpPolicy::Skip => "nobody was there for it: `catch_up` is \"skip\"",
            CatchUpPolicy::Latest if chosen.is_some() => "nobody was there for it: a later instant runs",
            CatchUpPolicy::All if chosen.is_some() => {
                "nobody was there for it, and as many later instants run as `catch_up` allows"
            }
            CatchUpPolicy::Latest | CatchUpPolicy::All => "nobody was there for it within the window of `catch_up`",
        };
        let tick = stretch(&schedule.timetable, name, due.instant, last, TickStatus::Missed, why);
        decision.events.push(Event::Ticked { tick });
    }
    let Some(instant) = chosen else { return decision };
    let late = at - instant - delay(schedule, instant);
    let tick = match unseen {
        Some(why) => tick(name, instant, TickStatus::Failed, Some(why.to_owned())),
        None => request(world, at, schedule, instant, late > ON_TIME, &mut decision),
    };
    decision.events.push(Event::Ticked { tick });
    decision
}

/// The oldest due instant that is to run now, and the newest due one.
fn choose(world: &World, schedule: &Schedule, at: Micros) -> (Option<Micros>, Option<Micros>) {
    let accounted = world.schedule(&schedule.name).map_or(at, |record| record.accounted);
    let most = schedule.catch_up.most as usize;
    // The newest first. Beside those that `catch_up` lets run there are few that are on time.
    let back = |before: Timestamp| {
        let tick = schedule.timetable.previous(before)?;
        Some(tick.at).filter(|instant| instant.as_microsecond() > accounted)
    };
    let due: Vec<Micros> = std::iter::successors(back(timestamp(at.saturating_add(1))), |instant| back(*instant))
        .map(Timestamp::as_microsecond)
        .filter(|instant| instant + delay(schedule, *instant) <= at)
        .take(most + 3)
        .collect();
    let lateness = |instant: &Micros| at - *instant - delay(schedule, *instant);
    let window = i64::try_from(schedule.catch_up.window_seconds).unwrap_or(i64::MAX);
    let (on_time, late): (Vec<Micros>, Vec<Micros>) = due.iter().copied().partition(|due| lateness(due) <= ON_TIME);
    let in_window = late
        .into_iter()
        .take_while(|instant| at - instant <= window.saturating_mul(1_000_000));
    let caught_up = match schedule.catch_up.policy {
        CatchUpPolicy::Skip => None,
        CatchUpPolicy::Latest => in_window.take(usize::from(on_time.is_empty())).last(),
        CatchUpPolicy::All => in_window.take(most).last(),
    };
    (caught_up.or(on_time.last().copied()), due.first().copied())
}

/// Someone asks for a tick now.
pub(super) fn by_hand(world: &World, at: Micros, request_id: RequestId, name: &str, by: &str) -> Decision {
    let mut decision = Decision::default();
    let answer = match (world.definitions().schedules().get(name), world.schedule(name)) {
        (Some(schedule), Some(record)) if record.declared && world.keeps_schedules() => {
            // Between two whole minutes, so that it is none of the schedule's own instants.
            let after = record.last_by_hand.map_or(at, |last| at.max(last + 1));
            let instant = if after % 60_000_000 == 0 { after + 1 } else { after };
            let mut tick = request(world, at, schedule, instant, true, &mut decision);
            tick.by_hand = true;
            tick.reason = Some(match tick.reason.filter(|_| tick.status != TickStatus::Requested) {
                Some(reason) => format!("asked for by {by}: {reason}"),
                None => format!("asked for by {by}"),
            });
            decision.events.push(Event::Ticked { tick: tick.clone() });
            Answer::Ticked { tick }
        }
        _ => unknown(world, name),
    };
    decision.effects.push(Effect::Reply {
        request: request_id,
        answer,
    });
    decision
}

/// Someone asks to pause a schedule.
pub(super) fn pause(world: &World, request: RequestId, name: &str, by: &str) -> Decision {
    let mut decision = Decision::default();
    let answer = match world.schedule(name).filter(|record| record.declared) {
        None => unknown(world, name),
        Some(record) => {
            if record.paused.is_none() {
                decision.events.push(Event::SchedulePaused {
                    schedule: name.to_owned(),
                    by: by.to_owned(),
                });
            }
            Answer::Schedule { paused: true }
        }
    };
    decision.effects.push(Effect::Reply { request, answer });
    decision
}

/// Someone asks to resume a schedule. What it would have done meanwhile was not wanted, and is told as skipped.
pub(super) fn resume(world: &World, at: Micros, request: RequestId, name: &str, by: &str) -> Decision {
    let mut decision = Decision::default();
    let answer = match world.schedule(name).filter(|record| record.declared) {
        None => unknown(world, name),
        Some(record) => {
            if record.paused.is_some() {
                decision.events.extend(told_off(record, name, at, ""));
                decision.events.push(Event::ScheduleResumed {
                    schedule: name.to_owned(),
                    by: by.to_owned(),
                });
            }
            Answer::Schedule { paused: false }
        }
    };
    decision.effects.push(Effect::Reply { request, answer });
    decision
}

fn unknown(world: &World, name: &str) -> Answer {
    let known = world.definitions().schedules();
    let reason = match assets::diagnostic::closest(name, known.keys().map(String::as_str)) {
        _ if known.contains_key(name) => format!("schedule `{name}` is kept by a daemon: start `millpond up`"),
        Some(near) => format!("there is no schedule `{name}`: did you mean `{near}`?"),
        None => format!("there is no schedule `{name}`: `millpond schedule list` lists them"),
    };
    Answer::Refused { reasons: vec![reason] }
}

/// The instants of a schedule that are not accounted for and will not run, as one tick.
fn told_off(record: &ScheduleRecord, name: &str, at: Micros, why: &str) -> Option<Event> {
    let timetable = timetable(&record.times)?;
    let first = timetable.next(timestamp(record.accounted))?.at.as_microsecond();
    let last = instant_before(&timetable, at.saturating_add(1)).filter(|last| *last >= first)?;
    let tick = match &record.paused {
        Some((_, by)) => {
            let why = format!("the schedule was paused by {by}");
            stretch(&timetable, name, first, last, TickStatus::Skipped, &why)
        }
        None => stretch(&timetable, name, first, last, TickStatus::Missed, why),
    };
    Some(Event::Ticked { tick })
}

/// The times as they were declared, if they can still be read.
fn timetable(times: &DeclaredTimes) -> Option<Timetable> {
    let crons: Result<Vec<Cron>, _> = times.crons.iter().map(|cron| Cron::parse(cron)).collect();
    let repeated = Repeated::ALL
        .into_iter()
        .find(|choice| choice.as_str() == times.repeated)?;
    Some(Timetable::new(
        crons.ok()?,
        TimeZone::get(&times.timezone).ok()?,
        repeated,
    ))
}

fn instant_before(timetable: &Timetable, before: Micros) -> Option<Micros> {
    timetable
        .previous(timestamp(before))
        .map(|tick| tick.at.as_microsecond())
}

/// All instants from one to another, as one tick.
fn stretch(timetable: &Timetable, name: &str, first: Micros, last: Micros, status: TickStatus, why: &str) -> Tick {
    let later = timetable.after(timestamp(first)).map(|tick| tick.at.as_microsecond());
    let count = 1 + later.take_while(|instant| *instant <= last).take(MOST_COUNTED).count();
    let at_least = if count > MOST_COUNTED {
        " (at least so many)"
    } else {
        ""
    };
    Tick {
        last,
        count: count as u64,
        ..tick(name, first, status, Some(format!("{why}{at_least}")))
    }
}

fn tick(name: &str, instant: Micros, status: TickStatus, reason: Option<String>) -> Tick {
    Tick {
        schedule: name.to_owned(),
        instant,
        last: instant,
        count: 1,
        status,
        reason,
        run: None,
        by_hand: false,
    }
}

/// Requests the run of an instant, or says why there is none. `wanted`: it follows earlier runs instead of yielding to them.
fn request(
    world: &World,
    at: Micros,
    schedule: &Schedule,
    instant: Micros,
    wanted: bool,
    decision: &mut Decision,
) -> Tick {
    let name = &schedule.name;
    let earlier: Vec<&Run> = world.open_runs().filter(|run| schedule_of(run) == Some(name)).collect();
    let overlap = if wanted { Overlap::Queue } else { schedule.overlap };
    if let (Overlap::Skip, Some(run)) = (overlap, earlier.first()) {
        let reason = format!("its earlier run {} is not over: `overlap` is \"skip\"", run.id);
        return tick(name, instant, TickStatus::Skipped, Some(reason));
    }
    let selection = schedule.selection.as_str();
    let assets = match selected(world, at, selection) {
        Ok(assets) => assets,
        Err(error) => {
            // `stale` and `missing` may be nobody; any other selection was resolved when it was declared.
            let status = match selection.contains("stale") || selection.contains("missing") {
                true => TickStatus::Skipped,
                false => TickStatus::Failed,
            };
            return tick(name, instant, status, Some(error.message));
        }
    };
    let plan = plan(
        world,
        instant,
        &PlanRequest {
            assets,
            partitions: None,
            force: false,
            only: None,
            alone: false,
        },
    );
    let run = RunRequest {
        selection: selection.to_owned(),
        partitions: None,
        force: false,
        only: None,
        pace: Pace::default(),
        owner: OwnerMode::Daemon,
        trigger: format!("{TRIGGER}{name}"),
    };
    match accept(world, at, &run, plan, &mut decision.events) {
        Answer::Accepted { run, .. } => {
            if overlap == Overlap::CancelPrevious {
                for run in earlier {
                    cancel(world, run, decision);
                }
            }
            let late = at - instant - delay(schedule, instant);
            let reason = (late > ON_TIME).then(|| format!("caught up {} late", length(late)));
            Tick {
                run: Some(run),
                ..tick(name, instant, TickStatus::Requested, reason)
            }
        }
        Answer::NothingToDo { fresh, problems } => {
            let fresh: usize = fresh.values().sum();
            let mut reason = match fresh {
                1 => "nothing is stale: the one partition there is is fresh".to_owned(),
                fresh => format!("nothing is stale: {fresh} partitions are fresh"),
            };
            for problem in problems.iter().take(MOST_TOLD) {
                reason.push_str(&format!("; {problem}"));
            }
            tick(name, instant, TickStatus::Skipped, Some(reason))
        }
        Answer::Refused { mut reasons } => {
            reasons.truncate(MOST_TOLD);
            tick(name, instant, TickStatus::Failed, Some(reasons.join("; ")))
        }
        Answer::Canceling { .. }
        | Answer::Paused { .. }
        | Answer::TableChanged
        | Answer::Adopted { .. }
        | Answer::TableMoved
        | Answer::Promoted { .. }
        | Answer::Ticked { .. }
        | Answer::Schedule { .. }
        | Answer::SensorTicked { .. }
        | Answer::Sensor { .. }
        | Answer::Automation { .. } => {
            unreachable!("a plan is accepted, refused, or nothing to do")
        }
    }
}

/// `3 minutes`, `5 hours`, `2 days`.
fn length(micros: Micros) -> String {
    let minutes = micros / 60_000_000;
    match minutes {
        0..=119 => format!("{minutes} minutes"),
        120..=2_879 => format!("{} hours", minutes / 60),
        _ => format!("{} days", minutes / 1_440),
    }
}
