//! The predictive horizontal pod autoscaler: the HPA, or a model's forecast of what the HPA will
//! say, whichever is more.
//!
//! Source: jthomperoo/predictive-horizontal-pod-autoscaler v0.13, controller `processModels` (a
//! model learns from the HPA's own past answers, and the greatest number wins) and
//! `algorithms/linear_regression`. The HPA's damping follows.
//!
//! The metric is the request rate, with which it does best. On CPU, the HPA answers with the
//! current number while the ready pods are near their target, however many are starting; the model
//! takes that for growth, and its own forecasts feed it (1.6 to 2.4 times the oracle's cost at 70 %).
//!
//! Its Holt-Winters model needs two whole seasons of replica counts, and a day has 5,760 of them.
//! Here it has no season, and `dampedTrend`; the factors are those of our own measurements.

use std::collections::VecDeque;
use std::time::Duration;

use super::hpa::{ControlLoop, RATE_WINDOW, SYNC_PERIOD, average_value_replicas};
use super::window::{Window, replicas_above, target_above_zero};
use super::{Peer, PeerView};
use crate::units::Timestamp;

/// `historySize` in the project's examples.
const HISTORY_SIZE: usize = 6;
/// Share of the newest value in the level.
const LEVEL_SHARE: f64 = 0.5;
/// Share of the newest slope in the trend.
const TREND_SHARE: f64 = 0.1;
/// What a step leaves of the trend.
const DAMPING: f64 = 0.9;

/// A model of past replica counts.
#[derive(Debug)]
enum Model {
    Linear(Linear),
    Holt(Holt),
}

/// Least squares through the last few replica counts.
#[derive(Clone, Debug, Default)]
pub(super) struct Linear {
    history: VecDeque<(Timestamp, u32)>,
}

impl Linear {
    /// Adds a replica count.
    pub(super) fn push(&mut self, now: Timestamp, replicas: u32) {
        if self.history.len() == HISTORY_SIZE {
            self.history.pop_front();
        }
        self.history.push_back((now, replicas));
    }

    /// Replicas at an instant after all that was added; `None` without history.
    pub(super) fn predict(&self, at: Timestamp) -> Option<u32> {
        let n = self.history.len() as f64;
        let points =
            || self.history.iter().map(|(t, y)| (-at.since(*t).as_secs_f64(), f64::from(*y)));
        let (sum_x, sum_y) = points().fold((0.0, 0.0), |(sx, sy), (x, y)| (sx + x, sy + y));
        let (mean_x, mean_y) = (sum_x / n, sum_y / n);
        let (xy, xx) = points().fold((0.0, 0.0), |(xy, xx), (x, y)| {
            (xy + (x - mean_x) * (y - mean_y), xx + (x - mean_x) * (x - mean_x))
        });
        let slope = if xx > 0.0 { xy / xx } else { 0.0 };
        // The instant asked for is 0 on this axis. What rounding leaves is no replica.
        (n > 0.0).then(|| replicas_above(mean_y - slope * mean_x - 1e-9))
    }
}

/// Holt's linear trend, damped.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Holt {
    level_and_trend: Option<(f64, f64)>,
}

impl Holt {
    /// Adds a replica count.
    pub(super) fn push(&mut self, replicas: u32) {
        let y = f64::from(replicas);
        self.level_and_trend = Some(match self.level_and_trend {
            None => (y, 0.0),
            Some((level, trend)) => {
                let expected = level + DAMPING * trend;
                let next = expected + LEVEL_SHARE * (y - expected);
                let slope = next - level;
                (next, DAMPING * trend + TREND_SHARE * (slope - DAMPING * trend))
            }
        });
    }

    /// Replicas `steps` counts later; `None` without history.
    pub(super) fn predict(&self, steps: u32) -> Option<u32> {
        let (level, trend) = self.level_and_trend?;
        let damped: f64 = (1..=steps.min(1000)).map(|k| DAMPING.powf(f64::from(k))).sum();
        Some(replicas_above(level + damped * trend - 1e-9))
    }
}

/// The predictive HPA on the request rate.
#[derive(Debug)]
pub(super) struct Phpa {
    name: &'static str,
    share: f64,
    rate: Window,
    model: Model,
    control: ControlLoop,
}

impl Phpa {
    fn new(name: &'static str, share: f64, model: Model) -> Self {
        let (rate, control) = (Window::new(RATE_WINDOW), ControlLoop::new());
        Self { name, share: target_above_zero(share), rate, model, control }
    }

    /// With linear regression. `share`: of the safe rate per pod.
    pub(super) fn linear(share: f64) -> Self {
        Self::new("phpa-linear", share, Model::Linear(Linear::default()))
    }

    /// With a damped trend. `share`: of the safe rate per pod.
    pub(super) fn holt(share: f64) -> Self {
        Self::new("phpa-holt", share, Model::Holt(Holt::default()))
    }
}

impl Model {
    /// Adds what the HPA answers, and says what it will when a pod ordered now is there.
    fn learn(&mut self, view: &PeerView, calculated: u32) -> Option<u32> {
        match self {
            Self::Linear(linear) => {
                linear.push(view.now, calculated);
                linear.predict(view.now + view.startup)
            }
            Self::Holt(holt) => {
                holt.push(calculated);
                holt.predict(periods_in(view.startup))
            }
        }
    }
}

/// Sync periods in a duration, begun ones counted.
fn periods_in(duration: Duration) -> u32 {
    replicas_above(duration.as_secs_f64() / SYNC_PERIOD.as_secs_f64())
}

impl Peer for Phpa {
    fn name(&self) -> &'static str {
        self.name
    }

    fn desired(&mut self, view: &PeerView) -> u32 {
        self.rate.push(view.now, view.rps);
        let Self { share, rate, model, control, .. } = self;
        control.run(view, |view| {
            let (rate, target) = (rate.mean()?, view.target_rps(*share)?);
            let calculated = average_value_replicas(rate, target, view.replicas);
            let predicted = model.learn(view, view.bounded(calculated));
            Some(predicted.map_or(calculated, |predicted| predicted.max(calculated)))
        })
    }
}

#[cfg(test)]
mod tests;
