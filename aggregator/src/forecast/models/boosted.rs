//! Boosted quantile trees on what the ridge regression leaves.

use super::ridge::{FittedRidge, Ridge};
use super::{Fit, LEVELS, MEDIAN, NORMAL, Predict, Series, StepForecast, checked};
use crate::forecast::ForecastError;
use crate::forecast::boosting::{BinnedRows, Binner, BoostParams, QuantileForest};

/// Quantiles that are learned; the others follow by the normal distribution's shape on each side.
const LEARNED: [f64; 3] = [0.05, 0.5, 0.95];
/// Rows to learn from, at most.
const MOST: usize = 6_000;
/// Steps ahead that each origin gives rows for.
const AHEADS: usize = 2;

/// Trees for all steps ahead at once: how far ahead is one of the features.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Boosted {
    /// Season lengths in steps.
    pub seasons: Vec<usize>,
    /// The farthest step that is learned.
    pub horizon: usize,
}

/// Trees and the regression that they correct.
#[derive(Clone, Debug)]
pub struct FittedBoosted {
    ridge: FittedRidge,
    horizon: usize,
    binner: Binner,
    forest: QuantileForest<{ LEARNED.len() }>,
}

impl Fit for Boosted {
    type Fitted = FittedBoosted;

    fn fit(&self, series: &Series<'_>) -> Result<FittedBoosted, ForecastError> {
        let horizon = self.horizon.max(1);
        let ridge = Ridge { seasons: self.seasons.clone(), horizon }.fit(series)?;
        let rows = ridge.rows();
        let last = rows.len().saturating_sub(horizon + 1);
        let origins = last.saturating_sub(rows.reach());
        let every = (origins * AHEADS).div_ceil(MOST).max(1);
        let (mut columns, mut targets) = (Vec::new(), Vec::new());
        let mut row = Vec::new();
        for at in (rows.reach()..last).step_by(every) {
            for turn in 0..AHEADS {
                // Each origin gets other steps ahead, all of them equally often.
                let ahead = 1 + ((at / every) * AHEADS + turn) * 7 % horizon;
                let Some(target) = rows.target(at + ahead) else { continue };
                let (mean, _) = inputs(&ridge, at, ahead, &mut row);
                #[expect(clippy::cast_possible_truncation, reason = "trees need no more digits")]
                targets.push(((target - mean) / rows.unit()) as f32);
                columns.resize_with(row.len(), Vec::new);
                columns
                    .iter_mut()
                    .zip(&row)
                    .for_each(|(column, value)| column.push(narrow(*value)));
            }
        }
        let params = BoostParams::default();
        let (binner, binned) = BinnedRows::bin(&columns, params.bins)?;
        let forest = QuantileForest::fit(&binned, &targets, LEARNED, &params)?;
        Ok(FittedBoosted { ridge, horizon, binner, forest })
    }
}

/// The row of the trees into `row`, and the regression's mean and deviation.
fn inputs(ridge: &FittedRidge, at: usize, ahead: usize, row: &mut Vec<f64>) -> (f64, f64) {
    let (mean, deviation) = ridge.at(at, ahead, row);
    let (base, unit) = (ridge.rows().base(at), ridge.rows().unit());
    // The constant's place takes the steps ahead.
    if let Some(first) = row.first_mut() {
        *first = ahead as f64;
    }
    row.push(mean - base);
    row.push(base / unit);
    (mean, deviation)
}

#[expect(clippy::cast_possible_truncation, reason = "trees need no more digits")]
fn narrow(value: f64) -> f32 {
    value as f32
}

impl Predict for FittedBoosted {
    fn predict(&self, horizon: usize) -> Result<Vec<StepForecast>, ForecastError> {
        let rows = self.ridge.rows();
        let last = rows.len().saturating_sub(1);
        let (mut row, mut bins) = (Vec::new(), Vec::new());
        let mut step = |ahead: usize| {
            let (mean, _) = inputs(&self.ridge, last, ahead.min(self.horizon), &mut row);
            let (farther, _) = self.ridge.at(last, ahead, &mut Vec::new());
            let narrow_row: Vec<f32> = row.iter().copied().map(narrow).collect();
            self.binner.row(&narrow_row, &mut bins);
            let learned = self.forest.predict(&bins).map(|value| f64::from(value) * rows.unit());
            let beyond = (ahead as f64 / self.horizon as f64).max(1.0).sqrt();
            let mean = if ahead > self.horizon { farther } else { mean };
            shaped(mean, learned, beyond)
        };
        checked("boosted", (1..=horizon).map(&mut step).collect())
    }

    fn observe(&mut self, y: Option<f64>) {
        self.ridge.observe(y);
    }
}

/// A distribution around `mean` with the learned 5, 50 and 95 % quantiles, widened by `factor`.
fn shaped(mean: f64, [low, middle, high]: [f64; 3], factor: f64) -> StepForecast {
    let median = mean + middle;
    let mut quantiles = [median; LEVELS.len()];
    let edge = NORMAL[MEDIAN + 2];
    for (quantile, z) in quantiles.iter_mut().zip(NORMAL) {
        let width = if z < 0.0 { middle - low } else { high - middle };
        *quantile += z / edge * width.max(0.0) * factor;
    }
    StepForecast { point: median, quantiles }
}
