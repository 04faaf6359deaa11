//! What can go wrong in the lakehouse, and to which class of failure it belongs.
//!
//! Iceberg, Parquet and DataFusion wrap each other's errors; what a caller needs to know (is the disk full, which file is
//! corrupt, which column differs) sits somewhere down the chain. [`LakeError::from_chain`] finds it.

use std::error::Error as StdError;
use std::fmt;
use std::io;

use assets::AssetKey;
use assets::outcome::{Failure, FailureClass};
use datafusion::common::DataFusionError;
use parquet::errors::ParquetError;

use super::storage::{self, of_store, refused};

/// A failure of reading, staging or committing a table. Messages fit after "failed to …" or stand alone.
#[derive(Debug, thiserror::Error)]
pub enum LakeError {
    /// The operating system refused a read or a write.
    #[error("{action} `{path}`: {source}")]
    Io {
        /// What was tried: `read`, `write`, `sync`.
        action: &'static str,
        /// The file or folder.
        path: String,
        /// The system's error, with its kind.
        source: io::Error,
    },
    /// A file of the table is missing, cut short or not what its name says.
    #[error("read `{path}`: {reason}")]
    Corrupt {
        /// The file.
        path: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The columns differ from those of the table.
    #[error("write {table}: its columns differ from those of the table: {}", join(.differences))]
    Schema {
        /// The table.
        table: AssetKey,
        /// One entry per column, sorted by position.
        differences: Vec<SchemaDifference>,
    },
    /// The table in the lake is cut by another column than the asset says.
    #[error("write {table}: the table is partitioned by {was}, the asset by {is}")]
    PartitionColumn {
        /// The table.
        table: AssetKey,
        /// Column of the table's default spec, or `nothing`.
        was: String,
        /// Column that the asset needs, or `nothing`.
        is: String,
    },
    /// A column's type has no place in an Iceberg table.
    #[error("write column `{column}`: {reason}")]
    ColumnType {
        /// Full name; parts of nested columns are joined by dots.
        column: String,
        /// Why, with the type.
        reason: String,
        /// What to write in SQL instead.
        help: String,
    },
    /// The declared partition column is missing or cannot tell a partition.
    #[error("read the partition of a row: {reason}")]
    PartitionSource {
        /// What is wrong with the column.
        reason: String,
        /// What to do.
        help: String,
    },
    /// Rows that belong to no partition of this step.
    #[error("{message}")]
    RowsOutside {
        /// How many rows, outside which partition, and where they belong.
        message: String,
    },
    /// A snapshot that the metadata does not hold (any more).
    #[error("read {table}: it has no snapshot {snapshot}")]
    NoSnapshot {
        /// The table.
        table: AssetKey,
        /// The snapshot asked for.
        snapshot: i64,
    },
    /// The columns are not those that the asset promises.
    #[error("publish {table}: its columns are not as declared: {}", differences.join("; "))]
    Contract {
        /// The table.
        table: AssetKey,
        /// Column by column.
        differences: Vec<String>,
        /// Whether columns may be added and widened.
        evolves: bool,
    },
    /// Rows that cannot be merged.
    #[error("merge into {table}: {reason}")]
    Merge {
        /// The table.
        table: AssetKey,
        /// What is wrong with them.
        reason: String,
        /// What to do.
        help: String,
    },
    /// The files that a merge looked at are others by now.
    #[error("merge into {table}: it was written meanwhile")]
    MergedMeanwhile {
        /// The table.
        table: AssetKey,
    },
    /// Its files are to be sorted by a column that it does not have.
    #[error("sort the files of {table} by `{column}`: it has no such column")]
    NoSortColumn {
        /// The table.
        table: AssetKey,
        /// The column.
        column: String,
    },
    /// A snapshot so far back that there is none.
    #[error("read {table}: there are {known} snapshots, none {wanted} before the current one")]
    TooFewSnapshots {
        /// The table.
        table: AssetKey,
        /// How far back.
        wanted: usize,
        /// How many there are.
        known: usize,
    },
    /// A name that no snapshot has.
    #[error("read {table}: it has no tag `{tag}`")]
    NoTag {
        /// The table.
        table: AssetKey,
        /// The name asked for.
        tag: String,
        /// The names that there are.
        known: Vec<String>,
    },
    /// A name that something other than a tag has.
    #[error("tag {table}: `{name}` is a branch of another program")]
    NotATag {
        /// The table.
        table: AssetKey,
        /// The name.
        name: String,
    },
    /// The asset has no table yet.
    #[error("read {table}: it was never materialized")]
    NeverMaterialized {
        /// The table.
        table: AssetKey,
    },
    /// The table did not exist at that time.
    #[error("read {table}: it has no snapshot as old as {at}")]
    NotYet {
        /// The table.
        table: AssetKey,
        /// The time asked for, RFC 3339.
        at: String,
    },
    /// A location that this release cannot reach.
    #[error("reach `{location}`: {reason}")]
    Location {
        /// URL or path.
        location: String,
        /// What is wrong.
        reason: String,
    },
    /// A query or scan failed in the engine.
    #[error("{0}")]
    Engine(Box<DataFusionError>),
    /// The Iceberg library refused.
    #[error("{action} {subject}: {source}")]
    Iceberg {
        /// What was tried.
        action: &'static str,
        /// Table or file.
        subject: String,
        /// The library's error.
        source: Box<iceberg::Error>,
    },
    /// A promise of ours was broken.
    #[error("{0}")]
    Internal(String),
}

/// How one column differs from the table's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SchemaDifference {
    /// The column.
    pub column: String,
    /// Its type in the table; `None` for a column that the table lacks.
    pub was: Option<String>,
    /// Its type in the rows; `None` for a column that the rows lack.
    pub is: Option<String>,
}

