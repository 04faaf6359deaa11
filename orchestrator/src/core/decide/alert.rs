//! Alerts follow from facts: whatever went wrong in a turn, or is over, is told of in the same transaction. So none is lost
//! by a crash, and none told of that did not happen.
//!
//! One thing that is wrong is open once for each alert that is about it, until it is over; it is not raised again meanwhile.
//! What waits to be told of an alert becomes **one** message when `group_wait` is over, no earlier message is on its way, and
//! no more than `most_per_hour` were made in the last hour. A message is tried for about a day until its receiver takes it.
//!
//! Only a daemon raises: whoever runs a command in the foreground sees what fails. What is over is noticed by both.

use std::collections::BTreeSet;

use assets::alert::{Alert, Trouble};
use assets::outcome::{CheckResult, FailureClass};
use assets::{AssetKey, AssetPartition};
use state::alert::{AlertEnd, AlertLine, AlertMessage, RaisedAlert};
use state::event::{Event, Micros, Recorded};
use state::freshness::{FreshnessChange, FreshnessState};
use state::ids::{MessageId, RunId};
use state::schedule::{Tick, TickStatus};
use state::sensor::SensorTick;

use super::super::definitions::Definitions;
use super::super::effect::Decision;
use super::super::world::{AlertRecord, World, split_mix};

const SECOND: Micros = 1_000_000;
/// The wait after the first try that failed; it doubles with each further one.
const FIRST_WAIT: Micros = 10 * SECOND;
/// The longest wait between two tries.
const LONGEST_WAIT: Micros = 15 * 60 * SECOND;
/// How often a message is tried: for about a day.
const MOST_TRIES: u32 = 100;
/// Most characters of what happened; the rest is on the run's page.
const LONGEST_TEXT: usize = 400;

/// What the subject begins with where a schedule is meant.
const SCHEDULE: &str = "schedule ";
/// The same of a sensor.
const SENSOR: &str = "sensor ";

/// What is wrong, or over, with what.
struct Subject<'s> {
    name: String,
    asset: Option<&'s AssetKey>,
    /// The assets of a schedule or sensor, for alerts that are about some assets only.
    assets: Option<BTreeSet<AssetKey>>,
    run: Option<&'s RunId>,
}

/// One step from well to wrong or back.
enum Change {
    Wrong(String),
    Over,
}

/// What follows for alerts from a fact that was applied to the world.
pub(super) fn follows(world: &World, recorded: &Recorded) -> Vec<Event> {
    let mut told = Told {
        world,
        at: recorded.at,
        events: Vec::new(),
    };
    match &recorded.event {
        Event::StepFailed {
            run,
            step,
            failure,
            checks,
            ..
        } => {
            let by_check = failure.class == FailureClass::Check;
            let text = match by_check {
                true => failing(checks).unwrap_or_else(|| failure.message.clone()),
                false => failure.message.clone(),
            };
            told.step_failed(run, step, by_check, &format!("{text}; nothing was published"));
        }
        Event::StepSucceeded {
            run, materialization, ..
        } => {
            let step = &materialization.step;
            // What was published passed every check that can keep it from being published.
            told.change(Trouble::RunFailed, &of_step(step, run), &Change::Over);
            told.change(Trouble::CheckFailed, &of_step(step, run), &Change::Over);
            let change = match failing(&materialization.checks) {
                Some(text) => Change::Wrong(format!("{text}; the rows were published")),
                None => Change::Over,
            };
            told.change(Trouble::CheckWarned, &of_step(step, run), &change);
        }
        // What it shows again is what somebody wants it to show; what is no partition any more cannot be mended.
        Event::PartitionRolledBack { step, .. } | Event::PartitionCutAway { step } => {
            let subject = of_partition(step);
            for trouble in [Trouble::RunFailed, Trouble::CheckFailed, Trouble::CheckWarned] {
                told.change(trouble, &subject, &Change::Over);
            }
        }
        Event::Ticked { tick } => told.ticked(tick),
        Event::SensorTicked { tick } => told.sensor_ticked(tick),
        Event::FreshnessChanged { change } => told.freshness_changed(change),
        Event::FreshnessRemoved { asset } => {
            told.change(Trouble::FreshnessLate, &of_asset(asset), &Change::Over);
        }
        _ => {}
    }
    told.events
}

/// The checks that failed, in one line; `None` if all passed.
fn failing(checks: &[CheckResult]) -> Option<String> {
    let failed: Vec<String> = checks
        .iter()
        .filter(|check| !check.passed)
        .map(|check| match (check.failing_rows, &check.error) {
            (_, Some(error)) => format!("`{}` gave no result: {error}", check.name),
            (Some(1), None) => format!("`{}`: 1 row", check.name),
            (Some(rows), None) => format!("`{}`: {rows} rows", check.name),
            (None, None) => format!("`{}`: expected {}", check.name, check.expected),
        })
        .collect();
    (!failed.is_empty()).then(|| failed.join("; "))
}

