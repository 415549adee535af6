//! How good forecasts are: models fitted at several cut-offs of a recording, carried on between
//! them a step at a time, and compared with what came.

mod table;
mod tally;

use serde::Serialize;
use thiserror::Error;

use super::run::Stopwatch;
use crate::forecast::models::{
    Crew, CrewForecast, Ensemble, Knowledge, ModelKind, Series, StepForecast, find_seasons,
    without_resets,
};
use crate::simulate::Grid;
use tally::Tally;

pub use table::table;
pub use tally::Score;

/// Forecasts scored of a recording, about.
const ORIGINS: usize = 2_000;

/// What is fitted and scored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setup {
    /// The models.
    pub models: Vec<ModelKind>,
    /// Steps ahead, at least 1.
    pub horizon: usize,
    /// Steps that a model is fitted to; less where the recording has less than 5/3 of them.
    pub train: usize,
    /// Scored cut-offs, at least 1. One more comes before them, from which intervals learn.
    pub windows: usize,
    /// Holidays in days since 1970.
    pub holidays: Vec<u64>,
}

/// Why a recording cannot be scored.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum AccuracyError {
    /// Fewer steps than windows and horizon need.
    #[error(
        "{steps} steps are too few for {windows} windows {horizon} steps ahead; take fewer, or a finer --step"
    )]
    TooShort {
        /// Steps of the recording.
        steps: usize,
        /// Windows asked for.
        windows: usize,
        /// Steps ahead asked for.
        horizon: usize,
    },
}

/// Scores of all models on one recording.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TraceScores {
    /// What it is called.
    pub trace: String,
    /// Length of a step in seconds.
    pub step_s: f64,
    /// Number of the first step since 1970.
    pub first_index: u64,
    /// Steps that each fit sees.
    pub train_steps: usize,
    /// Steps ahead.
    pub horizon_steps: usize,
    /// Season lengths that were found at each cut-off.
    pub seasons: Vec<Vec<usize>>,
    /// Positions in `y` of the first value that a scored fit did not see.
    pub cutoffs: Vec<usize>,
    /// Forecasts scored of each model.
    pub origins: usize,
    /// One each model.
    pub models: Vec<ModelScores>,
    /// The load that was scored.
    pub y: Vec<Option<f64>>,
}

/// Scores of one model on one recording.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ModelScores {
    /// Its name.
    pub model: String,
    /// Mean time of a fit in seconds; `None` where nothing was fitted.
    pub fit_s: Option<f64>,
    /// Mean time of a forecast of all steps in seconds.
    pub predict_s: Option<f64>,
    /// Fits that failed, and why the last one did.
    pub failures: usize,
    /// Why the last failed fit did.
    pub failure: Option<String>,
    /// Over all steps ahead; `None` where the model never forecast.
    pub all: Option<Score>,
    /// Of each step ahead.
    pub horizons: Vec<Option<Score>>,
    /// The points forecast at each cut-off.
    pub at_cutoffs: Vec<Option<Vec<f64>>>,
}

/// Fits, forecasts and scores. `progress` is told the share that is done, 0 to 1.
///
/// # Errors
/// [`AccuracyError::TooShort`].
pub fn score(
    name: &str,
    grid: &Grid,
    setup: &Setup,
    watch: &dyn Stopwatch,
    progress: &mut dyn FnMut(f64),
) -> Result<TraceScores, AccuracyError> {
    let mut y = grid.rates.clone();
    without_resets(&mut y);
    let horizon = setup.horizon.max(1);
    let windows = setup.windows.max(1);
    let train = setup.train.min(y.len() * 3 / 5);
    let scored = y.len().saturating_sub(train + horizon);
    let stride = scored / (windows + 1);
    if stride == 0 || train < 2 {
        return Err(AccuracyError::TooShort { steps: y.len(), windows, horizon });
    }
    let mut run = Run::new(&y, grid, setup, train, horizon);
    let every = scored.div_ceil(ORIGINS);
    let (mut cutoffs, mut seasons) = (Vec::new(), Vec::new());
    for window in 0..=windows {
        let cutoff = train + window * stride;
        let end = if window == windows { y.len() - horizon + 1 } else { cutoff + stride };
        let is_scored = window > 0;
        run.fit(cutoff, watch);
        if is_scored {
            cutoffs.push(cutoff);
            seasons.push(run.seasons.clone());
            run.at_cutoff(watch);
        }
        for at in cutoff..end {
            if (at - cutoff).is_multiple_of(every) {
                run.forecast(at, is_scored);
            }
            run.crew.observe(y.get(at).copied().flatten());
        }
        progress((window + 1) as f64 / (windows + 1) as f64);
    }
    Ok(TraceScores {
        trace: name.to_owned(),
        step_s: grid.step.as_secs_f64(),
        first_index: grid.first_index,
        train_steps: train,
        horizon_steps: horizon,
        seasons,
        cutoffs,
        origins: run.origins,
        models: run.scores(setup),
        y,
    })
}

