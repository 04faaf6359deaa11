//! One look, by the kind of the sensor.

use std::sync::Arc;
use std::time::Duration;

use assets::sensor::SensorSource;
use assets::{Fingerprint, Sensor};
use tokio::sync::Notify;

use super::super::engine::EngineHandle;
use super::files::FilesLooker;
use super::task::Known;
use super::watch::Watch;
use crate::core::SensorSight;

/// What a look came to.
#[derive(Debug, Default)]
pub(super) struct Sight {
    /// What is told to the core.
    pub(super) sight: SensorSight,
    /// How many things were seen that are not complete yet.
    pub(super) incomplete: u64,
    /// Look again after so long, whatever `every` says: something is about to be complete.
    pub(super) again_in: Option<Duration>,
}

/// What a sensor keeps from look to look, to spare work; it can be lost at any time.
pub(super) struct Looker {
    scope: Fingerprint,
    by_kind: ByKind,
}

enum ByKind {
    Files(FilesLooker),
}

impl Looker {
    /// For a sensor that has not looked yet.
    pub(super) fn of(sensor: &Sensor, engine: &EngineHandle, watch: &Watch, woken: &Arc<Notify>) -> Self {
        let by_kind = match &sensor.source {
            SensorSource::Files(source) => {
                let root = engine.settings().root.clone().into();
                ByKind::Files(FilesLooker::new(
                    &sensor.name,
                    source,
                    root,
                    watch.clone(),
                    Arc::clone(woken),
                ))
            }
        };
        Self {
            scope: sensor.scope(),
            by_kind,
        }
    }

    /// Whether it is of use for this declaration.
    pub(super) fn is_for(&self, sensor: &Sensor) -> bool {
        self.scope == sensor.scope()
    }

    /// How long it need not look if nothing wakes it; `None` for what does not tell of its changes.
    pub(super) fn rests_for(&self) -> Option<Duration> {
        match &self.by_kind {
            ByKind::Files(files) => Some(files.rests_for()),
        }
    }

    /// Looks. Why nothing could be seen is a lowercase fragment.
    pub(super) async fn look(&mut self, known: &Known, engine: &EngineHandle) -> Result<Sight, String> {
        match (&mut self.by_kind, &known.sensor.source) {
            (ByKind::Files(files), SensorSource::Files(source)) => files.look(known, source, engine).await,
        }
    }
}
