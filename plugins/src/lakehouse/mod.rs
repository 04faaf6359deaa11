//! The lakehouse: Iceberg tables on local disk or in a store of objects, read by DataFusion, written in two steps.
//!
//! ```text
//! Lake ── table(pointer) ──▶ LakeTable ── provider(scope) ──▶ DataFusion
//!                                │
//! rows ──▶ StagingWriter ──▶ StagedTable ──▶ prepare_commit(base, members) ──▶ new TablePointer
//!                                └── staged_provider ──▶ checks
//! ```
//!
//! Staged files are durable and invisible. A prepared commit is durable and invisible too: metadata that nothing points to.
//! The pointer is moved by whoever keeps it, with compare-and-set; after a conflict the commit is prepared again on the new
//! base, from the same staged files.
//!
//! | file | what |
//! |---|---|
//! | `storage` | files that survive a crash, in a folder or a bucket |
//! | `lake`, `cache`, `table` | the warehouse, what was read lately, one version of a table |
//! | `scan`, `prune`, `field_ids`, `merge_on_read` | file plan for DataFusion |
//! | `schema` | Arrow to Iceberg columns, and how a table's columns may change |
//! | `contract` | whether columns are those that an asset promises |
//! | `staging`, `encode`, `data_file` | rows to staged Parquet files and their metrics |
//! | `commit`, `manifests`, `names`, `metadata_text` | staged files to a new version of the table |
//! | `compact` | few large files of many small ones |
//! | `expire` | snapshots and files that nobody needs any more |
//! | `history` | snapshots, and rows per partition |
//! | `merge` | rows by a key into a partition: which files are written anew, with which rows |
//! | `rollback` | a new snapshot that shows what an older one showed |
//! | `tags` | names of snapshots |
//! | `columns` | columns of a snapshot: types, nulls, ranges |
//! | `partition_column` | which column tells a row's partition |
//! | `cut`, `repartition` | by what a table is cut into partitions, and its rows cut in another way |
//! | `error` | what can go wrong, and which class of failure that is |

mod cache;
mod columns;
mod commit;
mod compact;
mod contract;
mod cut;
mod data_file;
mod encode;
mod error;
mod expire;
mod field_ids;
mod history;
mod lake;
mod manifests;
mod merge;
mod merge_on_read;
mod metadata_text;
mod names;
mod partition_column;
mod prune;
mod repartition;
mod rollback;
mod scan;
mod schema;
mod staging;
mod storage;
mod table;
mod tags;
#[cfg(test)]
mod tests;
mod verify;

pub use columns::{ColumnFacts, TableColumn, TableFacts, columns, table_facts};
pub use commit::{CommitMember, CommitOutcome, PreparedCommit, RUN_PROPERTY, TOKEN_PROPERTY, abandon, prepare_commit};
pub use compact::{
    CompactionGroup, CompactionOrder, CompactionRule, MOST_GROUPS, compact, plan_compaction, prepare_compaction,
};
pub use contract::check_contract;
pub use error::{LakeError, SchemaDifference};
pub(crate) use error::{is_of_store, needs_more_memory};
pub use expire::{
    Expiry, KeptSnapshots, NeededBeside, RemovedFiles, UnneededFile, old_files, orphans, plan_expiry, prepare_expiry,
    remove, unneeded_below,
};
pub use history::{
    PartitionRows, SnapshotInfo, ancestors, history, last_added_in, partition_rows, partition_rows_at, rows_of,
    snapshot_as_of,
};
pub use lake::Lake;
pub use merge::{Merge, MergePart, MergeScratch, RowStream, RowsToMerge};
pub use partition_column::{APPENDED, PartitionColumn, RowKey, RowKeys, partition_column, row_partition_keys};
pub use repartition::{
    OtherCut, Repartition, cut_otherwise, plan_repartition, prepare_emptied, prepare_repartition, repartition,
};
pub use rollback::{ChangedPartition, ROLLED_BACK_PROPERTY, Rollback, RollbackOutcome, prepare_rollback};
pub use staging::{
    StagingOptions, StagingPartitions, StagingWriter, discard_staged, staged_locations, staged_provider,
};
pub use storage::{
    LakeStorage, ListedFile, LocalStorage, LocalStorageFactory, ObjectFile, ObjectStorage, PathError, S3Credentials,
    S3Error, UnsealedFile,
};
pub use table::{LakeTable, ScanOptions};
pub use tags::{TagChange, TagName, TagNameError, prepare_tag, tagged, tags};
pub use verify::{Verified, verify};
