//! Everything the core needs to carry on: what is open, where every partition stands, pointers, sources, models.
//!
//! Rows are streamed. A million partitions take about two seconds of one processor in an optimized build
//! (`tests/store/size.rs`).

use std::collections::{BTreeMap, HashMap};

use assets::outcome::{Observation, SourceFile, TablePointer};
use assets::{AssetKey, AssetPartition, Fingerprint};
use rusqlite::Connection;
use serde::de::{Deserializer as _, MapAccess, Visitor};

use super::error::StateError;
use super::loaded_alerts;
use super::loaded_sensors;
use super::open::Store;
use super::value;
use crate::automation::Held;
use crate::event::Micros;
use crate::ids::RunId;

pub use super::loaded::{
    CurrentMaterialization, Loaded, LoadedAttempt, LoadedFreshness, LoadedModel, LoadedModelVersion, LoadedObservation,
    LoadedPartition, LoadedRollback, LoadedRun, LoadedSchedule, LoadedStep,
};

const LAST: &str = "
    SELECT seq, at FROM event ORDER BY seq DESC LIMIT 1";

const OPEN_RUNS: &str = "
    SELECT id, seq, status, request, submitted_at, started_at, paused,
           (SELECT max(started_at) FROM attempt WHERE attempt.run = run.id), definitions FROM run
    WHERE status IN ('queued', 'running', 'canceling') ORDER BY seq";

const STEPS: &str = "
    SELECT asset, partition, reason, status, attempt, number, rows, failure, because, retries, retry_at FROM step
    WHERE run = ?1 ORDER BY position";

const ATTEMPTS: &str = "
    SELECT id, asset, partitions, number, inputs, started_at, ended_at, timed_out FROM attempt
    WHERE run = ?1 AND (ended_at IS NULL OR id IN
          (SELECT attempt FROM step WHERE run = ?1 AND status IN ('running', 'publishing')))
    ORDER BY seq";

const PARTITIONS: &str = "
    SELECT asset, partition, seq, at, fingerprint, data_version, inputs, snapshot_id, rows, bytes, failed_seq, failed_at,
           run, failure IS NOT NULL AND json_extract(failure, '$.class') = 'check'
    FROM asset_partition ORDER BY asset, partition";

const POINTERS: &str = "
    SELECT p.asset, p.metadata_location, p.snapshot_id, i.metadata_location
    FROM table_pointer p
    LEFT JOIN iceberg_tables i ON i.catalog_name = 'millpond'
         AND i.table_namespace = substr(p.asset, 1, instr(p.asset, '.') - 1)
         AND i.table_name = substr(p.asset, instr(p.asset, '.') + 1)";

const SOURCES: &str = "
    SELECT source.asset, source.at, event.json -> '$.observation.code'
    FROM source LEFT JOIN event ON event.seq = source.seq";

const SOURCE_FILES: &str = "
    SELECT asset, path, bytes, modified_ns, sha256, partitions FROM source_file ORDER BY asset, path";

const SOURCES_READ: &str = "
    SELECT p.asset, p.partition, coalesce(json_extract(e.json, '$.materialization.sources'),
                                          json_extract(e.json, '$.restored.materialization.sources'))
    FROM source s JOIN asset_partition p ON p.asset = s.asset JOIN event e ON e.seq = p.seq";

const ROLLED_BACK: &str = "
    SELECT p.asset, p.partition, p.at, p.version, r.seq, r.by, r.note, r.snapshot_id,
           p.tried IS NOT NULL
    FROM partition_rollback p JOIN rollback r ON r.asset = p.asset AND r.seq = p.rollback
    ORDER BY p.asset, p.partition";

const MODEL_VERSIONS: &str = "
    SELECT model, version, run, artifact, sha256, metrics, fingerprint FROM model_version";

const MODEL_ALIASES: &str = "
    SELECT model, alias, version FROM model_alias";

const SCHEDULES: &str = "
    SELECT name, times, declared, paused_at, paused_by, accounted,
           (SELECT max(instant) FROM tick WHERE schedule = name AND by_hand = 1)
    FROM schedule";

impl Store {
    /// Reads everything, as of one moment.
    pub fn load(&self) -> Result<Loaded, StateError> {
        let mut partitions = Vec::new();
        let mut loaded = self.load_with(|partition| partitions.push(partition))?;
        loaded.partitions = partitions;
        Ok(loaded)
    }

