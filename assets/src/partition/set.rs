//! Which partitions of a set: a few ranges of indexes, however many partitions there are.

use std::ops::Range;

/// A set of partition indexes, kept as sorted ranges that neither touch nor overlap. A million consecutive partitions cost
/// one range.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PartitionSet {
    ranges: Vec<Range<usize>>,
}

impl PartitionSet {
    /// Nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// One stretch.
    pub fn from_range(range: Range<usize>) -> Self {
        let mut set = Self::new();
        set.insert_range(range);
        set
    }

    /// Adds one index.
    pub fn insert(&mut self, index: usize) {
        self.insert_range(index..index + 1);
    }

    /// Adds a stretch.
    pub fn insert_range(&mut self, range: Range<usize>) {
        if range.is_empty() {
            return;
        }
        // The common case: indexes arrive in order.
        if let Some(last) = self.ranges.last_mut() {
            if range.start > last.end {
                self.ranges.push(range);
                return;
            }
            if range.start >= last.start {
                last.end = last.end.max(range.end);
                return;
            }
        } else {
            self.ranges.push(range);
            return;
        }
        let first = self.ranges.partition_point(|r| r.end < range.start);
        let after = self.ranges.partition_point(|r| r.start <= range.end);
        let merged = if first < after {
            range.start.min(self.ranges[first].start)..range.end.max(self.ranges[after - 1].end)
        } else {
            range
        };
        self.ranges.splice(first..after, [merged]);
    }

    /// Whether the index is in the set.
    pub fn contains(&self, index: usize) -> bool {
        let at = self.ranges.partition_point(|r| r.end <= index);
        self.ranges.get(at).is_some_and(|r| r.contains(&index))
    }

    /// How many indexes.
    pub fn len(&self) -> usize {
        self.ranges.iter().map(ExactSizeIterator::len).sum()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// The indexes in order.
    pub fn iter(&self) -> impl Iterator<Item = usize> + '_ {
        self.ranges.iter().cloned().flatten()
    }

    /// The stretches in order.
    pub fn ranges(&self) -> &[Range<usize>] {
        &self.ranges
    }

    /// What is in this set and not in another.
    #[must_use]
    pub fn difference(&self, other: &Self) -> Self {
        let mut left = Self::new();
        for range in &self.ranges {
            let mut from = range.start;
            let first = other.ranges.partition_point(|r| r.end <= range.start);
            for hole in other.ranges[first..].iter().take_while(|hole| hole.start < range.end) {
                left.insert_range(from..hole.start.max(from));
                from = hole.end;
            }
            left.insert_range(from.min(range.end)..range.end);
        }
        left
    }

    /// Adds everything of another set.
    pub fn union(&mut self, other: &Self) {
        for range in &other.ranges {
            self.insert_range(range.clone());
        }
    }
}

impl FromIterator<usize> for PartitionSet {
    fn from_iter<I: IntoIterator<Item = usize>>(indexes: I) -> Self {
        let mut set = Self::new();
        for index in indexes {
            set.insert(index);
        }
        set
    }
}
