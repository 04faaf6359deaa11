//! One attempt made again: its rows are staged, compared with what was published then, and removed.

use std::path::Path;
use std::sync::Arc;

use assets::AssetKey;
use assets::outcome::{Failure, FailureClass, Staged, TablePointer};
use plugins::kind::KindSet;
use plugins::lakehouse::{Lake, LakeError, ScanOptions, discard_staged};
use plugins::query::{CompareOptions, RowsCompared, compare_rows};
use plugins::step::{Scope, StepReport};
use plugins::step_run::{Cancellation, StepEnvironment, execute};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use super::super::clock;
use super::super::folder::StateFolder;
use super::super::opened::OpenedProject;
use super::super::order::order;
use super::super::processes::Processes;
use super::super::queried::{Reads, Scratch};
use super::super::warehouse::LakeSettings;
use crate::core::StartAttempt;

/// Rows of either side alone that are shown.
const MOST_SHOWN: usize = 10;

/// What was published then.
#[derive(Debug, Clone)]
pub enum Then {
    /// A snapshot of the asset's own table.
    Table(TablePointer),
    /// A model's artifact: its SHA-256, hex.
    Model(String),
    /// No rows.
    Nothing,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(tag = "made", rename_all = "snake_case")]
pub enum Replayed {
    /// Rows.
    Rows(RowsCompared),
    /// A model: the SHA-256 of the artifacts.
    Model {
        /// Of that one.
        then: String,
        /// Of this one.
        now: String,
    },
}

impl Replayed {
    /// Whether it is what was there.
    pub fn same(&self) -> bool {
        match self {
            Self::Rows(compared) => compared.same(),
            Self::Model { then, now } => then == now,
        }
    }
}

/// Runs the attempt and compares what it stages with what was published then.
///
/// # Errors
/// The step fails, or what it reads or made is not there any more.
pub async fn replay(
    project: &OpenedProject,
    lake: &Lake,
    start: StartAttempt,
    current: impl Fn(&AssetKey) -> Option<TablePointer>,
    then: Then,
    cancel: &Cancellation,
) -> Result<Replayed, Failure> {
    let folder = StateFolder::of(&project.root);
    let scratch = Scratch::reading(&folder, Reads::Old)
        .map_err(|error| Failure::new(FailureClass::Io, format!("failed to make a scratch folder: {error}")))?
        .ok_or_else(|| Failure::new(FailureClass::DiskFull, "the disk is full"))?;
    let mut start = start;
    for input in &mut start.inputs {
        if let Some(table) = &mut input.table {
            *table = readable(lake, &input.asset, table, current(&input.asset)).await?;
        }
    }
    let key = start.asset.key.clone();
    let scope = match start.partitions.first().and_then(|partition| partition.key.clone()) {
        Some(partition) => Scope::Keys(vec![partition]),
        None => Scope::All,
    };
    let mut order = order(start, None, &project.settings, &folder, &project.orders);
    order.log_file = scratch.path().join("replay.jsonl").to_string_lossy().into_owned();
    order.scratch = scratch.path().join("spill").to_string_lossy().into_owned();
    std::fs::create_dir_all(&order.scratch)
        .map_err(|error| Failure::new(FailureClass::Io, format!("failed to make a scratch folder: {error}")))?;
    let memory_bytes = order.memory_bytes;
    let (reports, received) = mpsc::unbounded_channel();
    let environment = StepEnvironment {
        kinds: KindSet::all(),
        lake: lake.clone(),
        objects: LakeSettings::of(&project.settings).objects(),
        clock: clock::clock(),
        cancel: cancel.clone(),
        reports,
        processes: Arc::new(Processes),
    };
    let (staged, ()) = tokio::join!(outcome(received), execute(order, environment));
    let staged = staged?;
    if let Some(check) = staged.blocked_by() {
        tracing::warn!(check = %check.name, "the rows that come out now would not be published: a check fails");
    }
    let compared = compare(lake, &key, &scope, &staged, &folder, then, scratch.path(), memory_bytes).await;
    // Whatever the verdict: nobody needs the rows any more.
    let discarded = discard_staged(lake, &staged.tables)
        .await
        .map_err(|error| error.failure());
    compared.and_then(|compared| discarded.map(|()| compared))
}

#[allow(clippy::too_many_arguments, reason = "called once")]
async fn compare(
    lake: &Lake,
    key: &AssetKey,
    scope: &Scope,
    staged: &Staged,
    folder: &StateFolder,
    then: Then,
    spill: &Path,
    memory_bytes: u64,
) -> Result<Replayed, Failure> {
    if let Then::Model(then) = then {
        let model = staged
            .model
            .as_ref()
            .ok_or_else(|| Failure::new(FailureClass::Data, "a model was made then, and none is now"))?;
        if model.sha256 != then {
            // Artifacts are named by what is in them, so this one is nobody else's.
            std::fs::remove_file(folder.path().join(&model.artifact)).ok();
        }
        return Ok(Replayed::Model {
            then,
            now: model.sha256.clone(),
        });
    }
    let own: Vec<_> = staged
        .tables
        .iter()
        .filter(|table| table.table == *key)
        .cloned()
        .collect();
    let options = CompareOptions {
        memory_bytes,
        spill_folder: Some(spill.to_owned()),
        most: MOST_SHOWN,
    };
    let rows = match then {
        Then::Table(pointer) => {
            let table = lake.table(key, &pointer).await.map_err(|error| error.failure())?;
            let scan = ScanOptions::scoped(scope.clone());
            compare_rows(lake, Some((&table, &scan)), &own, &options).await?
        }
        Then::Nothing | Then::Model(_) => compare_rows(lake, None, &own, &options).await?,
    };
    Ok(Replayed::Rows(rows))
}

/// A version as the newest metadata knows it, or as it was pinned: the newest may know it no more, the pinned may be gone.
///
/// # Errors
/// Neither is there.
pub async fn readable(
    lake: &Lake,
    table: &AssetKey,
    pinned: &TablePointer,
    current: Option<TablePointer>,
) -> Result<TablePointer, Failure> {
    let newest = current.map(|current| TablePointer {
        metadata_location: current.metadata_location,
        snapshot_id: pinned.snapshot_id,
    });
    let mut why = None;
    for version in newest.into_iter().chain([pinned.clone()]) {
        match lake.table(table, &version).await {
            Ok(_) => return Ok(version),
            Err(error) => why = Some(error),
        }
    }
    let why = why.as_ref().map_or_else(String::new, LakeError::to_string);
    Err(Failure::new(
        FailureClass::MissingInput,
        format!("the version of {table} that it was made from is not there any more: {why}"),
    )
    .with_help("`[maintenance]` says how long versions are kept; a tag keeps one"))
}

/// What came of an order of one step.
async fn outcome(mut reports: mpsc::UnboundedReceiver<StepReport>) -> Result<Staged, Failure> {
    let mut result = None;
    while let Some(report) = reports.recv().await {
        match report {
            StepReport::Staged { staged } => result = Some(Ok(*staged)),
            StepReport::Failed { failure, .. } => result = Some(Err(failure)),
            StepReport::Ended { staged } => {
                result = result.or_else(|| staged.into_iter().next().map(Ok));
                break;
            }
            StepReport::Started { .. } | StepReport::Progress { .. } => {}
        }
    }
    result.unwrap_or_else(|| {
        Err(Failure::new(
            FailureClass::Internal,
            "the step said nothing of how it ended",
        ))
    })
}
