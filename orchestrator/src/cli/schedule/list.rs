//! `millpond schedule list`: schedules with their next instant and what became of the last; the ticks of one.

use std::collections::BTreeMap;

use assets::Schedule;
use clap::Args;
use serde_json::{Value, json};
use state::sqlite::Owner;
use state::sqlite::queries::schedules::{ScheduleRow, TickRow, schedules, ticks};

use super::super::look::{Look, Place};
use super::super::terminal::{Terminal, moment, table};
use super::super::{Exit, Stop};
use super::named;
use crate::edge::folder::StateFolder;

/// Most schedules that are listed.
const MOST: usize = 10_000;

/// List schedules: when each is due next, and what became of its last instants.
#[derive(Args)]
pub struct List {
    /// One schedule, with its ticks.
    name: Option<String>,
    /// How many ticks of it.
    #[arg(long, short = 'n', default_value_t = 20)]
    number: usize,
}

impl List {
    pub fn run(self, place: &Place, terminal: &Terminal) -> Result<Exit, Stop> {
        let look = Look::new(place, terminal)?;
        let zone = look.project.settings.timezone.clone();
        let declared: Vec<&Schedule> = match &self.name {
            Some(name) => vec![named(&look.project.definitions, name)?],
            None => look.project.definitions.schedules().values().collect(),
        };
        let known: BTreeMap<String, ScheduleRow> = match &look.store {
            Some(store) => {
                let rows = schedules(store, None, MOST)?.rows.into_iter();
                rows.map(|row| (row.schedule.clone(), row)).collect()
            }
            None => BTreeMap::new(),
        };
        let number = if self.name.is_some() { self.number } else { 1 };
        let mut listed = Vec::new();
        for schedule in declared {
            let told = match &look.store {
                Some(store) => ticks(store, &schedule.name, None, number)?.rows,
                None => Vec::new(),
            };
            listed.push((
                schedule,
                known.get(&schedule.name),
                look.world.due(&schedule.name),
                told,
            ));
        }
        if terminal.json() {
            let listed: Vec<Value> = listed
                .iter()
                .map(|(schedule, known, due, told)| {
                    json!({
                        "schedule": schedule.name,
                        "description": schedule.description,
                        "cron": schedule.crons(),
                        "timezone": schedule.zone,
                        "select": schedule.selection.as_str(),
                        "paused_at": known.and_then(|known| known.paused_at),
                        "paused_by": known.and_then(|known| known.paused_by.clone()),
                        "next": due.map(|due| due.instant),
                        "ticks": told,
                    })
                })
                .collect();
            terminal.answer(&json!({ "schedules": listed }));
            return Ok(Exit::Done);
        }
        if listed.is_empty() {
            terminal.note("no schedule is declared: `[schedule.NAME]` with `cron` and `select`");
            return Ok(Exit::Done);
        }
        let head = ["schedule", "cron", "select", "next", "last"];
        let mut rows: Vec<Vec<String>> = vec![head.iter().map(|head| terminal.dim(head)).collect()];
        for (schedule, known, due, told) in &listed {
            let next = match (known.and_then(|known| known.paused_by.as_ref()), due) {
                (Some(by), _) => terminal.yellow(&format!("paused by {by}")),
                (None, Some(due)) => moment(due.instant, &zone),
                (None, None) => terminal.dim("not kept yet"),
            };
            rows.push(vec![
                terminal.bold(&schedule.name),
                schedule.crons().join(", "),
                schedule.selection.as_str().to_owned(),
                next,
                told.first().map_or_else(String::new, |tick| {
                    format!("{} {}", status(tick, terminal), moment(tick.at, &zone))
                }),
            ]);
        }
        terminal.say(table(&rows));
        if self.name.is_some() {
            let told = &listed[0].3;
            let rows: Vec<Vec<String>> = told.iter().map(|tick| tick_row(tick, &zone, terminal)).collect();
            terminal.say("");
            terminal.say(table(&rows));
        }
        let serves = matches!(
            Owner::of(StateFolder::of(&look.project.root).path()),
            Some(Owner { url: Some(_), .. })
        );
        if !serves {
            terminal.note("no daemon runs, so nothing starts by itself: `millpond up`");
        }
        Ok(Exit::Done)
    }
}

/// The row of a tick: its instant, what became of it, and why.
pub fn tick_row(tick: &TickRow, zone: &str, terminal: &Terminal) -> Vec<String> {
    let stretch = match tick.count {
        1 => String::new(),
        count => format!(" to {} ({count})", moment(tick.last, zone)),
    };
    let run = tick.run.as_ref().map(ToString::to_string);
    vec![
        format!("{}{stretch}", moment(tick.instant, zone)),
        status(tick, terminal),
        run.unwrap_or_default(),
        terminal.dim(tick.reason.as_deref().unwrap_or_default()),
    ]
}

fn status(tick: &TickRow, terminal: &Terminal) -> String {
    use state::schedule::TickStatus;
    let word = tick.status.as_str();
    match tick.status {
        TickStatus::Requested => terminal.green(word),
        TickStatus::Skipped => terminal.dim(word),
        TickStatus::Missed => terminal.yellow(word),
        TickStatus::Failed => terminal.red(word),
    }
}
