//! One horizon of the online forecast: experts, learned scale, error distribution.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::experts::{self, EXPERTS, Smoothers, Weights};
use super::histogram::DecayedHistogram;
use super::least_squares::{ForgettingRidge, dot};
use super::spread::{INPUTS, Spread};
use crate::features::{self, Calendar, LINEAR, LINEAR_WITHOUT_SEASONS, Scanner};
use crate::forecast::tail::EXCEEDANCE;

/// Weight of the shape that errors are expected to have before any was seen.
const PRIOR_ERRORS: f64 = 100.0;
/// Rows after which the ridge is believed.
const NEEDED_ROWS: f64 = 60.0;

/// What was said of a step, kept until it comes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Said {
    index: u64,
    base: f32,
    row: [f32; LINEAR],
    experts: [f32; EXPERTS],
    point: f64,
    inputs: [f32; INPUTS],
    scale: f64,
}

/// A forecast on the log scale.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct LogForecast {
    /// The weighted point forecast.
    pub(crate) point: f64,
    /// Its scale.
    pub(crate) scale: f64,
    /// Values exceeded with the probabilities in [`EXCEEDANCE`].
    pub(crate) tail: [f64; EXCEEDANCE.len()],
}

/// State of one horizon.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Lane {
    ahead: usize,
    ridge: ForgettingRidge,
    /// Weights of the ridge without seasons.
    plain: Vec<f64>,
    weights: Weights,
    spread: Spread,
    errors: DecayedHistogram,
    said: VecDeque<Said>,
    /// Whether the scale is learned and not only a mix of moving means.
    learned_scale: bool,
    /// Whether every expert is listened to and not only the last value.
    all_experts: bool,
}

/// What every lane of a step looks at.
pub(crate) struct Now<'a> {
    /// Values on the log scale.
    pub(crate) values: &'a [f32],
    /// Position of the newest.
    pub(crate) at: usize,
    /// Number of the newest step.
    pub(crate) index: u64,
    /// Lengths of the cycles.
    pub(crate) calendar: Calendar,
    /// Rolling state.
    pub(crate) scanner: &'a Scanner,
    /// Recursive experts.
    pub(crate) smoothers: &'a Smoothers,
    /// The part of the row that all horizons share.
    pub(crate) lags: [f64; LINEAR],
}

impl Lane {
    /// Knows nothing yet.
    pub(crate) fn new(ahead: usize, day: usize, learned_scale: bool, all_experts: bool) -> Self {
        Self {
            ahead,
            ridge: ForgettingRidge::new(LINEAR, 3.0 * day as f64, 1e-4),
            plain: Vec::new(),
            weights: Weights::new(),
            spread: Spread::new(day),
            errors: DecayedHistogram::new(day as f64, PRIOR_ERRORS, |z| (-0.9 * z.abs()).exp()),
            said: VecDeque::with_capacity(ahead + 1),
            learned_scale,
            all_experts,
        }
    }

    /// Steps ahead.
    pub(crate) const fn ahead(&self) -> usize {
        self.ahead
    }

    /// Weights of the point experts.
    pub(crate) const fn weights(&self) -> [f64; EXPERTS] {
        self.weights.get()
    }

    /// Weights of the seasonal ridge, for the models that build on it.
    pub(crate) fn linear_weights(&self) -> &[f64] {
        self.ridge.weights()
    }

    /// Compares the newest step with what was said of it; gives the forecast's error in scales.
    pub(crate) fn learn(&mut self, calendar: Calendar, index: u64, x: Option<f64>) {
        while let Some(said) = self.said.front() {
            let target = said.index + self.ahead as u64;
            if target > index {
                return;
            }
            let Some(said) = self.said.pop_front() else { return };
            let Some(x) = x.filter(|_| target == index) else { continue };
            let row = said.row.map(f64::from);
            self.ridge.observe(&row, x - f64::from(said.base));
            self.weights.observe(said.experts.iter().map(|x| f64::from(*x)), x);
            let error = x - said.point;
            self.errors.add(error / said.scale);
            self.spread.observe(calendar, target, &said.inputs.map(f64::from), error);
        }
    }

    /// Solves the regressions anew.
    pub(crate) fn refit(&mut self) {
        if self.ridge.rows() < NEEDED_ROWS {
            return;
        }
        self.ridge.refit();
        if let Some(plain) = self.ridge.solve(LINEAR_WITHOUT_SEASONS) {
            self.plain = plain;
        }
        self.spread.refit();
    }

    /// Forecasts, and remembers it until its step comes.
    pub(crate) fn forecast(&mut self, now: &Now<'_>) -> LogForecast {
        let Now { values, at, index, calendar, .. } = *now;
        let base = now.scanner.base(at);
        let mut row = now.lags;
        features::seasons(values, at, self.ahead, calendar, &mut row);
        let linear = [base + dot(&self.plain, &row), base + self.ridge.predict(&row)];
        let all = experts::forecasts(values, at, self.ahead, calendar, now.smoothers, base, linear);
        let point = if self.all_experts { self.weights.combine(&all) } else { all[0] };
        let target = index + self.ahead as u64;
        let inputs = self.spread.inputs(calendar, target, point, now.scanner.ln_change());
        let scale = if self.learned_scale {
            self.spread.scale(&inputs)
        } else {
            Spread::unlearned_scale(&inputs)
        };
        let mut tail = [0.0; EXCEEDANCE.len()];
        self.errors.tails(&EXCEEDANCE, &mut tail);
        for z in &mut tail {
            *z = point + scale * *z;
        }
        self.said.push_back(Said {
            index,
            base: narrow(base),
            row: row.map(narrow),
            experts: all.map(narrow),
            point,
            inputs: inputs.map(narrow),
            scale,
        });
        LogForecast { point, scale, tail }
    }
}

#[expect(clippy::cast_possible_truncation, reason = "what is learned from needs seven digits")]
fn narrow(value: f64) -> f32 {
    value as f32
}
