//! The stream side: feature rows are offered to the slots, and each slot keeps the best row offered to it.

use std::cmp::Ordering;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, Int64Array, RecordBatch, RecordBatchOptions, UInt32Array};
use arrow::buffer::NullBuffer;
use arrow::datatypes::SchemaRef;

use super::PointInTimeError;
use super::entity::{KeyScratch, NO_ENTITY};
use super::labels::LabelIndex;
use super::tie::{Place, RowStore};
use super::time::TimeScale;

/// Where the columns of one feature source stand in its batches, and what the join does with them.
#[derive(Debug)]
pub(super) struct SourcePlan {
    /// The name for messages.
    pub(super) side: String,
    /// Positions of the entity columns, in the order of the index's keys.
    pub(super) entity: Vec<usize>,
    /// Position and name of the timestamp column.
    pub(super) timestamp: (usize, String),
    /// Position and name of the created column.
    pub(super) created: Option<(usize, String)>,
    /// Positions of the selected columns.
    pub(super) columns: Vec<usize>,
    /// The selected columns as they are kept and come out.
    pub(super) schema: SchemaRef,
    /// The scale on which times are compared.
    pub(super) scale: TimeScale,
    /// How old a row may be, on that scale.
    pub(super) ttl: Option<i64>,
}

/// What decides between two rows of a slot before their values do. Without a created column `created` is zero.
pub(super) type Rank = (i64, i64);

/// The best row of a slot so far.
#[derive(Debug, Clone, Copy)]
struct Best {
    timestamp: i64,
    place: Place,
}

/// The best row per slot among the rows that one worker saw.
pub(super) struct Winners {
    index: Arc<LabelIndex>,
    plan: Arc<SourcePlan>,
    best: Vec<Best>,
    /// The created time of the best row per slot; empty without a created column.
    created: Vec<i64>,
    store: RowStore,
    scratch: KeyScratch,
    ids: Vec<u32>,
    touched: Vec<(u32, u32)>,
}

impl Winners {
    /// Superseded rows may be this many, beside twice the number of slots, before they are let go.
    const SLACK: usize = 1 << 18;

    pub(super) fn new(index: Arc<LabelIndex>, plan: Arc<SourcePlan>) -> Self {
        let slots = index.times().len();
        Self {
            best: vec![
                Best {
                    timestamp: i64::MIN,
                    place: Place::NONE
                };
                slots
            ],
            created: vec![i64::MIN; if plan.created.is_some() { slots } else { 0 }],
            store: RowStore::new(plan.schema.clone()),
            scratch: KeyScratch::default(),
            ids: Vec::new(),
            touched: Vec::new(),
            index,
            plan,
        }
    }

    /// Bytes held.
    pub(super) fn size(&self) -> usize {
        self.best.len() * size_of::<Best>() + self.created.len() * 8 + self.store.bytes()
    }

    /// The rank and the place of the best row of a slot.
    pub(super) fn best(&self, slot: usize) -> Option<(Rank, Place)> {
        let best = self.best[slot];
        let created = self.created.get(slot).copied().unwrap_or(0);
        (!best.place.is_none()).then_some(((best.timestamp, created), best.place))
    }

    /// Takes the rows that the places are of.
    pub(super) fn take_store(&mut self) -> RowStore {
        std::mem::replace(&mut self.store, RowStore::new(self.plan.schema.clone()))
    }

