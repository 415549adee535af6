//! Sums of errors of one model, and the scores that they give.

use serde::Serialize;

use super::ModelScores;
use crate::forecast::ForecastError;
use crate::forecast::models::{LEVELS, StepForecast};

/// Scores over some forecasts.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Score {
    /// Values compared.
    pub count: usize,
    /// Mean absolute error of the points over the mean change from step to step before the cut-off
    /// (Hyndman & Koehler, "Another look at measures of forecast accuracy", 2006).
    pub mase: f64,
    /// Mean pinball loss of the quantiles 0.5, 5, 25, 50, 75, 95 and 99.5 %, over the same change.
    pub pinball_loss: f64,
    /// Share of values within the 50 % interval.
    pub coverage_50: f64,
    /// Share of values within the 90 % interval.
    pub coverage_90: f64,
    /// Share of values within the 99 % interval.
    pub coverage_99: f64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Sums {
    count: usize,
    error: f64,
    pinball: f64,
    inside: [usize; 3],
}

impl Sums {
    fn add(&mut self, step: &StepForecast, y: f64, scale: f64) {
        self.count += 1;
        self.error += (y - step.point).abs() / scale;
        let loss = |(quantile, level): (&f64, f64)| {
            let error = y - quantile;
            if error >= 0.0 { level * error } else { (level - 1.0) * error }
        };
        let losses: f64 = step.quantiles.iter().zip(LEVELS).map(loss).sum();
        self.pinball += losses / LEVELS.len() as f64 / scale;
        let [a, b, c, _, d, e, f] = step.quantiles;
        for (inside, (low, high)) in self.inside.iter_mut().zip([(c, d), (b, e), (a, f)]) {
            *inside += usize::from((low..=high).contains(&y));
        }
    }

    fn merge(mut self, other: &Self) -> Self {
        self.count += other.count;
        self.error += other.error;
        self.pinball += other.pinball;
        self.inside.iter_mut().zip(other.inside).for_each(|(a, b)| *a += b);
        self
    }

    fn score(&self) -> Option<Score> {
        let count = self.count as f64;
        let [coverage_50, coverage_90, coverage_99] =
            self.inside.map(|inside| inside as f64 / count);
        (self.count > 0).then_some(Score {
            count: self.count,
            mase: self.error / count,
            pinball_loss: self.pinball / count,
            coverage_50,
            coverage_90,
            coverage_99,
        })
    }
}

/// What one model did so far.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Tally {
    steps: Vec<Sums>,
    fits: (f64, usize),
    predictions: (f64, usize),
    failures: usize,
    failure: Option<ForecastError>,
    at_cutoffs: Vec<Option<Vec<f64>>>,
}

impl Tally {
    pub(super) fn new(horizon: usize) -> Self {
        Self {
            steps: vec![Sums::default(); horizon],
            fits: (0.0, 0),
            predictions: (0.0, 0),
            failures: 0,
            failure: None,
            at_cutoffs: Vec::new(),
        }
    }

    /// A fit took so long, and failed or not.
    pub(super) fn fitted(&mut self, seconds: f64, error: Option<&ForecastError>) {
        self.fits.0 += seconds;
        self.fits.1 += 1;
        if let Some(error) = error {
            self.failures += 1;
            self.failure = Some(error.clone());
        }
    }

    /// A forecast at a cut-off took so long.
    pub(super) fn predicted(&mut self, seconds: f64, path: Option<&[StepForecast]>) {
        self.predictions.0 += seconds;
        self.predictions.1 += 1;
        let points = |path: &[StepForecast]| path.iter().map(|step| step.point.max(0.0)).collect();
        self.at_cutoffs.push(path.map(points));
    }

    /// Compares a forecast, `place` + 1 steps ahead, with what came.
    pub(super) fn add(&mut self, place: usize, step: &StepForecast, y: f64, scale: f64) {
        if let Some(sums) = self.steps.get_mut(place) {
            sums.add(step, y, scale);
        }
    }

    pub(super) fn scores(&self, model: &str) -> ModelScores {
        let mean = |(sum, count): (f64, usize)| (count > 0).then(|| sum / count as f64);
        ModelScores {
            model: model.to_owned(),
            fit_s: mean(self.fits),
            predict_s: mean(self.predictions),
            failures: self.failures,
            failure: self.failure.as_ref().map(ToString::to_string),
            all: self.steps.iter().fold(Sums::default(), Sums::merge).score(),
            horizons: self.steps.iter().map(Sums::score).collect(),
            at_cutoffs: self.at_cutoffs.clone(),
        }
    }
}
