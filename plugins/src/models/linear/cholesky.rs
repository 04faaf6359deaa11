//! Solving symmetric positive definite equations.

use super::super::ModelError;

/// A symmetric matrix, of which the lower triangle is kept, row by row.
#[derive(Debug, Clone)]
pub(super) struct Symmetric {
    size: usize,
    lower: Vec<f64>,
}

impl Symmetric {
    /// All zero.
    pub(super) fn zero(size: usize) -> Self {
        Self {
            size,
            lower: vec![0.0; size * (size + 1) / 2],
        }
    }

    /// The cells `0..=row` of a row.
    pub(super) fn row_mut(&mut self, row: usize) -> &mut [f64] {
        let start = row * (row + 1) / 2;
        &mut self.lower[start..=start + row]
    }

    fn row(&self, row: usize) -> &[f64] {
        let start = row * (row + 1) / 2;
        &self.lower[start..=start + row]
    }

    /// Solves `self * x = right`, using up the matrix.
    ///
    /// # Errors
    /// [`ModelError::Collinear`] where the matrix is not positive definite.
    pub(super) fn solve(mut self, right: &[f64]) -> Result<Vec<f64>, ModelError> {
        // L Lᵀ = A, row by row, in place.
        for row in 0..self.size {
            let start = row * (row + 1) / 2;
            let (above, from_row) = self.lower.split_at_mut(start);
            let own = &mut from_row[..=row];
            let diagonal = own[row];
            for column in 0..=row {
                let earlier = if column < row {
                    let begin = column * (column + 1) / 2;
                    &above[begin..=begin + column]
                } else {
                    &[]
                };
                if column < row {
                    let known: f64 = own[..column].iter().zip(earlier).map(|(a, b)| a * b).sum();
                    own[column] = (own[column] - known) / earlier[column];
                } else {
                    let known: f64 = own[..row].iter().map(|a| a * a).sum();
                    let rest = diagonal - known;
                    // What is left after rounding of a sum that cancels is no pivot.
                    if rest.is_nan() || rest <= diagonal * 1e-12 {
                        return Err(ModelError::Collinear);
                    }
                    own[row] = rest.sqrt();
                }
            }
        }
        let mut x = right.to_vec();
        for row in 0..self.size {
            let of_row = self.row(row);
            let known: f64 = of_row[..row].iter().zip(&x).map(|(a, b)| a * b).sum();
            x[row] = (x[row] - known) / of_row[row];
        }
        for row in (0..self.size).rev() {
            let of_row = self.row(row);
            x[row] /= of_row[row];
            let value = x[row];
            for (below, factor) in x[..row].iter_mut().zip(of_row) {
                *below -= factor * value;
            }
        }
        Ok(x)
    }
}

#[cfg(test)]
mod tests {
    use super::Symmetric;

    fn matrix(rows: &[&[f64]]) -> Symmetric {
        let mut matrix = Symmetric::zero(rows.len());
        for (position, row) in rows.iter().enumerate() {
            matrix.row_mut(position).copy_from_slice(row);
        }
        matrix
    }

    #[test]
    fn solves_equations() {
        let x = matrix(&[&[4.0], &[2.0, 5.0], &[1.0, 3.0, 6.0]])
            .solve(&[11.0, 21.0, 25.0])
            .unwrap();
        for (got, want) in x.iter().zip([1.0, 2.0, 3.0]) {
            assert!((got - want).abs() < 1e-12, "{x:?}");
        }
    }

    #[test]
    fn refuses_a_column_that_repeats_another() {
        assert!(matrix(&[&[1.0], &[1.0, 1.0]]).solve(&[1.0, 1.0]).is_err());
    }
}
