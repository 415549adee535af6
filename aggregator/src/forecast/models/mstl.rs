//! Several seasons taken off by loess, and exponential smoothing of what is left.
//!
//! Source: K. Bandara, R. Hyndman and C. Bergmeir, "MSTL: a seasonal-trend decomposition algorithm
//! for time series with multiple seasonal patterns" (2021).

mod stl;

use super::ets::{self, FittedEts};
use super::{Fit, Predict, Series, StepForecast, checked};
use crate::forecast::ForecastError;

/// Rounds over all seasons.
const ROUNDS: usize = 2;
/// Values below which nothing is fitted.
const NEEDED: usize = 10;

/// Decomposition into seasons and a rest, which is smoothed without a season.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mstl {
    /// Season lengths in steps; those not seen twice are left out.
    pub seasons: Vec<usize>,
}

/// The newest course of each season, and the smoothed rest.
#[derive(Clone, Debug, PartialEq)]
pub struct FittedMstl {
    /// Each season's values; the next step's stands at the second number.
    seasons: Vec<(Vec<f64>, usize)>,
    rest: FittedEts,
}

impl Fit for Mstl {
    type Fitted = FittedMstl;

    fn fit(&self, series: &Series<'_>) -> Result<FittedMstl, ForecastError> {
        series.needs(NEEDED)?;
        let y = series.filled(self.seasons.first().copied());
        let mut lengths: Vec<usize> =
            self.seasons.iter().copied().filter(|m| *m > 1 && 2 * m < y.len()).collect();
        lengths.sort_unstable();
        let mut parts = vec![vec![0.0; y.len()]; lengths.len()];
        let mut rest = y;
        for _ in 0..if lengths.len() > 1 { ROUNDS } else { 1 } {
            for (at, (m, part)) in lengths.iter().zip(&mut parts).enumerate() {
                rest.iter_mut().zip(part.iter()).for_each(|(rest, part)| *rest += part);
                *part = stl::season(&rest, *m, at);
                rest.iter_mut().zip(part.iter()).for_each(|(rest, part)| *rest -= part);
            }
        }
        for (at, rest) in rest.iter_mut().enumerate() {
            if series.value(at).is_none() {
                *rest = f64::NAN;
            }
        }
        let seasons = lengths
            .iter()
            .zip(&parts)
            .map(|(m, part)| (part.get(part.len() - m..).unwrap_or_default().to_vec(), 0));
        Ok(FittedMstl { seasons: seasons.collect(), rest: ets::fit(&rest, None)? })
    }
}

impl FittedMstl {
    /// Sum of the seasons, steps after the next one.
    fn season(&self, after: usize) -> f64 {
        let value = |(values, place): &(Vec<f64>, usize)| {
            values.get((place + after) % values.len().max(1)).copied().unwrap_or(0.0)
        };
        self.seasons.iter().map(value).sum()
    }
}

impl Predict for FittedMstl {
    fn predict(&self, horizon: usize) -> Result<Vec<StepForecast>, ForecastError> {
        let mut path = self.rest.predict(horizon)?;
        for (after, step) in path.iter_mut().enumerate() {
            let season = self.season(after);
            step.point += season;
            step.quantiles.iter_mut().for_each(|quantile| *quantile += season);
        }
        checked("mstl", path)
    }

    fn observe(&mut self, y: Option<f64>) {
        let season = self.season(0);
        self.rest.observe(y.map(|y| y - season));
        for (values, place) in &mut self.seasons {
            *place = (*place + 1) % values.len().max(1);
        }
    }
}

#[cfg(test)]
mod tests;
