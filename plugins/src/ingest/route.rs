//! The way of each row to its partition.

use std::sync::Arc;

use arrow::array::{Array, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use assets::outcome::{Failure, FailureClass};
use assets::partition::{Grain, Partitioning};
use assets::{PartitionKey, PartitionedBy};
use datafusion::common::ScalarValue;
use jiff::civil::Date;

use crate::lakehouse::{RowKey, row_partition_keys};

/// Tells the partition of rows.
pub(super) struct Router {
    by: PartitionedBy,
    /// Raw and computed columns, and the partition column where only the path tells it.
    schema: SchemaRef,
    /// Whether the column is made of the path.
    from_path: bool,
}

/// Where a row belongs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    /// In this partition.
    Partition(PartitionKey),
    /// In none that its file could feed: what stands in the partition column, in words.
    Astray(String),
}

/// The places of the rows of a batch.
pub(super) struct Routed {
    /// The rows, with the partition column.
    pub(super) batch: RecordBatch,
    /// The distinct places.
    pub(super) places: Vec<Place>,
    /// For each row the index of its place.
    pub(super) rows: Vec<u32>,
}

impl Router {
    /// A router of rows with these columns. Where the path tells the partition and no column does, one is made: a date for
    /// partitions of a day, a text for others.
    pub(super) fn new(by: &PartitionedBy, schema: &SchemaRef, partition_in_path: bool) -> Result<Self, Failure> {
        if schema.index_of(&by.column).is_ok() {
            return Ok(Self {
                by: by.clone(),
                schema: Arc::clone(schema),
                from_path: false,
            });
        }
        if !partition_in_path {
            let names: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
            let message = format!(
                "tell the partition of a row: there is no column `{}`; there are {}",
                by.column,
                names.join(", ")
            );
            return Err(Failure::new(FailureClass::Declaration, message).with_help(format!(
                "name one of them in `partitions`, or compute it: derive = {{ {} = \"…\" }}",
                by.column
            )));
        }
        let data_type = match &by.partitioning {
            Partitioning::Time(time) if time.grain == Grain::Day => DataType::Date32,
            Partitioning::Time(_) | Partitioning::Fixed(_) => DataType::Utf8,
        };
        let mut fields: Vec<Arc<Field>> = schema.fields().iter().cloned().collect();
        fields.push(Arc::new(Field::new(&by.column, data_type, true)));
        Ok(Self {
            by: by.clone(),
            schema: Arc::new(Schema::new(fields)),
            from_path: true,
        })
    }

    /// The columns of routed rows.
    pub(super) fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Tells where the rows of a file belong. `file` is the partition that the file's path names, if it names one.
    pub(super) fn route(&self, batch: &RecordBatch, file: Option<&PartitionKey>) -> Result<Routed, Failure> {
        if self.from_path {
            return self.by_path(batch, file);
        }
        let column = batch
            .column_by_name(&self.by.column)
            .expect("the column is one of the schema's, which `new` has looked at");
        let keys = row_partition_keys(&self.by.partitioning, column).map_err(|error| error.failure())?;
        let name = &self.by.column;
        let places = keys.keys.into_iter().map(|key| match key {
            RowKey::Key(key) => match file {
                Some(file) if *file != key => Place::Astray(format!("{key} in a file of {file}")),
                _ => Place::Partition(key),
            },
            RowKey::Null => Place::Astray(format!("null in `{name}`")),
            RowKey::Outside(text) => Place::Astray(text),
        });
        Ok(Routed {
            batch: batch.clone(),
            places: places.collect(),
            rows: keys.rows,
        })
    }

    fn by_path(&self, batch: &RecordBatch, file: Option<&PartitionKey>) -> Result<Routed, Failure> {
        let internal = |what: String| Failure::new(FailureClass::Internal, what);
        let file = file.ok_or_else(|| internal("a file without a partition in its path was read".to_owned()))?;
        let field = self.schema.field(self.schema.fields().len() - 1);
        let value = match field.data_type() {
            DataType::Date32 => {
                let day: Date = file
                    .as_str()
                    .parse()
                    .map_err(|error| internal(format!("the partition {file} is no day: {error}")))?;
                let days = day
                    .since(jiff::civil::date(1970, 1, 1))
                    .map_err(|error| internal(error.to_string()))?
                    .get_days();
                ScalarValue::Date32(Some(days))
            }
            _ => ScalarValue::Utf8(Some(file.as_str().to_owned())),
        };
        let column = value
            .to_array_of_size(batch.num_rows())
            .map_err(|error| internal(error.to_string()))?;
        let mut columns = batch.columns().to_vec();
        debug_assert_eq!(column.len(), batch.num_rows());
        columns.push(column);
        let batch =
            RecordBatch::try_new(Arc::clone(&self.schema), columns).map_err(|error| internal(error.to_string()))?;
        Ok(Routed {
            rows: vec![0; batch.num_rows()],
            places: vec![Place::Partition(file.clone())],
            batch,
        })
    }
}

/// The partition that a file's path names, if the set has it.
pub(super) fn path_key(by: &PartitionedBy, text: Option<&str>) -> Option<PartitionKey> {
    let key = PartitionKey::new(text?).ok()?;
    by.partitioning.contains(&key).then_some(key)
}
