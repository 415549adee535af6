//! Ridge regression that forgets: sums of products, solved anew now and then.
//!
//! The same estimator as a batch ridge on exponentially weighted rows, without keeping rows.

use serde::{Deserialize, Serialize};
use smartcore::linalg::basic::arrays::{Array, Array2, MutArray};
use smartcore::linalg::basic::matrix::DenseMatrix;
use smartcore::linalg::traits::cholesky::CholeskyDecomposable;

/// Normal equations of `N` features whose old rows fade.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct ForgettingRidge {
    features: usize,
    /// Upper triangle of the sum of products, row by row.
    gram: Vec<f64>,
    moment: Vec<f64>,
    weights: Vec<f64>,
    keep: f64,
    ridge: f64,
    rows: f64,
}

impl ForgettingRidge {
    /// `features` inputs; rows halve in weight every `half_life` rows; `ridge` is the penalty as a
    /// share of the mean diagonal.
    pub(crate) fn new(features: usize, half_life: f64, ridge: f64) -> Self {
        Self {
            features,
            gram: vec![0.0; features * (features + 1) / 2],
            moment: vec![0.0; features],
            weights: vec![0.0; features],
            keep: 0.5_f64.powf(1.0 / half_life),
            ridge,
            rows: 0.0,
        }
    }

    /// Rows known, faded.
    pub(crate) fn rows(&self) -> f64 {
        self.rows
    }

    /// Takes one row with its target.
    pub(crate) fn observe(&mut self, row: &[f64], target: f64) {
        if !target.is_finite() || row.iter().any(|value| !value.is_finite()) {
            return;
        }
        let mut gram = self.gram.iter_mut();
        for (at, value) in row.iter().enumerate() {
            for (other, cell) in row.iter().skip(at).zip(&mut gram) {
                *cell = *cell * self.keep + value * other;
            }
        }
        for (moment, value) in self.moment.iter_mut().zip(row) {
            *moment = *moment * self.keep + value * target;
        }
        self.rows = self.rows * self.keep + 1.0;
    }

    /// Solves for the weights of the first `used` features; the others get 0. `None` when the
    /// equations cannot be solved.
    pub(crate) fn solve(&self, used: usize) -> Option<Vec<f64>> {
        let used = used.min(self.features);
        let mut matrix: DenseMatrix<f64> = DenseMatrix::zeros(used, used);
        let (gram, moment) = (self.gram.as_slice(), self.moment.as_slice());
        let mut at = 0;
        let mut trace = 0.0;
        for row in 0..self.features {
            for column in row..self.features {
                let value = gram.get(at).copied().unwrap_or(0.0);
                at += 1;
                if column < used {
                    matrix.set((row, column), value);
                    matrix.set((column, row), value);
                    trace += if row == column { value } else { 0.0 };
                }
            }
        }
        let penalty = self.ridge * trace / used as f64 + 1e-9;
        for row in 0..used {
            matrix.add_element_mut((row, row), penalty);
        }
        let moment = DenseMatrix::new(used, 1, moment.get(..used)?.to_vec(), true).ok()?;
        let solution = matrix.cholesky_solve_mut(moment).ok()?;
        let mut weights: Vec<f64> = solution.iterator(0).copied().collect();
        weights.resize(self.features, 0.0);
        weights.iter().all(|weight| weight.is_finite()).then_some(weights)
    }

    /// Solves for all features and keeps the weights.
    pub(crate) fn refit(&mut self) {
        if let Some(weights) = self.solve(self.features) {
            self.weights = weights;
        }
    }

    /// Answer of the kept weights for a row.
    pub(crate) fn predict(&self, row: &[f64]) -> f64 {
        dot(&self.weights, row)
    }

    /// The kept weights.
    pub(crate) fn weights(&self) -> &[f64] {
        &self.weights
    }
}

/// Sum of products.
pub(crate) fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_linear_law_is_found_and_a_new_one_replaces_it() {
        let mut ridge = ForgettingRidge::new(3, 50.0, 1e-6);
        let row = |i: i32| [1.0, f64::from(i % 7), f64::from(i % 5)];
        for i in 0..500 {
            let [a, b, c] = row(i);
            ridge.observe(&[a, b, c], 2.0 * a + 3.0 * b - c);
        }
        ridge.refit();
        assert!((ridge.predict(&[1.0, 2.0, 3.0]) - 5.0).abs() < 1e-3);
        for i in 0..2_000 {
            let [a, b, c] = row(i);
            ridge.observe(&[a, b, c], b);
        }
        ridge.refit();
        assert!((ridge.predict(&[1.0, 2.0, 3.0]) - 2.0).abs() < 1e-3);
    }

    #[test]
    fn a_row_that_is_no_number_is_not_learned() {
        let mut ridge = ForgettingRidge::new(2, 50.0, 1e-6);
        ridge.observe(&[1.0, f64::NAN], 1.0);
        ridge.observe(&[1.0, 1.0], f64::INFINITY);
        assert!(ridge.rows() < 0.5);
    }
}
