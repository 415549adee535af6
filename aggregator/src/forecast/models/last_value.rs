//! The newest value, for every step: the forecast of a random walk.

use super::spread::deviation;
use super::{Fit, Predict, Series, StepForecast, checked};
use crate::forecast::ForecastError;

/// Forecasts the newest value (Hyndman & Athanasopoulos, "Forecasting", section 5.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LastValue;

/// The newest value and the spread of its changes.
#[derive(Clone, Debug, PartialEq)]
pub struct FittedLastValue {
    newest: f64,
    deviation: f64,
    /// Steps since the newest value.
    age: usize,
}

impl Fit for LastValue {
    type Fitted = FittedLastValue;

    fn fit(&self, series: &Series<'_>) -> Result<FittedLastValue, ForecastError> {
        series.needs(2)?;
        let y = series.filled(None);
        let changes: Vec<f64> = y.iter().zip(y.iter().skip(1)).map(|(a, b)| b - a).collect();
        let newest = y.last().copied().unwrap_or_default();
        Ok(FittedLastValue { newest, deviation: deviation(&changes), age: 0 })
    }
}

impl Predict for FittedLastValue {
    fn predict(&self, horizon: usize) -> Result<Vec<StepForecast>, ForecastError> {
        let step = |ahead: usize| {
            let steps = (ahead + self.age) as f64;
            StepForecast::normal(self.newest, self.deviation * steps.sqrt())
        };
        checked("last-value", (1..=horizon).map(step).collect())
    }

    fn observe(&mut self, y: Option<f64>) {
        match y.filter(|y| y.is_finite()) {
            Some(y) => (self.newest, self.age) = (y, 0),
            None => self.age += 1,
        }
    }
}
