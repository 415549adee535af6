//! What the load will be, and how sure that is.
//!
//! [`Forecaster`] is what decisions use: it learns a step at a time ([`online`]) and gives whole
//! tails at a few horizons.

pub mod boosting;
pub mod drift;
pub(crate) mod fourier;
pub mod models;
pub mod online;
mod tail;
mod vigil;

use std::time::Duration;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::config::{Part, WorkloadConfig};
use crate::features::{Accumulator, Track};
use crate::units::{Ratio, Rps, Timestamp};
use online::{GrowJob, Grown, Online, OnlineSettings, Outlook, Score};
use vigil::Vigil;

pub use tail::{EXCEEDANCE, Tail};
pub use vigil::{Drift, Stream};

/// Horizons in steps at which a forecast is always made, besides the lead.
const HORIZONS: [usize; 4] = [1, 5, 10, 20];
/// The most steps ahead that are forecast.
pub const MAX_LEAD_STEPS: usize = 240;
/// Steps of a gap after which the forecast begins anew.
const LONGEST_GAP_STEPS: u64 = 50_000;

/// Why a model cannot be fitted or cannot predict.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum ForecastError {
    /// The series is too short yet; the reactive answer stands alone until then.
    #[error("{known} steps are known and {needed} are needed")]
    TooShort {
        /// Steps that can be learned from.
        known: usize,
        /// Steps that are needed.
        needed: usize,
    },
    /// A setting or a value is not what the model takes; says which and what is valid.
    #[error("{0}")]
    Invalid(String),
    /// The model gave a number that is not finite.
    #[error("model {model} gave a value that is not finite")]
    NotFinite {
        /// Name of the model.
        model: &'static str,
    },
}

/// A forecast of one step.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// When the step ends.
    pub at: Timestamp,
    /// Steps ahead.
    pub ahead: usize,
    /// Expected rate.
    pub point: Rps,
    /// Its lower quantile, as far from the middle as the upper.
    pub lower: Rps,
    /// Its upper quantile.
    pub upper: Rps,
    /// What it may exceed, for the price of risk.
    pub tail: Tail,
    /// Share of the boosted trees in it, 0 to 1.
    pub boosted_share: f64,
}

/// A forecast at several horizons.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Curve {
    /// Name of what forecasts: `ensemble`, or `boosted` where trees have the greater share.
    pub model: String,
    /// End of the newest step that it knew.
    pub issued_at: Timestamp,
    /// Steps, nearest first.
    pub points: Vec<Point>,
    /// What has changed of late: while it lasts the forecast may not scale in by itself.
    pub drift: Option<Drift>,
}

/// Load and models of one workload.
#[derive(Debug)]
pub struct Forecaster {
    settings: OnlineSettings,
    quantile: Ratio,
    accumulator: Accumulator,
    online: Online,
    newest: Option<(u64, Outlook)>,
    /// `None` where nothing follows from a change.
    vigil: Option<Vigil>,
}

/// Everything that growing trees needs; runs anywhere, on any thread.
#[derive(Debug)]
pub struct RefitJob(GrowJob);

/// What a [`RefitJob`] gives back.
#[derive(Debug)]
pub struct Refitted(Result<Grown, ForecastError>);

impl Refitted {
    /// Why models are missing.
    pub fn errors(&self) -> impl Iterator<Item = &ForecastError> {
        self.0.as_ref().err().into_iter()
    }
}

impl RefitJob {
    /// Grows the trees.
    pub fn run(self) -> Refitted {
        Refitted(self.0.run())
    }
}

/// Steps in a duration, begun ones counted.
fn steps_in(duration: Duration, step: Duration) -> usize {
    let steps = duration.as_nanos().div_ceil(step.as_nanos().max(1));
    usize::try_from(steps).unwrap_or(usize::MAX)
}

/// Steps from a decision to the first step that a replica ordered by it serves.
pub fn lead_steps(startup: Duration, step: Duration) -> usize {
    (steps_in(startup, step) + 1).clamp(1, MAX_LEAD_STEPS)
}

impl Forecaster {
    /// No load known yet; `startup` is how long a replica takes to serve.
    pub fn new(config: &WorkloadConfig) -> Self {
        let step = config.forecast.step;
        let lead = lead_steps(config.startup_time, step);
        let mut horizons = HORIZONS.to_vec();
        if lead > HORIZONS[3] {
            horizons.push(lead / 2);
        }
        horizons.push(lead);
        horizons.sort_unstable();
        horizons.dedup();
        let has_trees = !config.without.is_some_and(Part::has_no_trees);
        let boosted = horizons.iter().copied().filter(|ahead| has_trees && *ahead > 1).collect();
        let settings = OnlineSettings {
            day_steps: steps_in(config.forecast.season, step),
            step_seconds: step.as_secs_f64(),
            horizons,
            boosted,
            without: config.without,
        };
        Self {
            quantile: config.forecast.quantile,
            accumulator: Accumulator::new(step),
            online: Online::new(settings.clone()),
            newest: None,
            vigil: (config.without != Some(Part::Drift)).then(|| Vigil::new(settings.day_steps)),
            settings,
        }
    }

