//! Two rules of thumb: yesterday's profile beside a reactive rule, and a fixed number.

use std::collections::VecDeque;

use super::hpa::{ControlLoop, RATE_WINDOW, average_value_replicas};
use super::window::{Window, replicas_above, target_above_zero};
use super::{Peer, PeerView};

/// Days back that the profile looks, and their weights.
const DAYS_AND_WEIGHTS: [(usize, f64); 3] = [(1, 0.5), (2, 0.3), (7, 0.2)];
/// Steps on either side that smooth the profile.
const SMOOTHING: usize = 4;
/// Share of a coming rate that is added to both sides of a ratio of levels.
const LITTLE_SHARE: f64 = 0.05;
/// Days that are remembered.
const DAYS_KEPT: usize = 8;
/// Days after which a fixed number is fixed.
const STATIC_WARM_UP_DAYS: usize = 2;

/// The greater of HPA on the request rate, damped, and what the load usually does until a new pod
/// is there, not damped: minima from a daily profile beside an HPA.
///
/// The profile is moved to today's level, with which it does better than as it is.
#[derive(Debug)]
pub(super) struct SeasonalReactive {
    share: f64,
    steps_per_day: usize,
    rates: VecDeque<Option<f64>>,
    rate: Window,
    control: ControlLoop,
}

impl SeasonalReactive {
    /// `share`: of the safe rate per pod.
    pub(super) fn new(share: f64, steps_per_day: usize) -> Self {
        Self {
            share: target_above_zero(share),
            steps_per_day: steps_per_day.max(1),
            rates: VecDeque::new(),
            rate: Window::new(RATE_WINDOW),
            control: ControlLoop::new(),
        }
    }
}

/// The usual rate `ahead` steps after the newest, at the level of the newest; `None` in the first
/// day, and when the newest is not known.
fn usual(rates: &VecDeque<Option<f64>>, steps_per_day: usize, ahead: usize) -> Option<f64> {
    let newest = rates.back().copied().flatten()?;
    let (now, then) = (profile(rates, steps_per_day, 0)?, profile(rates, steps_per_day, ahead)?);
    // What is next to nothing now says little of the level.
    let little = LITTLE_SHARE * then;
    let level = (newest + little) / (now + little);
    Some(if level.is_finite() { level * (then + little) - little } else { then })
}

/// Mean of the days' rates `ahead` steps after the newest; `None` in the first day.
fn profile(rates: &VecDeque<Option<f64>>, steps_per_day: usize, ahead: usize) -> Option<f64> {
    let newest = rates.len().checked_sub(1)?;
    let (mut sum, mut weights) = (0.0, 0.0);
    for (days, weight) in DAYS_AND_WEIGHTS {
        let Some(middle) = (newest + ahead).checked_sub(days * steps_per_day) else { continue };
        let last = (middle + SMOOTHING).min(newest);
        let around = middle.saturating_sub(SMOOTHING)..=last;
        let known: Vec<f64> = around.filter_map(|i| rates.get(i).copied().flatten()).collect();
        if !known.is_empty() {
            sum += weight * known.iter().sum::<f64>() / known.len() as f64;
            weights += weight;
        }
    }
    (weights > 0.0).then(|| sum / weights)
}

/// The farthest that a peer looks ahead: 4 h of steps of 15 s.
const MOST_LEAD_STEPS: u32 = 960;

/// Steps until a pod that is ordered now serves; at most [`MOST_LEAD_STEPS`].
pub(super) fn lead_steps(view: &PeerView) -> usize {
    let steps = view.startup.as_secs_f64() / view.step.as_secs_f64().max(1e-3);
    usize::try_from(replicas_above(steps).min(MOST_LEAD_STEPS - 1)).unwrap_or(0) + 1
}

impl Peer for SeasonalReactive {
    fn name(&self) -> &'static str {
        "seasonal-reactive"
    }

    fn desired(&mut self, view: &PeerView) -> u32 {
        self.rate.push(view.now, view.rps);
        if self.rates.len() >= DAYS_KEPT * self.steps_per_day {
            self.rates.pop_front();
        }
        self.rates.push_back(view.rps.filter(|rps| (0.0..=f64::MAX).contains(rps)));
        let Self { share, steps_per_day, rates, rate, control } = self;
        let reactive = control.run(view, |view| {
            Some(average_value_replicas(rate.mean()?, view.target_rps(*share)?, view.replicas))
        });
        let usual = usual(rates, *steps_per_day, lead_steps(view));
        let usual = usual.zip(view.target_rps(*share)).map_or(0, |(u, t)| replicas_above(u / t));
        view.bounded(reactive.max(usual))
    }
}

/// A fixed number: enough for a share of the highest load of the first two days.
///
/// Until those are over it is enough for the highest load so far.
#[derive(Debug)]
pub(super) struct Static {
    share: f64,
    steps_left: usize,
    peak: f64,
}

impl Static {
    /// `share`: of the peak.
    pub(super) fn new(share: f64, steps_per_day: usize) -> Self {
        let steps_left = STATIC_WARM_UP_DAYS * steps_per_day.max(1);
        Self { share: target_above_zero(share), steps_left, peak: 0.0 }
    }
}

impl Peer for Static {
    fn name(&self) -> &'static str {
        "static"
    }

    fn desired(&mut self, view: &PeerView) -> u32 {
        if self.steps_left > 0 {
            self.steps_left -= 1;
            let rps = view.rps.filter(|rps| (0.0..=f64::MAX).contains(rps));
            self.peak = self.peak.max(rps.unwrap_or(0.0));
        }
        match view.target_rps(1.0) {
            Some(safe) if self.peak > 0.0 => {
                view.bounded(replicas_above(self.share * self.peak / safe))
            }
            _ => view.bounded(view.replicas),
        }
    }
}

#[cfg(test)]
mod tests;