    /// As [`Store::load`], but hands each partition to `each` (by asset and key) instead of collecting them.
    pub fn load_with(&self, each: impl FnMut(LoadedPartition)) -> Result<Loaded, StateError> {
        // One read transaction: a reader sees one moment, even while the writer goes on.
        let moment = self.connection.unchecked_transaction()?;
        let mut loaded = Loaded::default();
        moment
            .prepare(LAST)?
            .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
            .try_for_each(|last| last.map(|(seq, at)| (loaded.last_seq, loaded.last_at) = (seq, Some(at))))?;
        loaded.runs = open_runs(&moment)?;
        load_partitions(&moment, each)?;
        load_pointers(&moment, &mut loaded)?;
        loaded.observations = observations(&moment)?;
        loaded.sources = sources_read(&moment)?;
        loaded.rolled_back = rolled_back(&moment)?;
        loaded.models = models(&moment)?;
        loaded.schedules = schedules(&moment)?;
        loaded.freshness = freshness(&moment)?;
        loaded.automation_paused = automation_paused(&moment)?;
        loaded.held = held(&moment)?;
        loaded.alerts = loaded_alerts::alerts(&moment)?;
        loaded.sensors = loaded_sensors::sensors(&moment)?;
        Ok(loaded)
    }
}

fn open_runs(connection: &Connection) -> Result<Vec<LoadedRun>, StateError> {
    let mut runs = Vec::new();
    let mut statement = connection.prepare(OPEN_RUNS)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let run: RunId = value::parsed("run.id", row.get_ref(0)?.as_str().unwrap_or_default())?;
        runs.push(LoadedRun {
            seq: row.get(1)?,
            status: value::run_status(row.get_ref(2)?.as_str().unwrap_or_default())?,
            request: value::json("run.request", row.get_ref(3)?.as_str().unwrap_or_default())?,
            submitted_at: row.get(4)?,
            started_at: row.get(5)?,
            paused: row.get(6)?,
            last_start: row.get(7)?,
            definitions: row.get::<_, Option<String>>(8)?.map(value::fingerprint),
            steps: steps(connection, &run)?,
            attempts: attempts(connection, &run)?,
            run,
        });
    }
    Ok(runs)
}

fn steps(connection: &Connection, run: &RunId) -> Result<Vec<LoadedStep>, StateError> {
    let mut steps = Vec::new();
    let mut keys = AssetKeys::default();
    let mut statement = connection.prepare_cached(STEPS)?;
    let mut rows = statement.query([run.as_str()])?;
    while let Some(row) = rows.next()? {
        let asset = keys.key("step.asset", row.get_ref(0)?.as_str().unwrap_or_default())?;
        let partition = value::partition("step.partition", row.get_ref(1)?.as_str().unwrap_or_default())?;
        let attempt: Option<String> = row.get(4)?;
        steps.push(LoadedStep {
            step: AssetPartition::new(asset, partition),
            reason: row.get(2)?,
            status: value::step_status(row.get_ref(3)?.as_str().unwrap_or_default())?,
            attempt: attempt
                .map(|attempt| value::parsed("step.attempt", &attempt))
                .transpose()?,
            number: row.get(5)?,
            rows: row.get::<_, Option<i64>>(6)?.map(value::count),
            failure: value::optional_json("step.failure", row.get(7)?)?,
            because: value::optional_json("step.because", row.get(8)?)?,
            retries: row.get(9)?,
            retry_at: row.get(10)?,
        });
    }
    Ok(steps)
}

fn attempts(connection: &Connection, run: &RunId) -> Result<Vec<LoadedAttempt>, StateError> {
    let mut attempts = Vec::new();
    let mut statement = connection.prepare_cached(ATTEMPTS)?;
    let mut rows = statement.query([run.as_str()])?;
    while let Some(row) = rows.next()? {
        attempts.push(LoadedAttempt {
            attempt: value::parsed("attempt.id", row.get_ref(0)?.as_str().unwrap_or_default())?,
            asset: value::parsed("attempt.asset", row.get_ref(1)?.as_str().unwrap_or_default())?,
            partitions: value::json("attempt.partitions", row.get_ref(2)?.as_str().unwrap_or_default())?,
            number: row.get(3)?,
            inputs: value::json("attempt.inputs", row.get_ref(4)?.as_str().unwrap_or_default())?,
            started_at: row.get(5)?,
            ended_at: row.get(6)?,
            timed_out: value::optional_json("attempt.timed_out", row.get(7)?)?,
        });
    }
    Ok(attempts)
}

fn load_partitions(connection: &Connection, mut each: impl FnMut(LoadedPartition)) -> Result<(), StateError> {
    let mut keys = AssetKeys::default();
    let mut statement = connection.prepare(PARTITIONS)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let asset = keys.key("asset_partition.asset", row.get_ref(0)?.as_str().unwrap_or_default())?;
        let partition = value::partition(
            "asset_partition.partition",
            row.get_ref(1)?.as_str().unwrap_or_default(),
        )?;
        let current = match row.get(2)? {
            None => None,
            Some(seq) => Some(CurrentMaterialization {
                seq,
                run: value::parsed("asset_partition.run", row.get_ref(12)?.as_str().unwrap_or_default())?,
                at: row.get(3)?,
                fingerprint: value::fingerprint(row.get(4)?),
                data_version: value::fingerprint(row.get(5)?),
                inputs: keys.inputs(row.get_ref(6)?.as_str().unwrap_or_default())?,
                snapshot_id: row.get(7)?,
                rows: value::count(row.get(8)?),
                bytes: value::count(row.get(9)?),
            }),
        };
        let failed_at: Option<Micros> = row.get(11)?;
        let failed = row.get::<_, Option<i64>>(10)?.zip(failed_at);
        each(LoadedPartition {
            step: AssetPartition::new(asset, partition),
            current,
            failed,
            failed_by_check: row.get(13)?,
        });
    }
    Ok(())
}

