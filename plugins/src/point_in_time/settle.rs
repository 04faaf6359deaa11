//! The winners of all labels: over the workers of a source, then forward in time inside each entity.

use std::cmp::Ordering;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch, new_null_array};
use arrow::compute::interleave;

use super::PointInTimeError;
use super::labels::{LabelIndex, NO_SLOT};
use super::tie::{Place, RowStore};
use super::winners::{Rank, SourcePlan, Winners};

/// The winning feature row of every label, for one source.
pub(super) struct Settled {
    index: Arc<LabelIndex>,
    /// By slot: its winner, a place in `batches`.
    winners: Vec<Place>,
    /// Kept rows; the last batch is one row of nulls.
    batches: Vec<RecordBatch>,
    bytes: usize,
}

impl Settled {
    /// Settles the slots among what the workers found.
    pub(super) fn new(
        index: Arc<LabelIndex>,
        plan: &SourcePlan,
        mut workers: Vec<Winners>,
    ) -> Result<Self, PointInTimeError> {
        let mut store = RowStore::new(plan.schema.clone());
        let moved_by: Vec<u32> = workers
            .iter_mut()
            .map(|worker| store.absorb(worker.take_store()))
            .collect();
        let times = index.times();
        let mut winners = vec![Place::NONE; times.len()];
        for entity in 0..index.entities().len() as u32 {
            let mut leader: Option<(Rank, Place)> = None;
            for slot in index.slots(entity) {
                for (worker, moved_by) in workers.iter().zip(&moved_by) {
                    let Some((rank, place)) = worker.best(slot) else {
                        continue;
                    };
                    let place = Place {
                        batch: place.batch + moved_by,
                        ..place
                    };
                    let wins = match &leader {
                        None => true,
                        Some((leading, leading_place)) => match rank.cmp(leading) {
                            Ordering::Less => false,
                            Ordering::Greater => true,
                            Ordering::Equal => store.compare(place, *leading_place)? == Ordering::Greater,
                        },
                    };
                    if wins {
                        leader = Some((rank, place));
                    }
                }
                // The leader has the latest timestamp of all candidates: when it is too old, so are the others.
                let fresh = |timestamp: i64| plan.ttl.is_none_or(|ttl| timestamp >= times[slot].saturating_sub(ttl));
                if let Some(((timestamp, _), place)) = leader
                    && fresh(timestamp)
                {
                    winners[slot] = place;
                }
            }
        }
        let mut bytes = winners.len() * size_of::<Place>();
        let mut batches = store.into_batches();
        let nulls = plan
            .schema
            .fields()
            .iter()
            .map(|field| new_null_array(field.data_type(), 1))
            .collect::<Vec<_>>();
        if !nulls.is_empty() {
            batches.push(RecordBatch::try_new(plan.schema.clone(), nulls)?);
        }
        bytes += batches.iter().map(RecordBatch::get_array_memory_size).sum::<usize>();
        Ok(Self {
            index,
            winners,
            batches,
            bytes,
        })
    }

    /// Bytes held.
    pub(super) fn size(&self) -> usize {
        self.bytes
    }

    /// The selected columns for `rows` label rows from `first` on.
    pub(super) fn columns(&self, first: usize, rows: usize) -> Result<Vec<ArrayRef>, PointInTimeError> {
        let Some(nulls) = self.batches.last() else {
            return Ok(Vec::new());
        };
        let null_row = (self.batches.len() - 1, 0);
        let picks: Vec<(usize, usize)> = self.index.slot_of_row()[first..first + rows]
            .iter()
            .map(|&slot| {
                let place = if slot == NO_SLOT {
                    Place::NONE
                } else {
                    self.winners[slot as usize]
                };
                if place.is_none() {
                    null_row
                } else {
                    (place.batch as usize, place.row as usize)
                }
            })
            .collect();
        (0..nulls.num_columns())
            .map(|column| {
                let arrays: Vec<&dyn Array> = self.batches.iter().map(|batch| batch.column(column).as_ref()).collect();
                Ok(interleave(&arrays, &picks)?)
            })
            .collect()
    }
}
