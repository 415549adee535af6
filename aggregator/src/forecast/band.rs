//! Empirical quantiles of a model's errors, per step ahead.
//!
//! Errors are divided by `sqrt(point + 1)`, the spread of a count, so that the errors of a quiet
//! night serve a busy noon and the other way round.

use std::collections::VecDeque;

use super::{Fit, ForecastError, Predict};
use crate::features::LoadSeries;
use crate::units::Ratio;

/// Errors kept for each step ahead; the newest count.
const KEPT: usize = 128;
/// An error this many band widths outside the band is a surprise (a crowd nobody could foresee), not
/// how the model usually errs: learning it would widen the band for as long as errors are kept.
const SURPRISE_WIDTHS: f64 = 2.0;
/// Surprises in a row after which they are how the model errs now.
const MAX_SURPRISES: u32 = 16;
/// Errors below which there is no quantile to speak of.
const NEEDED: usize = 20;

/// Errors of one model.
#[derive(Clone, Debug)]
pub(super) struct Band {
    quantile: f64,
    steps: Vec<Errors>,
}

#[derive(Clone, Debug, Default)]
struct Errors {
    newest: VecDeque<f32>,
    /// Upper and lower quantile of `newest`, kept because many forecasts follow one error.
    bounds: Option<(f64, f64)>,
    /// Surprises in a row, not learned.
    surprises: u32,
    /// Mean pinball loss of the upper bound, forgetting with a half-life of some 60 errors.
    loss: Option<f64>,
}

impl Band {
    /// Lets a model fitted without the newest part of a series forecast that part.
    ///
    /// # Errors
    /// Those of fitting; [`ForecastError::TooShort`] when too few errors were found.
    pub(super) fn learn<M: Fit>(
        description: &M,
        series: &LoadSeries,
        horizon: u64,
        quantile: Ratio,
    ) -> Result<Self, ForecastError> {
        let held_out = (series.len() / 3).clamp(NEEDED, KEPT) as u64;
        let last = series.last().unwrap_or(0);
        let cutoff = last.saturating_sub(held_out);
        let mut known = LoadSeries::new(series.step(), series.len());
        for index in series.first()..=cutoff {
            known.put(index, series.get(index));
        }
        let model = description.fit(&known, horizon)?;
        let steps = vec![Errors::default(); usize::try_from(horizon).unwrap_or(0)];
        let mut band = Self { quantile: quantile.get(), steps };
        for target in (cutoff + 1)..=last {
            let Some(actual) = series.get(target) else { continue };
            for ahead in 1..=horizon {
                let Some(origin) = target.checked_sub(ahead) else { continue };
                let points = model.predict(series, origin, ahead);
                if let Some(point) = points.and_then(|points| points.last().copied()) {
                    band.learn_one(ahead, point, actual);
                }
            }
        }
        let least = band.steps.iter().map(|errors| errors.newest.len()).min().unwrap_or(0);
        if least < NEEDED {
            return Err(ForecastError::TooShort { known: least, needed: NEEDED });
        }
        Ok(band)
    }

    /// Takes note of one error.
    pub(super) fn learn_one(&mut self, ahead: u64, point: f64, actual: f64) {
        let quantile = self.quantile;
        let at = usize::try_from(ahead).ok().and_then(|ahead| ahead.checked_sub(1));
        let Some(errors) = at.and_then(|at| self.steps.get_mut(at)) else { return };
        let scale = scale_of(point);
        if !(point.is_finite() && actual.is_finite()) {
            return;
        }
        if let Some((_, upper)) = errors.bounds {
            let loss = pinball(quantile, actual, point + upper * scale);
            errors.loss = Some(errors.loss.map_or(loss, |mean| mean + (loss - mean) * 0.012));
        }
        let error = (actual - point) / scale;
        if errors.is_surprise(error) {
            return;
        }
        if errors.newest.len() == KEPT {
            errors.newest.pop_front();
        }
        #[expect(clippy::cast_possible_truncation, reason = "seven digits of an error are enough")]
        errors.newest.push_back(error as f32);
        errors.bounds = bounds(&errors.newest, quantile);
    }

