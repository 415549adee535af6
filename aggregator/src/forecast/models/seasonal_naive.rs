//! The value a season ago.

use std::collections::VecDeque;

use super::spread::deviation;
use super::{Fit, Predict, Series, StepForecast, checked};
use crate::forecast::ForecastError;

/// Forecasts the value a season before (Hyndman & Athanasopoulos, "Forecasting", section 5.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SeasonalNaive {
    /// Steps of the season, at least 1.
    pub season: usize,
}

/// The newest season and the spread of its changes from season to season.
#[derive(Clone, Debug, PartialEq)]
pub struct FittedSeasonalNaive {
    newest: VecDeque<f64>,
    deviation: f64,
}

impl Fit for SeasonalNaive {
    type Fitted = FittedSeasonalNaive;

    fn fit(&self, series: &Series<'_>) -> Result<FittedSeasonalNaive, ForecastError> {
        let season = self.season.max(1);
        if series.y.len() < season + 1 {
            return Err(ForecastError::TooShort { known: series.y.len(), needed: season + 1 });
        }
        series.needs(2)?;
        let y = series.filled(Some(season));
        let changes: Vec<f64> = y.iter().zip(y.iter().skip(season)).map(|(a, b)| b - a).collect();
        let newest = y.iter().skip(y.len() - season).copied().collect();
        Ok(FittedSeasonalNaive { newest, deviation: deviation(&changes) })
    }
}

impl Predict for FittedSeasonalNaive {
    fn predict(&self, horizon: usize) -> Result<Vec<StepForecast>, ForecastError> {
        let season = self.newest.len();
        let step = |ahead: usize| {
            let seasons = (ahead - 1) / season + 1;
            let value = self.newest.get((ahead - 1) % season).copied().unwrap_or(f64::NAN);
            StepForecast::normal(value, self.deviation * (seasons as f64).sqrt())
        };
        checked("seasonal-naive", (1..=horizon).map(step).collect())
    }

    fn observe(&mut self, y: Option<f64>) {
        // What was not measured stays as it was a season ago.
        let before = self.newest.pop_front().unwrap_or_default();
        self.newest.push_back(y.filter(|y| y.is_finite()).unwrap_or(before));
    }
}
