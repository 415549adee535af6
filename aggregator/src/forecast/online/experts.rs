//! Simple point forecasts side by side, and the weights that their errors earn them.
//!
//! Weights: exponentially weighted average with fixed share (Herbster and Warmuth 1998) on absolute
//! errors, per horizon.

use serde::{Deserialize, Serialize};

use crate::features::{Calendar, increment, value};

/// Number of point experts.
pub(crate) const EXPERTS: usize = 8;
/// What they are called, in the order of `forecasts`.
pub const EXPERT_NAMES: [&str; EXPERTS] = [
    "last value",
    "level",
    "moving mean",
    "damped trend",
    "line",
    "days before",
    "linear",
    "linear with seasons",
];
/// Learning rate of the weights.
const RATE: f64 = 0.05;
/// What a weight's logarithm keeps of its past, a step.
const KEEP: f64 = 0.995;
/// Share of the weight that is spread evenly each step, so that nobody is lost for good.
const SHARE: f64 = 1e-3;
/// Errors above this multiple of the mean error count as this multiple.
const CAP: f64 = 5.0;

/// State that the recursive experts need.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Smoothers {
    ewma: f64,
    level: f64,
    trend: f64,
    started: bool,
}

/// Decay of the moving mean.
const EWMA: f64 = 0.2;
/// Holt's damped method: level, trend and damping.
const ALPHA: f64 = 0.5;
const BETA: f64 = 0.1;
const DAMPING: f64 = 0.9;

impl Smoothers {
    /// Takes the next value.
    pub(crate) fn observe(&mut self, x: f64) {
        if !self.started {
            *self = Self { ewma: x, level: x, trend: 0.0, started: true };
            return;
        }
        self.ewma += EWMA * (x - self.ewma);
        let expected = self.level + DAMPING * self.trend;
        let level = expected + ALPHA * (x - expected);
        self.trend = DAMPING * self.trend + BETA * (level - self.level - DAMPING * self.trend);
        self.level = level;
    }

    /// Holt's forecast.
    fn holt(&self, ahead: usize) -> f64 {
        let exponent = i32::try_from(ahead).unwrap_or(i32::MAX);
        let damped = DAMPING * (1.0 - DAMPING.powi(exponent)) / (1.0 - DAMPING);
        self.level + damped * self.trend
    }
}

/// What every expert says of `ahead` steps after `at`; the two linear ones are given.
pub(crate) fn forecasts(
    values: &[f32],
    at: usize,
    ahead: usize,
    calendar: Calendar,
    smoothers: &Smoothers,
    base: f64,
    linear: [f64; 2],
) -> [f64; EXPERTS] {
    let last = value(values, at).unwrap_or(base);
    [
        last,
        base,
        smoothers.ewma,
        smoothers.holt(ahead),
        line(values, at, ahead).unwrap_or(last),
        profile(values, at, ahead, calendar, base).unwrap_or(base),
        linear[0],
        linear[1],
    ]
}

/// Ordinary least squares through the last eight values, read `ahead` steps on.
fn line(values: &[f32], at: usize, ahead: usize) -> Option<f64> {
    let slice = values.get(at.checked_sub(7)?..=at)?;
    let (mut sum, mut slope) = (0.0, 0.0);
    for (position, x) in slice.iter().enumerate() {
        sum += f64::from(*x);
        slope += (position as f64 - 3.5) * f64::from(*x);
    }
    // 42 is the sum of squares of -3.5, -2.5, ... 3.5.
    Some(sum / 8.0 + slope / 42.0 * (3.5 + ahead as f64))
}

/// The days before at the same time, moved to today's level.
fn profile(values: &[f32], at: usize, ahead: usize, calendar: Calendar, base: f64) -> Option<f64> {
    let (mut sum, mut total) = (0.0, 0.0);
    for (days, weight) in [(1, 0.5), (2, 0.3), (7, 0.2)] {
        let Some(change) = increment(values, at, ahead, calendar, days) else { continue };
        sum += weight * change;
        total += weight;
    }
    (total > 0.0).then(|| base + sum / total)
}

/// Weights of the experts at one horizon.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Weights {
    weights: [f64; EXPERTS],
    mean_error: f64,
}

impl Weights {
    /// All alike.
    pub(crate) const fn new() -> Self {
        Self { weights: [1.0 / EXPERTS as f64; EXPERTS], mean_error: 0.0 }
    }

    /// As they are now; their sum is 1.
    pub(crate) const fn get(&self) -> [f64; EXPERTS] {
        self.weights
    }

    /// The weighted forecast.
    pub(crate) fn combine(&self, forecasts: &[f64; EXPERTS]) -> f64 {
        self.weights.iter().zip(forecasts).map(|(weight, x)| weight * x).sum()
    }

    /// Learns from what came.
    pub(crate) fn observe(&mut self, forecasts: impl Iterator<Item = f64> + Clone, actual: f64) {
        let errors = forecasts.map(|forecast| (forecast - actual).abs());
        let mean = errors.clone().sum::<f64>() / EXPERTS as f64;
        if !mean.is_finite() {
            return;
        }
        let decay = if self.mean_error > 0.0 { 0.01 } else { 1.0 };
        self.mean_error += decay * (mean - self.mean_error);
        let scale = self.mean_error.max(1e-9);
        let mut total = 0.0;
        for (weight, error) in self.weights.iter_mut().zip(errors) {
            *weight = weight.powf(KEEP) * (-RATE * (error / scale).min(CAP)).exp();
            total += *weight;
        }
        for weight in &mut self.weights {
            *weight = (1.0 - SHARE) * *weight / total + SHARE / EXPERTS as f64;
        }
    }
}
