//! Batch models of a series: fitted to a stretch of it, they give quantiles for every step ahead.
//!
//! Decisions use [`super::online`]; these models are what it is measured against, and what
//! `foresail forecast` scores. [`Fit`] turns a description into a fitted model, and only that
//! predicts. A fitted model takes further values without being fitted anew.

mod arima;
mod boosted;
mod by_step;
mod conformal;
mod drift;
mod dsp;
mod ensemble;
mod ets;
mod last_value;
mod mstl;
mod nelder_mead;
mod online;
mod piecewise;
mod ridge;
mod rows;
mod season;
mod seasonal_naive;
mod series;
mod spread;

use std::fmt::Debug;

use super::ForecastError;
use conformal::Conformal;

pub use arima::Arima;
pub use boosted::Boosted;
pub use drift::Drift;
pub use dsp::Dsp;
pub use ensemble::{Crew, CrewForecast, Ensemble, Weights};
pub use ets::Ets;
pub use last_value::LastValue;
pub use mstl::Mstl;
pub use online::Live;
pub use piecewise::Piecewise;
pub use ridge::Ridge;
pub use season::find_seasons;
pub use seasonal_naive::SeasonalNaive;
pub use series::{Series, without_resets};

/// Quantiles of a forecast: the bounds of the 99, 90 and 50 % intervals, and the median.
pub const LEVELS: [f64; 7] = [0.005, 0.05, 0.25, 0.5, 0.75, 0.95, 0.995];
/// Place of the median in [`LEVELS`].
pub const MEDIAN: usize = 3;
/// Standard normal quantiles at [`LEVELS`].
const NORMAL: [f64; 7] = [
    -2.575_829_304,
    -1.644_853_627,
    -0.674_489_750,
    0.0,
    0.674_489_750,
    1.644_853_627,
    2.575_829_304,
];
/// The farthest step that is forecast.
pub const MAX_HORIZON: usize = 100_000;

/// A forecast of one step, in the series' unit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StepForecast {
    /// Expected value.
    pub point: f64,
    /// Values not exceeded with the probabilities [`LEVELS`]; ascending.
    pub quantiles: [f64; LEVELS.len()],
}

impl StepForecast {
    /// Of a normal distribution.
    pub fn normal(mean: f64, deviation: f64) -> Self {
        Self { point: mean, quantiles: NORMAL.map(|z| mean + z * deviation) }
    }

    /// Without values below `least`.
    #[must_use]
    pub fn at_least(self, least: f64) -> Self {
        Self { point: self.point.max(least), quantiles: self.quantiles.map(|q| q.max(least)) }
    }

    /// The median.
    pub const fn median(&self) -> f64 {
        self.quantiles[MEDIAN]
    }

    /// Half the width of the middle 90 %, in deviations of a normal distribution; above 0.
    fn scale(&self) -> f64 {
        let [_, low, .., high, _] = self.quantiles;
        ((high - low) / (2.0 * NORMAL[MEDIAN + 2])).max(1e-9 * (1.0 + self.median().abs()))
    }
}

/// Checks what a model gives: finite, and quantiles in order.
fn checked(
    model: &'static str,
    mut path: Vec<StepForecast>,
) -> Result<Vec<StepForecast>, ForecastError> {
    for step in &mut path {
        if !step.point.is_finite() || step.quantiles.iter().any(|q| !q.is_finite()) {
            return Err(ForecastError::NotFinite { model });
        }
        step.quantiles.sort_unstable_by(f64::total_cmp);
    }
    Ok(path)
}

/// A model that is not fitted yet.
pub trait Fit {
    /// What it becomes.
    type Fitted: Predict;

    /// Fits it to a series.
    ///
    /// # Errors
    /// [`ForecastError::TooShort`] when too few values are known, [`ForecastError::Invalid`] for a
    /// setting that cannot be, [`ForecastError::NotFinite`] when the fit fails numerically.
    fn fit(&self, series: &Series<'_>) -> Result<Self::Fitted, ForecastError>;
}

/// A fitted model.
pub trait Predict: Debug + Send {
    /// Forecasts of the steps 1 to `horizon` after the newest value, nearest first.
    ///
    /// # Errors
    /// [`ForecastError::NotFinite`] when the model gives nonsense.
    fn predict(&self, horizon: usize) -> Result<Vec<StepForecast>, ForecastError>;

    /// Takes the next value, `None` where it was not measured; parameters stay.
    fn observe(&mut self, y: Option<f64>);

