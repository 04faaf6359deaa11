//! Moving the pointer of a table by hand: to an older snapshot, to the same rows in other files, to a version with another tag.
//!
//! The next version is built on the newest one, where nobody sees it, and counts once the core has moved the pointer. Where the table was
//! written meanwhile, it is built again on what the table is then. What does not count is removed; what a crash leaves is found as orphans.

use assets::AssetKey;
use assets::outcome::TablePointer;
use plugins::lakehouse::{LakeTable, PreparedCommit, abandon};

use super::EngineHandle;
use super::handle::RequestError;
use super::tables::TableError;
use crate::core::{Answer, Input, PreparedTable, TableChange, TableChangeKind};

/// How often a change is built again on a table that is written all the time.
const MOST_TRIES: usize = 8;

/// What a change is built on.
pub struct Newest {
    /// Where the table is.
    pub pointer: TablePointer,
    /// The table there.
    pub table: LakeTable,
    /// The time, in milliseconds since 1970.
    pub now_ms: i64,
}

/// The next version of a table, which nobody sees yet.
pub struct NextVersion {
    /// What it changes.
    pub what: TableChangeKind,
    /// Where it is.
    pub to: TablePointer,
    /// The files that were written for it.
    pub written_files: Vec<String>,
}

impl NextVersion {
    /// One that a prepared commit leads to.
    pub fn of(commit: &PreparedCommit, what: TableChangeKind) -> Self {
        Self {
            what,
            to: commit.pointer.clone(),
            written_files: commit.written_files.clone(),
        }
    }

    /// One for which nothing was written but the metadata that it is.
    pub fn of_metadata(to: TablePointer, what: TableChangeKind) -> Self {
        Self {
            what,
            written_files: vec![to.metadata_location.clone()],
            to,
        }
    }
}

impl EngineHandle {
    /// Moves the pointer of a table to what `build` makes of the newest version, with what it answers; where it makes nothing, only
    /// that is answered.
    ///
    /// # Errors
    /// What `build` fails with; the core refuses the change; or the table is written all the time.
    pub async fn move_pointer<T, B>(
        &self,
        asset: &AssetKey,
        build: impl Fn(Newest) -> B + Send,
    ) -> Result<T, TableError>
    where
        B: Future<Output = Result<(Option<NextVersion>, T), TableError>> + Send,
    {
        for _ in 0..MOST_TRIES {
            let newest = self.newest(asset).await?;
            let from = newest.pointer.clone();
            let (next, answer) = build(newest).await?;
            let Some(next) = next else { return Ok(answer) };
            let change = TableChange {
                table: PreparedTable {
                    table: asset.clone(),
                    from: Some(from),
                    to: next.to,
                },
                what: next.what,
            };
            match self.change(change).await {
                Ok(true) => return Ok(answer),
                Ok(false) => abandon(self.lake(), &next.written_files).await?,
                // Whether it counts is not known: the files stay.
                Err(error) if error.is_of_a_stop() => return Err(error),
                Err(error) => {
                    abandon(self.lake(), &next.written_files).await?;
                    return Err(error);
                }
            }
        }
        Err(TableError::Refused(format!(
            "{asset} is written all the time: pause what makes it, and ask again"
        )))
    }

    /// The newest version of a table, and the time.
    pub async fn newest(&self, asset: &AssetKey) -> Result<Newest, TableError> {
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
        Ok(Newest {
            pointer,
            table,
            now_ms: at / 1000,
        })
    }

    /// Whether the change counts; `false` if the table is another by now.
    async fn change(&self, change: TableChange) -> Result<bool, TableError> {
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
}
