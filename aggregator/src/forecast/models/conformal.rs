//! Intervals that keep their word: quantiles corrected by what past forecasts of the same step
//! ahead were off, at levels that follow how often they were missed.
//!
//! Sources: I. Gibbs and E. Candès, "Adaptive conformal inference under distribution shift"
//! (2021): the level that is asked for rises after a miss and falls slowly otherwise;
//! A. Angelopoulos, E. Candès and R. Tibshirani, "Conformal PID control for time series prediction"
//! (2023), section 2: each bound by itself, scores relative to a scale of their own.

use std::collections::VecDeque;

use super::by_step::{ByStep, Correction};
use super::{LEVELS, NORMAL, StepForecast};

/// Scores kept of each step ahead.
const KEPT: usize = 1_000;
/// Scores that the normal distribution counts for.
const PRIOR: f64 = 40.0;
/// What one miss moves the level by.
const RATE: f64 = 0.005;
/// The level asked for stays this far from 0 and 1.
const EDGE: f64 = 5e-4;
/// Decays of the two moving means of absolute scores, a forecast.
const DECAYS: [f64; 2] = [0.05, 0.005];
/// A claim of less than this share of the width that is usual counts as this share: a model that for
/// once is sure of nothing going on must not be taken to be wrong by millions of widths.
const LEAST_WIDTH: f64 = 0.05;
/// Mean size of a standard normal value.
const NORMAL_SIZE: f64 = 0.797_884_560_8;

/// Corrections of one model's quantiles, for each step ahead.
pub(super) type Conformal = ByStep<Lane>;

/// One step ahead.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Lane {
    scores: VecDeque<f64>,
    sorted: Vec<f64>,
    /// Levels asked for in the place of [`LEVELS`].
    levels: [f64; LEVELS.len()],
    /// Moving means of errors relative to the model's own scale.
    sizes: [f64; DECAYS.len()],
    /// Moving mean of the model's own scale.
    width: f64,
    seen: f64,
}

impl Default for Lane {
    fn default() -> Self {
        Self {
            scores: VecDeque::new(),
            sorted: Vec::new(),
            levels: LEVELS,
            sizes: [NORMAL_SIZE; DECAYS.len()],
            width: 0.0,
            seen: 0.0,
        }
    }
}

impl Lane {
    /// The model's scale, brought to the size that errors have lately.
    fn scale(&self, said: &StepForecast) -> f64 {
        let [fast, slow] = self.sizes;
        let size = (fast.max(1e-6) * slow.max(1e-6)).sqrt() / NORMAL_SIZE;
        self.claimed(said) * size
    }

    /// The model's own scale.
    fn claimed(&self, said: &StepForecast) -> f64 {
        said.scale().max(LEAST_WIDTH * self.width)
    }

    /// The score not exceeded with a probability: seen ones, and the normal distribution's.
    fn score(&self, level: f64) -> f64 {
        let prior = normal(level);
        let Some(last) = self.sorted.len().checked_sub(1) else { return prior };
        let place = level * last as f64;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a place within the scores"
        )]
        let at = place as usize;
        let low = self.sorted.get(at).copied().unwrap_or(prior);
        let high = self.sorted.get(at + 1).copied().unwrap_or(low);
        let seen = low + (place - at as f64) * (high - low);
        let count = self.sorted.len() as f64;
        (count * seen + PRIOR * prior) / (count + PRIOR)
    }
}

impl Correction for Lane {
    fn calibrate(&self, said: &StepForecast) -> StepForecast {
        let scale = self.scale(said);
        let mut quantiles = said.quantiles;
        for (quantile, level) in quantiles.iter_mut().zip(self.levels) {
            *quantile = said.median() + scale * self.score(level);
        }
        quantiles.sort_unstable_by(f64::total_cmp);
        StepForecast { point: said.point, quantiles }
    }

    fn learn(&mut self, said: &StepForecast, y: f64) {
        let calibrated = self.calibrate(said);
        for ((asked, level), quantile) in
            self.levels.iter_mut().zip(LEVELS).zip(calibrated.quantiles)
        {
            let is_below = f64::from(u8::from(y <= quantile));
            *asked = (*asked + RATE * (level - is_below)).clamp(EDGE, 1.0 - EDGE);
        }
        let score = ((y - said.median()) / self.scale(said)).clamp(-1e6, 1e6);
        if self.scores.len() == KEPT
            && let Some(oldest) = self.scores.pop_front()
        {
            let at = self.sorted.partition_point(|score| *score < oldest);
            if at < self.sorted.len() {
                self.sorted.remove(at);
            }
        }
        self.scores.push_back(score);
        self.sorted.insert(self.sorted.partition_point(|other| *other < score), score);
        self.seen += 1.0;
        self.width += DECAYS[1].max(1.0 / self.seen) * (said.scale() - self.width);
        let size = ((y - said.median()).abs() / self.claimed(said)).min(1e6);
        for (mean, decay) in self.sizes.iter_mut().zip(DECAYS) {
            *mean += decay.max(1.0 / (self.seen + 20.0)) * (size - *mean);
        }
    }
}

