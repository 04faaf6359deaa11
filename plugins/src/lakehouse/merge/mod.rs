//! Merging rows into a partition by a key: which files have to be written anew, and with which rows.
//!
//! The rows to merge are in memory; the table streams past them. Where they do not fit, they are put aside in parts by their keys ([`aside`]),
//! and the table streams past one part after the other, once to be compared and once to be written. A file is touched only if it holds a row whose key is among
//! them and whose other values differ; all other files stay as they are. What is written are the rows of touched files whose
//! keys are not among those to merge, and the rows to merge that are not in an untouched file already. So a merge of what is
//! all there writes nothing.
//!
//! A merge counts only on the files that it has looked at: their fingerprint travels with what is staged, and the commit
//! compares it ([`super::prepare_commit`]).

mod aside;
mod keys;

use std::sync::Arc;

use arrow::array::{BooleanArray, RecordBatch, UInt32Array};
use arrow::compute::{concat_batches, filter_record_batch, take_record_batch};
use arrow::datatypes::SchemaRef as ArrowSchemaRef;
use arrow::error::ArrowError;
use assets::outcome::{Replace, StagedTable, TablePointer};
use assets::{AssetKey, Fingerprint, PartitionKey};
use datafusion::catalog::TableProvider;
use datafusion::logical_expr::Expr;
use datafusion::prelude::SessionContext;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use iceberg::spec::{ManifestEntryRef, SchemaRef};

use self::aside::part_of;
pub use self::aside::{MergeScratch, RowsToMerge};
use self::keys::{Keys, Values};
use super::partition_column::APPENDED;
use super::scan::{LakeScan, ScanFiles};
use super::schema::{conform, query_schema};
use super::staging::staged_provider_with;
use super::{Lake, LakeError, LakeTable};
use crate::step::Scope;

/// Rows of a stream, or why there are no more.
pub type RowStream<'a> = BoxStream<'a, Result<RecordBatch, LakeError>>;

/// What a merge comes to, for one partition.
pub struct Merge {
    lake: Lake,
    table: AssetKey,
    schema: SchemaRef,
    view: ArrowSchemaRef,
    key: Vec<String>,
    partition: Option<PartitionKey>,
    touched: Vec<ManifestEntryRef>,
    untouched: Vec<ManifestEntryRef>,
    seen: Fingerprint,
    parts: Vec<Part>,
    /// Whether each file is touched.
    is_touched: Vec<bool>,
}

/// Rows to merge that are in memory together, and where each of them was found.
struct Part {
    rows: RowsToMerge,
    found: Vec<Found>,
    /// They themselves, where there is but one part.
    loaded: Option<Loaded>,
}

struct Loaded {
    source: RecordBatch,
    keys: Keys,
}

/// Where a row of the source stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Found {
    /// Its key is nowhere.
    New,
    /// It is there as it is, in this file.
    Same(u32),
    /// Its key is there with other values, or more than once.
    Other,
}

impl Merge {
    /// Compares the rows of one partition with what the table has of it.
    ///
    /// `schema` is that of the table once they are in it. `source` may have its columns in any order and in types that fit. A key
    /// that comes twice in it, or with a null, is an error that names it. With a `scratch`, rows that do not fit are looked at part by part.
    #[expect(clippy::too_many_arguments, reason = "called once; each is another thing")]
    pub async fn plan(
        lake: &Lake,
        table: &AssetKey,
        existing: Option<&LakeTable>,
        schema: &SchemaRef,
        partition: Option<&PartitionKey>,
        key: &[String],
        source: RowsToMerge,
        scratch: Option<&MergeScratch>,
        context: &SessionContext,
    ) -> Result<Self, LakeError> {
        let (view, _) = query_schema(schema, &[APPENDED])?;
        let files = files_of(table, existing, partition).await?;
        let mut merge = Self {
            lake: lake.clone(),
            table: table.clone(),
            schema: Arc::clone(schema),
            view,
            key: key.to_vec(),
            partition: partition.cloned(),
            touched: Vec::new(),
            untouched: Vec::new(),
            seen: seen(&files),
            parts: Vec::new(),
            is_touched: vec![false; files.len()],
        };
        let parts = match scratch.filter(|scratch| !scratch.holds(source.bytes())) {
            Some(scratch) => merge.split(source, scratch)?,
            None => vec![source],
        };
        let many = parts.len();
        for rows in parts {
            let loaded = merge.load(&rows)?;
            let found = merge.compare(&loaded, &files, context).await?;
            merge.parts.push(Part {
                rows,
                found,
                loaded: (many == 1).then_some(loaded),
            });
        }
        for (entry, touched) in files.into_iter().zip(&merge.is_touched) {
            match touched {
                true => merge.touched.push(entry),
                false => merge.untouched.push(entry),
            }
        }
        Ok(merge)
    }

