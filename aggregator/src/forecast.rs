//! What the load will be: models that fit and predict, their errors, and the curve that results.
//!
//! [`Fit`] turns a description into a fitted model, and only that predicts. Two models run side by
//! side, each with an empirical band learned from its own errors at every horizon; the one with
//! the smaller pinball loss is in charge.

mod band;
mod ridge;
mod seasonal_naive;

use std::time::Duration;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::config::WorkloadConfig;
use crate::features::LoadSeries;
use crate::units::{Ratio, Rps, Timestamp};
use band::Band;

pub use ridge::{FittedRidge, Ridge};
pub use seasonal_naive::SeasonalNaive;

/// The most steps ahead that are forecast.
pub const MAX_HORIZON_STEPS: u64 = 32;
/// Completed steps after which the models are fitted anew.
const REFIT_EVERY_STEPS: usize = 15;
/// Seasons of load that are kept.
const SEASONS_KEPT: u64 = 3;

/// Why a model cannot be fitted or cannot predict.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ForecastError {
    /// The series is too short yet; the reactive answer stands alone until then.
    #[error("{known} steps are known and {needed} are needed")]
    TooShort {
        /// Steps that can be learned from.
        known: usize,
        /// Steps that are needed.
        needed: usize,
    },
    /// The equations could not be solved.
    #[error("the regression could not be solved: {0}")]
    Unsolvable(String),
    /// The model gave a number that is not finite.
    #[error("model {model} gave a value that is not finite")]
    NotFinite {
        /// Name of the model.
        model: &'static str,
    },
}

/// A model that can be learned from a series.
pub trait Fit {
    /// What learning gives.
    type Fitted: Predict;

    /// Learns from a series to forecast each of the next `horizon` steps.
    ///
    /// # Errors
    /// [`ForecastError`] when the series does not suffice.
    fn fit(&self, series: &LoadSeries, horizon: u64) -> Result<Self::Fitted, ForecastError>;
}

/// A learned model.
pub trait Predict: Send + std::fmt::Debug {
    /// Name as shown to people and in metrics.
    fn name(&self) -> &'static str;

    /// Expected rates of the steps after `origin`, nearest first, from the values up to `origin`
    /// alone. `None` when the model cannot tell from these values.
    fn predict(&self, series: &LoadSeries, origin: u64, horizon: u64) -> Option<Vec<f64>>;
}

/// A forecast of one step.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// When the step ends.
    pub at: Timestamp,
    /// Expected rate.
    pub point: Rps,
    /// Its lower quantile, as far from the middle as the upper.
    pub lower: Rps,
    /// Its upper quantile; what capacity is held for.
    pub upper: Rps,
}

/// A forecast of every step to the horizon.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Curve {
    /// Name of the model in charge.
    pub model: String,
    /// End of the newest step that it knew.
    pub issued_at: Timestamp,
    /// Steps, nearest first.
    pub points: Vec<Point>,
    /// Pinball loss at the last horizon of each model, in requests per second; lower is better.
    pub scores: Vec<(String, f64)>,
}

/// A fitted model and what its errors have been.
#[derive(Debug)]
struct Candidate {
    model: Box<dyn Predict>,
    band: Band,
}

/// Load and models of one workload.
#[derive(Debug)]
pub struct Forecaster {
    series: LoadSeries,
    season_steps: u64,
    horizon: u64,
    quantile: Ratio,
    candidates: Vec<Candidate>,
    steps_since_fit: usize,
    refit_due: bool,
}

/// Everything that fitting needs; runs anywhere, on any thread.
#[derive(Debug)]
pub struct RefitJob {
    series: LoadSeries,
    season_steps: u64,
    horizon: u64,
    quantile: Ratio,
}

/// What a [`RefitJob`] gives back.
#[derive(Debug)]
pub struct Refitted {
    candidates: Vec<Candidate>,
    errors: Vec<ForecastError>,
}

impl Refitted {
    /// Why models are missing.
    pub fn errors(&self) -> &[ForecastError] {
        &self.errors
    }
}

impl RefitJob {
    /// Fits all models and learns their bands from forecasts of the newest part of the series,
    /// made by models that had not seen it.
    pub fn run(self) -> Refitted {
        let mut refitted = Refitted { candidates: Vec::new(), errors: Vec::new() };
        self.add(&SeasonalNaive::new(self.season_steps), &mut refitted);
        self.add(&Ridge::new(self.season_steps), &mut refitted);
        refitted
    }

    fn add<M: Fit>(&self, description: &M, refitted: &mut Refitted)
    where
        M::Fitted: 'static,
    {
        let band = Band::learn(description, &self.series, self.horizon, self.quantile);
        match (band, description.fit(&self.series, self.horizon)) {
            (Ok(band), Ok(model)) => {
                refitted.candidates.push(Candidate { model: Box::new(model), band });
            }
            (Err(error), _) | (_, Err(error)) => refitted.errors.push(error),
        }
    }
}

impl Forecaster {
    /// No load known yet.
    pub fn new(config: &WorkloadConfig) -> Self {
        let step = config.forecast.step;
        let steps_in = |duration: Duration| Timestamp::default().step_after(duration, step);
        let season_steps = steps_in(config.forecast.season).max(4);
        let lead = config.startup_time + config.decision_interval;
        let kept = season_steps * SEASONS_KEPT + MAX_HORIZON_STEPS;
        Self {
            series: LoadSeries::new(step, usize::try_from(kept).unwrap_or(usize::MAX)),
            season_steps,
            horizon: (steps_in(lead) + 1).clamp(1, MAX_HORIZON_STEPS),
            quantile: config.forecast.quantile,
            candidates: Vec::new(),
            steps_since_fit: 0,
            refit_due: false,
        }
    }

