//! Schedules: up to where the instants of each are accounted for, and when each is to be looked at next.

use std::collections::{BTreeMap, BTreeSet};

use ::assets::Schedule;
use state::event::Micros;
use state::schedule::{DeclaredTimes, Tick};

use super::super::invariants::InvariantId;
use super::super::scope::timestamp;
use super::apply::{Broken, illegal};
use super::{World, split_mix};

/// What is known of a schedule that was ever declared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScheduleRecord {
    /// When it is due, as last declared.
    pub times: DeclaredTimes,
    /// Whether the project declares it.
    pub declared: bool,
    /// When and by whom it was paused, if it is.
    pub paused: Option<(Micros, String)>,
    /// Every instant up to here is accounted for.
    pub accounted: Micros,
    /// The newest tick that someone asked for.
    pub last_by_hand: Option<Micros>,
}

/// The first instant of a schedule that is not accounted for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Due {
    /// The instant.
    pub instant: Micros,
    /// When it starts: the instant and its jitter.
    pub at: Micros,
}

/// What is due next of each schedule, and the order in which they come.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Agenda {
    order: BTreeSet<(Micros, String)>,
    due: BTreeMap<String, Due>,
}

/// The times of a schedule, to tell whether they were changed.
pub(in super::super) fn times_of(schedule: &Schedule) -> DeclaredTimes {
    DeclaredTimes {
        crons: schedule.crons(),
        timezone: schedule.zone.clone(),
        repeated: schedule.repeated().as_str().to_owned(),
    }
}

/// By how much the start at an instant is put off: some part of the schedule's jitter, always the same for the instant.
pub(in super::super) fn delay(schedule: &Schedule, instant: Micros) -> Micros {
    if schedule.jitter_seconds == 0 {
        return 0;
    }
    let seed = schedule
        .name
        .bytes()
        .fold(0, |seed, byte| split_mix(seed, u64::from(byte)));
    (split_mix(seed, instant as u64) % (schedule.jitter_seconds * 1_000_000)) as Micros
}

impl World {
    /// What is known of a schedule.
    pub fn schedule(&self, name: &str) -> Option<&ScheduleRecord> {
        self.schedules.get(name)
    }

    /// Every schedule that was ever declared, by name.
    pub fn schedules(&self) -> impl Iterator<Item = (&String, &ScheduleRecord)> {
        self.schedules.iter()
    }

    /// What is due next of a schedule; `None` if it is paused, not declared, or never due again.
    pub fn due(&self, schedule: &str) -> Option<Due> {
        self.agenda.due.get(schedule).copied()
    }

    /// The schedules that are due at `at`, the longest overdue first, at most `limit` of them.
    pub fn due_schedules(&self, at: Micros, limit: usize) -> Vec<String> {
        let due = self.agenda.order.iter().take_while(|(due, _)| *due <= at);
        due.take(limit).map(|(_, name)| name.clone()).collect()
    }

    /// What comes next by the clock, at most `limit` instants of as many schedules.
    pub fn coming(&self, limit: usize) -> Vec<(String, Due)> {
        let order = self.agenda.order.iter().take(limit);
        order.map(|(_, name)| (name.clone(), self.agenda.due[name])).collect()
    }

    /// When the next schedule is due: nothing happens by the clock before.
    pub fn next_wake(&self) -> Option<Micros> {
        self.agenda.order.first().map(|(at, _)| *at)
    }

    /// Whether this process keeps schedules and sensors.
    pub fn keeps_schedules(&self) -> bool {
        self.daemon
    }

    /// Enters every schedule into the agenda anew.
    pub(super) fn look_through_schedules(&mut self) {
        self.agenda = Agenda::default();
        let names: Vec<String> = self.schedules.keys().cloned().collect();
        for name in names {
            self.look_at_schedule(&name);
        }
    }

    /// Enters a schedule into the agenda anew.
    pub(super) fn look_at_schedule(&mut self, name: &str) {
        if let Some(due) = self.agenda.due.remove(name) {
            self.agenda.order.remove(&(due.at, name.to_owned()));
        }
        let Some(due) = self.first_due(name) else { return };
        self.agenda.due.insert(name.to_owned(), due);
        self.agenda.order.insert((due.at, name.to_owned()));
    }

    fn first_due(&self, name: &str) -> Option<Due> {
        let record = self.schedules.get(name)?;
        let schedule = self.definitions.schedules().get(name)?;
        // Times that were changed count once that is committed.
        if !record.declared || record.paused.is_some() || record.times != times_of(schedule) {
            return None;
        }
        let instant = schedule
            .timetable
            .next(timestamp(record.accounted))?
            .at
            .as_microsecond();
        Some(Due {
            instant,
            at: instant + delay(schedule, instant),
        })
    }

    pub(super) fn schedule_mut(&mut self, name: &str) -> Result<&mut ScheduleRecord, Broken> {
        let record = self.schedules.get_mut(name).filter(|record| record.declared);
        record.ok_or_else(|| illegal(format!("something happened to schedule {name}, which is not declared")))
    }

    pub(super) fn schedule_declared(&mut self, at: Micros, name: &str, times: &DeclaredTimes, paused: bool) {
        let known = self.schedules.get(name);
        let was_paused = known.and_then(|known| known.paused.clone());
        let record = ScheduleRecord {
            times: times.clone(),
            declared: true,
            paused: paused.then(|| was_paused.unwrap_or_else(|| (at, "the declaration".to_owned()))),
            accounted: known.map_or(at, |known| known.accounted.max(at)),
            last_by_hand: known.and_then(|known| known.last_by_hand),
        };
        self.schedules.insert(name.to_owned(), record);
        self.look_at_schedule(name);
    }

    pub(super) fn ticked(&mut self, tick: &Tick) -> Result<(), Broken> {
        let record = self.schedule_mut(&tick.schedule)?;
        let before = if tick.by_hand {
            record.last_by_hand
        } else {
            Some(record.accounted)
        };
        if before.is_some_and(|before| tick.instant <= before) || tick.last < tick.instant {
            let found = format!("schedule {} ticked at {} again", tick.schedule, tick.instant);
            return Err(Broken::new(InvariantId::InstantsAreToldOnce, found));
        }
        if tick.by_hand {
            record.last_by_hand = Some(tick.instant);
        } else {
            record.accounted = tick.last;
        }
        self.look_at_schedule(&tick.schedule);
        Ok(())
    }
}
