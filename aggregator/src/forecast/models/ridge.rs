//! Ridge regression on lags, means, seasons and the calendar.

use super::rows::Rows;
use super::spread::deviation;
use super::{Fit, Predict, Series, StepForecast, checked};
use crate::forecast::ForecastError;
use crate::forecast::online::least_squares::ForgettingRidge;

/// Penalty as a share of the mean square of the features.
const PENALTY: f64 = 1e-4;
/// Rows below which nothing is fitted.
const NEEDED: usize = 30;
/// Newest values that are learned from, at most.
const MOST: usize = 20_000;

/// One regression for the steps 1, 2, 4, 8, … and the last; steps between them are mixed from both
/// neighbours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ridge {
    /// Season lengths in steps.
    pub seasons: Vec<usize>,
    /// The farthest step that is fitted; farther ones are forecast by its regression.
    pub horizon: usize,
}

/// The regressions and the values that their next row is made of.
#[derive(Clone, Debug, PartialEq)]
pub struct FittedRidge {
    rows: Rows,
    anchors: Vec<Anchor>,
}

/// The regression of one step ahead.
#[derive(Clone, Debug, PartialEq)]
struct Anchor {
    ahead: usize,
    regression: ForgettingRidge,
    deviation: f64,
}

/// 1, 2, 4, 8, … and `horizon`.
pub(super) fn anchors(horizon: usize) -> Vec<usize> {
    let doubled = std::iter::successors(Some(1_usize), |ahead| ahead.checked_mul(2));
    let mut anchors: Vec<usize> = doubled.take_while(|ahead| *ahead < horizon).collect();
    anchors.push(horizon.max(1));
    anchors
}

impl Fit for Ridge {
    type Fitted = FittedRidge;

    fn fit(&self, series: &Series<'_>) -> Result<FittedRidge, ForecastError> {
        series.needs(NEEDED)?;
        let rows = Rows::new(series, &self.seasons);
        let anchors = anchors(self.horizon)
            .into_iter()
            .filter_map(|ahead| Anchor::fit(&rows, ahead))
            .collect::<Vec<_>>();
        if anchors.is_empty() {
            let needed = NEEDED + rows.reach() + 1;
            return Err(ForecastError::TooShort { known: rows.len(), needed });
        }
        Ok(FittedRidge { rows, anchors })
    }
}

impl Anchor {
    /// `None` when there are too few rows.
    fn fit(rows: &Rows, ahead: usize) -> Option<Self> {
        let last = rows.len().checked_sub(ahead + 1)?;
        let first = rows.reach().max(last.saturating_sub(MOST));
        let mut row = Vec::new();
        rows.row(last, ahead, &mut row);
        let mut regression = ForgettingRidge::new(row.len(), f64::INFINITY, PENALTY);
        let origins = || (first..=last).filter(|at| rows.target(*at).is_some());
        for at in origins() {
            let Some(target) = rows.target(at + ahead) else { continue };
            rows.row(at, ahead, &mut row);
            regression.observe(&row, target - rows.base(at));
        }
        if regression.rows() < NEEDED as f64 {
            return None;
        }
        regression.refit();
        let mut errors = Vec::new();
        for at in origins() {
            let Some(target) = rows.target(at + ahead) else { continue };
            rows.row(at, ahead, &mut row);
            errors.push(target - rows.base(at) - regression.predict(&row));
        }
        Some(Self { ahead, regression, deviation: deviation(&errors) })
    }
}

impl FittedRidge {
    /// Mean and deviation of `ahead` steps after position `at`.
    pub(super) fn at(&self, at: usize, ahead: usize, row: &mut Vec<f64>) -> (f64, f64) {
        self.rows.row(at, ahead, row);
        let after = self.anchors.partition_point(|anchor| anchor.ahead < ahead);
        let Some(high) = self.anchors.get(after).or(self.anchors.last()) else {
            return (f64::NAN, f64::NAN);
        };
        let low = after.checked_sub(1).and_then(|low| self.anchors.get(low)).unwrap_or(high);
        let width = high.ahead.saturating_sub(low.ahead);
        let share = if width == 0 {
            1.0
        } else {
            (ahead.min(high.ahead) - low.ahead) as f64 / width as f64
        };
        let mix = |a: f64, b: f64| a + share * (b - a);
        let mean = mix(low.regression.predict(row), high.regression.predict(row));
        let beyond = (ahead as f64 / high.ahead as f64).max(1.0).sqrt();
        (self.rows.base(at) + mean, mix(low.deviation, high.deviation) * beyond)
    }

    /// The values as rows.
    pub(super) const fn rows(&self) -> &Rows {
        &self.rows
    }
}

impl Predict for FittedRidge {
    fn predict(&self, horizon: usize) -> Result<Vec<StepForecast>, ForecastError> {
        let mut row = Vec::new();
        let last = self.rows.len().saturating_sub(1);
        let mut step = |ahead: usize| {
            let (mean, deviation) = self.at(last, ahead, &mut row);
            StepForecast::normal(mean, deviation)
        };
        checked("ridge", (1..=horizon).map(&mut step).collect())
    }

    fn observe(&mut self, y: Option<f64>) {
        self.rows.push(y);
    }
}
