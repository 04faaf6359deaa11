//! Sensors: up to where each has read, and which events it has told of.

use std::collections::BTreeSet;

use ::assets::Sensor;
use sha2::{Digest, Sha256};
use state::event::Micros;
use state::sensor::{DeclaredSensor, SensorTick};

use super::super::invariants::InvariantId;
use super::World;
use super::apply::{Broken, illegal};

/// What is known of a sensor that was ever declared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SensorRecord {
    /// What it watches, as last declared.
    pub watched: DeclaredSensor,
    /// Whether the project declares it.
    pub declared: bool,
    /// When and by whom it was paused, if it is.
    pub paused: Option<(Micros, String)>,
    /// Up to where it has read.
    pub cursor: Option<String>,
    /// How many ticks it had.
    pub ticks: u64,
    /// How many looks in a row failed.
    pub failures: u32,
    /// How many events were seen and are not told of yet.
    pub lag: u64,
    /// The keys of the events that it told of, by their hashes: a million files are a few megabytes.
    told: BTreeSet<u128>,
}

impl SensorRecord {
    /// Whether an event with this key was told of.
    pub fn has_told(&self, key: &str) -> bool {
        self.told.contains(&hash(key))
    }

    /// How many events were told of.
    pub fn told(&self) -> usize {
        self.told.len()
    }

    pub(super) fn loaded(loaded: state::sqlite::load::LoadedSensor) -> Self {
        Self {
            watched: loaded.watched,
            declared: loaded.declared,
            paused: loaded.paused,
            cursor: loaded.cursor,
            ticks: loaded.ticks,
            failures: u32::try_from(loaded.failures).unwrap_or(u32::MAX),
            lag: loaded.lag,
            told: loaded.told.iter().map(|key| hash(key)).collect(),
        }
    }
}

/// 128 bits of SHA-256: no two keys of one sensor will ever share them by chance.
fn hash(key: &str) -> u128 {
    let digest = Sha256::digest(key);
    let first: [u8; 16] = digest[..16].try_into().expect("a SHA-256 has 32 bytes");
    u128::from_be_bytes(first)
}

/// What a sensor watches, to tell whether that was changed.
pub(in super::super) fn watched_by(sensor: &Sensor) -> DeclaredSensor {
    DeclaredSensor {
        kind: sensor.kind().to_owned(),
        watches: sensor.watches(),
        scope: sensor.scope().as_str().to_owned(),
    }
}

impl World {
    /// What is known of a sensor.
    pub fn sensor(&self, name: &str) -> Option<&SensorRecord> {
        self.sensors.get(name)
    }

    /// Every sensor that was ever declared, by name.
    pub fn sensors(&self) -> impl Iterator<Item = (&String, &SensorRecord)> {
        self.sensors.iter()
    }

    pub(super) fn sensor_mut(&mut self, name: &str) -> Result<&mut SensorRecord, Broken> {
        let record = self.sensors.get_mut(name).filter(|record| record.declared);
        record.ok_or_else(|| illegal(format!("something happened to sensor {name}, which is not declared")))
    }

    pub(super) fn sensor_declared(&mut self, at: Micros, name: &str, watched: &DeclaredSensor, paused: bool) {
        let known = self.sensors.remove(name);
        let was_paused = known.as_ref().and_then(|known| known.paused.clone());
        let same = known.as_ref().is_some_and(|known| known.watched.scope == watched.scope);
        let before = known.as_ref().filter(|_| same);
        let record = SensorRecord {
            watched: watched.clone(),
            declared: true,
            paused: paused.then(|| was_paused.unwrap_or_else(|| (at, "the declaration".to_owned()))),
            cursor: before.and_then(|before| before.cursor.clone()),
            lag: before.map_or(0, |before| before.lag),
            ticks: known.as_ref().map_or(0, |known| known.ticks),
            failures: 0,
            told: known.map(|known| known.told).unwrap_or_default(),
        };
        self.sensors.insert(name.to_owned(), record);
    }

    pub(super) fn sensor_paused(&mut self, at: Micros, name: &str, by: &str) -> Result<(), Broken> {
        let record = self.sensor_mut(name)?;
        if record.paused.is_some() {
            return Err(illegal(format!("sensor {name} was paused twice")));
        }
        record.paused = Some((at, by.to_owned()));
        Ok(())
    }

    pub(super) fn sensor_resumed(&mut self, name: &str) -> Result<(), Broken> {
        let record = self.sensor_mut(name)?;
        if record.paused.take().is_none() {
            return Err(illegal(format!("sensor {name} was resumed and not paused")));
        }
        record.failures = 0;
        Ok(())
    }

    pub(super) fn sensor_ticked(&mut self, tick: &SensorTick) -> Result<(), Broken> {
        let record = self.sensor_mut(&tick.sensor)?;
        if tick.number != record.ticks + 1 {
            let found = format!("tick {} of {} follows {}", tick.number, tick.sensor, record.ticks);
            return Err(Broken::new(InvariantId::EventsAreToldOnce, found));
        }
        record.ticks = tick.number;
        record.cursor.clone_from(&tick.cursor);
        record.lag = tick.lag;
        record.failures = if tick.is_to_be_repeated() {
            record.failures + 1
        } else {
            0
        };
        for event in &tick.events {
            if !record.told.insert(hash(&event.key)) {
                let found = format!("{} told of `{}` twice", tick.sensor, event.key);
                return Err(Broken::new(InvariantId::EventsAreToldOnce, found));
            }
        }
        Ok(())
    }
}
