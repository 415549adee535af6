//! The same phase of the season before: the forecast that every other has to beat.

use super::{Fit, ForecastError, Predict};
use crate::features::LoadSeries;

/// Repeats the last season (Hyndman & Athanasopoulos, Forecasting: Principles and Practice, 5.2).
/// A gap there is answered from the season before it.
#[derive(Clone, Copy, Debug)]
pub struct SeasonalNaive {
    season_steps: u64,
}

impl SeasonalNaive {
    /// A season of so many steps.
    pub const fn new(season_steps: u64) -> Self {
        Self { season_steps }
    }
}

impl Fit for SeasonalNaive {
    type Fitted = Self;

    fn fit(&self, series: &LoadSeries, _horizon: u64) -> Result<Self, ForecastError> {
        let needed = usize::try_from(self.season_steps).unwrap_or(usize::MAX);
        if series.len() < needed {
            return Err(ForecastError::TooShort { known: series.len(), needed });
        }
        Ok(*self)
    }
}

impl Predict for SeasonalNaive {
    fn name(&self) -> &'static str {
        "seasonal_naive"
    }

    fn predict(&self, series: &LoadSeries, origin: u64, horizon: u64) -> Option<Vec<f64>> {
        (1..=horizon)
            .map(|ahead| {
                // A horizon beyond one season still looks at known steps only.
                let seasons = ahead.div_ceil(self.season_steps);
                let before = (origin + ahead).checked_sub(seasons * self.season_steps)?;
                let earlier = before.checked_sub(self.season_steps);
                series.get(before).or_else(|| series.get(earlier?))
            })
            .collect()
    }
}
