//! Merging rows into a partition by a key: which files have to be written anew, and with which rows.
//!
//! The rows to merge are in memory; the table streams past them. A file is touched only if it holds a row whose key is among
//! them and whose other values differ; all other files stay as they are. What is written are the rows of touched files whose
//! keys are not among those to merge, and the rows to merge that are not in an untouched file already. So a merge of what is
//! all there writes nothing.
//!
//! A merge counts only on the files that it has looked at: their fingerprint travels with what is staged, and the commit
//! compares it ([`super::prepare_commit`]).

use std::sync::Arc;

use ahash::HashMap;
use arrow::array::{Array, BooleanArray, RecordBatch};
use arrow::compute::{concat_batches, filter_record_batch};
use arrow::datatypes::SchemaRef as ArrowSchemaRef;
use arrow::error::ArrowError;
use arrow::row::{RowConverter, Rows, SortField};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use assets::outcome::{Replace, StagedTable, TablePointer};
use assets::{AssetKey, Fingerprint, PartitionKey};
use datafusion::catalog::TableProvider;
use datafusion::common::{Column, ScalarValue};
use datafusion::logical_expr::{Expr, lit};
use datafusion::prelude::SessionContext;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use iceberg::spec::{ManifestEntryRef, SchemaRef};

use super::partition_column::APPENDED;
use super::scan::{LakeScan, ScanFiles};
use super::schema::{conform, query_schema};
use super::staging::staged_provider_with;
use super::{Lake, LakeError, LakeTable};
use crate::step::Scope;

/// Keys that an error names.
const NAMED: usize = 5;

/// Rows of a stream, or why there are no more.
pub type RowStream<'a> = BoxStream<'a, Result<RecordBatch, LakeError>>;

/// What a merge comes to, for one partition.
#[derive(Debug)]
pub struct Merge {
    lake: Lake,
    schema: SchemaRef,
    partition: Option<PartitionKey>,
    touched: Vec<ManifestEntryRef>,
    untouched: Vec<ManifestEntryRef>,
    seen: Fingerprint,
    source: RecordBatch,
    /// Which rows of the source are to be written.
    written: BooleanArray,
    keys: Keys,
}

/// Where a row of the source stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Found {
    /// Its key is nowhere.
    New,
    /// It is there as it is, in this file.
    Same(usize),
    /// Its key is there with other values, or more than once.
    Other,
}

impl Merge {
    /// Compares the rows of one partition with what the table has of it.
    ///
    /// `schema` is that of the table once they are in it. `source` may have its columns in any order and in types that fit. A key
    /// that comes twice in it, or with a null, is an error that names it.
    #[expect(clippy::too_many_arguments, reason = "called once; each is another thing")]
    pub async fn plan(
        lake: &Lake,
        table: &AssetKey,
        existing: Option<&LakeTable>,
        schema: &SchemaRef,
        partition: Option<&PartitionKey>,
        key: &[String],
        source: &[RecordBatch],
        context: &SessionContext,
    ) -> Result<Self, LakeError> {
        let (view, _) = query_schema(schema, &[APPENDED])?;
        let source: Vec<RecordBatch> = source
            .iter()
            .map(|batch| conform(batch, &view))
            .collect::<Result<_, _>>()?;
        let source = concat_batches(&view, &source).map_err(internal)?;
        let mut keys = Keys::new(table, &view, key)?;
        keys.take(table, &source)?;
        let files = files_of(table, existing, partition).await?;
        let mut merge = Self {
            lake: lake.clone(),
            schema: Arc::clone(schema),
            partition: partition.cloned(),
            touched: Vec::new(),
            untouched: Vec::new(),
            seen: seen(&files),
            written: BooleanArray::from(vec![true; source.num_rows()]),
            source,
            keys,
        };
        merge.compare(&view, files, context).await?;
        Ok(merge)
    }

