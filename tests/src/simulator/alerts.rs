//! What must hold of alerts, told from the events alone: whatever goes wrong is raised with it, is told in one message, and
//! each message reaches its receiver or is known to be given up.

use std::collections::{BTreeMap, BTreeSet};

use assets::alert::{Alert, Receiver, Trouble};
use assets::outcome::FailureClass;
use assets::selection::Selection;
use assets::{AssetGraph, AssetKey, AssetPartition, Location};
use orchestrator::core::{Broken, InvariantId, World};
use state::alert::{AlertLine, AlertMessage};
use state::event::{Event, Recorded};
use state::freshness::FreshnessState;
use state::ids::MessageId;
use state::schedule::TickStatus;

use super::dice::Dice;

/// An alert as a random project declares it.
pub(super) fn alert(number: usize, names: &[AssetKey], dice: &mut Dice) -> Alert {
    let asset = dice.pick(names).clone();
    let selection = match dice.below(3) {
        0 => None,
        1 => Some(format!("+{asset}")),
        _ => Some(asset.to_string()),
    };
    Alert {
        name: format!("alert{number}"),
        description: None,
        on: on(dice),
        recovered: dice.percent(60),
        selection: selection.map(|text| Selection::parse(&text).expect("a plain selection")),
        assets: None,
        receiver: Receiver::Command(vec!["tell".to_owned()]),
        group_wait_seconds: *dice.pick(&[0, 30, 600]),
        most_per_hour: *dice.pick(&[1, 3, 20]),
        location: Location {
            file: "millpond.toml".to_owned(),
            line: 1,
            column: 1,
        },
    }
}

pub(super) fn on(dice: &mut Dice) -> BTreeSet<Trouble> {
    let all = [
        Trouble::RunFailed,
        Trouble::CheckFailed,
        Trouble::ScheduleMissed,
        Trouble::SensorFailing,
    ];
    let mut some: BTreeSet<Trouble> = all.into_iter().filter(|_| dice.percent(70)).collect();
    if some.contains(&Trouble::SensorFailing) {
        some.insert(Trouble::FreshnessLate);
    }
    match some.is_empty() {
        true => all.into_iter().collect(),
        false => some,
    }
}

/// The alert with the assets that its selection means in a graph; `None` if it means none now.
pub(super) fn resolved(alert: &Alert, graph: &AssetGraph) -> Option<Alert> {
    let assets = match &alert.selection {
        Some(selection) => Some(selection.resolve(graph, &|_, _| true).ok()?.into_iter().collect()),
        None => None,
    };
    Some(Alert {
        assets,
        ..alert.clone()
    })
}

/// All that was told of alerts.
#[derive(Clone, Default)]
pub(super) struct Alerts {
    open: BTreeSet<(String, Trouble, String)>,
    to_tell: BTreeMap<String, Vec<AlertLine>>,
    on_the_way: BTreeMap<String, AlertMessage>,
    /// What receivers took; the same message may come twice.
    pub(super) received: BTreeMap<MessageId, AlertMessage>,
    messages: BTreeSet<MessageId>,
    raised: usize,
}

fn broken(found: String) -> Result<(), Broken> {
    Err(Broken::new(InvariantId::EverythingIsTold, found))
}

impl Alerts {
    /// How much was raised.
    pub(super) fn raised(&self) -> usize {
        self.raised
    }

    /// A receiver took a message.
    pub(super) fn receive(&mut self, message: &AlertMessage) -> Result<(), Broken> {
        match self.received.insert(message.id.clone(), message.clone()) {
            Some(before) if before != *message => broken(format!("{} came as two different messages", message.id)),
            _ => Ok(()),
        }
    }

    /// Takes in one event of those that are about alerts.
    pub(super) fn tell(&mut self, recorded: &Recorded) -> Result<(), Broken> {
        match &recorded.event {
            Event::AlertRaised { raised } => {
                self.raised += 1;
                let key = (raised.alert.clone(), raised.trouble, raised.subject.clone());
                if !self.open.insert(key) {
                    return broken(format!("{} was raised again while it was open", raised.subject));
                }
                let line = raised.line(recorded.at);
                self.to_tell.entry(raised.alert.clone()).or_default().push(line);
            }
            Event::AlertEnded { alert, line, tell, .. } => {
                if !self.open.remove(&(alert.clone(), line.trouble, line.subject.clone())) {
                    return broken(format!("{} ended and was not open", line.subject));
                }
                if *tell {
                    self.to_tell.entry(alert.clone()).or_default().push(line.clone());
                }
            }
            Event::AlertGrouped { message } => {
                let lines = self.to_tell.remove(&message.alert).unwrap_or_default();
                if AlertMessage::of(message.id.clone(), &message.alert, &lines) != *message {
                    return broken(format!("{} does not tell what is to be told", message.id));
                }
                if !self.messages.insert(message.id.clone()) {
                    return broken(format!("two messages are {}", message.id));
                }
                if self.on_the_way.insert(message.alert.clone(), message.clone()).is_some() {
                    return broken(format!("{} overtakes another message", message.id));
                }
            }
            Event::AlertDelivered { alert, message, .. } => {
                self.gone(alert, message)?;
                if !self.received.contains_key(message) {
                    return broken(format!("{message} is called delivered and nobody got it"));
                }
            }
            Event::AlertFailed {
                alert,
                message,
                next_at: None,
                ..
            } => self.gone(alert, message)?,
            _ => {}
        }
        Ok(())
    }

