//! Where the assets stand in the drawing of the graph: in which column, and within a column in an order with few crossings (the
//! usual sweeps over the mean position of the neighbours: Sugiyama, Tagawa and Toda, 1981).
//!
//! Columns are either distances from the sources or layers. A layer that stands before and behind another one (features of
//! a gold table, and a gold table of features) gets columns in both places, so that what is read always stands to the left.

use std::collections::{BTreeMap, HashMap};

/// Sweeps over all columns. More change little.
const SWEEPS: usize = 8;

/// What stands in a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Item {
    /// The box of this node.
    Box(usize),
    /// Edges from this node pass on their way to a column behind.
    Lane(usize),
}

/// What stands where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    /// Column by column, from top to bottom.
    pub columns: Vec<Vec<Item>>,
    /// By node: column, and row among the boxes of that column.
    pub places: Vec<(usize, usize)>,
}

/// Columns of one layer beside each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Band {
    /// The layer, as a number.
    pub layer: usize,
    /// Its first column.
    pub first: usize,
    /// How many columns.
    pub columns: usize,
}

/// A column for each distance from the sources. `reads[n]` are the nodes that `n` reads; one that does not come before `n` closes
/// a circle and does not count.
pub fn by_distance(reads: &[Vec<usize>]) -> Vec<usize> {
    let mut depth = vec![0_usize; reads.len()];
    let mut nearest: Vec<Option<usize>> = vec![None; reads.len()];
    for node in 0..reads.len() {
        let before = reads[node].iter().filter(|above| **above < node);
        depth[node] = before.map(|above| depth[*above] + 1).max().unwrap_or(0);
        for above in reads[node].iter().filter(|above| **above < node) {
            let known = nearest[*above].get_or_insert(depth[node]);
            *known = (*known).min(depth[node]);
        }
    }
    // A source stands right before its first reader, not at the far left of a long graph.
    for (node, upstream) in reads.iter().enumerate() {
        if let (true, Some(nearest)) = (upstream.is_empty(), nearest[node]) {
            depth[node] = nearest.saturating_sub(1);
        }
    }
    depth
}

/// Columns of one layer each; `layers[n]` is the layer of node `n`.
pub fn by_layer(reads: &[Vec<usize>], layers: &[usize]) -> (Vec<usize>, Vec<Band>) {
    let count = reads.len();
    let mut column: Vec<Option<usize>> = vec![None; count];
    let mut bands = Vec::new();
    let mut next = 0;
    let mut left: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (node, layer) in layers.iter().enumerate() {
        left.entry(*layer).or_default().push(node);
    }
    while !left.is_empty() {
        // The layer of which the largest share can stand now; of equals the first.
        let mut best: Option<(f64, usize, Vec<(usize, usize)>)> = None;
        for (layer, nodes) in &left {
            let ready = ready(nodes, reads, &column);
            let share = ready.len() as f64 / nodes.len() as f64;
            if !ready.is_empty() && best.as_ref().is_none_or(|(most, ..)| share > *most) {
                best = Some((share, *layer, ready));
            }
        }
        let (layer, placed) = match best {
            Some((_, layer, placed)) => (layer, placed),
            // A circle, as folded layers make them: the first node breaks it.
            None => {
                let (layer, nodes) = left.first_key_value().expect("something is left");
                (*layer, vec![(nodes[0], 0)])
            }
        };
        let width = placed.iter().map(|(_, depth)| depth + 1).max().unwrap_or(1);
        for (node, depth) in &placed {
            column[*node] = Some(next + depth);
        }
        match bands.last_mut() {
            Some(Band {
                layer: same, columns, ..
            }) if *same == layer => *columns += width,
            _ => bands.push(Band {
                layer,
                first: next,
                columns: width,
            }),
        }
        next += width;
        if let Some(nodes) = left.get_mut(&layer) {
            nodes.retain(|node| column[*node].is_none());
            if nodes.is_empty() {
                left.remove(&layer);
            }
        }
    }
    (column.into_iter().map(|column| column.unwrap_or(0)).collect(), bands)
}

/// Those of a layer's nodes whose inputs all stand, or are among them; with their distance from its first.
fn ready(nodes: &[usize], reads: &[Vec<usize>], column: &[Option<usize>]) -> Vec<(usize, usize)> {
    let mut depths: BTreeMap<usize, usize> = BTreeMap::new();
    for &node in nodes {
        let mut depth = 0;
        let all = reads[node]
            .iter()
            .all(|above| match (column[*above], depths.get(above)) {
                (Some(_), _) => true,
                (None, Some(inside)) => {
                    depth = depth.max(inside + 1);
                    true
                }
                (None, None) => false,
            });
        if all {
            depths.insert(node, depth);
        }
    }
    depths.into_iter().collect()
}