impl fmt::Display for SchemaDifference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.was, &self.is) {
            (Some(was), Some(is)) => write!(f, "`{}` was {was}, is {is}", self.column),
            (Some(was), None) => write!(f, "`{}` was {was}, is missing", self.column),
            (None, Some(is)) => write!(f, "`{}` is new ({is})", self.column),
            (None, None) => write!(f, "`{}`", self.column),
        }
    }
}

fn join(differences: &[SchemaDifference]) -> String {
    differences
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join("; ")
}

impl LakeError {
    /// The failure to report: class, message, what to do next.
    pub fn failure(&self) -> Failure {
        let (class, help): (FailureClass, Option<String>) = match self {
            Self::Io { source, .. } if is_disk_full(source) => {
                (FailureClass::DiskFull, Some("free some space there, then retry".to_owned()))
            }
            Self::Io { source, .. } if storage::is_of_store(source) => (FailureClass::Io, Some(store_help(source).to_owned())),
            Self::Io { .. } => (FailureClass::Io, None),
            Self::Corrupt { .. } => (
                FailureClass::Data,
                Some("restore the file from a backup, or materialize the partition it belongs to again".to_owned()),
            ),
            Self::Schema { .. } => (
                FailureClass::Schema,
                Some(
                    "keep the column with the table's type (in a query CAST it, as `CAST(NULL AS …)` if it has no values any more; of files, declare it in `columns`), or say in `columns` of the asset what became of it: `new_name = { was = \"old_name\" }`, `old_name = { dropped = true }`"
                        .to_owned(),
                ),
            ),
            Self::PartitionColumn { table, .. } => (
                FailureClass::Schema,
                Some(format!("`millpond repartition {table}` cuts its rows as the asset says: the same rows, in one change; or declare `partitions` as they were")),
            ),
            Self::ColumnType { help, .. } | Self::PartitionSource { help, .. } => {
                (FailureClass::Declaration, Some(help.clone()))
            }
            Self::RowsOutside { .. } => (
                FailureClass::Data,
                Some("filter the rows by `$partition_start` and `$partition_end`, or by `$partition_key`".to_owned()),
            ),
            Self::NeverMaterialized { table } => {
                (FailureClass::MissingInput, Some(format!("materialize it first: millpond materialize {table}")))
            }
            Self::NoSnapshot { .. } | Self::NotYet { .. } | Self::TooFewSnapshots { .. } => {
                (FailureClass::MissingInput, None)
            }
            Self::NoTag { table, known, .. } if known.is_empty() => (
                FailureClass::MissingInput,
                Some(format!("no snapshot of it is tagged; set a tag: millpond tag {table} NAME")),
            ),
            Self::NoTag { known, .. } => (FailureClass::MissingInput, Some(format!("its tags are {}", known.join(", ")))),
            Self::Contract { table, evolves, .. } => (
                FailureClass::Schema,
                Some(if *evolves {
                    format!("columns of {table} may be added and widened, and nothing else: change what makes them, or `columns`")
                } else {
                    format!(
                        "change what makes them, or `columns` of {table}; `schema = \"evolve\"` lets columns be added and widened"
                    )
                }),
            ),
            Self::Merge { help, .. } => (FailureClass::Data, Some(help.clone())),
            Self::MergedMeanwhile { .. } => (
                FailureClass::Changed,
                Some("run it again: it is merged with what is there then".to_owned()),
            ),
            Self::NoSortColumn { .. } => (
                FailureClass::Declaration,
                Some("correct the asset's `sort`".to_owned()),
            ),
            Self::NotATag { .. } => (FailureClass::Declaration, Some("choose another name".to_owned())),
            Self::Location { .. } => (FailureClass::Declaration, None),
            Self::Engine(error) => return engine_failure(error),
            Self::Iceberg { source, .. } => match source.kind() {
                iceberg::ErrorKind::DataInvalid => (FailureClass::Data, None),
                _ => (FailureClass::Internal, None),
            },
            Self::Internal(_) => (FailureClass::Internal, None),
        };
        Failure {
            class,
            message: self.to_string(),
            help,
        }
    }