/// Standard normal quantile, by straight lines in the logit between known ones: exact at
/// [`LEVELS`], which is where it is asked for unless something was missed.
fn normal(level: f64) -> f64 {
    let logit = |p: f64| (p / (1.0 - p)).ln();
    let at = LEVELS.partition_point(|known| *known < level).clamp(1, LEVELS.len() - 1);
    let (Some(p0), Some(p1)) = (LEVELS.get(at - 1), LEVELS.get(at)) else { return 0.0 };
    let (Some(z0), Some(z1)) = (NORMAL.get(at - 1), NORMAL.get(at)) else { return 0.0 };
    z0 + (logit(level) - logit(*p0)) / (logit(*p1) - logit(*p0)) * (z1 - z0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::forecast::models::tests::Chance;

    /// Share of values within the 50, 90 and 99 % intervals of a forecast that claims a mean of 0
    /// and a deviation of 1, over the second half.
    fn coverage(count: usize, mut value: impl FnMut(usize) -> f64) -> [f64; 3] {
        let mut conformal = Conformal::default();
        let said = StepForecast::normal(0.0, 1.0);
        let mut inside = [0.0; 3];
        for at in 0..count {
            let y = value(at);
            let [a, b, c, _, d, e, f] = conformal.calibrate(&[said])[0].quantiles;
            if at >= count / 2 {
                for (inside, (low, high)) in inside.iter_mut().zip([(c, d), (b, e), (a, f)]) {
                    *inside += f64::from(u8::from((low..=high).contains(&y)));
                }
            }
            conformal.learn(1, &said, y);
        }
        inside.map(|inside| inside / (count - count / 2) as f64)
    }

    #[test]
    fn a_model_that_is_wrong_about_itself_covers_what_it_states() {
        // Too narrow by a factor of four, shifted, and skewed.
        let mut chance = Chance::new(1);
        let stated = coverage(8_000, |_| 4.0 * chance.normal().exp() - 2.0);
        for (stated, wanted) in stated.into_iter().zip([0.5, 0.9, 0.99]) {
            assert!((stated - wanted).abs() < 0.02, "{stated} for {wanted}");
        }
    }

    #[test]
    fn coverage_returns_after_errors_grow() {
        let mut chance = Chance::new(2);
        let grown = coverage(8_000, |at| {
            let size = if at / 1_000 % 2 == 0 { 1.0 } else { 5.0 };
            size * chance.normal()
        });
        for (stated, wanted) in grown.into_iter().zip([0.5, 0.9, 0.99]) {
            assert!((stated - wanted).abs() < 0.05, "{stated} for {wanted}");
        }
    }

    #[test]
    fn a_model_that_is_right_is_left_alone_before_anything_is_known() {
        let said = StepForecast::normal(5.0, 2.0);
        let calibrated = Conformal::default().calibrate(&[said])[0];
        for (a, b) in calibrated.quantiles.into_iter().zip(said.quantiles) {
            assert!((a - b).abs() < 1e-6, "{a} {b}");
        }
    }

    #[test]
    fn one_claim_of_no_width_at_all_does_not_widen_the_next() {
        let mut conformal = Conformal::default();
        let mut chance = Chance::new(3);
        let said = StepForecast::normal(0.0, 1.0);
        (0..500).for_each(|_| conformal.learn(1, &said, chance.normal()));
        conformal.learn(1, &StepForecast::normal(0.0, 0.0), 0.5);
        let [.., highest] = conformal.calibrate(&[said])[0].quantiles;
        // It counts as an error of ten widths once, not of millions.
        assert!(highest < 15.0, "{highest}");
    }

    #[test]
    fn nonsense_is_not_learned() {
        let mut conformal = Conformal::default();
        let said = StepForecast::normal(0.0, 0.0);
        conformal.learn(1, &said, f64::NAN);
        conformal.learn(0, &said, 1.0);
        assert_eq!(conformal, Conformal::default());
        conformal.learn(2, &said, 1e300);
        assert!(conformal.calibrate(&[said, said])[1].quantiles.iter().all(|q| q.is_finite()));
    }
}