    async fn compare(
        &mut self,
        view: &ArrowSchemaRef,
        files: Vec<ManifestEntryRef>,
        context: &SessionContext,
    ) -> Result<(), LakeError> {
        let values = Values::new(view, &self.keys, &self.source)?;
        let mut found = vec![Found::New; self.source.num_rows()];
        let mut touched = vec![false; files.len()];
        let within = self.keys.range(&self.source)?;
        if within.is_some() {
            for (file, entry) in files.iter().enumerate() {
                let mut rows = self.read(entry, within.clone(), context).await?;
                while let Some(batch) = rows.try_next().await? {
                    let keys = self.keys.of(&batch)?;
                    let others = values.of(&batch)?;
                    for row in 0..batch.num_rows() {
                        let Some(&own) = self.keys.index.get(keys.row(row).data()) else {
                            continue;
                        };
                        let own = own as usize;
                        let next = match found[own] {
                            Found::New if values.same(own, others.as_ref(), row) => Found::Same(file),
                            Found::New | Found::Other => {
                                touched[file] = true;
                                Found::Other
                            }
                            // Another program let the key in twice: one row is left of it.
                            Found::Same(other) => {
                                touched[file] = true;
                                touched[other] = true;
                                Found::Other
                            }
                        };
                        found[own] = next;
                    }
                    // All rows of it are written anew: those to merge that it has, seen here or not, are left out of it and are new,
                    // or stay in another file.
                    if touched[file] {
                        break;
                    }
                }
            }
        }
        let written = found.into_iter().map(|found| match found {
            Found::Same(file) => touched[file],
            Found::New | Found::Other => true,
        });
        self.written = BooleanArray::from(written.collect::<Vec<_>>());
        for (entry, touched) in files.into_iter().zip(touched) {
            match touched {
                true => self.touched.push(entry),
                false => self.untouched.push(entry),
            }
        }
        Ok(())
    }

    /// Rows of one file, those alone whose first key column lies within a range if one is given.
    async fn read(
        &self,
        entry: &ManifestEntryRef,
        within: Option<Expr>,
        context: &SessionContext,
    ) -> Result<RowStream<'static>, LakeError> {
        let files = ScanFiles::Listed(vec![Arc::clone(entry)]);
        let scan = LakeScan::new(self.lake.clone(), Arc::clone(&self.schema), files)?;
        let mut frame = context.read_table(Arc::new(scan)).map_err(LakeError::engine)?;
        if let Some(within) = within {
            frame = frame.filter(within).map_err(LakeError::engine)?;
        }
        let rows = frame.execute_stream().await.map_err(LakeError::engine)?;
        Ok(rows.map_err(LakeError::engine).boxed())
    }

    /// The rows of touched files that stay: they are to be written again.
    pub fn kept<'m>(&'m self, context: &'m SessionContext) -> RowStream<'m> {
        let files = futures::stream::iter(&self.touched);
        let rows = files.then(move |entry| self.read(entry, None, context)).try_flatten();
        rows.and_then(move |batch| async move { self.without_merged(&batch) })
            .boxed()
    }

    fn without_merged(&self, batch: &RecordBatch) -> Result<RecordBatch, LakeError> {
        let keys = self.keys.of(batch)?;
        let stays: BooleanArray = (0..batch.num_rows())
            .map(|row| Some(!self.keys.index.contains_key(keys.row(row).data())))
            .collect();
        filter_record_batch(batch, &stays).map_err(internal)
    }

    /// The rows to merge that are to be written.
    pub fn merged(&self) -> Result<RecordBatch, LakeError> {
        filter_record_batch(&self.source, &self.written).map_err(internal)
    }

    /// The rows of files that stay as they are.
    pub fn untouched<'m>(&'m self, context: &'m SessionContext) -> RowStream<'m> {
        let files = futures::stream::iter(&self.untouched);
        files
            .then(move |entry| self.read(entry, None, context))
            .try_flatten()
            .boxed()
    }

    /// How many files are written anew, and how many stay as they are.
    pub fn files(&self) -> (usize, usize) {
        (self.touched.len(), self.untouched.len())
    }

    /// Completes what was staged: what it replaces, and how much the partition holds after it.
    pub fn complete(&self, staged: &mut StagedTable) {
        staged.replace = Replace::Files {
            partition: self.partition.clone(),
            removed: self.touched.iter().map(|entry| entry.file_path().to_owned()).collect(),
            seen: self.seen.clone(),
        };
        for entry in &self.untouched {
            staged.rows += entry.record_count();
            staged.bytes += entry.file_size_in_bytes();
        }
    }

    /// The partition as readers would see it: the staged files and those that stay.
    pub fn provider(&self, staged: &StagedTable) -> Result<Arc<dyn TableProvider>, LakeError> {
        staged_provider_with(&self.lake, std::slice::from_ref(staged), &self.untouched)
    }
}