    /// Whether no space is left where the step writes.
    pub fn is_disk_full(&self) -> bool {
        self.failure().class == FailureClass::DiskFull
    }

    /// Names an I/O error.
    pub(crate) fn io(action: &'static str, path: impl fmt::Display, source: io::Error) -> Self {
        Self::Io {
            action,
            path: path.to_string(),
            source,
        }
    }

    /// Reads an error of the Iceberg library: an I/O error below keeps its kind, an unreadable file keeps its name.
    pub(crate) fn iceberg(action: &'static str, subject: impl fmt::Display, error: iceberg::Error) -> Self {
        if let Some(found) = find_io(&error) {
            return Self::io(action, subject, found);
        }
        Self::Iceberg {
            action,
            subject: subject.to_string(),
            source: Box::new(error),
        }
    }

    /// Reads an error of the Parquet library while `path` was written or read.
    pub(crate) fn parquet(action: &'static str, path: impl fmt::Display, error: &ParquetError) -> Self {
        match find_io(error) {
            Some(found) => Self::io(action, path, found),
            None => Self::Corrupt {
                path: path.to_string(),
                reason: error.to_string(),
            },
        }
    }

    /// Reads an error of the engine: one of ours that passed through it comes back as it was.
    pub(crate) fn engine(error: DataFusionError) -> Self {
        match error {
            DataFusionError::External(inner) => match inner.downcast::<LakeError>() {
                Ok(ours) => *ours,
                Err(inner) => Self::Engine(Box::new(DataFusionError::External(inner))),
            },
            DataFusionError::Context(_, inner) if holds_ours(&inner) => Self::engine(*inner),
            other => Self::Engine(Box::new(other)),
        }
    }
}

impl From<LakeError> for DataFusionError {
    fn from(error: LakeError) -> Self {
        match error {
            LakeError::Engine(inner) => *inner,
            other => DataFusionError::External(Box::new(other)),
        }
    }
}

impl From<DataFusionError> for LakeError {
    fn from(error: DataFusionError) -> Self {
        Self::engine(error)
    }
}

fn holds_ours(error: &DataFusionError) -> bool {
    match error {
        DataFusionError::External(inner) => inner.is::<LakeError>(),
        DataFusionError::Context(_, inner) => holds_ours(inner),
        _ => false,
    }
}

/// Whether the error means that no space is left (or that a quota or size limit is reached).
pub(crate) fn is_disk_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge
    )
}

/// What to do about a store that refuses.
fn store_help(error: &io::Error) -> &'static str {
    let said = error.to_string();
    match error.kind() {
        io::ErrorKind::PermissionDenied => {
            "see that `access_key` and `secret_key` of [lakehouse.s3] are found, are those of the store, and may read, write, list and remove in the bucket"
        }
        io::ErrorKind::NotFound if said.contains("NoSuchBucket") => {
            "make the bucket, or name another in `warehouse` of [lakehouse]"
        }
        io::ErrorKind::NotFound => "restore the object from a backup, or materialize the partition it belongs to again",
        _ => {
            "it was tried again until `retry_within` of [lakehouse.s3] was over; see whether the store is up and reached at its `endpoint`"
        }
    }
}

