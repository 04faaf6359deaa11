//! A small least-recently-used cache bounded by weight. What it holds is immutable, so there is nothing to invalidate.

use std::sync::{Mutex, PoisonError};

use ahash::HashMap;

/// Values by location; the least recently used go first when the weight exceeds the limit.
#[derive(Debug)]
pub(crate) struct Cache<V> {
    limit: usize,
    state: Mutex<State<V>>,
}

#[derive(Debug)]
struct State<V> {
    entries: HashMap<String, Entry<V>>,
    weight: usize,
    clock: u64,
}

#[derive(Debug)]
struct Entry<V> {
    value: V,
    weight: usize,
    used: u64,
}

impl<V: Clone> Cache<V> {
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            limit,
            state: Mutex::new(State {
                entries: HashMap::default(),
                weight: 0,
                clock: 0,
            }),
        }
    }

    pub(crate) fn get(&self, location: &str) -> Option<V> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.clock += 1;
        let now = state.clock;
        let entry = state.entries.get_mut(location)?;
        entry.used = now;
        Some(entry.value.clone())
    }

    /// Takes a value out.
    pub(crate) fn take(&self, location: &str) -> Option<V> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = state.entries.remove(location)?;
        state.weight -= entry.weight;
        Some(entry.value)
    }

    /// Keeps `value`, unless it alone is heavier than the limit.
    pub(crate) fn put(&self, location: &str, value: V, weight: usize) {
        if weight > self.limit {
            return;
        }
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.clock += 1;
        let entry = Entry {
            value,
            weight,
            used: state.clock,
        };
        state.weight += weight;
        if let Some(old) = state.entries.insert(location.to_owned(), entry) {
            state.weight -= old.weight;
        }
        if state.weight > self.limit {
            // Make room for a quarter at once, so that a full cache does not sort its entries at every insert.
            let mut by_use: Vec<(u64, String)> = state
                .entries
                .iter()
                .map(|(location, entry)| (entry.used, location.clone()))
                .collect();
            by_use.sort_unstable();
            for (_, location) in by_use {
                if state.weight <= self.limit / 4 * 3 {
                    break;
                }
                if let Some(old) = state.entries.remove(&location) {
                    state.weight -= old.weight;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_recently_used_goes_first() {
        let cache = Cache::new(100);
        for name in ["a", "b", "c", "d"] {
            cache.put(name, name, 25);
        }
        assert_eq!(cache.get("a"), Some("a"));
        cache.put("e", "e", 25);
        assert_eq!(
            (cache.get("a"), cache.get("b"), cache.get("e")),
            (Some("a"), None, Some("e"))
        );
        assert_eq!((cache.take("a"), cache.take("a")), (Some("a"), None));
        cache.put("huge", "huge", 101);
        assert_eq!(cache.get("huge"), None);
    }
}
