//! Work dealt to threads. Which thread does what never changes a result here: callers give every item its own place.

/// Runs `work` on every item, on at most `threads` threads (this one included), each with a run of neighbours.
pub(super) fn for_each<T: Send>(threads: usize, items: &mut [T], work: impl Fn(&mut T) + Sync) {
    let threads = threads.clamp(1, items.len().max(1));
    if threads == 1 {
        items.iter_mut().for_each(work);
        return;
    }
    let share = items.len().div_ceil(threads);
    let (own, others) = items.split_at_mut(share);
    std::thread::scope(|scope| {
        for share in others.chunks_mut(share) {
            scope.spawn(|| share.iter_mut().for_each(&work));
        }
        own.iter_mut().for_each(&work);
    });
}
