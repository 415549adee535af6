//! Boosted trees that forecast quantiles: the loads that are not exceeded with given
//! probabilities, from features of any scale.
//!
//! Histogram gradient boosting on the pinball loss, as `LightGBM` does it (Ke et al., NIPS 2017;
//! `objective=quantile`): features in bins, trees grown leaf by leaf at the greatest gain, and the
//! leaves' values renewed as quantiles of the residuals in them. Unlike there, one tree serves all
//! quantiles: it splits where they gain most together, and its leaves have a value for each.
//!
//! What makes it fast is that the gradient of the pinball loss has only two values, so a bin is
//! described by counts, its rows and for each quantile those of them above the forecast, and all of
//! them fit one integer.

mod binning;
mod counts;
mod grow;
mod tree;

use super::ForecastError;
use grow::Grower;

pub use binning::{BinnedRows, Binner, MAX_BINS};
pub use tree::QuantileForest;

/// Leaves of a tree at most: node numbers are small.
pub const MAX_LEAVES: usize = 255;
/// Quantiles of a forest at most.
pub const MAX_QUANTILES: usize = counts::LANES - 1;

/// How a forest is grown.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BoostParams {
    /// Trees.
    pub trees: usize,
    /// Leaves of a tree, 2 to [`MAX_LEAVES`].
    pub leaves: usize,
    /// Share of a leaf's quantile that a tree adds, above 0 to 1.
    pub learning_rate: f32,
    /// Rows that a leaf has at least, in the tree's sample.
    pub min_leaf_rows: usize,
    /// Bins of a feature, 2 to [`MAX_BINS`]; missing values have one more.
    pub bins: usize,
    /// Share of the rows that a tree sees, above 0 to 1.
    pub row_fraction: f32,
    /// Share of the features that a tree sees, above 0 to 1.
    pub feature_fraction: f32,
    /// Rows without gradient that are added to each side when gains are compared.
    pub l2: f32,
    /// Where chance begins; the same seed grows the same forest, bit for bit.
    pub seed: u64,
}

impl Default for BoostParams {
    fn default() -> Self {
        Self {
            trees: 100,
            leaves: 15,
            learning_rate: 0.08,
            min_leaf_rows: 50,
            bins: MAX_BINS,
            row_fraction: 0.8,
            feature_fraction: 0.8,
            l2: 1.0,
            seed: 7,
        }
    }
}

impl BoostParams {
    fn check(&self) -> Result<(), ForecastError> {
        let share = |value: f32| value > 0.0 && value <= 1.0;
        let problem = if !(2..=MAX_LEAVES).contains(&self.leaves) {
            "leaves is not in 2 to 255"
        } else if self.trees == 0 || self.min_leaf_rows == 0 {
            "trees and min_leaf_rows are at least 1"
        } else if !share(self.learning_rate)
            || !share(self.row_fraction)
            || !share(self.feature_fraction)
        {
            "learning_rate, row_fraction and feature_fraction are above 0 and at most 1"
        } else if !(0.0..=1e6).contains(&self.l2) {
            "l2 is not in 0 to 1e6"
        } else {
            return Ok(());
        };
        Err(ForecastError::Invalid(problem.to_owned()))
    }
}

impl<const Q: usize> QuantileForest<Q> {
    /// Grows a forest that forecasts the `quantiles` (above 0, below 1; at most [`MAX_QUANTILES`])
    /// of `targets`, one a row.
    ///
    /// # Errors
    /// [`ForecastError::TooShort`] below four leaves' worth of rows; [`ForecastError::Invalid`] for
    /// settings out of range, and when targets are not finite or not one a row.
    pub fn fit(
        rows: &BinnedRows,
        targets: &[f32],
        quantiles: [f64; Q],
        params: &BoostParams,
    ) -> Result<Self, ForecastError> {
        const { assert!(Q >= 1 && Q <= MAX_QUANTILES, "1 to MAX_QUANTILES quantiles") }
        params.check()?;
        let needed = params.min_leaf_rows.saturating_mul(4);
        if rows.len() < needed {
            return Err(ForecastError::TooShort { known: rows.len(), needed });
        }
        if rows.len() > counts::MAX_ROWS {
            let problem = format!("{} rows are more than {}", rows.len(), counts::MAX_ROWS);
            return Err(ForecastError::Invalid(problem));
        }
        if targets.len() != rows.len() || targets.iter().any(|target| !target.is_finite()) {
            let problem = "there is not one finite target a row";
            return Err(ForecastError::Invalid(problem.to_owned()));
        }
        if let Some(bad) = quantiles.iter().find(|quantile| !(**quantile > 0.0 && **quantile < 1.0))
        {
            return Err(ForecastError::Invalid(format!("quantile {bad} is not within 0 to 1")));
        }
        Ok(Grower::new(rows, targets, quantiles, params).grow())
    }
}

#[cfg(test)]
mod tests;
