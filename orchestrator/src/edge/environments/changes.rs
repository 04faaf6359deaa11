//! What an environment made that differs from what it was made from.

use std::collections::{BTreeMap, BTreeSet};

use assets::outcome::StagedModel;
use assets::{AssetKey, AssetPartition};
use state::event::Event;
use state::ids::AttemptId;
use state::sqlite::Store;
use state::sqlite::load::{Loaded, LoadedPartition};
use state::sqlite::queries::attempts::attempt;
use state::sqlite::queries::events::{cut_since, one};
use state::sqlite::queries::models::version;

use super::EnvironmentError;
use super::record::EnvironmentRecord;
use crate::core::{AdoptedAlias, AdoptedAttempt, AdoptedFrom, AdoptedModel, Adoption, PreparedTable};

/// What an environment made, and what keeps it from counting in production.
#[derive(Debug, Clone)]
pub struct Changes {
    /// It, as it would be merged.
    pub merge: Adoption,
    /// Partitions that it made, by asset and key.
    pub partitions: Vec<ChangedPartition>,
    /// Partitions that production made since the environment was made, by asset and key: those that the environment also made, and all
    /// others.
    pub moved: Vec<AssetPartition>,
    /// What cannot be merged, and why.
    pub reasons: Vec<String>,
}

/// A partition that an environment made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangedPartition {
    /// Which.
    pub step: AssetPartition,
    /// Its rows in production; `None` where it was never made there.
    pub rows_before: Option<u64>,
    /// Its rows in the environment.
    pub rows: u64,
    /// Whether other code made it.
    pub other_code: bool,
    /// Whether it is a function of something else: other code, other inputs, other files.
    pub other_data: bool,
}

/// Compares the state of an environment with what it was made from, and with production as it is now.
///
/// # Errors
/// A state cannot be read.
pub fn changes(
    record: &EnvironmentRecord,
    environment: &Store,
    production: &Store,
    by: &str,
) -> Result<Changes, EnvironmentError> {
    let (own, theirs) = (environment.load()?, production.load()?);
    let mut changes = Changes {
        merge: Adoption {
            from: AdoptedFrom::Environment(record.name.to_string()),
            by: by.to_owned(),
            tables: Vec::new(),
            cut_away: Vec::new(),
            attempts: Vec::new(),
            models: Vec::new(),
            aliases: Vec::new(),
            observations: Vec::new(),
        },
        partitions: Vec::new(),
        moved: Vec::new(),
        reasons: Vec::new(),
    };
    changes.tables(record, &own);
    changes.partitions(record, environment, &own, &theirs)?;
    changes.models(record, environment, &own)?;
    let made: BTreeSet<AssetKey> = changes.partitions.iter().map(|one| one.step.asset.clone()).collect();
    changes.merge.observations = own
        .observations
        .iter()
        .filter(|(asset, _)| made.contains(*asset))
        .map(|(asset, seen)| (asset.clone(), seen.observation.clone()))
        .collect();
    Ok(changes)
}

impl Changes {
    fn tables(&mut self, record: &EnvironmentRecord, own: &Loaded) {
        for (table, pointer) in &own.pointers {
            let from = record.tables.get(table);
            if from != Some(pointer) {
                self.merge.tables.push(PreparedTable {
                    table: table.clone(),
                    from: from.cloned(),
                    to: pointer.clone(),
                });
            }
        }
    }