    /// Goes on from a stored load if it has this configuration's step: learns it again.
    #[must_use]
    pub fn with_load(mut self, load: &Load) -> Self {
        if load.accumulator.step() == self.accumulator.step() && self.track().is_empty() {
            // No step at all is not a gap in the first.
            let steps = load.track.last().map(|last| load.track.first()..=last);
            for index in steps.into_iter().flatten() {
                self.learn(index, load.track.measured(index));
            }
            self.accumulator = load.accumulator;
        }
        self
    }

    /// Puts recorded load before everything that will be measured; only into an empty series.
    pub fn load_history(&mut self, samples: &[(Timestamp, Rps)]) {
        if !self.track().is_empty() {
            return;
        }
        // A sample holds until the next one, but not over a gap in the recording.
        let mut spacings: Vec<Duration> = samples.windows(2).map(between).collect();
        spacings.sort_unstable();
        let usual = spacings.get(spacings.len() / 2).copied().unwrap_or_default();
        for pair in samples.windows(2) {
            if let [(from, rate), ..] = pair {
                self.observe(*from, *from + between(pair).min(usual * 2), *rate);
            }
        }
    }

    /// The load as far as it is known.
    pub const fn track(&self) -> &Track {
        self.online.track()
    }

    /// What must be stored to go on from here.
    pub fn load(&self) -> Load {
        Load { accumulator: self.accumulator, track: self.track().clone() }
    }

    /// Adds a measured rate over an interval. Returns how many steps it completed.
    pub fn observe(&mut self, from: Timestamp, to: Timestamp, rate: Rps) -> usize {
        let mut completed = Vec::new();
        self.accumulator.add(from, to, rate, |index, rate| completed.push((index, rate)));
        for (index, rate) in &completed {
            self.complete(*index, *rate);
        }
        completed.len()
    }

    fn complete(&mut self, index: u64, rate: Option<f64>) {
        if self.track().is_empty() && rate.is_none() {
            // A series begins with what was measured: of nothing, no load would be forecast.
            return;
        }
        let next = self.track().last().map_or(index, |last| last + 1);
        if index < next {
            return;
        }
        if index - next > LONGEST_GAP_STEPS {
            self.online = Online::new(self.settings.clone());
            self.vigil = self.vigil.as_ref().map(|_| Vigil::new(self.settings.day_steps));
        } else {
            (next..index).for_each(|gap| self.learn(gap, None));
        }
        self.learn(index, rate);
    }

    /// Learns the step after the newest.
    fn learn(&mut self, index: u64, rate: Option<f64>) {
        let outlook = self.online.observe(index, rate);
        if let Some(vigil) = &mut self.vigil
            && vigil.observe(index, rate, self.online.track().offset(), &outlook)
        {
            self.online.want_challenge();
        }
        self.newest = Some((index, outlook));
    }

    /// The work of growing trees, when it is due; its result goes to [`Forecaster::install`].
    pub fn refit_job(&mut self) -> Option<RefitJob> {
        self.online.grow_job().map(RefitJob)
    }

    /// Takes grown trees; when they could not be grown the old ones stay.
    pub fn install(&mut self, refitted: Refitted) {
        if let Ok(grown) = refitted.0 {
            self.online.install(grown);
        }
    }

    /// How well the forecast has been doing at each horizon.
    pub fn scores(&self) -> Vec<Score> {
        self.online.scores()
    }

    /// The forecast from the newest complete step; `None` while no load is known.
    ///
    /// # Errors
    /// [`ForecastError::NotFinite`] when it is nonsense.
    pub fn forecast(&self) -> Result<Option<Curve>, ForecastError> {
        let Some((last, outlook)) = &self.newest else { return Ok(None) };
        if outlook.horizons.len() != self.settings.horizons.len() {
            return Err(ForecastError::NotFinite { model: "ensemble" });
        }
        let rate = |value: f64| {
            Rps::new(value).map_err(|_| ForecastError::NotFinite { model: "ensemble" })
        };
        let step = self.accumulator.step();
        let mut points = Vec::with_capacity(outlook.horizons.len());
        for horizon in &outlook.horizons {
            points.push(Point {
                at: Timestamp::of_step(last + horizon.ahead as u64 + 1, step),
                ahead: horizon.ahead,
                point: rate(horizon.point)?,
                lower: rate(horizon.tail.exceeded_with(self.quantile.get()))?,
                upper: rate(horizon.tail.exceeded_with(1.0 - self.quantile.get()))?,
                tail: horizon.tail,
                boosted_share: horizon.boosted_share,
            });
        }
        let is_boosted = points.iter().any(|point| point.boosted_share > 0.5);
        Ok(Some(Curve {
            model: if is_boosted { "boosted" } else { "ensemble" }.to_owned(),
            issued_at: Timestamp::of_step(last + 1, step),
            points,
            drift: self.vigil.as_ref().and_then(|vigil| vigil.drift(*last, step)),
        }))
    }
}

/// The load of a workload as it is stored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Load {
    accumulator: Accumulator,
    track: Track,
}

/// Time between two samples.
fn between(pair: &[(Timestamp, Rps)]) -> Duration {
    match pair {
        [(from, _), (to, _)] => to.since(*from),
        _ => Duration::ZERO,
    }
}

#[cfg(test)]
mod tests;
