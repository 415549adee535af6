//! The last correction of a mean of calibrated forecasts: each quantile is moved until it is exceeded
//! as often as it says.
//!
//! Source: A. Angelopoulos, E. Candès and R. Tibshirani, "Conformal PID control for time series
//! prediction" (2023), section 2.1, the quantile tracker, in units of the forecast's own scale.
//! [`Conformal`](crate::forecast::models::Conformal), which the members are corrected by, follows how
//! large errors are lately, too. The members have done that already: once more, after a burst, and
//! the mean is far too wide.

use crate::forecast::models::by_step::{ByStep, Correction};
use crate::forecast::models::{LEVELS, StepForecast};

/// What one miss moves a quantile by, in scales, at a level that is missed as often as not.
const RATE: f64 = 0.01;
/// Times that: a far quantile is missed seldom, and by more.
const RATES: [f64; LEVELS.len()] = [2.0, 1.0, 0.5, 0.5, 0.5, 1.0, 2.0];
/// Values after which the rate no longer falls are those at which this and they make [`RATE`].
const HEAD_START: f64 = 50.0;

/// Shifts of the quantiles, for each step ahead.
pub(super) type QuantileTracker = ByStep<Lane>;

/// One step ahead.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Lane {
    shifts: [f64; LEVELS.len()],
    seen: f64,
}

impl Correction for Lane {
    fn calibrate(&self, said: &StepForecast) -> StepForecast {
        let mut quantiles = said.quantiles;
        for (quantile, shift) in quantiles.iter_mut().zip(self.shifts) {
            *quantile += shift * said.scale();
        }
        quantiles.sort_unstable_by(f64::total_cmp);
        StepForecast { point: said.point, quantiles }
    }

    fn learn(&mut self, said: &StepForecast, y: f64) {
        self.seen += 1.0;
        let rate = RATE.max(1.0 / (self.seen + HEAD_START));
        let scale = said.scale();
        let levels = LEVELS.iter().zip(RATES).zip(said.quantiles);
        for (shift, ((level, own), quantile)) in self.shifts.iter_mut().zip(levels) {
            let is_below = f64::from(u8::from(y <= quantile + *shift * scale));
            *shift += rate * own * (level - is_below);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::forecast::models::tests::Chance;

    #[test]
    fn quantiles_are_moved_until_they_hold() {
        let mut tracker = QuantileTracker::default();
        let mut chance = Chance::new(4);
        let said = StepForecast::normal(0.0, 1.0);
        let mut below = [0.0; LEVELS.len()];
        for at in 0..20_000 {
            // Twice as wide as is said, and shifted.
            let y = 1.0 + 2.0 * chance.normal();
            let [moved] = tracker.calibrate(&[said])[..] else { panic!("one step") };
            if at >= 10_000 {
                for (below, quantile) in below.iter_mut().zip(moved.quantiles) {
                    *below += f64::from(u8::from(y <= quantile)) / 10_000.0;
                }
            }
            tracker.learn(1, &said, y);
        }
        for (below, level) in below.into_iter().zip(LEVELS) {
            assert!((below - level).abs() < 0.01, "{below} for {level}");
        }
    }

    #[test]
    fn one_burst_does_not_widen_what_follows() {
        let mut tracker = QuantileTracker::default();
        let said = StepForecast::normal(0.0, 1.0);
        tracker.learn(1, &said, 1e6);
        let [moved] = tracker.calibrate(&[said])[..] else { panic!("one step") };
        assert!(moved.quantiles[LEVELS.len() - 1] < 3.0, "{moved:?}");
        tracker.learn(1, &said, f64::NAN);
        assert_eq!(tracker.calibrate(&[said]), [moved]);
    }
}