fn load_pointers(connection: &Connection, loaded: &mut Loaded) -> Result<(), StateError> {
    let mut statement = connection.prepare(POINTERS)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let table: AssetKey = value::parsed("table_pointer.asset", row.get_ref(0)?.as_str().unwrap_or_default())?;
        let pointer = TablePointer {
            metadata_location: row.get(1)?,
            snapshot_id: row.get(2)?,
        };
        if let Some(now) = row
            .get::<_, Option<String>>(3)?
            .filter(|now| *now != pointer.metadata_location)
        {
            loaded.moved_outside.insert(table.clone(), now);
        }
        loaded.pointers.insert(table, pointer);
    }
    Ok(())
}

fn observations(connection: &Connection) -> Result<BTreeMap<AssetKey, LoadedObservation>, StateError> {
    let mut found = BTreeMap::new();
    let mut statement = connection.prepare(SOURCES)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let asset = value::parsed("source.asset", row.get_ref(0)?.as_str().unwrap_or_default())?;
        found.insert(
            asset,
            LoadedObservation {
                at: row.get(1)?,
                observation: Observation {
                    files: Vec::new(),
                    code: value::optional_json("event.json", row.get(2)?)?,
                },
            },
        );
    }
    let mut keys = AssetKeys::default();
    let mut statement = connection.prepare(SOURCE_FILES)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let asset = keys.key("source_file.asset", row.get_ref(0)?.as_str().unwrap_or_default())?;
        let looked: &mut LoadedObservation = found.get_mut(&asset).expect("a foreign key ties files to their source");
        looked.observation.files.push(SourceFile {
            path: row.get(1)?,
            bytes: value::count(row.get(2)?),
            modified_ns: row.get(3)?,
            sha256: row.get(4)?,
            partitions: value::optional_json("source_file.partitions", row.get(5)?)?,
        });
    }
    Ok(found)
}

fn sources_read(connection: &Connection) -> Result<BTreeMap<AssetPartition, Vec<SourceFile>>, StateError> {
    let mut found = BTreeMap::new();
    let mut keys = AssetKeys::default();
    let mut statement = connection.prepare(SOURCES_READ)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let asset = keys.key("asset_partition.asset", row.get_ref(0)?.as_str().unwrap_or_default())?;
        let partition = value::partition(
            "asset_partition.partition",
            row.get_ref(1)?.as_str().unwrap_or_default(),
        )?;
        let files = value::json("event.json", row.get_ref(2)?.as_str().unwrap_or_default())?;
        found.insert(AssetPartition::new(asset, partition), files);
    }
    Ok(found)
}

fn rolled_back(connection: &Connection) -> Result<Vec<LoadedRollback>, StateError> {
    let mut found = Vec::new();
    let mut keys = AssetKeys::default();
    let mut statement = connection.prepare(ROLLED_BACK)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let asset = keys.key("partition_rollback.asset", row.get_ref(0)?.as_str().unwrap_or_default())?;
        let partition = value::partition(
            "partition_rollback.partition",
            row.get_ref(1)?.as_str().unwrap_or_default(),
        )?;
        found.push(LoadedRollback {
            step: AssetPartition::new(asset, partition),
            at: row.get(2)?,
            version: value::fingerprint(row.get(3)?),
            rollback: row.get(4)?,
            by: row.get(5)?,
            note: row.get(6)?,
            snapshot_id: row.get(7)?,
            tried: row.get(8)?,
        });
    }
    Ok(found)
}

fn models(connection: &Connection) -> Result<BTreeMap<AssetKey, LoadedModel>, StateError> {
    let mut models: BTreeMap<AssetKey, LoadedModel> = BTreeMap::new();
    let mut statement = connection.prepare(MODEL_VERSIONS)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let model = value::parsed("model_version.model", row.get_ref(0)?.as_str().unwrap_or_default())?;
        let version = LoadedModelVersion {
            run: value::parsed("model_version.run", row.get_ref(2)?.as_str().unwrap_or_default())?,
            artifact: row.get(3)?,
            sha256: row.get(4)?,
            metrics: value::json("model_version.metrics", row.get_ref(5)?.as_str().unwrap_or_default())?,
            fingerprint: value::fingerprint(row.get(6)?),
        };
        models
            .entry(model)
            .or_default()
            .versions
            .insert(value::count(row.get(1)?), version);
    }
    let mut statement = connection.prepare(MODEL_ALIASES)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let model = value::parsed("model_alias.model", row.get_ref(0)?.as_str().unwrap_or_default())?;
        models
            .entry(model)
            .or_default()
            .aliases
            .insert(row.get(1)?, value::count(row.get(2)?));
    }
    Ok(models)
}