    /// Rows that do not fit into memory, in parts that do: those of one key are all in one part.
    fn split(&self, source: RowsToMerge, scratch: &MergeScratch) -> Result<Vec<RowsToMerge>, LakeError> {
        let many = scratch.parts_of(source.bytes());
        let keys = Keys::new(&self.table, &self.view, &self.key)?;
        let mut parts: Vec<RowsToMerge> = (0..many).map(|_| RowsToMerge::default()).collect();
        let mut held = 0;
        for batch in source.into_batches()? {
            let batch = conform(&batch?, &self.view)?;
            let mut places: Vec<Vec<u32>> = vec![Vec::new(); many];
            let rows = keys.of(&batch)?;
            for row in 0..batch.num_rows() {
                places[part_of(rows.row(row).data(), many)].push(row as u32);
            }
            for (part, rows) in parts.iter_mut().zip(places).filter(|(_, rows)| !rows.is_empty()) {
                held += part.push(take_record_batch(&batch, &UInt32Array::from(rows)).map_err(internal)?);
            }
            if !scratch.holds(held) {
                parts.iter_mut().try_for_each(|part| part.put_aside(scratch))?;
                held = 0;
            }
        }
        parts.iter_mut().try_for_each(|part| part.put_aside(scratch))?;
        Ok(parts)
    }

    fn load(&self, rows: &RowsToMerge) -> Result<Loaded, LakeError> {
        let batches = rows.batches()?.map(|batch| conform(&batch?, &self.view));
        let source = concat_batches(&self.view, &batches.collect::<Result<Vec<_>, _>>()?).map_err(internal)?;
        let mut keys = Keys::new(&self.table, &self.view, &self.key)?;
        keys.take(&self.table, &source)?;
        Ok(Loaded { source, keys })
    }

    /// Looks for the rows of a part in the files.
    async fn compare(
        &mut self,
        Loaded { source, keys }: &Loaded,
        files: &[ManifestEntryRef],
        context: &SessionContext,
    ) -> Result<Vec<Found>, LakeError> {
        let values = Values::new(&self.view, keys, source)?;
        let mut found = vec![Found::New; source.num_rows()];
        let Some(within) = keys.range(source)? else {
            return Ok(found);
        };
        for (file, entry) in files.iter().enumerate() {
            let mut rows = self.read(entry, Some(within.clone()), context).await?;
            let mut touched = false;
            while let Some(batch) = rows.try_next().await? {
                let others = keys.of(&batch)?;
                let beside = values.of(&batch)?;
                for row in 0..batch.num_rows() {
                    let key = others.row(row);
                    let Some(&own) = keys.index.get(key.data()) else {
                        continue;
                    };
                    let own = own as usize;
                    let next = match found[own] {
                        Found::New if values.same(own, beside.as_ref(), row) => Found::Same(file as u32),
                        Found::New | Found::Other => {
                            touched = true;
                            Found::Other
                        }
                        // Another program let the key in twice: one row is left of it.
                        Found::Same(other) => {
                            touched = true;
                            self.is_touched[other as usize] = true;
                            Found::Other
                        }
                    };
                    found[own] = next;
                }
                // All rows of it are written anew: those to merge that it has, seen here or not, are left out of it and are new,
                // or stay in another file.
                if touched {
                    break;
                }
            }
            self.is_touched[file] |= touched;
        }
        Ok(found)
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

    /// Lets go of the rows, once they are written.
    pub fn release(&mut self) {
        self.parts.clear();
    }

    /// What is to be written, in parts: each fits into memory.
    pub fn parts(&self) -> impl Iterator<Item = Result<MergePart<'_>, LakeError>> {
        let many = self.parts.len();
        self.parts.iter().enumerate().map(move |(place, part)| {
            let written = part.found.iter().map(|found| match found {
                Found::Same(file) => self.is_touched[*file as usize],
                Found::New | Found::Other => true,
            });
            let written = BooleanArray::from(written.collect::<Vec<_>>());
            let loaded = match &part.loaded {
                Some(loaded) => Rows::Held(loaded),
                None => Rows::ReadAgain(Box::new(self.load(&part.rows)?)),
            };
            Ok(MergePart {
                merge: self,
                rows: loaded,
                written,
                place,
                many,
            })
        })
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

/// A part of what a merge writes.
pub struct MergePart<'m> {
    merge: &'m Merge,
    rows: Rows<'m>,
    /// Which rows of the source are to be written.
    written: BooleanArray,
    place: usize,
    many: usize,
}

enum Rows<'m> {
    Held(&'m Loaded),
    ReadAgain(Box<Loaded>),
}

impl Rows<'_> {
    fn loaded(&self) -> &Loaded {
        match self {
            Self::Held(loaded) => loaded,
            Self::ReadAgain(loaded) => loaded,
        }
    }
}

impl MergePart<'_> {
    /// The rows of touched files that stay: they are to be written again. All parts together have each of them once.
    pub fn kept<'m>(&'m self, context: &'m SessionContext) -> RowStream<'m> {
        let files = futures::stream::iter(&self.merge.touched);
        let rows = files
            .then(move |entry| self.merge.read(entry, None, context))
            .try_flatten();
        rows.and_then(move |batch| async move { self.without_merged(&batch) })
            .boxed()
    }

    fn without_merged(&self, batch: &RecordBatch) -> Result<RecordBatch, LakeError> {
        let own_keys = &self.rows.loaded().keys;
        let keys = own_keys.of(batch)?;
        let stays: BooleanArray = (0..batch.num_rows())
            .map(|row| {
                let key = keys.row(row);
                let own = self.many == 1 || part_of(key.data(), self.many) == self.place;
                Some(own && !own_keys.index.contains_key(key.data()))
            })
            .collect();
        filter_record_batch(batch, &stays).map_err(internal)
    }

    /// The rows to merge that are to be written.
    pub fn merged(&self) -> Result<RecordBatch, LakeError> {
        filter_record_batch(&self.rows.loaded().source, &self.written).map_err(internal)
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