    /// Whether it learns from every value, so that fitting it again brings nothing.
    fn is_online(&self) -> bool {
        false
    }
}

impl Predict for Box<dyn Predict> {
    fn predict(&self, horizon: usize) -> Result<Vec<StepForecast>, ForecastError> {
        self.as_ref().predict(horizon)
    }

    fn observe(&mut self, y: Option<f64>) {
        self.as_mut().observe(y);
    }

    fn is_online(&self) -> bool {
        self.as_ref().is_online()
    }
}

/// What models may know besides the values.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Knowledge {
    /// Season lengths in steps, ascending, as [`find_seasons`] gives them.
    pub seasons: Vec<usize>,
    /// Holidays in days since 1970 (UTC).
    pub holidays: Vec<u64>,
    /// Steps ahead for which models that learn each step by itself are fitted.
    pub horizon: usize,
}

impl Knowledge {
    /// The shortest season that a day's or a shorter course repeats in; `None` without seasons.
    fn main_season(&self) -> Option<usize> {
        self.seasons.first().copied()
    }
}

/// The models by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ModelKind {
    /// The newest value.
    LastValue,
    /// The value a season ago.
    SeasonalNaive,
    /// The line through the first and the newest value.
    Drift,
    /// Ridge regression on lags and the calendar.
    Ridge,
    /// Boosted quantile trees on lags and the calendar.
    Boosted,
    /// ARIMA with automatic order.
    Arima,
    /// Exponential smoothing with automatic form.
    Ets,
    /// Seasons by loess, exponential smoothing of the rest.
    Mstl,
    /// Piecewise linear trend, Fourier seasons and holidays.
    Piecewise,
    /// The strongest waves of the spectrum.
    Dsp,
    /// The forecast that decisions use.
    Online,
    /// All the others, weighted by how well they did.
    Ensemble,
}

impl ModelKind {
    /// Every model, simple ones first; the ensemble, which builds on the others, last.
    pub const ALL: [Self; 12] = [
        Self::LastValue,
        Self::SeasonalNaive,
        Self::Drift,
        Self::Ridge,
        Self::Boosted,
        Self::Arima,
        Self::Ets,
        Self::Mstl,
        Self::Piecewise,
        Self::Dsp,
        Self::Online,
        Self::Ensemble,
    ];

    /// Its name on the command line and in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::LastValue => "last-value",
            Self::SeasonalNaive => "seasonal-naive",
            Self::Drift => "drift",
            Self::Ridge => "ridge",
            Self::Boosted => "boosted",
            Self::Arima => "arima",
            Self::Ets => "ets",
            Self::Mstl => "mstl",
            Self::Piecewise => "piecewise",
            Self::Dsp => "dsp",
            Self::Online => "online",
            Self::Ensemble => "ensemble",
        }
    }

    /// The model of a name; `None` when no model is called so.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// Fits the model of this kind.
    ///
    /// # Errors
    /// As [`Fit::fit`].
    pub fn fit(
        self,
        series: &Series<'_>,
        knowledge: &Knowledge,
    ) -> Result<Box<dyn Predict>, ForecastError> {
        fn boxed<F: Fit>(model: &F, series: &Series<'_>) -> Result<Box<dyn Predict>, ForecastError>
        where
            F::Fitted: 'static,
        {
            Ok(Box::new(model.fit(series)?))
        }
        let seasons = knowledge.seasons.clone();
        let season = knowledge.main_season();
        let horizon = knowledge.horizon.clamp(1, MAX_HORIZON);
        match self {
            Self::LastValue => boxed(&LastValue, series),
            Self::SeasonalNaive => boxed(&SeasonalNaive { season: season.unwrap_or(1) }, series),
            Self::Drift => boxed(&Drift, series),
            Self::Ridge => boxed(&Ridge { seasons, horizon }, series),
            Self::Boosted => boxed(&Boosted { seasons, horizon }, series),
            Self::Arima => boxed(&Arima { season }, series),
            Self::Ets => boxed(&Ets { season }, series),
            Self::Mstl => boxed(&Mstl { seasons }, series),
            Self::Piecewise => {
                boxed(&Piecewise { seasons, holidays: knowledge.holidays.clone() }, series)
            }
            Self::Dsp => boxed(&Dsp { season }, series),
            Self::Online => boxed(&Live { horizon }, series),
            Self::Ensemble => boxed(&Ensemble { knowledge: knowledge.clone() }, series),
        }
    }
}

#[cfg(test)]
mod tests;
