//! A trend of straight pieces, Fourier seasons and holidays.
//!
//! Source: S. Taylor and B. Letham, "Forecasting at scale", The American Statistician 72 (2018):
//! the same terms and priors as penalties, with a normal prior on the changes of slope in the place
//! of Laplace's, so that the maximum a posteriori is one linear equation.

use std::f64::consts::TAU;

use super::series::step_seconds;
use super::spread::deviation;
use super::{Fit, Predict, Series, StepForecast, checked};
use crate::forecast::ForecastError;
use crate::forecast::online::least_squares::ForgettingRidge;

/// Values below which nothing is fitted.
const NEEDED: usize = 30;
/// Changes of slope, evenly over the first part of the series.
const CHANGES: usize = 25;
/// The part of the series in which the slope may change.
const CHANGE_PART: f64 = 0.8;
/// Waves of each season at most.
const WAVES: usize = 10;
/// What a change of slope weighs against a wave: less prior variance.
const CHANGE_SCALE: f64 = 0.05;
/// Penalty as a share of the mean square of the terms.
const PENALTY: f64 = 1e-5;
/// Seconds of a day.
const DAY: f64 = 86_400.0;

/// Trend, seasons and holidays added up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piecewise {
    /// Season lengths in steps.
    pub seasons: Vec<usize>,
    /// Holidays in days since 1970 (UTC).
    pub holidays: Vec<u64>,
}

/// The terms and their weights.
#[derive(Clone, Debug, PartialEq)]
pub struct FittedPiecewise {
    terms: Terms,
    regression: ForgettingRidge,
    unit: f64,
    mean: f64,
    deviation: f64,
    /// Deviation of the changes of slope, a step.
    slope_deviation: f64,
    /// Steps of the series so far.
    length: usize,
}

/// What a row consists of.
#[derive(Clone, Debug, PartialEq)]
struct Terms {
    seasons: Vec<usize>,
    holidays: Vec<u64>,
    first: u64,
    step_seconds: f64,
    /// Steps that the trend was fitted over.
    span: f64,
}

impl Terms {
    fn row(&self, at: usize, row: &mut Vec<f64>) {
        let t = at as f64 / self.span;
        row.clear();
        row.push(1.0);
        row.push(t);
        for change in 0..CHANGES {
            let from = CHANGE_PART * (change as f64 + 1.0) / (CHANGES as f64 + 1.0);
            row.push(CHANGE_SCALE * (t - from).max(0.0));
        }
        let index = self.first + at as u64;
        for season in &self.seasons {
            let phase = TAU * (index % *season as u64) as f64 / *season as f64;
            for wave in 1..=WAVES.min((season - 1) / 2) {
                let (sin, cos) = (phase * wave as f64).sin_cos();
                row.push(sin);
                row.push(cos);
            }
        }
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a day number")]
        let day = (index as f64 * self.step_seconds / DAY) as u64;
        row.push(f64::from(u8::from(self.holidays.contains(&day))));
    }
}

impl Fit for Piecewise {
    type Fitted = FittedPiecewise;

    fn fit(&self, series: &Series<'_>) -> Result<FittedPiecewise, ForecastError> {
        series.needs(NEEDED)?;
        let y = series.with_gaps();
        let known = || y.iter().enumerate().filter(|(_, y)| y.is_finite());
        let count = known().count().max(1) as f64;
        let mean = known().map(|(_, y)| y).sum::<f64>() / count;
        let variance = known().map(|(_, y)| (y - mean) * (y - mean)).sum::<f64>() / count;
        let unit = variance.sqrt().max(1e-9 * (1.0 + mean.abs()));
        let seasons = self.seasons.iter().copied().filter(|m| *m > 2 && 2 * m <= y.len());
        let terms = Terms {
            seasons: seasons.collect(),
            holidays: self.holidays.clone(),
            first: series.first,
            step_seconds: step_seconds(series.step),
            span: y.len() as f64,
        };
        let mut row = Vec::new();
        terms.row(0, &mut row);
        let mut regression = ForgettingRidge::new(row.len(), f64::INFINITY, PENALTY);
        for (at, y) in known() {
            terms.row(at, &mut row);
            regression.observe(&row, (y - mean) / unit);
        }
        regression.refit();
        let mut errors = Vec::new();
        for (at, y) in known() {
            terms.row(at, &mut row);
            errors.push((y - mean) / unit - regression.predict(&row));
        }
        let changes = regression.weights().iter().skip(2).take(CHANGES);
        let size =
            changes.map(|change| (CHANGE_SCALE * change).abs()).sum::<f64>() / CHANGES as f64;
        Ok(FittedPiecewise {
            slope_deviation: unit * size / terms.span,
            length: y.len(),
            deviation: unit * deviation(&errors),
            terms,
            regression,
            unit,
            mean,
        })
    }
}

impl Predict for FittedPiecewise {
    fn predict(&self, horizon: usize) -> Result<Vec<StepForecast>, ForecastError> {
        let mut row = Vec::new();
        let mut step = |ahead: usize| {
            self.terms.row(self.length + ahead - 1, &mut row);
            let mean = self.mean + self.unit * self.regression.predict(&row);
            // Slopes go on changing as often and as much as they did.
            let steps = (self.length + ahead) as f64 - self.terms.span;
            let changes = CHANGES as f64 * steps / self.terms.span;
            let drift = self.slope_deviation * steps * (changes / 3.0).sqrt();
            StepForecast::normal(mean, self.deviation.hypot(drift))
        };
        checked("piecewise", (1..=horizon).map(&mut step).collect())
    }

    fn observe(&mut self, _: Option<f64>) {
        self.length += 1;
    }
}