    /// Goes on from a stored series if it has this configuration's step.
    #[must_use]
    pub fn with_series(mut self, series: &LoadSeries) -> Self {
        if series.step() == self.series.step() {
            for index in series.first()..=series.last().unwrap_or(0) {
                self.series.put(index, series.get(index));
            }
            self.refit_due = !self.series.is_empty();
        }
        self
    }

    /// Puts recorded load before everything that will be measured; only into an empty series.
    pub fn load_history(&mut self, samples: &[(Timestamp, Rps)]) {
        if !self.series.is_empty() {
            return;
        }
        // A sample holds until the next one, but not over a gap in the recording.
        let mut spacings: Vec<Duration> = samples.windows(2).map(between).collect();
        spacings.sort_unstable();
        let usual = spacings.get(spacings.len() / 2).copied().unwrap_or_default();
        for pair in samples.windows(2) {
            if let [(from, rate), ..] = pair {
                self.series.add(*from, *from + between(pair).min(usual * 2), *rate);
            }
        }
        self.refit_due = true;
    }

    /// The load as far as it is known.
    pub const fn series(&self) -> &LoadSeries {
        &self.series
    }

    /// Adds a measured rate over an interval.
    pub fn observe(&mut self, from: Timestamp, to: Timestamp, rate: Rps) {
        let before = self.series.last();
        let completed = self.series.add(from, to, rate);
        if completed == 0 {
            return;
        }
        if let (Some(before), Some(last)) = (before, self.series.last()) {
            for origin in (before + 1)..=last {
                self.learn_errors(origin);
            }
        }
        self.steps_since_fit += completed;
        let first_fit = self.candidates.is_empty() && self.steps_since_fit >= 2;
        self.refit_due |= first_fit || self.steps_since_fit >= REFIT_EVERY_STEPS;
    }

    /// Compares the newest step with what each model said of it before.
    fn learn_errors(&mut self, newest: u64) {
        let Some(actual) = self.series.get(newest) else { return };
        for candidate in &mut self.candidates {
            for ahead in 1..=self.horizon {
                let Some(origin) = newest.checked_sub(ahead) else { continue };
                let predicted = candidate.model.predict(&self.series, origin, ahead);
                if let Some(point) = predicted.and_then(|points| points.last().copied()) {
                    candidate.band.learn_one(ahead, point, actual);
                }
            }
        }
    }

    /// The work of fitting anew, when it is due; its result goes to [`Forecaster::install`].
    pub fn refit_job(&mut self) -> Option<RefitJob> {
        if !std::mem::take(&mut self.refit_due) {
            return None;
        }
        self.steps_since_fit = 0;
        Some(RefitJob {
            series: self.series.clone(),
            season_steps: self.season_steps,
            horizon: self.horizon,
            quantile: self.quantile,
        })
    }

    /// Takes newly fitted models; those that could not be fitted leave their place empty.
    pub fn install(&mut self, refitted: Refitted) {
        self.candidates = refitted.candidates;
    }

    /// The forecast of the model in charge; `None` while no model can tell.
    ///
    /// # Errors
    /// [`ForecastError::NotFinite`] when the model in charge gives nonsense.
    pub fn forecast(&self) -> Result<Option<Curve>, ForecastError> {
        let Some(last) = self.series.last() else { return Ok(None) };
        let mut scored: Vec<(&Candidate, f64)> = self
            .candidates
            .iter()
            .filter_map(|candidate| Some((candidate, candidate.band.pinball_loss()?)))
            .collect();
        scored.sort_by(|a, b| a.1.total_cmp(&b.1));
        for (candidate, _) in &scored {
            let Some(points) = candidate.model.predict(&self.series, last, self.horizon) else {
                continue;
            };
            let curve = self.curve(candidate, &points, last)?;
            let scores = scored.iter().map(|(c, loss)| (c.model.name().to_owned(), *loss));
            return Ok(Some(Curve { scores: scores.collect(), ..curve }));
        }
        Ok(None)
    }

    fn curve(
        &self,
        candidate: &Candidate,
        points: &[f64],
        last: u64,
    ) -> Result<Curve, ForecastError> {
        let model = candidate.model.name();
        let rate =
            |value: f64| Rps::new(value.max(0.0)).map_err(|_| ForecastError::NotFinite { model });
        let mut curve = Curve {
            model: model.to_owned(),
            issued_at: Timestamp::of_step(last + 1, self.series.step()),
            points: Vec::with_capacity(points.len()),
            scores: Vec::new(),
        };
        for (ahead, point) in (1..).zip(points) {
            // `max` would turn NaN into 0, which would be taken for an answer.
            if !point.is_finite() {
                return Err(ForecastError::NotFinite { model });
            }
            let (lower, upper) = candidate.band.around(ahead, *point);
            curve.points.push(Point {
                at: Timestamp::of_step(last + ahead + 1, self.series.step()),
                point: rate(*point)?,
                lower: rate(lower)?,
                upper: rate(upper)?,
            });
        }
        Ok(curve)
    }
}

/// Time between two samples.
fn between(pair: &[(Timestamp, Rps)]) -> Duration {
    match pair {
        [(from, _), (to, _)] => to.since(*from),
        _ => Duration::ZERO,
    }
}

impl Timestamp {
    /// Steps in a duration, begun ones counted.
    fn step_after(self, duration: Duration, step: Duration) -> u64 {
        (self + duration + step - Duration::from_micros(1)).step_index(step)
    }
}

#[cfg(test)]
mod tests;
