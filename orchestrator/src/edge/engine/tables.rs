//! What someone changes of a table itself: it is taken back to an older snapshot, or a snapshot gets a name.
//!
//! What that makes of the table and of its partitions is found here, on the newest version of it; [`super::moving`] moves the pointer.

use assets::{AssetKey, AssetPartition};
use plugins::lakehouse::{
    LakeError, LakeTable, Rollback, RollbackOutcome, TagChange, TagName, ancestors, history, last_added_in,
    prepare_rollback, prepare_tag, rows_of,
};
use state::sqlite::StateError;
use state::sqlite::queries::restored::ShownIn;

use super::super::environment;
use super::EngineHandle;
use super::handle::RequestError;
use super::moving::{Newest, NextVersion};
use crate::core::{
    HeldRows, PlanRequest, PreparedRollback, RestoredPartition, StaleReason, TableChangeKind, plan, restored,
};
use crate::snapshots::SnapshotChoice;
use crate::wire::{RollbackAnswer, TagAnswer};

/// Why a table could not be changed.
#[derive(Debug, thiserror::Error)]
pub enum TableError {
    /// Millpond is stopping.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// What was asked for is not there: the table, the snapshot, the tag.
    #[error("{message}")]
    NotThere {
        /// What.
        message: String,
        /// What to do.
        help: Option<String>,
    },
    /// It cannot be done now.
    #[error("{0}")]
    Refused(String),
    /// The table cannot be read or written.
    #[error("{0}")]
    Lake(LakeError),
    /// The state cannot be read.
    #[error(transparent)]
    State(#[from] StateError),
}

impl TableError {
    /// Whether Millpond stopped before it said whether the change counts: what was written for it has to stay.
    pub fn is_of_a_stop(&self) -> bool {
        matches!(self, Self::Request(RequestError::Stopping))
    }
}

impl From<LakeError> for TableError {
    fn from(error: LakeError) -> Self {
        match error {
            LakeError::NoSnapshot { .. }
            | LakeError::NotYet { .. }
            | LakeError::NoTag { .. }
            | LakeError::TooFewSnapshots { .. }
            | LakeError::NeverMaterialized { .. } => Self::NotThere {
                help: error.failure().help,
                message: error.to_string(),
            },
            LakeError::NotATag { .. } => Self::Refused(error.to_string()),
            error => Self::Lake(error),
        }
    }
}

impl EngineHandle {
    /// Takes a table back to what it showed in an older snapshot, with everything that follows for its partitions. It is done
    /// once it is committed; if the table shows these rows already, nothing is.
    pub async fn roll_back(
        &self,
        asset: &AssetKey,
        to: &str,
        note: Option<&str>,
        by: &str,
    ) -> Result<RollbackAnswer, TableError> {
        let choice = self.choice(to)?;
        let note = note.map(str::trim).filter(|note| !note.is_empty());
        let choice = &choice;
        let mut answer = self
            .move_pointer(asset, |newest| async move {
                let Newest { pointer, table, now_ms } = newest;
                let target = choice.resolve(&table)?;
                let answer = RollbackAnswer {
                    asset: asset.clone(),
                    snapshot: String::new(),
                    to: target.to_string(),
                    already: false,
                    restored: Vec::new(),
                    removed: Vec::new(),
                    stale: Vec::new(),
                    published_with: Vec::new(),
                };
                let seed = environment::seed();
                let rollback = match prepare_rollback(self.lake(), asset, &pointer, target, now_ms, seed).await? {
                    RollbackOutcome::Prepared(rollback) => rollback,
                    RollbackOutcome::AlreadyThere => {
                        let current = history(&table)?.first().map_or(target, |snapshot| snapshot.id);
                        let answer = RollbackAnswer {
                            snapshot: current.to_string(),
                            already: true,
                            ..answer
                        };
                        return Ok((None, answer));
                    }
                };
                let partitions = self.restored(asset, &table, target, &rollback).await?;
                let steps = |restored: bool| {
                    let of = partitions.iter().filter(move |one| one.restored.is_some() == restored);
                    of.map(|one| AssetPartition::new(asset.clone(), one.partition.clone()))
                        .collect::<Vec<_>>()
                };
                let answer = RollbackAnswer {
                    snapshot: rollback.commit.snapshot_id.to_string(),
                    restored: steps(true),
                    removed: steps(false),
                    ..answer
                };
                let what = TableChangeKind::Rollback(PreparedRollback {
                    to_snapshot: target,
                    by: by.to_owned(),
                    note: note.map(str::to_owned),
                    partitions,
                });
                Ok((Some(NextVersion::of(&rollback.commit, what)), answer))
            })
            .await?;
        answer.stale = self.stale_by(asset).await?;
        answer.published_with = self.published_with(asset).await?;
        Ok(answer)
    }