/// The live files of a partition, or of a table without partitions.
async fn files_of(
    table: &AssetKey,
    existing: Option<&LakeTable>,
    partition: Option<&PartitionKey>,
) -> Result<Vec<ManifestEntryRef>, LakeError> {
    let Some(existing) = existing else {
        return Ok(Vec::new());
    };
    let snapshot = existing.snapshot(None)?;
    let schema = super::lake::schema_of(existing.metadata(), snapshot.as_ref())?;
    let files = ScanFiles::Snapshot {
        table: existing.clone(),
        snapshot,
        scope: partition.map_or(Scope::All, |key| Scope::Keys(vec![key.clone()])),
    };
    let scan = LakeScan::new(existing.lake().clone(), schema, files)?;
    scan.entries(table).await
}

/// Which files a merge looked at.
pub(super) fn seen(files: &[ManifestEntryRef]) -> Fingerprint {
    let mut paths: Vec<&str> = files.iter().map(|entry| entry.file_path()).collect();
    paths.sort_unstable();
    Fingerprint::of(paths)
}

/// The same of a version of the table, to compare.
pub(super) async fn seen_now(
    lake: &Lake,
    table: &AssetKey,
    base: Option<&TablePointer>,
    partition: Option<&PartitionKey>,
) -> Result<Fingerprint, LakeError> {
    let existing = match base {
        Some(base) => Some(lake.table(table, base).await?),
        None => None,
    };
    Ok(seen(&files_of(table, existing.as_ref(), partition).await?))
}

fn internal(error: ArrowError) -> LakeError {
    LakeError::Internal(format!("rows to merge: {error}"))
}

/// The keys of the rows to merge, by their value.
#[derive(Debug)]
struct Keys {
    names: Vec<String>,
    places: Vec<usize>,
    converter: RowConverter,
    index: HashMap<Box<[u8]>, u32>,
}

impl Keys {
    fn new(table: &AssetKey, view: &ArrowSchemaRef, key: &[String]) -> Result<Self, LakeError> {
        let mut places = Vec::with_capacity(key.len());
        for name in key {
            let place = view.index_of(name).map_err(|_| LakeError::Merge {
                table: table.clone(),
                reason: format!("the rows have no column `{name}`, which is part of the key"),
                help: "add it to the SELECT, or name another key".to_owned(),
            })?;
            places.push(place);
        }
        let fields: Vec<SortField> = places
            .iter()
            .map(|place| SortField::new(view.field(*place).data_type().clone()))
            .collect();
        Ok(Self {
            names: key.to_vec(),
            places,
            converter: RowConverter::new(fields).map_err(internal)?,
            index: HashMap::default(),
        })
    }

    fn of(&self, batch: &RecordBatch) -> Result<Rows, LakeError> {
        let columns: Vec<_> = self
            .places
            .iter()
            .map(|place| Arc::clone(batch.column(*place)))
            .collect();
        self.converter.convert_columns(&columns).map_err(internal)
    }

    /// Remembers the keys of the rows to merge.
    fn take(&mut self, table: &AssetKey, source: &RecordBatch) -> Result<(), LakeError> {
        for (name, place) in self.names.iter().zip(&self.places) {
            let nulls = source.column(*place).null_count();
            if nulls > 0 {
                return Err(LakeError::Merge {
                    table: table.clone(),
                    reason: format!(
                        "{nulls} {} no value in `{name}`, which is part of the key",
                        if nulls == 1 { "row has" } else { "rows have" }
                    ),
                    help: format!("leave such rows out (WHERE {name} IS NOT NULL), or name another key"),
                });
            }
        }
        let keys = self.of(source)?;
        let mut again: Vec<usize> = Vec::new();
        for row in 0..source.num_rows() {
            if self.index.insert(keys.row(row).data().into(), row as u32).is_some() {
                again.push(row);
            }
        }
        if again.is_empty() {
            return Ok(());
        }
        let mut distinct: Vec<(Box<[u8]>, usize)> = again
            .into_iter()
            .map(|row| (keys.row(row).data().into(), row))
            .collect();
        distinct.sort();
        distinct.dedup_by(|a, b| a.0 == b.0);
        let mut named: Vec<String> = distinct
            .iter()
            .take(NAMED)
            .map(|(_, row)| self.words(source, *row))
            .collect();
        if distinct.len() > NAMED {
            named.push(format!("{} more", distinct.len() - NAMED));
        }
        Err(LakeError::Merge {
            table: table.clone(),
            reason: format!(
                "{} more than once in the rows to merge: {}",
                if distinct.len() == 1 {
                    "one key comes".to_owned()
                } else {
                    format!("{} keys come", distinct.len())
                },
                named.join("; ")
            ),
            help: "keep one row of each key, such as the newest: a query can with row_number()".to_owned(),
        })
    }

