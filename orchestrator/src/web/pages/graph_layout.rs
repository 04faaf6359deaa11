//! Where the assets stand in the drawing of the graph: a column for each distance from the sources, and within a column an
//! order with few crossings (the usual sweeps over the mean position of the neighbours: Sugiyama, Tagawa and Toda, 1981).

use std::collections::BTreeMap;

/// Sweeps over all columns. More change little.
const SWEEPS: usize = 8;

/// Column and row of every node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    /// By node: column and row.
    pub places: Vec<(usize, usize)>,
    /// How many columns.
    pub columns: usize,
    /// How many rows the fullest column has.
    pub rows: usize,
}

/// Lays out nodes that come upstream first; `reads[n]` are the nodes that `n` reads, each before `n`.
pub fn lay_out(reads: &[Vec<usize>]) -> Layout {
    let mut depth = vec![0_usize; reads.len()];
    for (node, upstream) in reads.iter().enumerate() {
        depth[node] = upstream.iter().map(|above| depth[*above] + 1).max().unwrap_or(0);
    }
    let mut read_by: Vec<Vec<usize>> = vec![Vec::new(); reads.len()];
    for (node, upstream) in reads.iter().enumerate() {
        for above in upstream {
            read_by[*above].push(node);
        }
    }
    // A source stands right before its first reader, not at the far left of a long graph.
    for node in 0..reads.len() {
        if reads[node].is_empty()
            && let Some(nearest) = read_by[node].iter().map(|below| depth[*below]).min()
        {
            depth[node] = nearest.saturating_sub(1);
        }
    }
    let columns = depth.iter().max().map_or(0, |deepest| deepest + 1);
    let mut order: Vec<Vec<usize>> = vec![Vec::new(); columns];
    for (node, depth) in depth.iter().enumerate() {
        order[*depth].push(node);
    }
    let mut best = (crossings(&order, reads), order.clone());
    for sweep in 0..SWEEPS {
        let neighbours = if sweep % 2 == 0 { reads } else { &read_by };
        let positions: BTreeMap<usize, f64> = order.iter().flat_map(|column| centred(column)).collect();
        let indexes: Vec<usize> = if sweep % 2 == 0 {
            (0..columns).collect()
        } else {
            (0..columns).rev().collect()
        };
        let mut positions = positions;
        for index in indexes {
            let mean = |node: usize| {
                let near = &neighbours[node];
                if near.is_empty() {
                    positions[&node]
                } else {
                    near.iter().map(|other| positions[other]).sum::<f64>() / near.len() as f64
                }
            };
            let mut keyed: Vec<(f64, usize)> = order[index].iter().map(|node| (mean(*node), *node)).collect();
            keyed.sort_by(|a, b| a.0.total_cmp(&b.0));
            order[index] = keyed.into_iter().map(|(_, node)| node).collect();
            positions.extend(centred(&order[index]));
        }
        let found = crossings(&order, reads);
        if found < best.0 {
            best = (found, order.clone());
        }
    }
    let order = best.1;
    let rows = order.iter().map(Vec::len).max().unwrap_or(0);
    let mut places = vec![(0, 0); reads.len()];
    for (column, nodes) in order.iter().enumerate() {
        for (row, node) in nodes.iter().enumerate() {
            places[*node] = (column, row);
        }
    }
    Layout { places, columns, rows }
}

/// Positions around a common middle, so that columns of different lengths compare.
fn centred(column: &[usize]) -> impl Iterator<Item = (usize, f64)> {
    let middle = (column.len() as f64 - 1.0) / 2.0;
    column
        .iter()
        .enumerate()
        .map(move |(row, node)| (*node, row as f64 - middle))
}

/// How many pairs of edges cross, edges taken as straight between columns.
fn crossings(order: &[Vec<usize>], reads: &[Vec<usize>]) -> usize {
    let mut place: BTreeMap<usize, (usize, f64)> = BTreeMap::new();
    for (column, nodes) in order.iter().enumerate() {
        place.extend(centred(nodes).map(|(node, row)| (node, (column, row))));
    }
    let edges: Vec<((usize, f64), (usize, f64))> = reads
        .iter()
        .enumerate()
        .flat_map(|(node, upstream)| {
            upstream
                .iter()
                .map(|above| (place[above], place[&node]))
                .collect::<Vec<_>>()
        })
        .collect();
    // Projects with thousands of edges are drawn with the first order: counting is quadratic.
    if edges.len() > 1500 {
        return 0;
    }
    let mut found = 0;
    for (i, a) in edges.iter().enumerate() {
        for b in &edges[i + 1..] {
            let (left, right) = (a.0.0.max(b.0.0), a.1.0.min(b.1.0));
            if left >= right {
                continue;
            }
            let at = |edge: &((usize, f64), (usize, f64)), column: usize| {
                let share = (column - edge.0.0) as f64 / (edge.1.0 - edge.0.0) as f64;
                edge.0.1 + share * (edge.1.1 - edge.0.1)
            };
            let before = at(a, left) - at(b, left);
            let after = at(a, right) - at(b, right);
            found += usize::from(before * after < 0.0);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn crossing_edges_are_untangled() {
        // a, b -> d, c with a-c and b-d given in the crossing order.
        let layout = lay_out(&[vec![], vec![], vec![1], vec![0]]);
        assert_eq!(layout.columns, 2);
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
        let layout = lay_out(&[vec![], vec![0], vec![1], vec![], vec![2, 3]]);
        assert_eq!(
            layout.places.iter().map(|place| place.0).collect::<Vec<_>>(),
            [0, 1, 2, 2, 3]
        );
    }

    proptest! {
        #[test]
        fn every_node_has_a_place_of_its_own_right_of_what_it_reads(edges in prop::collection::vec((0..40_usize, 0..40_usize), 0..90)) {
            let mut reads = vec![Vec::new(); 40];
            for (a, b) in edges {
                if a < b && !reads[b].contains(&a) {
                    reads[b].push(a);
                }
            }
            let layout = lay_out(&reads);
            let places: std::collections::BTreeSet<_> = layout.places.iter().collect();
            prop_assert_eq!(places.len(), 40);
            for (node, upstream) in reads.iter().enumerate() {
                for above in upstream {
                    prop_assert!(layout.places[*above].0 < layout.places[node].0);
                }
            }
        }
    }
}
