//! One tree, grown level by level.
//!
//! A level is a list of nodes, each a run of the row list. Per group of features (on a thread of its own) the histogram of
//! the smaller child is summed over its rows, that of the larger one is the parent's minus it, and the best split of the
//! group is found. Then the best over the groups parts each node's rows in place, keeping their order.

use super::super::parallel;
use super::bins::{BinnedRows, CELLS, FeatureBins, Group};
use super::gradients::Gradients;
use super::histogram::{Histogram, Sums, accumulate, subtract};
use super::split::{Rules, Search, Split};
use super::tree::TreeBuilder;

/// Below so many rows in a level, threads cost more than they bring.
const ROWS_WORTH_THREADS: usize = 4096;

/// A node whose split is still to be found.
#[derive(Debug, Clone, Copy)]
struct Node {
    /// Its number in the tree.
    id: usize,
    start: usize,
    end: usize,
    sums: Sums,
}

impl Node {
    fn rows(&self) -> usize {
        self.end - self.start
    }
}

/// Nodes whose histograms are made together: a node on its own, or two siblings with the histogram of their parent.
#[derive(Debug, Clone, Copy)]
struct Family {
    /// The parent's place in the level above.
    parent: Option<usize>,
    /// Its rows are summed.
    smaller: Node,
    /// Had by subtraction.
    larger: Option<Node>,
}

/// What one group of features keeps while a tree grows.
struct GroupState<'a> {
    group: &'a Group,
    features: &'a [FeatureBins],
    /// The features that this tree sees, as places in the group; `None` for all.
    only: Option<Vec<usize>>,
    /// By node of the level, in the order of the families.
    histograms: Vec<Histogram>,
    /// By node of the level.
    splits: Vec<Option<Split>>,
    spare: Vec<Histogram>,
}

impl GroupState<'_> {
    fn blank(&mut self) -> Histogram {
        match self.spare.pop() {
            Some(mut histogram) => {
                for feature in &mut histogram {
                    feature.fill([0, 0]);
                }
                histogram
            }
            None => vec![[[0, 0]; CELLS]; self.group.width],
        }
    }

    fn level(&mut self, families: &[Family], rows: &[u32], gradients: &Gradients, rules: &Rules) {
        let mut parents: Vec<Option<Histogram>> = std::mem::take(&mut self.histograms).into_iter().map(Some).collect();
        self.splits.clear();
        for family in families {
            let mut smaller = self.blank();
            let of_node = &rows[family.smaller.start..family.smaller.end];
            accumulate(self.group, of_node, &gradients.rows, self.only.as_deref(), &mut smaller);
            let split = self.best(&smaller, family.smaller.sums, rules);
            self.splits.push(split);
            let parent = family.parent.and_then(|parent| parents[parent].take());
            if let (Some(node), Some(mut larger)) = (family.larger, parent) {
                subtract(&mut larger, &smaller);
                let split = self.best(&larger, node.sums, rules);
                self.splits.push(split);
                self.histograms.push(smaller);
                self.histograms.push(larger);
            } else {
                self.histograms.push(smaller);
            }
        }
        self.spare.extend(parents.into_iter().flatten());
    }

    fn best(&self, histogram: &Histogram, sums: Sums, rules: &Rules) -> Option<Split> {
        if !rules.splittable(sums) {
            return None;
        }
        let mut search = Search::new(rules, sums);
        let mut look = |place: usize| {
            let feature = self.group.first + place;
            search.feature(feature, &self.features[feature], &histogram[place]);
        };
        match &self.only {
            None => (0..self.group.width).for_each(&mut look),
            Some(only) => only.iter().copied().for_each(&mut look),
        }
        search.best()
    }
}

/// What a tree is grown on.
pub(super) struct Ground<'a> {
    pub(super) binned: &'a BinnedRows,
    pub(super) gradients: &'a Gradients,
    pub(super) rules: Rules,
    pub(super) max_depth: usize,
    pub(super) learning_rate: f64,
    /// The features that the tree sees, ascending; `None` for all.
    pub(super) sees: Option<&'a [usize]>,
    pub(super) threads: usize,
}

/// Rows of one leaf: a run of the row list, in ascending order.
pub(super) struct LeafRows {
    start: usize,
    end: usize,
    value: f64,
}

