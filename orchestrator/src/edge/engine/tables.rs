//! What someone changes of a table itself: it is taken back to an older snapshot, or a snapshot gets a name.
//!
//! The next version of the table is written here, where nobody sees it, and counts once the core has moved the pointer there in
//! one transaction with what it means for the partitions. If the table was written meanwhile, it is built again on what it is
//! then. A crash before that transaction leaves files that nothing names; asking again comes to the same.

use assets::outcome::TablePointer;
use assets::{AssetKey, AssetPartition};
use plugins::lakehouse::{
    LakeError, LakeTable, RollbackOutcome, TagChange, TagName, ancestors, history, prepare_rollback, prepare_tag,
    rows_of,
};
use state::sqlite::StateError;
use state::sqlite::queries::restored::ShownIn;

use super::super::environment;
use super::EngineHandle;
use super::handle::RequestError;
use crate::core::{
    Answer, HeldRows, Input, PlanRequest, PreparedRollback, PreparedTable, RestoredPartition, StaleReason, TableChange,
    TableChangeKind, plan, restored,
};
use crate::snapshots::SnapshotChoice;
use crate::wire::{RollbackAnswer, TagAnswer};

/// How often a change is built again on a table that is written all the time.
pub(super) const MOST_TRIES: usize = 8;

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
        let note = note.map(str::trim).filter(|note| !note.is_empty()).map(str::to_owned);
        for _ in 0..MOST_TRIES {
            let (pointer, table, at) = self.newest(asset).await?;
            let target = choice.resolve(&table)?;
            let ids = ancestors(&table, target)?;
            let prepared =
                prepare_rollback(self.lake(), asset, &pointer, target, at / 1000, environment::seed()).await?;
            let rollback = match prepared {
                RollbackOutcome::Prepared(rollback) => rollback,
                RollbackOutcome::AlreadyThere => return self.nothing_to_take_back(asset, &table, target).await,
            };
            let reader = self.reader()?;
            let shown = ShownIn::of(&reader, asset, rows_of(&table, target)?, ids)?;
            let mut partitions = Vec::with_capacity(rollback.partitions.len());
            for changed in &rollback.partitions {
                let step = AssetPartition::new(asset.clone(), changed.key.clone());
                let known = shown.made(&reader, &step)?;
                let after = changed.after.map(|held| HeldRows {
                    rows: held.rows,
                    bytes: held.bytes,
                });
                partitions.push(RestoredPartition {
                    partition: changed.key.clone(),
                    restored: restored(&step, after, known, target, rollback.commit.snapshot_id),
                });
            }
            let steps = |restored: bool| {
                let of = partitions.iter().filter(move |one| one.restored.is_some() == restored);
                of.map(|one| AssetPartition::new(asset.clone(), one.partition.clone()))
                    .collect::<Vec<_>>()
            };
            let (back, removed) = (steps(true), steps(false));
            let change = TableChange {
                table: PreparedTable {
                    table: asset.clone(),
                    from: Some(pointer),
                    to: rollback.commit.pointer.clone(),
                },
                what: TableChangeKind::Rollback(PreparedRollback {
                    to_snapshot: target,
                    by: by.to_owned(),
                    note: note.clone(),
                    partitions,
                }),
            };
            if self.change(change).await? {
                return Ok(RollbackAnswer {
                    asset: asset.clone(),
                    snapshot: rollback.commit.snapshot_id.to_string(),
                    to: target.to_string(),
                    already: false,
                    restored: back,
                    removed,
                    stale: self.stale_by(asset).await?,
                    published_with: self.published_with(asset).await?,
                });
            }
        }
        Err(TableError::Refused(format!(
            "{asset} is written all the time: pause what makes it, and ask again"
        )))
    }

    async fn nothing_to_take_back(
        &self,
        asset: &AssetKey,
        table: &LakeTable,
        target: i64,
    ) -> Result<RollbackAnswer, TableError> {
        let current = history(table)?.first().map_or(target, |snapshot| snapshot.id);
        Ok(RollbackAnswer {
            asset: asset.clone(),
            snapshot: current.to_string(),
            to: target.to_string(),
            already: true,
            restored: Vec::new(),
            removed: Vec::new(),
            stale: self.stale_by(asset).await?,
            published_with: self.published_with(asset).await?,
        })
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
        let choice = to.map(|to| self.choice(to)).transpose()?;
        for _ in 0..MOST_TRIES {
            let (pointer, table, at) = self.newest(asset).await?;
            let (change, snapshot) = match &choice {
                Some(choice) => {
                    let id = choice.resolve(&table)?;
                    (TagChange::Set(id), Some(id.to_string()))
                }
                None => (TagChange::Drop, None),
            };
            let seed = environment::seed();
            let prepared = prepare_tag(self.lake(), asset, &pointer, tag, &change, at / 1000, seed).await?;
            let answer = TagAnswer {
                asset: asset.clone(),
                tag: tag.to_string(),
                snapshot,
                already: prepared.is_none(),
            };
            let Some(to) = prepared else { return Ok(answer) };
            let change = TableChange {
                table: PreparedTable {
                    table: asset.clone(),
                    from: Some(pointer),
                    to,
                },
                what: TableChangeKind::Tag,
            };
            if self.change(change).await? {
                return Ok(answer);
            }
        }
        Err(TableError::Refused(format!(
            "{asset} is written all the time: pause what makes it, and ask again"
        )))
    }

    fn choice(&self, text: &str) -> Result<SnapshotChoice, TableError> {
        SnapshotChoice::parse(text, &self.settings().timezone).map_err(|message| TableError::NotThere {
            message,
            help: Some(crate::snapshots::HELP.to_owned()),
        })
    }

    /// The newest version of a table, and the time.
    pub(super) async fn newest(&self, asset: &AssetKey) -> Result<(TablePointer, LakeTable, i64), TableError> {
        let key = asset.clone();
        let (pointer, at) = self
            .driver
            .ask(move |world, at| (world.pointer(&key).cloned(), at))
            .await
            .ok_or(RequestError::Stopping)?;
        let Some(pointer) = pointer.filter(|pointer| pointer.snapshot_id.is_some()) else {
            return Err(TableError::NotThere {
                message: format!("{asset} has no table yet"),
                help: Some(format!("materialize it first: millpond materialize {asset}")),
            });
        };
        let table = self.lake().table(asset, &pointer).await?;
        Ok((pointer, table, at))
    }

    /// Whether the change counts; `false` if the table is another by now.
    pub(super) async fn change(&self, change: TableChange) -> Result<bool, TableError> {
        let answer = self.driver.request(move |request| Input::ChangeTable {
            request,
            change: Box::new(change),
        });
        match answer.await.ok_or(RequestError::Stopping)? {
            Answer::TableChanged => Ok(true),
            Answer::TableMoved => Ok(false),
            Answer::Refused { reasons } => Err(TableError::Refused(reasons.join("; "))),
            other => unreachable!("a change of a table is not answered with {other:?}"),
        }
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
