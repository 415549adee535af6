//! Corrections of a path's quantiles, one for each step ahead.

use super::StepForecast;

/// What past forecasts of one step ahead have taught.
pub(super) trait Correction: Default {
    /// The forecast with corrected quantiles; the point stays.
    fn calibrate(&self, said: &StepForecast) -> StepForecast;

    /// Compares an uncorrected forecast with the value that came.
    fn learn(&mut self, said: &StepForecast, y: f64);
}

/// A correction for each step ahead; a step that nothing is known of has a fresh one.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct ByStep<C> {
    lanes: Vec<C>,
}

impl<C: Correction> ByStep<C> {
    /// The path with corrected quantiles; points stay.
    pub(super) fn calibrate(&self, path: &[StepForecast]) -> Vec<StepForecast> {
        let fresh = C::default();
        let lane = |at: usize| self.lanes.get(at).unwrap_or(&fresh);
        path.iter().enumerate().map(|(at, step)| lane(at).calibrate(step)).collect()
    }

    /// Compares an uncorrected forecast of a value, made `ahead` steps before, with the value.
    pub(super) fn learn(&mut self, ahead: usize, said: &StepForecast, y: f64) {
        let Some(at) = ahead.checked_sub(1).filter(|_| y.is_finite()) else { return };
        if self.lanes.len() <= at {
            self.lanes.resize_with(at + 1, C::default);
        }
        if let Some(lane) = self.lanes.get_mut(at) {
            lane.learn(said, y);
        }
    }
}