/// Orders what stands in each column. An edge that passes columns gets a lane in each of them, which all edges of one node
/// share, so that it does not run behind boxes; one that leads back gets none.
pub fn lay_out(reads: &[Vec<usize>], column_of: &[usize]) -> Layout {
    let count = reads.len();
    let mut column_of = column_of.to_vec();
    let mut items: Vec<Item> = (0..count).map(Item::Box).collect();
    let mut above: Vec<Vec<usize>> = vec![Vec::new(); count];
    let mut lanes: HashMap<(usize, usize), usize> = HashMap::new();
    for (node, upstream) in reads.iter().enumerate() {
        for source in upstream {
            let mut last = *source;
            for column in column_of[*source] + 1..column_of[node] {
                last = *lanes.entry((*source, column)).or_insert_with(|| {
                    items.push(Item::Lane(*source));
                    column_of.push(column);
                    above.push(vec![last]);
                    items.len() - 1
                });
            }
            above[node].push(last);
        }
    }
    let mut below: Vec<Vec<usize>> = vec![Vec::new(); items.len()];
    for (item, upstream) in above.iter().enumerate() {
        for other in upstream {
            below[*other].push(item);
        }
    }
    let columns = column_of.iter().max().map_or(0, |last| last + 1);
    let mut order: Vec<Vec<usize>> = vec![Vec::new(); columns];
    for (item, column) in column_of.iter().enumerate() {
        order[*column].push(item);
    }
    let mut position = vec![0.0; items.len()];
    for column in &order {
        centre(column, &mut position);
    }
    let mut best = (crossings(&above, &column_of, &position), order.clone());
    for sweep in 0..SWEEPS {
        if best.0 == 0 {
            break;
        }
        let forth = sweep % 2 == 0;
        let neighbours = if forth { &above } else { &below };
        for step in 0..columns {
            let column = if forth { step } else { columns - 1 - step };
            let mean = |item: usize| {
                let near = &neighbours[item];
                if near.is_empty() {
                    position[item]
                } else {
                    near.iter().map(|other| position[*other]).sum::<f64>() / near.len() as f64
                }
            };
            let mut keyed: Vec<(f64, usize)> = order[column].iter().map(|item| (mean(*item), *item)).collect();
            keyed.sort_by(|a, b| a.0.total_cmp(&b.0));
            order[column] = keyed.into_iter().map(|(_, item)| item).collect();
            centre(&order[column], &mut position);
        }
        let found = crossings(&above, &column_of, &position);
        if found < best.0 {
            best = (found, order.clone());
        }
    }
    let mut places = vec![(0, 0); count];
    let columns: Vec<Vec<Item>> = best
        .1
        .into_iter()
        .map(|column| column.into_iter().map(|item| items[item]).collect())
        .collect();
    for (number, column) in columns.iter().enumerate() {
        let boxes = column.iter().filter_map(|item| match item {
            Item::Box(node) => Some(*node),
            Item::Lane(_) => None,
        });
        for (row, node) in boxes.enumerate() {
            places[node] = (number, row);
        }
    }
    Layout { columns, places }
}

/// Positions around a common middle, so that columns of different lengths compare.
fn centre(column: &[usize], position: &mut [f64]) {
    let middle = (column.len() as f64 - 1.0) / 2.0;
    for (row, node) in column.iter().enumerate() {
        position[*node] = row as f64 - middle;
    }
}

/// How many pairs of edges between the same two columns cross.
fn crossings(reads: &[Vec<usize>], column_of: &[usize], position: &[f64]) -> usize {
    let mut between: BTreeMap<(usize, usize), Vec<(f64, f64)>> = BTreeMap::new();
    for (node, upstream) in reads.iter().enumerate() {
        for above in upstream {
            // An edge that leads back is seen from its left end like all others.
            let (left, right) = if column_of[*above] <= column_of[node] {
                (*above, node)
            } else {
                (node, *above)
            };
            between
                .entry((column_of[left], column_of[right]))
                .or_default()
                .push((position[left], position[right]));
        }
    }
    between
        .into_values()
        .map(|mut edges| {
            edges.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)));
            inversions(&mut edges.into_iter().map(|(_, right)| right).collect::<Vec<f64>>())
        })
        .sum()
}

