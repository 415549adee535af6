//! Crane's effective HPA: the HPA on the request rate and, beside it, on what a Fourier filter of
//! the past says of the coming hour.
//!
//! Source: gocrane/crane `pkg/prediction/dsp` (`prediction.go`, `estimators.go`) and the
//! `EffectiveHorizontalPodAutoscaler` with `AverageValue` metrics. The forecast is the greatest
//! value of [now, now + 1 h]: up early, down late.

mod dsp;

use super::hpa::{ControlLoop, RATE_WINDOW, average_value_replicas};
use super::window::{Window, replicas_above, target_above_zero};
use super::{Peer, PeerView};
use dsp::{Sampling, forecast};

/// Seconds of a sample (`historyResolution`).
const RESOLUTION_SECONDS: f64 = 60.0;
/// Days of history that are looked at (`historyLength`).
const HISTORY_DAYS: usize = 15;
/// Days of history without which nothing is forecast.
const LEAST_DAYS: usize = 2;
/// The longest gap that is filled; a longer one makes a new beginning.
const LONGEST_GAP_SECONDS: f64 = 3600.0;

/// Effective HPA on the request rate.
#[derive(Debug)]
pub(super) struct CraneEhpa {
    share: f64,
    history: History,
    rate: Window,
    control: ControlLoop,
    /// One period from the last fit on, and how many samples ago that was.
    forecast: Option<Vec<f64>>,
    samples_since_fit: usize,
    /// At least 1.
    samples_to_fit: usize,
}

/// Samples of a minute made of steps.
#[derive(Debug)]
struct History {
    steps_per_sample: usize,
    sampling: Sampling,
    samples: Vec<f64>,
    /// Sum and number of the steps measured, and number of steps, of the sample under way.
    open: (f64, usize, usize),
    /// Samples missing since the last one.
    gap: usize,
}

impl History {
    fn new(steps_per_day: usize) -> Self {
        let step_seconds = 86_400.0 / steps_per_day.max(1) as f64;
        let steps = (RESOLUTION_SECONDS / step_seconds).round().max(1.0);
        let steps_per_sample = usize::try_from(replicas_above(steps)).unwrap_or(1).max(1);
        let seconds = step_seconds * steps_per_sample as f64;
        let per_day = (steps_per_day / steps_per_sample).max(1);
        let sampling = Sampling { seconds, per_day };
        Self { steps_per_sample, sampling, samples: Vec::new(), open: (0.0, 0, 0), gap: 0 }
    }

    /// Adds a step; whether a sample was completed by it.
    fn push(&mut self, rps: Option<f64>) -> bool {
        if let Some(rps) = rps.filter(|rps| (0.0..=f64::MAX).contains(rps)) {
            self.open.0 += rps;
            self.open.1 += 1;
        }
        self.open.2 += 1;
        if self.open.2 < self.steps_per_sample {
            return false;
        }
        let (sum, known, _) = std::mem::take(&mut self.open);
        if known == 0 {
            self.gap += 1;
        } else {
            self.close_gap(sum / known as f64);
        }
        true
    }

    /// Adds a sample, with a straight line to it over what is missing.
    fn close_gap(&mut self, sample: f64) {
        let gap = std::mem::take(&mut self.gap);
        if gap as f64 * self.sampling.seconds > LONGEST_GAP_SECONDS {
            self.samples.clear();
        } else if let Some(before) = self.samples.last().copied() {
            let slope = (sample - before) / (gap + 1) as f64;
            self.samples.extend((1..=gap).map(|k| before + slope * k as f64));
        }
        self.samples.push(sample);
        let kept = HISTORY_DAYS * self.sampling.per_day;
        // In one go once a day: moving the rest costs more than it is worth each minute.
        if self.samples.len() >= kept + self.sampling.per_day {
            self.samples.drain(..self.samples.len() - kept);
        }
    }

    fn newest_days(&self) -> &[f64] {
        let kept = HISTORY_DAYS * self.sampling.per_day;
        self.samples.get(self.samples.len().saturating_sub(kept)..).unwrap_or_default()
    }
}

impl CraneEhpa {
    /// `share`: of the safe rate per pod.
    pub(super) fn new(share: f64, steps_per_day: usize) -> Self {
        let history = History::new(steps_per_day);
        Self {
            share: target_above_zero(share),
            samples_to_fit: LEAST_DAYS * history.sampling.per_day,
            history,
            rate: Window::new(RATE_WINDOW),
            control: ControlLoop::new(),
            forecast: None,
            samples_since_fit: 0,
        }
    }

    /// Fits anew twice a day, with or without success.
    fn observe(&mut self, rps: Option<f64>) {
        if !self.history.push(rps) {
            return;
        }
        self.samples_since_fit += 1;
        self.samples_to_fit -= 1;
        if self.samples_to_fit == 0 {
            self.forecast = forecast(self.history.newest_days(), &self.history.sampling);
            self.samples_since_fit = 0;
            self.samples_to_fit = (self.history.sampling.per_day / 2).max(1);
        }
    }

    /// The greatest value of the coming hour.
    fn peak(&self) -> Option<f64> {
        let hour = replicas_above(3600.0 / self.history.sampling.seconds);
        let last = self.samples_since_fit + usize::try_from(hour).unwrap_or(0);
        let coming = self.forecast.as_ref()?.iter().take(last + 1).skip(self.samples_since_fit);
        coming.copied().max_by(f64::total_cmp)
    }
}

impl Peer for CraneEhpa {
    fn name(&self) -> &'static str {
        "crane-ehpa"
    }

    fn desired(&mut self, view: &PeerView) -> u32 {
        self.rate.push(view.now, view.rps);
        self.observe(view.rps);
        let (rate, peak) = (self.rate.mean(), self.peak());
        let share = self.share;
        self.control.run(view, |view| {
            let target = view.target_rps(share)?;
            let wanted = |sum: f64| average_value_replicas(sum, target, view.replicas);
            // A forecast that is not ready is left out of the HPA.
            Some(wanted(rate?).max(peak.map_or(0, wanted)))
        })
    }
}

#[cfg(test)]
mod tests;
