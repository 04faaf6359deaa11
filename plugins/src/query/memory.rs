//! How the operators of a session's queries share its memory.
//!
//! An operator that can spill gets an equal share and spills what goes beyond it. So does the merging of what a sort has
//! spilled: it would take whatever is free, and leave the sort beside it unable to merge even two of its files. A part is kept
//! back for operators that cannot spill (a merge of sorted streams, the built side of a join): without it they would find
//! everything taken, however little they need. They may take more than that part while it is free.
//!
//! Deliberately not here: choosing plans that need less memory, and the memory of writers and checks, which is counted apart.

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use datafusion::common::DataFusionError;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryLimit, MemoryPool, MemoryReservation};

/// The engine's name for the merging of what a sort has spilled, before the number of the partition.
const MERGE_OF_SPILLED: &str = "ExternalSorterMerge";
/// One part in so many is kept back for operators that cannot spill.
const KEPT_BACK: usize = 8;

/// The memory of a session, in bytes.
#[derive(Debug)]
pub(super) struct SharedMemory {
    bytes: usize,
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    /// Operators that get a share.
    sharers: usize,
    /// Bytes that these hold together.
    shared: usize,
    /// Bytes of all others.
    other: usize,
}

impl SharedMemory {
    /// So many bytes for all queries of a session together.
    pub(super) fn new(bytes: usize) -> Self {
        Self {
            bytes,
            held: Mutex::default(),
        }
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Bytes that one more reservation of the consumer may come to.
    fn most(&self, consumer: &MemoryConsumer, has: usize, held: &Held) -> usize {
        if has_share(consumer) {
            let kept_back = (self.bytes / KEPT_BACK).max(held.other);
            let share = self.bytes.saturating_sub(kept_back) / held.sharers.max(1);
            // Others may have come since it got what it has.
            share.min(has + self.bytes.saturating_sub(held.shared + held.other))
        } else {
            has + self.bytes.saturating_sub(held.shared + held.other)
        }
    }
}

fn has_share(consumer: &MemoryConsumer) -> bool {
    consumer.can_spill() || consumer.name().starts_with(MERGE_OF_SPILLED)
}

impl fmt::Display for SharedMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}({} bytes)", self.name(), self.bytes)
    }
}

impl MemoryPool for SharedMemory {
    fn name(&self) -> &str {
        "shared"
    }

    fn register(&self, consumer: &MemoryConsumer) {
        if has_share(consumer) {
            self.held().sharers += 1;
        }
    }

    fn unregister(&self, consumer: &MemoryConsumer) {
        if has_share(consumer) {
            self.held().sharers -= 1;
        }
    }

    fn grow(&self, reservation: &MemoryReservation, additional: usize) {
        let mut held = self.held();
        if has_share(reservation.consumer()) {
            held.shared += additional;
        } else {
            held.other += additional;
        }
    }

    fn shrink(&self, reservation: &MemoryReservation, shrink: usize) {
        let mut held = self.held();
        if has_share(reservation.consumer()) {
            held.shared -= shrink;
        } else {
            held.other -= shrink;
        }
    }

    fn try_grow(&self, reservation: &MemoryReservation, additional: usize) -> Result<(), DataFusionError> {
        let (consumer, has) = (reservation.consumer(), reservation.size());
        let mut held = self.held();
        let most = self.most(consumer, has, &held);
        if has + additional > most {
            return Err(DataFusionError::ResourcesExhausted(format!(
                "{} has {} and asks for {} more, of {} for the whole query",
                consumer.name(),
                megabytes(has),
                megabytes(additional),
                megabytes(self.bytes)
            )));
        }
        if has_share(consumer) {
            held.shared += additional;
        } else {
            held.other += additional;
        }
        Ok(())
    }

    fn reserved(&self) -> usize {
        let held = self.held();
        held.shared + held.other
    }

    fn memory_limit(&self) -> MemoryLimit {
        MemoryLimit::Finite(self.bytes)
    }
}

fn megabytes(bytes: usize) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn spiller(name: &str, pool: &Arc<dyn MemoryPool>) -> MemoryReservation {
        MemoryConsumer::new(name).with_can_spill(true).register(pool)
    }

    #[test]
    fn sorts_and_their_merges_get_equal_shares_and_leave_room_for_the_rest() {
        let pool: Arc<dyn MemoryPool> = Arc::new(SharedMemory::new(800));
        let sorts = [spiller("ExternalSorter[0]", &pool), spiller("ExternalSorter[1]", &pool)];
        let merges = [0, 1].map(|n| MemoryConsumer::new(format!("{MERGE_OF_SPILLED}[{n}]")).register(&pool));
        // A quarter each of what is not kept back.
        for reservation in sorts.iter().chain(&merges) {
            reservation.try_grow(175).unwrap();
            assert!(reservation.try_grow(1).is_err(), "{}", reservation.consumer().name());
        }
        let last = MemoryConsumer::new("SortPreservingMergeExec[0]").register(&pool);
        last.try_grow(100).unwrap();
        let error = last.try_grow(1).unwrap_err().to_string();
        assert!(
            error.contains("SortPreservingMergeExec[0] has 0.0 MB and asks for"),
            "{error}"
        );
        assert_eq!(pool.reserved(), 800);
        drop((sorts, merges, last));
        assert_eq!(pool.reserved(), 0);
    }

    #[test]
    fn what_cannot_spill_may_take_all_that_is_free_and_sorts_then_get_less() {
        let pool: Arc<dyn MemoryPool> = Arc::new(SharedMemory::new(800));
        let join = MemoryConsumer::new("HashJoinInput").register(&pool);
        join.try_grow(600).unwrap();
        let sort = spiller("ExternalSorter[0]", &pool);
        sort.try_grow(200).unwrap();
        assert!(sort.try_grow(1).is_err());
        assert!(join.try_grow(1).is_err());
        join.shrink(600);
        sort.try_grow(500).unwrap();
        assert!(sort.try_grow(1).is_err());
    }
}
