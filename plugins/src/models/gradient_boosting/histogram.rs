//! Sums of derivatives by bin.

use super::bins::{CELLS, Group};

/// Sums of first and second derivatives, in the units of [`Gradients`](super::gradients::Gradients).
pub(super) type Sums = [i64; 2];
/// One feature's sums by bin.
pub(super) type FeatureHistogram = [Sums; CELLS];
/// The features of a group, at one node.
pub(super) type Histogram = Vec<FeatureHistogram>;

/// Adds the rows of a node to a histogram. With `only`, just these features of the group (places in it) are summed.
pub(super) fn accumulate(
    group: &Group,
    rows: &[u32],
    gradients: &[[i32; 2]],
    only: Option<&[usize]>,
    into: &mut Histogram,
) {
    if let Some(only) = only {
        for &row in rows {
            let row = row as usize;
            let bins = &group.bins[row * group.width..(row + 1) * group.width];
            let sums = widen(gradients[row]);
            for &feature in only {
                add(&mut into[feature][bins[feature] as usize], sums);
            }
        }
        return;
    }
    // A loop of known length per width: the compiler unrolls it.
    macro_rules! by_width {
        ($($width:literal)*) => {
            match group.width {
                $($width => unrolled::<$width>(&group.bins, rows, gradients, into),)*
                width => unreachable!("groups are at most 16 wide, not {width}"),
            }
        };
    }
    by_width!(1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16);
}

fn unrolled<const WIDTH: usize>(bins: &[u8], rows: &[u32], gradients: &[[i32; 2]], into: &mut Histogram) {
    let (bins, _) = bins.as_chunks::<WIDTH>();
    let Some(into) = into.first_chunk_mut::<WIDTH>() else {
        return;
    };
    for &row in rows {
        let sums = widen(gradients[row as usize]);
        let bins = &bins[row as usize];
        for feature in 0..WIDTH {
            add(&mut into[feature][bins[feature] as usize], sums);
        }
    }
}

fn widen([first, second]: [i32; 2]) -> Sums {
    [i64::from(first), i64::from(second)]
}

fn add(cell: &mut Sums, sums: Sums) {
    cell[0] += sums[0];
    cell[1] += sums[1];
}

/// Takes the smaller sibling off the parent: what is left is the larger one, exactly.
pub(super) fn subtract(parent: &mut Histogram, smaller: &Histogram) {
    for (parent, smaller) in parent.iter_mut().zip(smaller) {
        for (cell, smaller) in parent.iter_mut().zip(smaller) {
            cell[0] -= smaller[0];
            cell[1] -= smaller[1];
        }
    }
}