/// Adds the values of leaves to the scores of their rows.
pub(super) fn add_leaves(scores: &mut [f64], rows: &[u32], leaves: &[LeafRows], threads: usize) {
    let share = scores.len().div_ceil(threads.max(1)).max(1);
    let mut parts: Vec<(usize, &mut [f64])> = scores
        .chunks_mut(share)
        .enumerate()
        .map(|(place, part)| (place * share, part))
        .collect();
    parallel::for_each(threads, &mut parts, |(from, part)| {
        let until = *from + part.len();
        for leaf in leaves {
            let own = &rows[leaf.start..leaf.end];
            let first = own.partition_point(|&row| (row as usize) < *from);
            let last = own.partition_point(|&row| (row as usize) < until);
            for &row in &own[first..last] {
                part[row as usize - *from] += leaf.value;
            }
        }
    });
}

/// Rows per piece of a sum.
const PIECE: usize = 1 << 15;

/// The derivatives of all rows. Sums of integers: the order does not matter.
fn total(ground: &Ground<'_>, rows: &[u32]) -> Sums {
    let mut pieces: Vec<(&[u32], Sums)> = rows.chunks(PIECE).map(|rows| (rows, [0, 0])).collect();
    parallel::for_each(ground.threads, &mut pieces, |(rows, sums)| {
        for &row in *rows {
            let [first, second] = ground.gradients.rows[row as usize];
            sums[0] += i64::from(first);
            sums[1] += i64::from(second);
        }
    });
    pieces
        .iter()
        .fold([0, 0], |all, (_, sums)| [all[0] + sums[0], all[1] + sums[1]])
}

/// Grows a tree on these rows (ascending), which are reordered by leaf.
pub(super) fn grow(ground: &Ground<'_>, rows: &mut [u32]) -> (TreeBuilder, Vec<LeafRows>) {
    let sums = total(ground, rows);
    let weight = |sums: Sums| sums[1] as f64 * ground.rules.second_unit;
    let mut tree = TreeBuilder::new(weight(sums));
    let mut groups = start_groups(ground);
    let root = Node {
        id: 0,
        start: 0,
        end: rows.len(),
        sums,
    };
    let mut families = vec![Family {
        parent: None,
        smaller: root,
        larger: None,
    }];
    let mut leaves = Vec::new();
    let mut close = |tree: &mut TreeBuilder, node: &Node| {
        let value = ground.rules.leaf(node.sums) * ground.learning_rate;
        tree.leaf(node.id, value);
        let (start, end) = (node.start, node.end);
        leaves.push(LeafRows { start, end, value });
    };
    let mut scratch = vec![0_u32; rows.len()];
    for depth in 0..ground.max_depth {
        let nodes: Vec<Node> = families
            .iter()
            .flat_map(|f| [Some(f.smaller), f.larger])
            .flatten()
            .collect();
        let summed: usize = families.iter().map(|family| family.smaller.rows()).sum();
        let threads = if summed < ROWS_WORTH_THREADS { 1 } else { ground.threads };
        parallel::for_each(threads, &mut groups, |group| {
            group.level(&families, rows, ground.gradients, &ground.rules);
        });

        // Groups are in the order of their features, so the first of equal gains is the lowest feature.
        let best = |node: usize| {
            let splits = groups.iter().filter_map(|group| group.splits[node].as_ref());
            splits.fold(None, |best: Option<&Split>, split| match best {
                Some(best) if best.gain >= split.gain => Some(best),
                _ => Some(split),
            })
        };
        let mut parting: Vec<(usize, Node, Split)> = Vec::new();
        for (place, node) in nodes.iter().enumerate() {
            match best(place) {
                Some(split) => parting.push((place, *node, split.clone())),
                None => close(&mut tree, node),
            }
        }
        families.clear();
        if parting.is_empty() {
            break;
        }
        let middles = part_all(ground, &parting, rows, &mut scratch);
        let deepest = depth + 1 == ground.max_depth;
        for ((place, node, split), middle) in parting.into_iter().zip(middles) {
            let right_sums = [node.sums[0] - split.left[0], node.sums[1] - split.left[1]];
            let (left_id, right_id) = tree.split(
                node.id,
                &split,
                &ground.binned.features,
                [weight(split.left), weight(right_sums)],
            );
            let left = Node {
                id: left_id,
                start: node.start,
                end: middle,
                sums: split.left,
            };
            let right = Node {
                id: right_id,
                start: middle,
                end: node.end,
                sums: right_sums,
            };
            if deepest || !(ground.rules.splittable(left.sums) || ground.rules.splittable(right.sums)) {
                close(&mut tree, &left);
                close(&mut tree, &right);
                continue;
            }
            let (smaller, larger) = if left.rows() <= right.rows() {
                (left, right)
            } else {
                (right, left)
            };
            families.push(Family {
                parent: Some(place),
                smaller,
                larger: Some(larger),
            });
        }
        if families.is_empty() {
            break;
        }
    }
    // With a depth of zero levels left, families is empty: the loop closes or splits every node it meets.
    (tree, leaves)
}

