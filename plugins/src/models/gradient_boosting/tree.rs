//! Trees as the artifact keeps them, and how they predict.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::super::feature::UNSEEN;
use super::super::parallel;
use super::bins::{BinnedRows, CELLS, FeatureBins};
use super::split::{Side, Split};

/// A tree in arrays by node; node 0 is the root and children come after their parent.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in super::super) struct Tree {
    /// The left child; 0 for a leaf.
    pub(in super::super) left: Vec<u32>,
    /// The right child; 0 for a leaf.
    pub(in super::super) right: Vec<u32>,
    /// The feature of a split; 0 for a leaf.
    pub(in super::super) feature: Vec<u32>,
    /// A split by number: values up to and with this go left. A leaf: its value. A split by categories: 0.
    pub(in super::super) value: Vec<f64>,
    /// Whether missing values go left.
    pub(in super::super) missing_left: Vec<bool>,
    /// Splits by categories: the codes that go left, by node.
    pub(in super::super) categories: BTreeMap<u32, Vec<u32>>,
    /// The loss that a split saved on the training rows; 0 for a leaf.
    pub(in super::super) gain: Vec<f64>,
    /// The sum of second derivatives of the node's training rows.
    pub(in super::super) cover: Vec<f64>,
}

/// Boosted trees: a row's score is the base score plus the leaf values that it falls into.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in super::super) struct Ensemble {
    /// Log-odds (binary) or value (regression) before any tree.
    pub(in super::super) base_score: f64,
    /// The trees, in the order of their rounds.
    pub(in super::super) trees: Vec<Tree>,
}

impl Tree {
    /// Checks that the arrays make a tree over so many features; says what does not.
    pub(in super::super) fn validate(&self, features: usize) -> Result<(), String> {
        let nodes = self.left.len();
        let lengths = [
            self.right.len(),
            self.feature.len(),
            self.value.len(),
            self.missing_left.len(),
            self.gain.len(),
            self.cover.len(),
        ];
        if nodes == 0 || lengths.iter().any(|&length| length != nodes) {
            return Err(format!("its arrays are of lengths {nodes} and {lengths:?}"));
        }
        let mut parents = vec![0_u32; nodes];
        for node in 0..nodes {
            if !self.value[node].is_finite() {
                return Err(format!("node {node} has the value {}", self.value[node]));
            }
            let (left, right) = (self.left[node] as usize, self.right[node] as usize);
            if left == 0 && right == 0 {
                continue;
            }
            for child in [left, right] {
                // Children after their parent: no walk can go round in a circle.
                if child <= node || child >= nodes {
                    return Err(format!("node {node} of {nodes} has the child {child}"));
                }
                parents[child] += 1;
            }
            if self.feature[node] as usize >= features {
                return Err(format!(
                    "node {node} splits on feature {} of {features}",
                    self.feature[node]
                ));
            }
        }
        if let Some(node) = parents.iter().skip(1).position(|&count| count != 1) {
            return Err(format!("node {} has {} parents", node + 1, parents[node + 1]));
        }
        match self
            .categories
            .keys()
            .find(|&&node| self.left.get(node as usize).is_none_or(|&left| left == 0))
        {
            Some(node) => Err(format!("node {node} has categories and is no split")),
            None => Ok(()),
        }
    }
}

/// A tree that is being grown, with what is needed to follow it on binned rows.
pub(super) struct TreeBuilder {
    tree: Tree,
    tables: Vec<Option<Box<[bool; CELLS]>>>,
}

impl TreeBuilder {
    /// A tree of the root alone.
    pub(super) fn new(cover: f64) -> Self {
        let mut builder = Self {
            tree: Tree::default(),
            tables: Vec::new(),
        };
        builder.node(cover);
        builder
    }

    fn node(&mut self, cover: f64) -> usize {
        self.tree.left.push(0);
        self.tree.right.push(0);
        self.tree.feature.push(0);
        self.tree.value.push(0.0);
        self.tree.missing_left.push(false);
        self.tree.gain.push(0.0);
        self.tree.cover.push(cover);
        self.tables.push(None);
        self.tables.len() - 1
    }

    /// Makes a node a leaf.
    pub(super) fn leaf(&mut self, node: usize, value: f64) {
        self.tree.value[node] = value;
    }

    /// Splits a node; gives its left and right child, of these covers.
    pub(super) fn split(
        &mut self,
        node: usize,
        split: &Split,
        features: &[FeatureBins],
        cover: [f64; 2],
    ) -> (usize, usize) {
        let left = self.node(cover[0]);
        let right = self.node(cover[1]);
        self.tree.left[node] = left as u32;
        self.tree.right[node] = right as u32;
        self.tree.feature[node] = split.feature as u32;
        self.tree.missing_left[node] = split.missing_left;
        self.tree.gain[node] = split.gain;
        match (&split.side, &features[split.feature]) {
            (Side::UpTo(bin), FeatureBins::Ordered { upper }) => self.tree.value[node] = upper[*bin as usize],
            (Side::Categories(bins), _) => {
                self.tree
                    .categories
                    .insert(node as u32, bins.iter().map(|&bin| u32::from(bin)).collect());
            }
            (Side::UpTo(_), FeatureBins::Categories { .. }) => unreachable!("categories are split by sets"),
        }
        self.tables[node] = Some(Box::new(split.table()));
        (left, right)
    }