/// Keys that were read before: a million rows share a few of them.
#[derive(Default)]
struct AssetKeys(HashMap<Box<str>, AssetKey>);

impl AssetKeys {
    fn key(&mut self, column: &'static str, text: &str) -> Result<AssetKey, StateError> {
        if let Some(key) = self.0.get(text) {
            return Ok(key.clone());
        }
        let key: AssetKey = value::parsed(column, text)?;
        self.0.insert(text.into(), key.clone());
        Ok(key)
    }

    /// Reads `{"layer.name": "fingerprint", …}` into a list of exactly its length.
    fn inputs(&mut self, text: &str) -> Result<Vec<(AssetKey, Fingerprint)>, StateError> {
        struct Inputs<'k>(&'k mut AssetKeys);

        impl<'de> Visitor<'de> for Inputs<'_> {
            type Value = Vec<(AssetKey, Fingerprint)>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object of fingerprints by asset key")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut inputs = Vec::new();
                while let Some((asset, fingerprint)) = map.next_entry::<&str, Fingerprint>()? {
                    let asset = self
                        .0
                        .key("asset_partition.inputs", asset)
                        .map_err(serde::de::Error::custom)?;
                    inputs.push((asset, fingerprint));
                }
                inputs.shrink_to_fit();
                Ok(inputs)
            }
        }

        let mut json = serde_json::Deserializer::from_str(text);
        json.deserialize_map(Inputs(self)).map_err(|_| StateError::Value {
            column: "asset_partition.inputs",
            text: text.chars().take(200).collect(),
            expected: "fingerprints by asset key",
        })
    }
}

fn schedules(connection: &Connection) -> Result<BTreeMap<String, LoadedSchedule>, StateError> {
    let mut schedules = BTreeMap::new();
    let mut statement = connection.prepare(SCHEDULES)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let paused: (Option<Micros>, Option<String>) = (row.get(3)?, row.get(4)?);
        let schedule = LoadedSchedule {
            times: value::json("schedule.times", row.get_ref(1)?.as_str().unwrap_or_default())?,
            declared: row.get(2)?,
            paused: paused.0.zip(paused.1),
            accounted: row.get(5)?,
            last_by_hand: row.get(6)?,
        };
        schedules.insert(row.get(0)?, schedule);
    }
    Ok(schedules)
}

fn freshness(connection: &Connection) -> Result<BTreeMap<AssetKey, LoadedFreshness>, StateError> {
    let mut found = BTreeMap::new();
    let mut statement = connection.prepare("SELECT asset, state, since, watched, late_at FROM freshness")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let asset = value::parsed("freshness.asset", row.get_ref(0)?.as_str().unwrap_or_default())?;
        let freshness = LoadedFreshness {
            state: value::freshness_state(row.get_ref(1)?.as_str().unwrap_or_default())?,
            since: row.get(2)?,
            watched: row.get(3)?,
            late_at: row.get(4)?,
        };
        found.insert(asset, freshness);
    }
    Ok(found)
}

fn automation_paused(connection: &Connection) -> Result<BTreeMap<Option<AssetKey>, (Micros, String)>, StateError> {
    let mut found = BTreeMap::new();
    let mut statement = connection.prepare("SELECT asset, at, by FROM automation_pause")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let asset = match row.get_ref(0)?.as_str().unwrap_or_default() {
            "" => None,
            asset => Some(value::parsed("automation_pause.asset", asset)?),
        };
        found.insert(asset, (row.get(1)?, row.get(2)?));
    }
    Ok(found)
}

fn held(connection: &Connection) -> Result<Vec<(AssetKey, Micros, Held)>, StateError> {
    let mut found = Vec::new();
    let mut keys = AssetKeys::default();
    let mut statement = connection.prepare("SELECT asset, partition, at, version, because FROM automation_hold")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let asset = keys.key("automation_hold.asset", row.get_ref(0)?.as_str().unwrap_or_default())?;
        let held = Held {
            partition: value::partition(
                "automation_hold.partition",
                row.get_ref(1)?.as_str().unwrap_or_default(),
            )?,
            version: value::fingerprint(row.get(3)?),
            because: value::hold_reason(row.get_ref(4)?.as_str().unwrap_or_default())?,
        };
        found.push((asset, row.get(2)?, held));
    }
    Ok(found)
}
