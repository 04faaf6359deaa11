//! From what the core decided to the work order that a worker gets.

use assets::outcome::TablePointer;
use plugins::step::{OrderedInput, OrderedModel, OrderedPartition, OrderedSource, ProjectSettings, Scope, StepOrder};

use super::folder::StateFolder;
use crate::core::{StartAttempt, StepScope};

/// Limits that every order carries.
#[derive(Debug, Clone, Copy)]
pub struct OrderSettings {
    /// Bytes that queries of a step may use before they spill or fail, where its asset does not say.
    pub memory_bytes: u64,
}

/// The work order of an attempt.
pub fn order(
    start: StartAttempt,
    quarantine: Option<TablePointer>,
    project: &ProjectSettings,
    folder: &StateFolder,
    settings: &OrderSettings,
) -> StepOrder {
    let partitions = start.partitions.into_iter().map(|partition| OrderedPartition {
        key: partition.key,
        has: partition
            .has
            .into_iter()
            .map(|source| OrderedSource {
                path: source.path,
                sha256: source.sha256,
            })
            .collect(),
        bounds: partition.bounds,
        scopes: partition
            .scopes
            .into_iter()
            .map(|(asset, scope)| {
                let scope = match scope {
                    StepScope::All => Scope::All,
                    StepScope::Keys(keys) => Scope::Keys(keys),
                };
                (asset, scope)
            })
            .collect(),
    });
    StepOrder {
        attempt: start.attempt.to_string(),
        run: start.run.to_string(),
        number: start.number,
        partitions: partitions.collect(),
        table: start.table,
        quarantine,
        inputs: start
            .inputs
            .into_iter()
            .map(|input| OrderedInput {
                asset: input.asset,
                table: input.table,
                partition_column: input.partition_column,
            })
            .collect(),
        models: start
            .models
            .into_iter()
            .map(|model| OrderedModel {
                model: model.model,
                version: model.version,
                artifact: folder.path().join(model.artifact).to_string_lossy().into_owned(),
            })
            .collect(),
        project: project.clone(),
        observation: start.observation,
        seed: start.seed,
        memory_bytes: start.asset.rules.memory_bytes.unwrap_or(settings.memory_bytes),
        log_file: folder
            .log_file(&start.run, &start.attempt)
            .to_string_lossy()
            .into_owned(),
        // The pool knows which worker takes it.
        scratch: String::new(),
        asset: (*start.asset).clone(),
    }
}