/// How many pairs stand in the wrong order; sorts them.
fn inversions(values: &mut [f64]) -> usize {
    if values.len() < 2 {
        return 0;
    }
    let (left, right) = values.split_at_mut(values.len() / 2);
    let mut found = inversions(left) + inversions(right);
    let mut merged = Vec::with_capacity(left.len() + right.len());
    let (mut i, mut j) = (0, 0);
    while i < left.len() && j < right.len() {
        if left[i] <= right[j] {
            merged.push(left[i]);
            i += 1;
        } else {
            // It jumps over all that are left of the left half.
            found += left.len() - i;
            merged.push(right[j]);
            j += 1;
        }
    }
    merged.extend_from_slice(&left[i..]);
    merged.extend_from_slice(&right[j..]);
    values.copy_from_slice(&merged);
    found
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn distant(reads: &[Vec<usize>]) -> Layout {
        lay_out(reads, &by_distance(reads))
    }

    #[test]
    fn crossing_edges_are_untangled() {
        // a, b -> d, c with a-c and b-d given in the crossing order.
        let layout = distant(&[vec![], vec![], vec![1], vec![0]]);
        assert_eq!(layout.columns.iter().map(Vec::len).collect::<Vec<_>>(), [2, 2]);
        let (a, b, of_b, of_a) = (
            layout.places[0].1,
            layout.places[1].1,
            layout.places[2].1,
            layout.places[3].1,
        );
        assert_eq!(a < b, of_a < of_b, "{layout:?}");
    }

    #[test]
    fn a_late_source_stands_beside_its_reader() {
        assert_eq!(
            by_distance(&[vec![], vec![0], vec![1], vec![], vec![2, 3]]),
            [0, 1, 2, 2, 3]
        );
    }

    #[test]
    fn a_layer_that_is_read_by_what_it_reads_stands_twice() {
        // bronze 0; gold 1; features 2; gold 3 of features; gold 4 of gold 1.
        let (columns, bands) = by_layer(&[vec![], vec![0], vec![1], vec![2], vec![1]], &[0, 1, 2, 1, 1]);
        let band = |layer, first, columns| Band { layer, first, columns };
        assert_eq!(columns, [0, 1, 3, 4, 2]);
        assert_eq!(bands, [band(0, 0, 1), band(1, 1, 2), band(2, 3, 1), band(1, 4, 1)]);
    }

    #[test]
    fn edges_of_one_node_share_a_lane_past_other_columns() {
        // 0 -> 1 -> 2 -> 3, and 2 and 3 read 0 too.
        let layout = distant(&[vec![], vec![0], vec![1, 0], vec![2, 0]]);
        let lanes = |column: usize| {
            layout.columns[column]
                .iter()
                .filter(|item| **item == Item::Lane(0))
                .count()
        };
        assert_eq!([lanes(0), lanes(1), lanes(2), lanes(3)], [0, 1, 1, 0]);
        assert_eq!(layout.places, [(0, 0), (1, 0), (2, 0), (3, 0)]);
    }

    #[test]
    fn folded_layers_that_read_each_other_stand_somewhere() {
        let reads = [vec![1], vec![0]];
        let (columns, bands) = by_layer(&reads, &[0, 1]);
        assert_eq!((columns.clone(), bands.len()), (vec![0, 1], 2));
        assert_eq!(lay_out(&reads, &columns).places, [(0, 0), (1, 0)]);
    }

    fn graph() -> impl Strategy<Value = (Vec<Vec<usize>>, Vec<usize>)> {
        let edges = prop::collection::vec((0..40_usize, 0..40_usize), 0..90);
        (edges, prop::collection::vec(0..5_usize, 40)).prop_map(|(edges, layers)| {
            let mut reads = vec![Vec::new(); 40];
            for (a, b) in edges {
                if a < b && !reads[b].contains(&a) {
                    reads[b].push(a);
                }
            }
            (reads, layers)
        })
    }

    proptest! {
        #[test]
        fn every_node_has_a_place_of_its_own_right_of_what_it_reads((reads, layers) in graph()) {
            let (by_layer, bands) = by_layer(&reads, &layers);
            for columns in [by_distance(&reads), by_layer.clone()] {
                let layout = lay_out(&reads, &columns);
                let places: std::collections::BTreeSet<_> = layout.places.iter().collect();
                prop_assert_eq!(places.len(), 40);
                for (node, upstream) in reads.iter().enumerate() {
                    for above in upstream {
                        prop_assert!(layout.places[*above].0 < layout.places[node].0);
                    }
                }
            }
            for (node, column) in by_layer.iter().enumerate() {
                let band = bands.iter().find(|band| (band.first..band.first + band.columns).contains(column));
                prop_assert_eq!(band.map(|band| band.layer), Some(layers[node]));
            }
        }

        #[test]
        fn inversions_are_counted(values in prop::collection::vec(0..9_i32, 0..40)) {
            let mut floats: Vec<f64> = values.iter().map(|value| f64::from(*value)).collect();
            let mut wanted = 0;
            for (i, a) in values.iter().enumerate() {
                wanted += values[i + 1..].iter().filter(|b| a > b).count();
            }
            prop_assert_eq!(inversions(&mut floats), wanted);
            prop_assert!(floats.is_sorted());
        }
    }
}
