//! What a caller passes to the join: the labels, the feature sources, and where their rows come from.

use std::fmt;
use std::num::NonZeroU64;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::memory::MemoryStream;
use datafusion::physical_plan::{ExecutionPlan, execute_stream_partitioned};

use super::PointInTimeError;

/// Where rows come from: a plan that is still to be executed, or streams that already run (one per partition).
pub enum RowInput {
    /// Executed by the join with its task context; its partitions are read in parallel.
    Plan(Arc<dyn ExecutionPlan>),
    /// Streams of one schema, read in parallel.
    Streams {
        /// The schema of every stream.
        schema: SchemaRef,
        /// One stream per partition.
        partitions: Vec<SendableRecordBatchStream>,
    },
}

impl RowInput {
    /// Rows in memory, as the given partitions.
    pub fn from_batches(schema: SchemaRef, partitions: Vec<Vec<RecordBatch>>) -> Result<Self, PointInTimeError> {
        let partitions = partitions
            .into_iter()
            .map(|batches| {
                let stream = MemoryStream::try_new(batches, schema.clone(), None)?;
                Ok(Box::pin(stream) as SendableRecordBatchStream)
            })
            .collect::<Result<_, PointInTimeError>>()?;
        Ok(Self::Streams { schema, partitions })
    }

    /// The columns of the rows.
    pub fn schema(&self) -> SchemaRef {
        match self {
            Self::Plan(plan) => plan.schema(),
            Self::Streams { schema, .. } => schema.clone(),
        }
    }

    /// Starts every partition.
    pub(super) fn start(self, context: Arc<TaskContext>) -> Result<Vec<SendableRecordBatchStream>, PointInTimeError> {
        match self {
            Self::Plan(plan) => Ok(execute_stream_partitioned(plan, context)?),
            Self::Streams { partitions, .. } => Ok(partitions),
        }
    }
}

impl fmt::Debug for RowInput {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Plan(plan) => formatter.debug_tuple("Plan").field(&plan.name()).finish(),
            Self::Streams { partitions, .. } => formatter
                .debug_struct("Streams")
                .field("partitions", &partitions.len())
                .finish_non_exhaustive(),
        }
    }
}

impl From<Arc<dyn ExecutionPlan>> for RowInput {
    fn from(plan: Arc<dyn ExecutionPlan>) -> Self {
        Self::Plan(plan)
    }
}

/// The left side: one output row for each of its rows, all of its columns kept.
#[derive(Debug)]
pub struct LabelInput {
    /// The label rows. Their order is that of the partitions, one after the other.
    pub input: RowInput,
    /// The column that says at which time a label's features must have been known.
    pub timestamp: String,
}

/// A selected feature column and its name in the output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeatureColumn {
    /// Its name in the feature source.
    pub source: String,
    /// Its name in the training set.
    pub output: String,
}

impl FeatureColumn {
    /// A column under its own name.
    pub fn same(name: impl Into<String>) -> Self {
        let name = name.into();
        Self {
            source: name.clone(),
            output: name,
        }
    }

    /// A column under another name.
    pub fn renamed(source: impl Into<String>, output: impl Into<String>) -> Self {
        Self {
            source: source.into(),
            output: output.into(),
        }
    }
}

/// One right side: rows that say what was known about an entity, and from when on.
#[derive(Debug)]
pub struct FeatureSource {
    /// Its name, for messages.
    pub name: String,
    /// Pairs (label column, feature column) that must be equal. Empty for features that hold for every label.
    pub entity: Vec<(String, String)>,
    /// The column that says from when on a row is true.
    pub timestamp: String,
    /// The column that says when a row became known. When named, rows that became known after a label are left out.
    pub created: Option<String>,
    /// How old a row may be at the label's time. Absent: as old as it likes.
    pub ttl: Option<TimeToLive>,
    /// The columns to add to the labels, in this order.
    pub columns: Vec<FeatureColumn>,
    /// The feature rows.
    pub input: RowInput,
}

/// How long a feature stays usable after its timestamp, in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct TimeToLive(NonZeroU64);

impl TimeToLive {
    /// A time to live of so many microseconds. Zero means "without a limit", as in Feast, and gives `None`.
    pub fn from_micros(micros: u64) -> Option<Self> {
        NonZeroU64::new(micros).map(Self)
    }

    /// The length in microseconds.
    pub fn micros(self) -> u64 {
        self.0.get()
    }
}