    /// What each partition is again that a rollback changes.
    async fn restored(
        &self,
        asset: &AssetKey,
        table: &LakeTable,
        target: i64,
        rollback: &Rollback,
    ) -> Result<Vec<RestoredPartition>, TableError> {
        let ancestors = ancestors(table, target)?;
        let rows_of = rows_of(table, target)?;
        let later = history(table)?.into_iter().map(|snapshot| snapshot.id);
        let later = later.filter(|id| !ancestors.contains(id)).collect();
        let shown = ShownIn::of(&self.reader()?, asset, rows_of, ancestors, later)?;
        let added = last_added_in(table, target).await?;
        let reader = self.reader()?;
        let mut partitions = Vec::with_capacity(rollback.partitions.len());
        for changed in &rollback.partitions {
            let step = AssetPartition::new(asset.clone(), changed.key.clone());
            let known = shown.made(&reader, &step, added.get(&changed.key).copied())?;
            let after = changed.after.map(|held| HeldRows {
                rows: held.rows,
                bytes: held.bytes,
            });
            partitions.push(RestoredPartition {
                partition: changed.key.clone(),
                restored: restored(&step, after, known, target, rollback.commit.snapshot_id),
            });
        }
        Ok(partitions)
    }

    /// The others of an asset's atomic group.
    async fn published_with(&self, asset: &AssetKey) -> Result<Vec<AssetKey>, TableError> {
        let key = asset.clone();
        let found = self.driver.ask(move |world, _| {
            let group = world.definitions().published_with(&key).iter();
            group.filter(|other| **other != key).cloned().collect()
        });
        Ok(found.await.ok_or(RequestError::Stopping)?)
    }

    /// Gives a snapshot a name, or takes the name away (`to` is `None`).
    pub async fn tag(&self, asset: &AssetKey, tag: &TagName, to: Option<&str>) -> Result<TagAnswer, TableError> {
        let choice = &to.map(|to| self.choice(to)).transpose()?;
        self.move_pointer(asset, |newest| async move {
            let Newest { pointer, table, now_ms } = newest;
            let (change, snapshot) = match choice {
                Some(choice) => {
                    let id = choice.resolve(&table)?;
                    (TagChange::Set(id), Some(id.to_string()))
                }
                None => (TagChange::Drop, None),
            };
            let seed = environment::seed();
            let prepared = prepare_tag(self.lake(), asset, &pointer, tag, &change, now_ms, seed).await?;
            let answer = TagAnswer {
                asset: asset.clone(),
                tag: tag.to_string(),
                snapshot,
                already: prepared.is_none(),
            };
            let next = prepared.map(|to| NextVersion::of_metadata(to, TableChangeKind::Tag));
            Ok((next, answer))
        })
        .await
    }

    fn choice(&self, text: &str) -> Result<SnapshotChoice, TableError> {
        SnapshotChoice::parse(text, &self.settings().timezone).map_err(|message| TableError::NotThere {
            message,
            help: Some(crate::snapshots::HELP.to_owned()),
        })
    }

    /// The assets that read a table and are stale because it changed.
    async fn stale_by(&self, asset: &AssetKey) -> Result<Vec<AssetKey>, TableError> {
        let key = asset.clone();
        let found = self.driver.ask(move |world, at| {
            let readers = world.definitions().graph().downstream(&key).into_iter();
            let stale = readers.filter(|reader| {
                let request = PlanRequest {
                    assets: [reader.key.clone()].into(),
                    alone: true,
                    ..PlanRequest::default()
                };
                plan(world, at, &request)
                    .steps
                    .iter()
                    .any(|step| matches!(&step.reason, StaleReason::InputChanged { asset, .. } if *asset == key))
            });
            stale.map(|reader| reader.key.clone()).collect::<Vec<_>>()
        });
        Ok(found.await.ok_or(RequestError::Stopping)?)
    }
}