    /// Offers every row of a batch to its slot.
    pub(super) fn offer(&mut self, batch: &RecordBatch) -> Result<(), PointInTimeError> {
        if batch.num_rows() == 0 || self.best.is_empty() {
            return Ok(());
        }
        let plan = self.plan.clone();
        let index = self.index.clone();
        let keys: Vec<ArrayRef> = plan
            .entity
            .iter()
            .map(|&position| batch.column(position).clone())
            .collect();
        index
            .entities()
            .find(&keys, batch.num_rows(), &mut self.scratch, &mut self.ids)?;
        let instants = |(position, name): &(usize, String)| -> Result<Int64Array, PointInTimeError> {
            plan.scale.instants(batch.column(*position), &plan.side, name)
        };
        let timestamps = instants(&plan.timestamp)?;
        let created = plan.created.as_ref().map(instants).transpose()?;
        let nulls = NullBuffer::union(timestamps.nulls(), created.as_ref().and_then(Array::nulls));
        if let Some(nulls) = nulls.filter(|nulls| nulls.null_count() > 0) {
            for (row, id) in self.ids.iter_mut().enumerate() {
                if nulls.is_null(row) {
                    *id = NO_ENTITY;
                }
            }
        }
        let selected = plan
            .columns
            .iter()
            .map(|&position| batch.column(position).clone())
            .collect();
        self.store.open(select(batch, selected, &plan)?);
        match created {
            None => self.offer_rows::<false>(timestamps.values(), &[])?,
            Some(created) => self.offer_rows::<true>(timestamps.values(), created.values())?,
        }
        self.keep_touched()
    }

    fn offer_rows<const CREATED: bool>(&mut self, timestamps: &[i64], created: &[i64]) -> Result<(), PointInTimeError> {
        let index = self.index.clone();
        let times = index.times();
        let ids = std::mem::take(&mut self.ids);
        let batch = self.store.next_batch() - 1;
        for (row, (&id, &timestamp)) in ids.iter().zip(timestamps).enumerate() {
            if id == NO_ENTITY {
                continue;
            }
            let created = if CREATED { created[row] } else { i64::MIN };
            // From when on the row is known, and at which of the entity's labels that is first so.
            let known = timestamp.max(created);
            let slots = index.slots(id);
            let slot = slots.start + times[slots.clone()].partition_point(|&label| label < known);
            if slot == slots.end {
                continue;
            }
            // Too old for this label is too old for all later ones.
            if self
                .plan
                .ttl
                .is_some_and(|ttl| timestamp < times[slot].saturating_sub(ttl))
            {
                continue;
            }
            let place = Place { batch, row: row as u32 };
            let best = self.best[slot];
            let order = if best.place.is_none() {
                Ordering::Greater
            } else if CREATED {
                (timestamp, created).cmp(&(best.timestamp, self.created[slot]))
            } else {
                timestamp.cmp(&best.timestamp)
            };
            let wins = match order {
                Ordering::Less => false,
                Ordering::Greater => true,
                Ordering::Equal => self.store.compare(place, best.place)? == Ordering::Greater,
            };
            if wins {
                self.best[slot] = Best { timestamp, place };
                if CREATED {
                    self.created[slot] = created;
                }
                self.touched.push((slot as u32, row as u32));
            }
        }
        self.ids = ids;
        Ok(())
    }

    /// Stores the rows of the batch that still lead in their slot.
    fn keep_touched(&mut self) -> Result<(), PointInTimeError> {
        let batch = self.store.next_batch() - 1;
        let best = &mut self.best;
        self.touched
            .retain(|&(slot, row)| best[slot as usize].place == Place { batch, row });
        for (kept, &(slot, _)) in self.touched.iter().enumerate() {
            best[slot as usize].place.row = kept as u32;
        }
        let rows = UInt32Array::from_iter_values(self.touched.iter().map(|&(_, row)| row));
        self.touched.clear();
        self.store.keep(&rows)?;
        if self.store.rows() > 2 * self.best.len() + Self::SLACK {
            self.store.compact(
                self.best
                    .iter_mut()
                    .map(|best| &mut best.place)
                    .filter(|place| !place.is_none()),
            )?;
        }
        Ok(())
    }
}

/// The selected columns of a batch, in the types in which they came.
fn select(batch: &RecordBatch, columns: Vec<ArrayRef>, plan: &SourcePlan) -> Result<RecordBatch, PointInTimeError> {
    let fields = plan
        .schema
        .fields()
        .iter()
        .zip(&columns)
        .map(|(field, column)| field.as_ref().clone().with_data_type(column.data_type().clone()))
        .collect::<Vec<_>>();
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    Ok(RecordBatch::try_new_with_options(
        Arc::new(arrow::datatypes::Schema::new(fields)),
        columns,
        &options,
    )?)
}