    fn partitions(
        &mut self,
        record: &EnvironmentRecord,
        environment: &Store,
        own: &Loaded,
        theirs: &Loaded,
    ) -> Result<(), EnvironmentError> {
        let before: BTreeMap<&AssetPartition, &LoadedPartition> = theirs
            .partitions
            .iter()
            .map(|partition| (&partition.step, partition))
            .collect();
        let since = |partition: &LoadedPartition, event: i64| {
            partition.current.as_ref().is_some_and(|current| current.seq > event)
        };
        self.moved = theirs
            .partitions
            .iter()
            .filter(|partition| since(partition, record.from_event))
            .map(|partition| partition.step.clone())
            .collect();
        let mut attempts: BTreeMap<(AssetKey, AttemptId), AdoptedAttempt> = BTreeMap::new();
        for partition in &own.partitions {
            let step = &partition.step;
            let known = before.get(step).and_then(|known| known.current.as_ref());
            let Some(current) = partition
                .current
                .as_ref()
                .filter(|made| made.seq > record.own_from_event)
            else {
                continue;
            };
            let (attempt_id, made) = match one(environment, current.seq)? {
                Some(Event::StepSucceeded {
                    attempt,
                    materialization,
                    ..
                }) => (attempt, materialization),
                Some(Event::PartitionRolledBack {
                    restored: Some(restored),
                    ..
                }) => (restored.attempt, restored.materialization),
                _ => {
                    self.reasons
                        .push(format!("nothing is known any more of how {step} was made"));
                    continue;
                }
            };
            if known.is_some_and(|known| known.seq > record.from_event) {
                self.reasons
                    .push(format!("{step} was made here since {} was made", record.name));
            }
            self.partitions.push(ChangedPartition {
                step: step.clone(),
                rows_before: known.map(|known| known.rows),
                rows: made.rows,
                other_code: known.is_none_or(|known| known.fingerprint != made.fingerprint),
                other_data: known.is_none_or(|known| known.data_version != made.data_version),
            });
            let key = (step.asset.clone(), attempt_id.clone());
            if !attempts.contains_key(&key) {
                let inputs = attempt(environment, &attempt_id)?.map(|attempt| attempt.inputs);
                attempts.insert(
                    key.clone(),
                    AdoptedAttempt {
                        asset: step.asset.clone(),
                        inputs: inputs.unwrap_or_default(),
                        made: Vec::new(),
                    },
                );
            }
            attempts.get_mut(&key).expect("it was put there").made.push(made);
        }
        self.merge.attempts = attempts.into_values().collect();
        self.gone(record, environment, own, theirs)
    }

    /// Partitions that production has and the environment has no more: its table was cut in another way, or taken back to before they were
    /// made.
    fn gone(
        &mut self,
        record: &EnvironmentRecord,
        environment: &Store,
        own: &Loaded,
        theirs: &Loaded,
    ) -> Result<(), EnvironmentError> {
        let cut = cut_since(environment, record.own_from_event)?;
        let made = |state: &Loaded| -> BTreeMap<AssetPartition, i64> {
            let partitions = state.partitions.iter();
            let made = partitions.filter_map(|one| Some((one.step.clone(), one.current.as_ref()?.seq)));
            made.collect()
        };
        let has = made(own);
        let changed: BTreeSet<&AssetKey> = self.merge.tables.iter().map(|table| &table.table).collect();
        let mut reasons = Vec::new();
        for (step, seq) in made(theirs) {
            if has.contains_key(&step) || !changed.contains(&step.asset) {
                continue;
            }
            let moved = seq > record.from_event;
            if moved {
                reasons.push(format!("{step} was made here since {} was made", record.name));
            }
            if cut.contains(step.asset.as_str()) {
                self.merge.cut_away.push(step);
            } else if !moved {
                reasons.push(format!(
                    "{step} was taken back to nothing in {}: take it back here with `millpond rollback` instead",
                    record.name
                ));
            }
        }
        self.reasons.append(&mut reasons);
        Ok(())
    }

    fn models(
        &mut self,
        record: &EnvironmentRecord,
        environment: &Store,
        own: &Loaded,
    ) -> Result<(), EnvironmentError> {
        for (model, known) in &own.models {
            let base = record.models.get(model);
            let newest = base.map_or(0, |base| base.newest);
            for number in known.versions.keys().filter(|number| **number > newest) {
                let Some(row) = version(environment, model, *number)? else {
                    continue;
                };
                self.merge.models.push(AdoptedModel {
                    model: model.clone(),
                    version: row.version,
                    staged: StagedModel {
                        artifact: row.artifact,
                        sha256: row.sha256,
                        algorithm: row.algorithm,
                        metrics: row.metrics,
                        parameters: row.parameters,
                        details: row.details,
                    },
                    fingerprint: row.fingerprint,
                    inputs: row.inputs,
                });
            }
            for (alias, to) in &known.aliases {
                let from = base.and_then(|base| base.aliases.get(alias)).copied();
                if from != Some(*to) {
                    self.merge.aliases.push(AdoptedAlias {
                        model: model.clone(),
                        alias: alias.clone(),
                        from,
                        to: *to,
                    });
                }
            }
        }
        Ok(())
    }

    /// Whether there is nothing to merge.
    pub fn is_empty(&self) -> bool {
        let Adoption {
            tables,
            attempts,
            models,
            aliases,
            ..
        } = &self.merge;
        tables.is_empty() && attempts.is_empty() && models.is_empty() && aliases.is_empty() && self.reasons.is_empty()
    }
}