    /// Lower and upper bound around a point.
    pub(super) fn around(&self, ahead: u64, point: f64) -> (f64, f64) {
        let at = usize::try_from(ahead).ok().and_then(|ahead| ahead.checked_sub(1));
        let bounds = at.and_then(|at| self.steps.get(at)).and_then(|errors| errors.bounds);
        let (lower, upper) = bounds.unwrap_or((0.0, 0.0));
        let scale = scale_of(point);
        // A model that always errs upward has a "lower" above its point; the point stays inside.
        ((point + lower * scale).min(point).max(0.0), (point + upper * scale).max(point))
    }

    /// Mean pinball loss of the upper bound at the farthest step.
    pub(super) fn pinball_loss(&self) -> Option<f64> {
        self.steps.last().and_then(|errors| errors.loss)
    }
}

impl Errors {
    /// Whether an error is to be left out. A row of them that does not end is learned after all.
    fn is_surprise(&mut self, error: f64) -> bool {
        let Some((lower, upper)) = self.bounds else { return false };
        let reach = SURPRISE_WIDTHS * (upper - lower);
        let outside = error > upper + reach || error < lower - reach;
        self.surprises = if outside { self.surprises.saturating_add(1) } else { 0 };
        outside && self.surprises <= MAX_SURPRISES
    }
}

fn scale_of(point: f64) -> f64 {
    (point.max(0.0) + 1.0).sqrt()
}

/// Quantile loss (Koenker & Bassett 1978).
fn pinball(quantile: f64, actual: f64, predicted: f64) -> f64 {
    let error = actual - predicted;
    (quantile * error).max((quantile - 1.0) * error)
}

/// The `1 - q` and `q` quantiles with the finite-sample correction of split conformal prediction
/// (rank `ceil(q · (n + 1))`; Lei et al. 2018, section 2.2).
fn bounds(errors: &VecDeque<f32>, quantile: f64) -> Option<(f64, f64)> {
    if errors.len() < NEEDED {
        return None;
    }
    let mut sorted: Vec<f32> = errors.iter().copied().collect();
    sorted.sort_by(f32::total_cmp);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "in 0..=n+1, because the quantile is in 0.5..=0.999"
    )]
    let rank = ((quantile * (sorted.len() + 1) as f64).ceil() as usize).clamp(1, sorted.len());
    let upper = sorted.get(rank - 1).copied()?;
    let lower = sorted.get(sorted.len() - rank).copied()?;
    Some((f64::from(lower), f64::from(upper)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_the_conformal_ranks() {
        let errors: VecDeque<f32> = (1_u8..=99).map(f32::from).collect();
        assert_eq!(bounds(&errors, 0.9), Some((10.0, 90.0)));
        assert_eq!(bounds(&errors, 0.5), Some((50.0, 50.0)));
        assert_eq!(bounds(&(0..19_u8).map(f32::from).collect(), 0.9), None);
    }

    #[test]
    fn a_crowd_does_not_widen_the_band_and_a_new_level_does() {
        let mut band = Band { quantile: 0.9, steps: vec![Errors::default()] };
        for step in 0..100_u32 {
            band.learn_one(1, 99.0, 99.0 + f64::from(step % 11) - 5.0);
        }
        let usual = band.around(1, 99.0).1;
        (0..12).for_each(|_| band.learn_one(1, 99.0, 250.0));
        assert!((band.around(1, 99.0).1 - usual).abs() < 1e-9);
        band.learn_one(1, 99.0, 99.0);
        (0..40).for_each(|_| band.learn_one(1, 99.0, 250.0));
        assert!(band.around(1, 99.0).1 > 240.0);
    }

    #[test]
    fn pinball_loss_weighs_what_was_above_by_the_quantile() {
        assert!((pinball(0.9, 12.0, 10.0) - 1.8).abs() < 1e-12);
        assert!((pinball(0.9, 8.0, 10.0) - 0.2).abs() < 1e-12);
    }
}