fn start_groups<'a>(ground: &Ground<'a>) -> Vec<GroupState<'a>> {
    let groups = ground.binned.groups.iter().map(|group| GroupState {
        group,
        features: &ground.binned.features,
        only: ground.sees.map(|sees| {
            let of_group = group.first..group.first + group.width;
            sees.iter()
                .filter(|feature| of_group.contains(feature))
                .map(|feature| feature - group.first)
                .collect()
        }),
        histograms: Vec::new(),
        splits: Vec::new(),
        spare: Vec::new(),
    });
    groups.collect()
}

/// A node's rows, to be parted.
struct Parting<'a> {
    rows: &'a mut [u32],
    scratch: &'a mut [u32],
    group: &'a Group,
    place: usize,
    table: [bool; CELLS],
    left: usize,
}

impl Parting<'_> {
    /// Moves the rows that go left to the front; both sides keep their order.
    fn part(&mut self) {
        let (mut left, mut right) = (0, 0);
        for at in 0..self.rows.len() {
            let row = self.rows[at];
            let goes_left = self.table[self.group.bins[row as usize * self.group.width + self.place] as usize];
            // Both are written and one of them counts: no branch to mispredict.
            self.rows[left] = row;
            self.scratch[right] = row;
            left += usize::from(goes_left);
            right += usize::from(!goes_left);
        }
        self.rows[left..].copy_from_slice(&self.scratch[..right]);
        self.left = left;
    }
}

/// Parts the rows of all nodes that split; gives where the right side of each begins.
fn part_all(
    ground: &Ground<'_>,
    parting: &[(usize, Node, Split)],
    rows: &mut [u32],
    scratch: &mut [u32],
) -> Vec<usize> {
    let mut order: Vec<usize> = (0..parting.len()).collect();
    order.sort_unstable_by_key(|&position| parting[position].1.start);
    let (mut rest, mut scratch) = (rows, scratch);
    let mut cut = 0;
    let mut jobs: Vec<(usize, Parting<'_>)> = Vec::with_capacity(parting.len());
    for position in order {
        let (_, node, split) = &parting[position];
        let (_, from_start) = std::mem::take(&mut rest).split_at_mut(node.start - cut);
        let (own, after) = from_start.split_at_mut(node.rows());
        let (own_scratch, scratch_after) = std::mem::take(&mut scratch).split_at_mut(node.rows());
        (rest, scratch, cut) = (after, scratch_after, node.end);
        let (group, place) = ground.binned.place(split.feature);
        jobs.push((
            position,
            Parting {
                rows: own,
                scratch: own_scratch,
                group,
                place,
                table: split.table(),
                left: 0,
            },
        ));
    }
    let total: usize = jobs.iter().map(|(_, job)| job.rows.len()).sum();
    let threads = if total < ROWS_WORTH_THREADS { 1 } else { ground.threads };
    // The largest first, each to the thread with the least to do.
    jobs.sort_by_key(|(_, job)| std::cmp::Reverse(job.rows.len()));
    let mut shares: Vec<(usize, Vec<(usize, Parting<'_>)>)> = (0..threads).map(|_| (0, Vec::new())).collect();
    for job in jobs {
        let share = shares
            .iter_mut()
            .min_by_key(|(rows, _)| *rows)
            .expect("there is at least one thread");
        share.0 += job.1.rows.len();
        share.1.push(job);
    }
    parallel::for_each(threads, &mut shares, |(_, jobs)| {
        for (_, job) in jobs {
            job.part();
        }
    });
    let mut middles = vec![0; parting.len()];
    for (position, job) in shares.into_iter().flat_map(|(_, jobs)| jobs) {
        middles[position] = parting[position].1.start + job.left;
    }
    middles
}
