//! The line through the first and the newest value.

use super::spread::deviation;
use super::{Fit, Predict, Series, StepForecast, checked};
use crate::forecast::ForecastError;

/// A random walk with drift (Hyndman & Athanasopoulos, "Forecasting", section 5.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drift;

/// The line, and the spread of the changes around it.
#[derive(Clone, Debug, PartialEq)]
pub struct FittedDrift {
    first: f64,
    newest: f64,
    /// Steps from the first value to the newest.
    length: usize,
    /// Steps since the newest value.
    age: usize,
    deviation: f64,
}

impl Fit for Drift {
    type Fitted = FittedDrift;

    fn fit(&self, series: &Series<'_>) -> Result<FittedDrift, ForecastError> {
        series.needs(3)?;
        let y = series.filled(None);
        let (first, newest) = (y.first().copied(), y.last().copied());
        let (first, newest) = (first.unwrap_or_default(), newest.unwrap_or_default());
        let length = y.len() - 1;
        let slope = (newest - first) / length as f64;
        let errors: Vec<f64> = y.iter().zip(y.iter().skip(1)).map(|(a, b)| b - a - slope).collect();
        Ok(FittedDrift { first, newest, length, age: 0, deviation: deviation(&errors) })
    }
}

impl Predict for FittedDrift {
    fn predict(&self, horizon: usize) -> Result<Vec<StepForecast>, ForecastError> {
        let length = self.length as f64;
        let slope = (self.newest - self.first) / length;
        let step = |ahead: usize| {
            let steps = (ahead + self.age) as f64;
            let deviation = self.deviation * (steps * (1.0 + steps / length)).sqrt();
            StepForecast::normal(self.newest + slope * steps, deviation)
        };
        checked("drift", (1..=horizon).map(step).collect())
    }

    fn observe(&mut self, y: Option<f64>) {
        self.age += 1;
        if let Some(y) = y.filter(|y| y.is_finite()) {
            self.newest = y;
            self.length += self.age;
            self.age = 0;
        }
    }
}