    fn gone(&mut self, alert: &str, message: &MessageId) -> Result<(), Broken> {
        match self.on_the_way.remove(alert) {
            Some(known) if known.id == *message => Ok(()),
            other => broken(format!(
                "{message} ended, on the way was {:?}",
                other.map(|other| other.id)
            )),
        }
    }

    /// After a turn: what went wrong in it is open, and what is well again is not.
    pub(super) fn agrees_with(&self, world: &World, events: &[Recorded]) -> Result<(), Broken> {
        let mut steps: BTreeMap<&AssetPartition, Option<Trouble>> = BTreeMap::new();
        let mut schedules: BTreeMap<&str, bool> = BTreeMap::new();
        for recorded in events {
            match &recorded.event {
                Event::StepFailed { step, failure, .. } => {
                    let by_check = failure.class == FailureClass::Check;
                    let trouble = if by_check {
                        Trouble::CheckFailed
                    } else {
                        Trouble::RunFailed
                    };
                    steps.insert(step, Some(trouble));
                }
                Event::StepSucceeded { materialization, .. } => drop(steps.insert(&materialization.step, None)),
                // It shows what somebody wants it to show.
                Event::PartitionRolledBack { step, .. } => drop(steps.insert(step, None)),
                Event::Ticked { tick } if !tick.by_hand => {
                    let missed = matches!(tick.status, TickStatus::Missed | TickStatus::Failed);
                    schedules.insert(&tick.schedule, missed);
                }
                _ => {}
            }
        }
        let definitions = world.definitions();
        for (name, alert) in definitions.alerts() {
            let is_open = |trouble: Trouble, subject: String| self.open.contains(&(name.clone(), trouble, subject));
            for (step, trouble) in &steps {
                let Some(found) = trouble else {
                    if [Trouble::RunFailed, Trouble::CheckFailed, Trouble::CheckWarned]
                        .iter()
                        .any(|trouble| is_open(*trouble, step.to_string()))
                    {
                        return broken(format!("{step} is well again and open for {name}"));
                    }
                    continue;
                };
                let told_as = if alert.on.contains(found) {
                    *found
                } else {
                    Trouble::RunFailed
                };
                let wanted = world.keeps_schedules() && alert.on.contains(&told_as) && alert.is_about(&step.asset);
                // An asset that is no longer declared is told of by nobody.
                let declared = definitions.get(&step.asset).is_some();
                if wanted && declared && !is_open(told_as, step.to_string()) {
                    return broken(format!("{step} failed and was not raised for {name}"));
                }
            }
            for (schedule, missed) in &schedules {
                let wanted = world.keeps_schedules()
                    && alert.on.contains(&Trouble::ScheduleMissed)
                    && alert.assets.is_none()
                    && definitions.schedules().contains_key(*schedule);
                let open = is_open(Trouble::ScheduleMissed, format!("schedule {schedule}"));
                if (*missed && wanted && !open) || (!missed && open) {
                    return broken(format!("{schedule} missed: {missed}, open for {name}: {open}"));
                }
            }
        }
        Ok(())
    }

    /// Once receivers take everything: nothing waits, and what is open is wrong.
    pub(super) fn all_is_told(&self, world: &World) -> Result<(), Broken> {
        let declared = world.definitions().alerts();
        for name in declared.keys() {
            if self.to_tell.get(name).is_some_and(|lines| !lines.is_empty()) {
                return broken(format!("{name} has something to tell and does not"));
            }
            if let Some(message) = self.on_the_way.get(name) {
                return broken(format!("{} is on its way for ever", message.id));
            }
        }
        for (alert, trouble, subject) in &self.open {
            if !declared.contains_key(alert) {
                return broken(format!("{subject} is open for {alert}, which is gone"));
            }
            if *trouble == Trouble::FreshnessLate {
                let late = subject.parse().ok().and_then(|asset| world.freshness(&asset));
                if late.is_none_or(|record| record.state != FreshnessState::Late) {
                    return broken(format!("{subject} is open for {alert} and is not late"));
                }
                continue;
            }
            if matches!(trouble, Trouble::ScheduleMissed | Trouble::SensorFailing) {
                continue;
            }
            let (asset, partition) = subject
                .split_once('@')
                .map_or((subject.as_str(), None), |(a, p)| (a, Some(p)));
            let key: AssetKey = asset.parse().expect("a step begins with its asset");
            let wrong = world.asset(&key).is_some_and(|record| {
                let mut partitions = record.partitions.iter();
                partitions.any(|(key, record)| {
                    key.as_ref().map(assets::PartitionKey::as_str) == partition && record.failure.is_some()
                })
            });
            if !wrong {
                return broken(format!("{subject} is open for {alert} and did not fail last"));
            }
        }
        Ok(())
    }
}
