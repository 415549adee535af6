//! How wide the errors are now: a learned scale instead of one fixed margin.

use serde::{Deserialize, Serialize};

use super::least_squares::ForgettingRidge;
use crate::features::Calendar;

/// Decays of the moving means of absolute errors.
const DECAYS: [f64; 4] = [0.2, 0.05, 0.01, 0.0008];
/// Parts of a day over which past errors are averaged.
const PARTS: usize = 96;
/// Inputs of the regression.
pub(crate) const INPUTS: usize = 8;
/// Least error that counts: below it the logarithm says nothing.
const LEAST: f64 = 1e-3;
/// The scale stays within this factor of the plain mix of moving means, on the log scale.
const CLAMP: f64 = 2.0;
/// Errors after which the regression is believed.
const NEEDED: f64 = 400.0;
/// Mean of ln|z| of a standard Laplace-like error against its mean size: what turns a mean of logs
/// into a log of means.
const LOG_MEAN: f64 = 0.577;

/// Scale of the errors at one horizon.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Spread {
    means: [f64; DECAYS.len()],
    by_part: Vec<f32>,
    /// Sum and count of the part that is being filled.
    filling: (u16, f32, f32),
    regression: ForgettingRidge,
    count: f64,
}

impl Spread {
    /// Knows nothing; errors are taken for some 20 %.
    pub(crate) fn new(day: usize) -> Self {
        Self {
            means: [0.2; DECAYS.len()],
            by_part: vec![f32::NAN; PARTS],
            filling: (0, 0.0, 0.0),
            regression: ForgettingRidge::new(INPUTS, 3.0 * day as f64, 1e-4),
            count: 0.0,
        }
    }

    /// Inputs for a forecast of step `target` with the value `point`.
    pub(crate) fn inputs(
        &self,
        calendar: Calendar,
        target: u64,
        point: f64,
        ln_change: f64,
    ) -> [f64; INPUTS] {
        let mut inputs = [0.0; INPUTS];
        for (input, mean) in inputs.iter_mut().zip(self.means) {
            *input = mean.max(LEAST).ln();
        }
        inputs[4] = ln_change;
        inputs[5] = -point / 2.0;
        inputs[6] = self.season(calendar, target).unwrap_or(inputs[3]);
        inputs[7] = 1.0;
        inputs
    }

    /// Log mean absolute error at this time of the day before, a quarter of an hour to both sides.
    fn season(&self, calendar: Calendar, target: u64) -> Option<f64> {
        let part = part_of(calendar, target);
        let near = [part + PARTS - 1, part, part + 1].map(|part| part % PARTS);
        let known = near.iter().filter_map(|part| self.by_part.get(*part)).filter(|x| !x.is_nan());
        let (sum, count) =
            known.fold((0.0, 0.0), |(sum, count), x| (sum + f64::from(*x), count + 1.0));
        (count > 0.0).then(|| (sum / count).max(LEAST).ln())
    }

    /// The mix of moving means that the learned scale begins with and stays near.
    pub(crate) fn unlearned_scale(inputs: &[f64; INPUTS]) -> f64 {
        (inputs.iter().take(DECAYS.len()).sum::<f64>() / DECAYS.len() as f64).exp()
    }

    /// The scale that the inputs stand for.
    pub(crate) fn scale(&self, inputs: &[f64; INPUTS]) -> f64 {
        let unlearned = Self::unlearned_scale(inputs);
        if self.count < NEEDED {
            return unlearned;
        }
        let prior = unlearned.ln();
        let learned = self.regression.predict(inputs) + LOG_MEAN;
        learned.clamp(prior - CLAMP, prior + CLAMP).exp()
    }

    /// Learns from the error of a forecast of step `target` made with `inputs`.
    pub(crate) fn observe(
        &mut self,
        calendar: Calendar,
        target: u64,
        inputs: &[f64; INPUTS],
        error: f64,
    ) {
        if !error.is_finite() {
            return;
        }
        let size = error.abs();
        self.count += 1.0;
        for (mean, decay) in self.means.iter_mut().zip(DECAYS) {
            *mean += decay.max(1.0 / (self.count + 5.0)) * (size - *mean);
        }
        let part = part_of(calendar, target);
        let (filling, sum, count) = &mut self.filling;
        if usize::from(*filling) != part {
            let mean = *sum / *count;
            if let Some(slot) = self.by_part.get_mut(usize::from(*filling)) {
                *slot = mean;
            }
            *filling = u16::try_from(part).unwrap_or(0);
            (*sum, *count) = (0.0, 0.0);
        }
        #[expect(clippy::cast_possible_truncation, reason = "a mean of errors needs few digits")]
        {
            *sum += size as f32;
        }
        *count += 1.0;
        self.regression.observe(inputs, size.max(LEAST).ln());
    }

    /// Solves the regression anew.
    pub(crate) fn refit(&mut self) {
        self.regression.refit();
    }
}

fn part_of(calendar: Calendar, target: u64) -> usize {
    let part = Calendar::phase(target, calendar.day) * PARTS as f64;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a phase lies in 0..1"
    )]
    let part = part as usize;
    part.min(PARTS - 1)
}
