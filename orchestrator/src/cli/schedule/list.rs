//! `millpond schedule list`: schedules with their next instant and what became of the last; the ticks of one.

use std::collections::BTreeMap;

use assets::Schedule;
use clap::Args;
use serde_json::json;
use state::sqlite::queries::schedules::{ScheduleRow, TickRow, schedules, ticks as ticks_of};

use super::super::look::{Look, Place};
use super::super::terminal::{Terminal, moment};
use super::super::ticks::{self, Listed, Words, print};
use super::super::{Exit, Stop};
use super::named;

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
                Some(store) => ticks_of(store, &schedule.name, None, number)?.rows,
                None => Vec::new(),
            };
            listed.push((
                schedule,
                known.get(&schedule.name),
                look.world.due(&schedule.name),
                told,
            ));
        }
        let listed: Vec<Listed> = listed
            .into_iter()
            .map(|(schedule, known, due, told)| {
                let json = json!({
                    "schedule": schedule.name,
                    "description": schedule.description,
                    "cron": schedule.crons(),
                    "timezone": schedule.zone,
                    "select": schedule.selection.as_str(),
                    "paused_at": known.and_then(|known| known.paused_at),
                    "paused_by": known.and_then(|known| known.paused_by.clone()),
                    "next": due.as_ref().map(|due| due.instant),
                    "ticks": told,
                });
                let next = match (known.and_then(|known| known.paused_by.as_ref()), &due) {
                    (Some(by), _) => terminal.yellow(&format!("paused by {by}")),
                    (None, Some(due)) => moment(due.instant, &zone),
                    (None, None) => terminal.dim("not kept yet"),
                };
                let crons = schedule.crons().join(", ");
                Listed {
                    json,
                    row: vec![
                        terminal.bold(&schedule.name),
                        crons,
                        schedule.selection.as_str().to_owned(),
                        next,
                    ],
                    ticks: told.iter().map(|tick| tick_row(tick, &zone, terminal)).collect(),
                }
            })
            .collect();
        Ok(print(&listed, self.name.is_some(), &WORDS, &look, terminal))
    }
}

const WORDS: Words = Words {
    list: "schedules",
    head: &["schedule", "cron", "select", "next"],
    none: "no schedule is declared: `[schedule.NAME]` with `cron` and `select`",
    idle: "nothing starts by itself",
};

fn tick_row(tick: &TickRow, zone: &str, terminal: &Terminal) -> ticks::TickRow {
    let stretch = match tick.count {
        1 => String::new(),
        count => format!(" to {} ({count})", moment(tick.last, zone)),
    };
    let run = tick.run.as_ref().map(ToString::to_string);
    ticks::TickRow {
        at: tick.at,
        status: tick.status,
        when: format!("{}{stretch}", moment(tick.instant, zone)),
        rest: vec![
            run.unwrap_or_default(),
            terminal.dim(tick.reason.as_deref().unwrap_or_default()),
        ],
    }
}
