//! One look, by the kind of the sensor.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use assets::sensor::{AssetSource, SensorSource};
use assets::warehouse::S3Store;
use assets::{Fingerprint, Sensor};
use tokio::sync::Notify;

use super::super::engine::EngineHandle;
use super::super::warehouse::LakeSettings;
use super::files::FilesLooker;
use super::task::Known;
use super::watch::Watch;
use super::{command, facts, http, sql};
use crate::core::{KeyHash, SensorSight, key_hash};

/// Who is told of events need not look for them.
const NEVER: Duration = Duration::from_secs(24 * 3600);

/// How often who is woken looks all the same.
const SAFETY: Duration = Duration::from_secs(60);

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
    /// How objects were reached when it was made.
    s3: S3Store,
    by_kind: ByKind,
}

enum ByKind {
    Files(FilesLooker),
    /// Up to which event runs were looked at that did not count.
    Run(i64),
    /// Keeps nothing.
    Plain,
}

impl Looker {
    /// For a sensor that has not looked yet.
    pub(super) fn of(sensor: &Sensor, engine: &EngineHandle, watch: &Watch, woken: &Arc<Notify>) -> Self {
        let mut s3 = S3Store::default();
        let by_kind = match &sensor.source {
            SensorSource::Files(source) => {
                let settings = engine.settings();
                s3 = settings.s3.clone();
                let objects = LakeSettings::of(&settings).objects();
                let root = settings.root.into();
                ByKind::Files(FilesLooker::new(
                    &sensor.name,
                    source,
                    root,
                    watch.clone(),
                    Arc::clone(woken),
                    objects,
                ))
            }
            SensorSource::Run(_) => ByKind::Run(0),
            SensorSource::Http(_)
            | SensorSource::Webhook(_)
            | SensorSource::Asset(_)
            | SensorSource::Sql(_)
            | SensorSource::Command(_) => ByKind::Plain,
        };
        Self {
            scope: sensor.scope(),
            s3,
            by_kind,
        }
    }

    /// Whether it is of use for this declaration, and for the project's `[s3]` as it is now.
    pub(super) fn is_for(&self, sensor: &Sensor, engine: &EngineHandle) -> bool {
        let reaches = match self.by_kind {
            ByKind::Files(_) => self.s3 == engine.project().settings.s3,
            ByKind::Run(_) | ByKind::Plain => true,
        };
        self.scope == sensor.scope() && reaches
    }

    /// How long it need not look if nothing wakes it; `None` for what does not tell of its changes.
    pub(super) fn rests_for(&self, sensor: &Sensor) -> Option<Duration> {
        match (&self.by_kind, &sensor.source) {
            (ByKind::Files(files), _) => Some(files.rests_for()),
            (_, SensorSource::Webhook(_)) => Some(NEVER),
            // What is committed here wakes them; another project's state does not.
            (_, SensorSource::Run(_) | SensorSource::Asset(AssetSource { project: None, .. })) => Some(SAFETY),
            (_, _) => None,
        }
    }

    /// Looks. Why nothing could be seen is a lowercase fragment.
    pub(super) async fn look(&mut self, known: &Known, engine: &EngineHandle) -> Result<Sight, String> {
        match (&mut self.by_kind, &known.sensor.source) {
            (ByKind::Files(files), SensorSource::Files(source)) => files.look(known, source, engine).await,
            (_, SensorSource::Sql(source)) => sql::look(known, source, engine).await,
            (_, SensorSource::Command(source)) => command::look(known, source, engine).await,
            (by_kind, _) => {
                let mut sight = read_on(by_kind, known, engine).await?;
                sight.sight.shown = known.wants_shown.then(BTreeSet::new);
                Ok(sight)
            }
        }
    }
}

/// Kinds that show nothing again once they have read it.
async fn read_on(by_kind: &mut ByKind, known: &Known, engine: &EngineHandle) -> Result<Sight, String> {
    match (by_kind, &known.sensor.source) {
        (ByKind::Run(scanned), SensorSource::Run(source)) => facts::run(known, source, scanned, engine).await,
        (_, SensorSource::Asset(source)) => facts::asset(known, source, engine).await,
        (_, SensorSource::Http(source)) => http::look(known, source, engine).await,
        // It is told, and has nowhere to look.
        (_, SensorSource::Webhook(_)) => Ok(Sight::default()),
        (_, SensorSource::Files(_) | SensorSource::Run(_) | SensorSource::Sql(_) | SensorSource::Command(_)) => {
            unreachable!("a looker is made for the kind of its sensor")
        }
    }
}

/// The keys of what a look shows, if they are wanted. Where nothing is shown at all, a share may not be there or a table be made
/// anew: that is no reason to forget, and the next look that shows something tells more.
pub(super) fn shown<'k>(known: &Known, keys: impl Iterator<Item = &'k str>) -> Option<BTreeSet<KeyHash>> {
    let shown: BTreeSet<KeyHash> = keys.filter(|_| known.wants_shown).map(key_hash).collect();
    (!shown.is_empty()).then_some(shown)
}

/// Of each key, whether its event was told of before.
pub(super) async fn told_before(engine: &EngineHandle, sensor: &str, keys: Vec<String>) -> Result<Vec<bool>, String> {
    if keys.is_empty() {
        return Ok(Vec::new());
    }
    let sensor = sensor.to_owned();
    let question = engine.driver().ask(move |world, _| {
        let record = world.sensor(&sensor);
        let told = |key: &String| record.is_some_and(|record| record.has_told(key));
        keys.iter().map(told).collect()
    });
    question.await.ok_or_else(|| "millpond is stopping".to_owned())
}
