//! What must hold of schedules, told from the events alone: every instant at which one was due is told once, and nothing else
//! is.

use std::collections::{BTreeMap, BTreeSet};

use assets::cron::{Cron, Repeated, Timetable};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use orchestrator::core::{Broken, InvariantId};
use state::event::{Event, Micros, Recorded};
use state::ids::RunId;
use state::schedule::{DeclaredTimes, Tick, TickStatus};

/// The instants that count: after one time and up to another, by these times.
#[derive(Clone)]
struct Span {
    times: DeclaredTimes,
    after: Micros,
    until: Option<Micros>,
}

#[derive(Clone, Default)]
struct Told {
    spans: Vec<Span>,
    ticks: Vec<Tick>,
    paused: bool,
    /// Up to here nothing is due any more.
    accounted: Micros,
}

/// What was told of every schedule.
#[derive(Clone, Default)]
pub(super) struct Instants {
    schedules: BTreeMap<String, Told>,
    runs: BTreeSet<RunId>,
}

fn broken(found: String) -> Result<(), Broken> {
    Err(Broken::new(InvariantId::InstantsAreToldOnce, found))
}

impl Instants {
    /// How many ticks there were of each status.
    pub(super) fn counts(&self) -> BTreeMap<&'static str, usize> {
        let mut counts = BTreeMap::new();
        for tick in self.schedules.values().flat_map(|told| &told.ticks) {
            *counts.entry(tick.status.as_str()).or_default() += 1;
        }
        counts
    }

    pub(super) fn tell(&mut self, recorded: &Recorded) -> Result<(), Broken> {
        let at = recorded.at;
        match &recorded.event {
            Event::ScheduleDeclared {
                schedule,
                times,
                paused,
            } => {
                let told = self.schedules.entry(schedule.clone()).or_default();
                let after = told.end(at);
                told.spans.push(Span {
                    times: times.clone(),
                    after,
                    until: None,
                });
                told.paused = *paused;
            }
            Event::ScheduleRemoved { schedule } => {
                self.schedules.entry(schedule.clone()).or_default().end(at);
            }
            Event::SchedulePaused { schedule, .. } => {
                self.schedules.entry(schedule.clone()).or_default().paused = true;
            }
            Event::ScheduleResumed { schedule, .. } => {
                let told = self.schedules.entry(schedule.clone()).or_default();
                told.paused = false;
                told.accounted = told.accounted.max(at);
            }
            Event::Ticked { tick } => {
                if let Some(run) = &tick.run
                    && !self.runs.insert(run.clone())
                {
                    return broken(format!("{run} was requested by two ticks"));
                }
                let told = self.schedules.entry(tick.schedule.clone()).or_default();
                if told.paused && !tick.by_hand && tick.status != TickStatus::Skipped {
                    return broken(format!("{} ticked while it was paused", tick.schedule));
                }
                if !tick.by_hand && tick.last > at {
                    return broken(format!("{} ticked before its time", tick.schedule));
                }
                let mut others = told.ticks.iter().filter(|other| other.by_hand == tick.by_hand);
                if others.any(|other| tick.instant <= other.last && other.instant <= tick.last) {
                    return broken(format!("{} ticked at {} twice", tick.schedule, tick.instant));
                }
                if !tick.by_hand {
                    told.accounted = told.accounted.max(tick.last);
                }
                told.ticks.push(tick.clone());
            }
            _ => {}
        }
        Ok(())
    }

    /// Checks that every instant that was due up to `at` was told, and that nothing else was.
    pub(super) fn all_are_told(&self, at: Micros) -> Result<(), Broken> {
        for (name, told) in &self.schedules {
            let mut due: BTreeSet<Micros> = BTreeSet::new();
            for span in &told.spans {
                let table = timetable(&span.times);
                let after = Timestamp::from_microsecond(span.after).expect("the simulation is near the present");
                let instants = table.after(after).map(|tick| tick.at.as_microsecond());
                due.extend(instants.take_while(|instant| *instant <= span.until.unwrap_or(at.max(told.accounted))));
            }
            for tick in told.ticks.iter().filter(|tick| !tick.by_hand) {
                let covered: Vec<Micros> = due.range(tick.instant..=tick.last).copied().collect();
                if covered.len() as u64 != tick.count || covered.first() != Some(&tick.instant) {
                    return broken(format!("{name} told {tick:?}, and due were {covered:?}"));
                }
                due.retain(|instant| !covered.contains(instant));
            }
            if let Some(forgotten) = due.first() {
                let instant = Timestamp::from_microsecond(*forgotten).expect("it was one");
                return broken(format!("{name} was due at {instant} and nothing was told of it"));
            }
        }
        Ok(())
    }

    /// The schedules that are paused.
    pub(super) fn paused(&self) -> Vec<String> {
        let paused = self.schedules.iter().filter(|(_, told)| told.paused);
        paused.map(|(name, _)| name.clone()).collect()
    }
}

impl Told {
    /// Ends the span under way; where the next may begin. A clock that was set back begins nothing again.
    fn end(&mut self, at: Micros) -> Micros {
        self.accounted = self.accounted.max(at);
        if let Some(span) = self.spans.last_mut() {
            span.until.get_or_insert(self.accounted);
        }
        self.accounted
    }
}

fn timetable(times: &DeclaredTimes) -> Timetable {
    let crons = times
        .crons
        .iter()
        .map(|cron| Cron::parse(cron).expect("it was declared"));
    let zone = TimeZone::get(&times.timezone).expect("it was declared");
    let repeated = Repeated::ALL
        .into_iter()
        .find(|choice| choice.as_str() == times.repeated);
    Timetable::new(crons.collect(), zone, repeated.expect("it was declared"))
}