    fn words(&self, batch: &RecordBatch, row: usize) -> String {
        let options = FormatOptions::default().with_display_error(true);
        let values = self.names.iter().zip(&self.places).map(|(name, place)| {
            let column = batch.column(*place);
            let value = ArrayFormatter::try_new(column.as_ref(), &options).map(|values| values.value(row).to_string());
            format!("{name} {}", value.unwrap_or_else(|_| "?".to_owned()))
        });
        values.collect::<Vec<_>>().join(", ")
    }

    /// The first key column lies between the smallest and the greatest of the source; `None` if there is no row.
    fn range(&self, source: &RecordBatch) -> Result<Option<Expr>, LakeError> {
        let column = source.column(self.places[0]);
        let converter = RowConverter::new(vec![SortField::new(column.data_type().clone())]).map_err(internal)?;
        let rows = converter.convert_columns(&[Arc::clone(column)]).map_err(internal)?;
        let by_value = |a: &usize, b: &usize| rows.row(*a).cmp(&rows.row(*b));
        let least = (0..source.num_rows()).min_by(by_value);
        let most = (0..source.num_rows()).max_by(by_value);
        let (Some(least), Some(most)) = (least, most) else {
            return Ok(None);
        };
        let value = |row| ScalarValue::try_from_array(column, row).map_err(LakeError::engine);
        let name = || Expr::Column(Column::from_name(self.names[0].clone()));
        Ok(Some(
            name().gt_eq(lit(value(least)?)).and(name().lt_eq(lit(value(most)?))),
        ))
    }
}

/// The values beside the key, to compare.
struct Values {
    places: Vec<usize>,
    /// `None` where some type cannot be compared: then every row counts as another one.
    converter: Option<(RowConverter, Rows)>,
}

impl Values {
    fn new(view: &ArrowSchemaRef, keys: &Keys, source: &RecordBatch) -> Result<Self, LakeError> {
        let places: Vec<usize> = (0..view.fields().len())
            .filter(|place| !keys.places.contains(place))
            .collect();
        let fields: Vec<SortField> = places
            .iter()
            .map(|place| SortField::new(view.field(*place).data_type().clone()))
            .collect();
        if places.is_empty() || !RowConverter::supports_fields(&fields) {
            return Ok(Self {
                places,
                converter: None,
            });
        }
        let converter = RowConverter::new(fields).map_err(internal)?;
        let rows = converter.convert_columns(&columns(source, &places)).map_err(internal)?;
        Ok(Self {
            places,
            converter: Some((converter, rows)),
        })
    }

    fn of(&self, batch: &RecordBatch) -> Result<Option<Rows>, LakeError> {
        match &self.converter {
            Some((converter, _)) => {
                let rows = converter.convert_columns(&columns(batch, &self.places));
                Ok(Some(rows.map_err(internal)?))
            }
            None => Ok(None),
        }
    }

    fn same(&self, own: usize, others: Option<&Rows>, row: usize) -> bool {
        match (&self.converter, others) {
            (Some((_, source)), Some(others)) => source.row(own) == others.row(row),
            _ => self.places.is_empty(),
        }
    }
}

fn columns(batch: &RecordBatch, places: &[usize]) -> Vec<arrow::array::ArrayRef> {
    places.iter().map(|place| Arc::clone(batch.column(*place))).collect()
}
