//! The pair that every batch forecaster implements: [`Fit`] turns a description into a fitted
//! model, and only that predicts.

use std::time::Duration;

use crate::units::Timestamp;

use super::ForecastError;

/// What a model learns from: one series on a regular grid, oldest first, without gaps.
#[derive(Clone, Copy, Debug)]
pub struct History<'a> {
    /// Mean rates per step, in requests per second: finite, not negative.
    pub values: &'a [f64],
    /// When the first step begins.
    pub start: Timestamp,
    /// Length of a step.
    pub step: Duration,
    /// Season lengths in steps, shortest first; empty when there is none.
    pub seasons: &'a [usize],
    /// Days that are unlike others, each by the instant at which it begins; oldest first.
    pub holidays: &'a [Timestamp],
}

impl History<'_> {
    /// Steps known.
    pub const fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether nothing is known.
    pub const fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// The longest season, or `None`.
    pub fn longest_season(&self) -> Option<usize> {
        self.seasons.last().copied().filter(|season| *season > 1)
    }
}

/// A model that can be learned from a series.
pub trait Fit: Send + Sync {
    /// What learning gives.
    type Fitted: Predict + 'static;

    /// Learns from a series.
    ///
    /// # Errors
    /// [`ForecastError`] when the series does not suffice or the estimation fails.
    fn fit(&self, history: &History<'_>) -> Result<Self::Fitted, ForecastError>;
}

/// A learned model.
pub trait Predict: Send + Sync + std::fmt::Debug {
    /// Name as shown to people and in metrics.
    fn name(&self) -> &'static str;

    /// Forecasts the `horizon` steps after the last one known, nearest first.
    ///
    /// `levels` are probabilities in 0 to 1, ascending; see [`Paths::quantiles`].
    ///
    /// # Errors
    /// [`ForecastError::NotFinite`] when the model gives nonsense.
    fn predict(&self, horizon: usize, levels: &[f64]) -> Result<Paths, ForecastError>;

    /// Takes the next value without fitting anew. `false` when this model cannot; it must then be
    /// fitted again to know the value.
    fn update(&mut self, value: f64) -> bool {
        let _ = value;
        false
    }
}

/// A forecast of several steps.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Paths {
    /// Expected rate of each step, nearest first.
    pub mean: Vec<f64>,
    /// `quantiles[step][level]`, ascending in `level`.
    pub quantiles: Vec<Vec<f64>>,
}

/// Fits and predicts behind a table of models.
pub trait Model: Send + Sync {
    /// Fits to a history.
    ///
    /// # Errors
    /// Those of [`Fit::fit`].
    fn fit_boxed(&self, history: &History<'_>) -> Result<Box<dyn Predict>, ForecastError>;
}

impl<M: Fit> Model for M {
    fn fit_boxed(&self, history: &History<'_>) -> Result<Box<dyn Predict>, ForecastError> {
        Ok(Box::new(self.fit(history)?))
    }
}