    /// The leaf value of a binned row.
    pub(super) fn follow(&self, binned: &BinnedRows, row: usize) -> f64 {
        let mut node = 0;
        while let Some(table) = &self.tables[node] {
            let goes_left = table[binned.bin(row, self.tree.feature[node] as usize) as usize];
            node = if goes_left {
                self.tree.left[node]
            } else {
                self.tree.right[node]
            } as usize;
        }
        self.tree.value[node]
    }

    /// The finished tree.
    pub(super) fn finish(self) -> Tree {
        self.tree
    }
}

/// A node laid out for walking.
#[derive(Debug, Clone, Copy)]
struct Step {
    /// Threshold, or value of a leaf.
    value: f64,
    feature: u32,
    /// The left child; the node itself is a leaf where this is 0.
    left: u32,
    right: u32,
    /// Where the words of its category set begin, plus one; 0 for a split by number.
    set: u32,
    missing_left: bool,
}

/// An ensemble laid out for prediction.
#[derive(Debug, Clone)]
pub(in super::super) struct Forest {
    base_score: f64,
    steps: Vec<Step>,
    roots: Vec<u32>,
    /// Category sets, 256 bits each.
    sets: Vec<[u64; 4]>,
}

/// Rows that go through all trees together, so that they and the trees stay in the cache.
const BLOCK: usize = 128;

impl Forest {
    /// Lays out a valid ensemble.
    pub(in super::super) fn new(ensemble: &Ensemble) -> Self {
        let mut forest = Self {
            base_score: ensemble.base_score,
            steps: Vec::new(),
            roots: Vec::new(),
            sets: Vec::new(),
        };
        for tree in &ensemble.trees {
            let root = forest.steps.len() as u32;
            forest.roots.push(root);
            for node in 0..tree.left.len() {
                let set = tree.categories.get(&(node as u32)).map_or(0, |codes| {
                    let mut words = [0_u64; 4];
                    for &code in codes {
                        words[code as usize / 64 % 4] |= 1 << (code % 64);
                    }
                    forest.sets.push(words);
                    forest.sets.len() as u32
                });
                let child = |child: u32| if child == 0 { 0 } else { root + child };
                forest.steps.push(Step {
                    value: tree.value[node],
                    feature: tree.feature[node],
                    left: child(tree.left[node]),
                    right: child(tree.right[node]),
                    set,
                    missing_left: tree.missing_left[node],
                });
            }
        }
        forest
    }

    /// The scores of rows given as columns of equal length.
    pub(in super::super) fn scores(&self, columns: &[Vec<f64>], rows: usize, threads: usize) -> Vec<f64> {
        let mut scores = vec![self.base_score; rows];
        let share = rows.div_ceil(threads.max(1)).next_multiple_of(BLOCK);
        let mut parts: Vec<(usize, &mut [f64])> = scores
            .chunks_mut(share.max(BLOCK))
            .enumerate()
            .map(|(place, part)| (place * share, part))
            .collect();
        parallel::for_each(threads, &mut parts, |(first, part)| {
            self.add_scores(columns, *first, part)
        });
        scores
    }

    /// Adds the trees' values to the scores of the rows from `start` on.
    fn add_scores(&self, columns: &[Vec<f64>], start: usize, scores: &mut [f64]) {
        let width = columns.len();
        let mut block = vec![0.0; BLOCK * width];
        for (place, scores) in scores.chunks_mut(BLOCK).enumerate() {
            let first = start + place * BLOCK;
            for (feature, column) in columns.iter().enumerate() {
                for (row, &value) in column[first..first + scores.len()].iter().enumerate() {
                    block[row * width + feature] = value;
                }
            }
            for &root in &self.roots {
                for (row, score) in scores.iter_mut().enumerate() {
                    *score += self.walk(root, &block[row * width..(row + 1) * width]);
                }
            }
        }
    }

    fn walk(&self, root: u32, row: &[f64]) -> f64 {
        let mut step = &self.steps[root as usize];
        while step.left != 0 {
            let value = row[step.feature as usize];
            let goes_left = if step.set == 0 {
                if value.is_nan() {
                    step.missing_left
                } else {
                    value <= step.value
                }
            } else if value.is_nan() || value == UNSEEN {
                step.missing_left
            } else {
                let code = value as usize;
                self.sets[step.set as usize - 1][code / 64 % 4] >> (code % 64) & 1 == 1
            };
            step = &self.steps[if goes_left { step.left } else { step.right } as usize];
        }
        step.value
    }
}