fn of_step<'s>(step: &'s AssetPartition, run: &'s RunId) -> Subject<'s> {
    Subject {
        run: Some(run),
        ..of_partition(step)
    }
}

fn of_partition(step: &AssetPartition) -> Subject<'_> {
    Subject {
        name: step.to_string(),
        asset: Some(&step.asset),
        assets: None,
        run: None,
    }
}

fn of_asset(asset: &AssetKey) -> Subject<'_> {
    Subject {
        name: asset.to_string(),
        asset: Some(asset),
        assets: None,
        run: None,
    }
}

struct Told<'w> {
    world: &'w World,
    at: Micros,
    events: Vec<Event>,
}

impl Told<'_> {
    fn step_failed(&mut self, run: &RunId, step: &AssetPartition, by_check: bool, text: &str) {
        let subject = of_step(step, run);
        for alert in self.world.definitions().alerts().values() {
            // A failed check fails the run too; whoever asks for both is told once.
            let trouble = match by_check && alert.on.contains(&Trouble::CheckFailed) {
                true => Trouble::CheckFailed,
                false => Trouble::RunFailed,
            };
            self.change_of(alert, trouble, &subject, &Change::Wrong(text.to_owned()));
        }
    }

    fn ticked(&mut self, tick: &Tick) {
        if tick.by_hand {
            return;
        }
        let reason = tick.reason.as_deref().unwrap_or_default();
        let change = match tick.status {
            TickStatus::Missed if tick.count > 1 => Change::Wrong(format!("missed {} instants: {reason}", tick.count)),
            TickStatus::Missed => Change::Wrong(format!("missed an instant: {reason}")),
            TickStatus::Failed => Change::Wrong(reason.to_owned()),
            TickStatus::Requested | TickStatus::Skipped => Change::Over,
        };
        let definitions = self.world.definitions();
        // What is no longer declared is nobody's trouble.
        let Some(schedule) = definitions.schedules().get(&tick.schedule) else {
            return;
        };
        let found = schedule.selection.resolve(definitions.graph(), &|_, _| true);
        let subject = Subject {
            name: format!("{SCHEDULE}{}", tick.schedule),
            asset: None,
            assets: Some(found.unwrap_or_default().into_iter().collect()),
            run: tick.run.as_ref(),
        };
        self.change(Trouble::ScheduleMissed, &subject, &change);
    }

    fn freshness_changed(&mut self, changed: &FreshnessChange) {
        let change = match changed.to {
            FreshnessState::Late => Change::Wrong(changed.reason.clone()),
            FreshnessState::Unknown | FreshnessState::OnTime | FreshnessState::Warning => Change::Over,
        };
        self.change(Trouble::FreshnessLate, &of_asset(&changed.asset), &change);
    }

    fn sensor_ticked(&mut self, tick: &SensorTick) {
        let definitions = self.world.definitions();
        // What is no longer declared is nobody's trouble.
        let Some(sensor) = definitions.sensors().get(&tick.sensor) else {
            return;
        };
        let change = match tick.status {
            TickStatus::Failed => Change::Wrong(tick.reason.clone().unwrap_or_default()),
            TickStatus::Requested | TickStatus::Skipped | TickStatus::Missed => Change::Over,
        };
        let found = sensor.selection.resolve(definitions.graph(), &|_, _| true);
        let subject = Subject {
            name: format!("{SENSOR}{}", tick.sensor),
            asset: None,
            assets: Some(found.unwrap_or_default().into_iter().collect()),
            run: tick.run.as_ref(),
        };
        self.change(Trouble::SensorFailing, &subject, &change);
    }

    fn change(&mut self, trouble: Trouble, subject: &Subject<'_>, change: &Change) {
        for alert in self.world.definitions().alerts().values() {
            self.change_of(alert, trouble, subject, change);
        }
    }

    fn change_of(&mut self, alert: &Alert, trouble: Trouble, subject: &Subject<'_>, change: &Change) {
        let record = self.world.alert(&alert.name);
        let key = (trouble, subject.name.clone());
        let is_open = record.is_some_and(|record| record.open.contains_key(&key));
        match change {
            Change::Wrong(text) => {
                let definitions = self.world.definitions();
                let declared = subject.asset.is_none_or(|asset| definitions.get(asset).is_some());
                let wanted = declared && alert.on.contains(&trouble) && is_about(alert, subject);
                if is_open || !wanted || !self.world.keeps_schedules() {
                    return;
                }
                self.events.push(Event::AlertRaised {
                    raised: RaisedAlert {
                        alert: alert.name.clone(),
                        trouble,
                        subject: subject.name.clone(),
                        asset: subject.asset.cloned(),
                        run: subject.run.cloned(),
                        text: shortened(text),
                    },
                });
            }
            Change::Over if is_open => {
                let tell = alert.recovered;
                self.events
                    .push(over(&alert.name, key, self.at, subject.run, AlertEnd::Recovered, tell));
            }
            Change::Over => {}
        }
    }
}

