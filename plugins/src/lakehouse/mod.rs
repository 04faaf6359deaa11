//! The lakehouse: Iceberg tables on local disk, read by DataFusion, written in two steps.
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
//! | `storage` | files that survive a crash: temporary name, sync, link, folder sync |
//! | `lake`, `cache`, `table` | the warehouse, what was read lately, one version of a table |
//! | `scan`, `prune`, `field_ids`, `merge_on_read` | file plan for DataFusion |
//! | `schema` | Arrow to Iceberg columns, and how a table's columns may change |
//! | `partition_column` | which column tells a row's partition |
//! | `error` | what can go wrong, and which class of failure that is |

mod cache;
mod error;
mod field_ids;
mod lake;
mod merge_on_read;
mod partition_column;
mod prune;
mod scan;
mod schema;
mod storage;
mod table;

pub use error::{LakeError, SchemaDifference};
pub use lake::Lake;
pub use partition_column::{APPENDED, PartitionColumn, RowKey, RowKeys, partition_column, row_partition_keys};
pub use storage::{LocalStorage, LocalStorageFactory, PathError, UnsealedFile};
pub use table::{LakeTable, ScanOptions};