/// Whether an error tells, anywhere down its chain, of a store that did not answer as it should.
pub(crate) fn is_of_store(error: &(dyn StdError + 'static)) -> bool {
    find_io(error).is_some_and(|io| storage::is_of_store(&io))
}

/// The first I/O error down the chain, rebuilt with its kind (system errors with their code). A refusal of a store of objects is one
/// as well.
pub(crate) fn find_io(error: &(dyn StdError + 'static)) -> Option<io::Error> {
    let mut next: Option<&(dyn StdError + 'static)> = Some(error);
    let mut refusal_of_store = None;
    while let Some(current) = next {
        if let Some(found) = current.downcast_ref::<io::Error>() {
            if let Some(inner) = found.get_ref() {
                // An error wrapped by us or by a library: a system error may be further down.
                let inner: &(dyn StdError + 'static) = inner;
                if let Some(deeper) = find_io(inner) {
                    return Some(deeper);
                }
            }
            return Some(match found.raw_os_error() {
                Some(code) => io::Error::from_raw_os_error(code),
                None if storage::is_of_store(found) => of_store(found.kind(), found.to_string()),
                None => io::Error::new(found.kind(), found.to_string()),
            });
        }
        let of_store = current.downcast_ref::<object_store::Error>();
        let of_store = of_store.or_else(|| Some(current.downcast_ref::<Box<object_store::Error>>()?.as_ref()));
        if let Some(refusal) = of_store {
            // What broke underneath, a connection say, is no error of a file.
            if let object_store::Error::Generic { store: "S3", .. } = refusal {
                return Some(refused(refusal));
            }
            refusal_of_store.get_or_insert_with(|| refused(refusal));
        }
        if let Some(ParquetError::External(inner)) = current.downcast_ref::<ParquetError>()
            && let Some(deeper) = find_io(inner.as_ref())
        {
            return Some(deeper);
        }
        next = current.source();
    }
    refusal_of_store
}

/// Whether the engine gave up because the memory did not suffice.
pub(crate) fn needs_more_memory(error: &DataFusionError) -> bool {
    engine_failure(error).class == FailureClass::Memory
}

/// Class and message of an engine error that carries none of ours on top.
fn engine_failure(error: &DataFusionError) -> Failure {
    let mut next: Option<&(dyn StdError + 'static)> = Some(error);
    while let Some(current) = next {
        if let Some(ours) = current.downcast_ref::<LakeError>() {
            return ours.failure();
        }
        if let Some(DataFusionError::ResourcesExhausted(message)) = current.downcast_ref::<DataFusionError>() {
            let first = message.lines().next().unwrap_or(message);
            return Failure::new(
                FailureClass::Memory,
                format!("the query needs more memory than it may use: {first}"),
            )
            .with_help("raise the step's memory, or read fewer partitions at once");
        }
        if let Some(DataFusionError::Shared(shared)) = current.downcast_ref::<DataFusionError>() {
            return engine_failure(shared);
        }
        next = current.source();
    }
    if let Some(io) = find_io(error) {
        if is_disk_full(&io) {
            return Failure::new(
                FailureClass::DiskFull,
                format!("no space left for the query's files: {io}"),
            )
            .with_help("free some space, then retry");
        }
        if storage::is_of_store(&io) {
            return Failure::new(FailureClass::Io, error.strip_backtrace()).with_help(store_help(&io));
        }
        let class = if io.kind() == io::ErrorKind::UnexpectedEof {
            FailureClass::Data
        } else {
            FailureClass::Io
        };
        return Failure::new(class, error.strip_backtrace());
    }
    let class = match error.find_root() {
        DataFusionError::ParquetError(_) => FailureClass::Data,
        DataFusionError::ArrowError(..) => FailureClass::Data,
        DataFusionError::Execution(_) => FailureClass::Data,
        DataFusionError::SQL(..)
        | DataFusionError::Plan(_)
        | DataFusionError::SchemaError(..)
        | DataFusionError::NotImplemented(_)
        | DataFusionError::Configuration(_)
        | DataFusionError::Diagnostic(..)
        | DataFusionError::Collection(_) => FailureClass::Declaration,
        DataFusionError::ObjectStore(_) | DataFusionError::IoError(_) => FailureClass::Io,
        _ => FailureClass::Internal,
    };
    Failure::new(class, error.strip_backtrace())
}