/// One recording being scored.
struct Run<'a> {
    y: &'a [Option<f64>],
    grid: &'a Grid,
    setup: &'a Setup,
    train: usize,
    horizon: usize,
    members: Vec<ModelKind>,
    crew: Crew,
    seasons: Vec<usize>,
    /// Mean change from step to step before the cut-off: what errors are relative to.
    scale: f64,
    origins: usize,
    tallies: Vec<Tally>,
    ensemble: Tally,
}

impl<'a> Run<'a> {
    fn new(
        y: &'a [Option<f64>],
        grid: &'a Grid,
        setup: &'a Setup,
        train: usize,
        horizon: usize,
    ) -> Self {
        let is_member = |kind: &ModelKind| *kind != ModelKind::Ensemble;
        let mut members: Vec<_> = setup.models.iter().copied().filter(is_member).collect();
        if members.is_empty() {
            members = Ensemble::members().collect();
        }
        Self {
            y,
            grid,
            setup,
            train,
            horizon,
            crew: Crew::new(&members, horizon),
            tallies: vec![Tally::new(horizon); members.len()],
            members,
            seasons: Vec::new(),
            scale: 1.0,
            origins: 0,
            ensemble: Tally::new(horizon),
        }
    }

    /// Fits every model to the values before a cut-off.
    fn fit(&mut self, cutoff: usize, watch: &dyn Stopwatch) {
        let from = cutoff - self.train;
        let series = Series {
            y: self.y.get(from..cutoff).unwrap_or_default(),
            first: self.grid.first_index + from as u64,
            step: self.grid.step,
        };
        self.scale = mean_change(series.y);
        self.seasons = find_seasons(&series);
        let knowledge = Knowledge {
            seasons: self.seasons.clone(),
            holidays: self.setup.holidays.clone(),
            horizon: self.horizon,
        };
        for (at, kind) in self.members.iter().enumerate() {
            if self.crew.model(at).is_some_and(crate::forecast::models::Predict::is_online) {
                continue;
            }
            let begun = watch.micros();
            let fitted = kind.fit(&series, &knowledge);
            let seconds = (watch.micros() - begun) / 1e6;
            if let Some(tally) = self.tallies.get_mut(at) {
                tally.fitted(seconds, fitted.as_ref().err());
            }
            self.crew.install(at, fitted.ok());
        }
    }

    /// Times the forecasts at a cut-off, and keeps their points.
    fn at_cutoff(&mut self, watch: &dyn Stopwatch) {
        for (at, tally) in self.tallies.iter_mut().enumerate() {
            let begun = watch.micros();
            let path = self.crew.model(at).and_then(|model| model.predict(self.horizon).ok());
            tally.predicted((watch.micros() - begun) / 1e6, path.as_deref());
        }
    }

    /// Forecasts from `at`, the position of the first value that is not known yet.
    fn forecast(&mut self, at: usize, is_scored: bool) {
        let CrewForecast { members, mean } = self.crew.forecast();
        if !is_scored || self.scale <= 0.0 {
            return;
        }
        self.origins += 1;
        let ahead = self.y.get(at..at + self.horizon).unwrap_or_default();
        let score = |tally: &mut Tally, path: Option<&Vec<StepForecast>>| {
            for ((step, y), place) in path.into_iter().flatten().zip(ahead).zip(0..) {
                // A rate is not negative, whatever a model says.
                let step = step.at_least(0.0);
                if let Some(y) = y {
                    tally.add(place, &step, *y, self.scale);
                }
            }
        };
        for (tally, path) in self.tallies.iter_mut().zip(&members) {
            score(tally, path.as_ref());
        }
        score(&mut self.ensemble, mean.as_ref());
    }

    fn scores(&self, setup: &Setup) -> Vec<ModelScores> {
        let of = |kind: &ModelKind| {
            let at = self.members.iter().position(|member| member == kind);
            let tally = at.and_then(|at| self.tallies.get(at)).unwrap_or(&self.ensemble);
            tally.scores(kind.name())
        };
        setup.models.iter().map(of).collect()
    }
}

/// Mean absolute change from one known value to the next step's.
fn mean_change(y: &[Option<f64>]) -> f64 {
    let changes = y.windows(2).filter_map(|pair| match pair {
        [Some(a), Some(b)] => Some((b - a).abs()),
        _ => None,
    });
    let (sum, count) = changes.fold((0.0, 0.0), |(sum, count), change| (sum + change, count + 1.0));
    if count > 0.0 { sum / count } else { 0.0 }
}

#[cfg(test)]
mod tests;