fn is_about(alert: &Alert, subject: &Subject<'_>) -> bool {
    match (&alert.assets, subject.asset, &subject.assets) {
        (None, _, _) => true,
        (Some(_), Some(asset), _) => alert.is_about(asset),
        (Some(mine), None, Some(theirs)) => !mine.is_disjoint(theirs),
        (Some(_), None, None) => false,
    }
}

fn over(
    alert: &str,
    (trouble, subject): (Trouble, String),
    at: Micros,
    run: Option<&RunId>,
    end: AlertEnd,
    tell: bool,
) -> Event {
    Event::AlertEnded {
        alert: alert.to_owned(),
        end,
        line: AlertLine {
            at,
            trouble,
            subject,
            raised: false,
            text: "it is well again".to_owned(),
            run: run.cloned(),
        },
        tell,
    }
}

fn shortened(text: &str) -> String {
    let one_line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match one_line.char_indices().nth(LONGEST_TEXT) {
        Some((end, _)) => format!("{}…", &one_line[..end]),
        None => one_line,
    }
}

/// What the project as it is declared now no longer tells of is closed, silently.
pub(super) fn declared(world: &World, at: Micros, definitions: &Definitions) -> Vec<Event> {
    let mut events = Vec::new();
    let mut made = 0;
    for (name, record) in world.alerts() {
        let alert = definitions.alerts().get(name);
        for ((trouble, subject), asset) in &record.open {
            let stays = alert.is_some_and(|alert| {
                let there = if let Some(asset) = asset {
                    definitions.get(asset).is_some() && alert.is_about(asset)
                } else if let Some(schedule) = subject.strip_prefix(SCHEDULE) {
                    definitions.schedules().contains_key(schedule)
                } else if let Some(sensor) = subject.strip_prefix(SENSOR) {
                    definitions.sensors().contains_key(sensor)
                } else {
                    true
                };
                there && alert.on.contains(trouble)
            });
            if !stays {
                let key = (*trouble, subject.clone());
                events.push(over(name, key, at, None, AlertEnd::Removed, false));
            }
        }
        if alert.is_none() {
            give_up(world, at, name, record, &mut made, &mut events);
        }
    }
    events
}

/// What an alert that is gone had to tell nobody waits for any more; that it was not told is kept.
fn give_up(world: &World, at: Micros, name: &str, record: &AlertRecord, made: &mut u64, events: &mut Vec<Event>) {
    let failed = |message: MessageId, tries| Event::AlertFailed {
        alert: name.to_owned(),
        message,
        tries,
        error: "the project no longer declares the alert".to_owned(),
        next_at: None,
    };
    if let Some(waiting) = &record.waiting {
        events.push(failed(waiting.message.id.clone(), waiting.tries));
    }
    if !record.lines.is_empty() {
        let id = world.next_message_id(at, *made);
        *made += 1;
        events.push(Event::AlertGrouped {
            message: AlertMessage::of(id.clone(), name, &record.lines),
        });
        events.push(failed(id, 0));
    }
}

/// Something may be due to be told: what is becomes messages. Nothing comes of it otherwise, so it may come too often.
pub(super) fn due(world: &World, at: Micros) -> Decision {
    let mut decision = Decision::default();
    if !world.keeps_schedules() {
        return decision;
    }
    let due = world.definitions().alerts().iter().filter_map(|(name, alert)| {
        let record = world.alert(name)?;
        record.due(alert).filter(|due| *due <= at).map(|_| (name, record))
    });
    for (ahead, (name, record)) in (0..).zip(due) {
        decision.events.push(Event::AlertGrouped {
            message: AlertMessage::of(world.next_message_id(at, ahead), name, &record.lines),
        });
    }
    decision
}

/// A message was tried: taken by the receiver, or why not.
pub(super) fn tried(world: &World, at: Micros, alert: &str, message: &MessageId, error: Option<&str>) -> Decision {
    let mut decision = Decision::default();
    let waiting = world.alert(alert).and_then(|record| record.waiting.as_ref());
    let Some(waiting) = waiting.filter(|waiting| waiting.message.id == *message) else {
        // Given up meanwhile, or told twice.
        return decision;
    };
    let tries = waiting.tries + 1;
    decision.events.push(match error {
        None => Event::AlertDelivered {
            alert: alert.to_owned(),
            message: message.clone(),
            tries,
        },
        Some(error) => Event::AlertFailed {
            alert: alert.to_owned(),
            message: message.clone(),
            tries,
            error: shortened(error),
            next_at: (tries < MOST_TRIES).then(|| at + wait(message, tries)),
        },
    });
    decision
}

/// How long to wait after so many tries: doubled each time, and up to a fifth more, so that many do not come at once.
fn wait(message: &MessageId, tries: u32) -> Micros {
    let doubled = FIRST_WAIT
        .saturating_mul(1 << tries.saturating_sub(1).min(20))
        .min(LONGEST_WAIT);
    let seed = message
        .as_str()
        .bytes()
        .fold(0, |seed, byte| split_mix(seed, u64::from(byte)));
    doubled + (split_mix(seed, u64::from(tries)) % (doubled as u64 / 5)) as Micros
}
