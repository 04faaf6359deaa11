//! `millpond sensor list`: sensors with what became of their last look; the ticks of one.

use std::collections::BTreeMap;

use assets::Sensor;
use clap::Args;
use serde_json::{Value, json};
use state::sqlite::queries::sensors::{SensorRow, SensorTickRow, sensor_ticks, sensors};

use super::super::look::{Look, Place};
use super::super::terminal::{Terminal, moment};
use super::super::ticks::{self, Listed, Words, print};
use super::super::{Exit, Stop};
use super::named;

/// Most sensors that are listed.
const MOST: usize = 10_000;

/// List sensors: what each watches, and what became of what it saw last.
#[derive(Args)]
pub struct List {
    /// One sensor, with its ticks.
    name: Option<String>,
    /// How many ticks of it.
    #[arg(long, short = 'n', default_value_t = 20)]
    number: usize,
}

impl List {
    pub fn run(self, place: &Place, terminal: &Terminal) -> Result<Exit, Stop> {
        let look = Look::new(place, terminal)?;
        let zone = look.project.settings.timezone.clone();
        let declared: Vec<&Sensor> = match &self.name {
            Some(name) => vec![named(&look.project.definitions, name)?],
            None => look.project.definitions.sensors().values().collect(),
        };
        let known: BTreeMap<String, SensorRow> = match &look.store {
            Some(store) => {
                let rows = sensors(store, None, MOST)?.rows.into_iter();
                rows.map(|row| (row.sensor.clone(), row)).collect()
            }
            None => BTreeMap::new(),
        };
        let number = if self.name.is_some() { self.number } else { 1 };
        let mut listed = Vec::new();
        for sensor in declared {
            let told = match &look.store {
                Some(store) => sensor_ticks(store, &sensor.name, None, number)?.rows,
                None => Vec::new(),
            };
            listed.push((sensor, known.get(&sensor.name), told));
        }
        let listed: Vec<Listed> = listed
            .into_iter()
            .map(|(sensor, known, told)| Listed {
                json: as_json(sensor, known, &told),
                row: vec![
                    terminal.bold(&sensor.name),
                    format!("{} {}", sensor.kind(), sensor.watches()),
                    sensor.selection.as_str().to_owned(),
                    state(known, terminal),
                ],
                ticks: told.iter().map(|tick| tick_row(tick, &zone, terminal)).collect(),
            })
            .collect();
        Ok(print(&listed, self.name.is_some(), &WORDS, &look, terminal))
    }
}

const WORDS: Words = Words {
    list: "sensors",
    head: &["sensor", "watches", "select", "state"],
    none: "no sensor is declared: `[sensor.NAME]` with `kind` and `select`",
    idle: "nothing is watched",
};

fn as_json(sensor: &Sensor, known: Option<&SensorRow>, told: &[SensorTickRow]) -> Value {
    json!({
        "sensor": sensor.name,
        "description": sensor.description,
        "kind": sensor.kind(),
        "watches": sensor.watches(),
        "select": sensor.selection.as_str(),
        "paused_at": known.and_then(|known| known.paused_at),
        "paused_by": known.and_then(|known| known.paused_by.clone()),
        "cursor": known.and_then(|known| known.cursor.clone()),
        "failures": known.map_or(0, |known| known.failures),
        "lag": known.map_or(0, |known| known.lag),
        "ticks": told,
    })
}

fn state(known: Option<&SensorRow>, terminal: &Terminal) -> String {
    match known {
        None => terminal.dim("not kept yet"),
        Some(SensorRow {
            paused_by: Some(by), ..
        }) => terminal.yellow(&format!("paused by {by}")),
        Some(known) if known.failures > 0 => terminal.red(&format!("failed {} in a row", known.failures)),
        Some(known) if known.lag > 0 => terminal.yellow(&format!("{} behind", known.lag)),
        Some(_) => "on".to_owned(),
    }
}

fn tick_row(tick: &SensorTickRow, zone: &str, terminal: &Terminal) -> ticks::TickRow {
    let mut seen = tick.examples.join(", ");
    let more = tick.events.saturating_sub(tick.examples.len() as u64);
    if more > 0 {
        seen.push_str(&format!(" and {more} more"));
    }
    let by = tick.asked_by.as_ref().map(|by| format!("asked for by {by}"));
    let why: Vec<String> = by.into_iter().chain(tick.reason.clone()).collect();
    ticks::TickRow {
        at: tick.at,
        status: tick.status,
        when: moment(tick.at, zone),
        rest: vec![
            tick.run.as_ref().map(ToString::to_string).unwrap_or_default(),
            seen,
            terminal.dim(&why.join("; ")),
        ],
    }
}
