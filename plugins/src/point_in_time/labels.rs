//! The labels as slots: one per distinct (entity, label time), ascending in time inside an entity.

use std::ops::Range;

use arrow::array::{Array, ArrayRef, RecordBatch};
use arrow::datatypes::DataType;

use super::PointInTimeError;
use super::entity::{EntityIndex, NO_ENTITY};
use super::time::TimeScale;

/// The slot of a label that can have no features: its entity or its time is null.
pub(super) const NO_SLOT: u32 = u32::MAX;

/// Where a feature row of an entity and a time belongs among the labels.
pub(super) struct LabelIndex {
    entities: EntityIndex,
    /// By entity id: its slots are `starts[id]..starts[id + 1]`.
    starts: Vec<u32>,
    /// By slot: the label time, ascending inside an entity.
    times: Vec<i64>,
    /// By label row, over all batches.
    slot_of_row: Vec<u32>,
}

/// Which columns of the labels an index is over, and how they are compared. Sources that agree share one index.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct LabelKeys {
    /// Positions of the entity columns, with the types in which they are compared.
    pub(super) entity: Vec<(usize, DataType)>,
    /// Position and name of the timestamp column.
    pub(super) timestamp: (usize, String),
    /// The scale of the comparison.
    pub(super) scale: TimeScale,
}

impl LabelIndex {
    /// Indexes the labels of all batches.
    pub(super) fn build(batches: &[RecordBatch], keys: &LabelKeys) -> Result<Self, PointInTimeError> {
        let rows: usize = batches.iter().map(RecordBatch::num_rows).sum();
        if rows >= NO_SLOT as usize {
            return Err(PointInTimeError::TooManyLabels);
        }
        let mut entities = EntityIndex::new(keys.entity.iter().map(|(_, data_type)| data_type.clone()).collect())?;
        let mut ids: Vec<u32> = Vec::with_capacity(rows);
        let mut label_times: Vec<i64> = Vec::with_capacity(rows);
        for batch in batches {
            let columns: Vec<ArrayRef> = keys
                .entity
                .iter()
                .map(|(position, _)| batch.column(*position).clone())
                .collect();
            let mut of_batch = entities.intern(&columns, batch.num_rows())?;
            let (position, name) = &keys.timestamp;
            let times = keys.scale.instants(batch.column(*position), "the labels", name)?;
            if times.null_count() > 0 {
                for (row, id) in of_batch.iter_mut().enumerate() {
                    if times.is_null(row) {
                        *id = NO_ENTITY;
                    }
                }
            }
            ids.append(&mut of_batch);
            label_times.extend_from_slice(times.values());
        }
        entities.seal();
        Ok(Self::arrange(entities, &ids, &label_times))
    }

    /// Groups the rows by entity (a counting sort), sorts each group by time, and gives equal times one slot.
    fn arrange(entities: EntityIndex, ids: &[u32], label_times: &[i64]) -> Self {
        let mut offsets = vec![0_usize; entities.len() + 1];
        for &id in ids.iter().filter(|&&id| id != NO_ENTITY) {
            offsets[id as usize + 1] += 1;
        }
        for id in 1..offsets.len() {
            offsets[id] += offsets[id - 1];
        }
        let mut next = offsets.clone();
        let mut grouped = vec![(0_i64, 0_u32); offsets[entities.len()]];
        for (row, &id) in ids.iter().enumerate().filter(|&(_, &id)| id != NO_ENTITY) {
            let place = &mut next[id as usize];
            grouped[*place] = (label_times[row], row as u32);
            *place += 1;
        }
        let mut starts = Vec::with_capacity(offsets.len());
        let mut times: Vec<i64> = Vec::with_capacity(grouped.len());
        let mut slot_of_row = vec![NO_SLOT; ids.len()];
        for bounds in offsets.windows(2) {
            starts.push(times.len() as u32);
            let first = times.len();
            let group = &mut grouped[bounds[0]..bounds[1]];
            group.sort_unstable();
            for &(time, row) in &*group {
                if times.len() == first || times.last() != Some(&time) {
                    times.push(time);
                }
                slot_of_row[row as usize] = times.len() as u32 - 1;
            }
        }
        starts.push(times.len() as u32);
        Self {
            entities,
            starts,
            times,
            slot_of_row,
        }
    }

    /// The ids of entities, to look features up by.
    pub(super) fn entities(&self) -> &EntityIndex {
        &self.entities
    }

    /// The slots of an entity.
    pub(super) fn slots(&self, entity: u32) -> Range<usize> {
        self.starts[entity as usize] as usize..self.starts[entity as usize + 1] as usize
    }

    /// The label time of each slot.
    pub(super) fn times(&self) -> &[i64] {
        &self.times
    }

    /// The slot of each label row, [`NO_SLOT`] where it has none.
    pub(super) fn slot_of_row(&self) -> &[u32] {
        &self.slot_of_row
    }

    /// Bytes held.
    pub(super) fn size(&self) -> usize {
        self.entities.size() + 4 * (self.starts.len() + self.slot_of_row.len()) + 8 * self.times.len()
    }
}
