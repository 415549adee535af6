//! The plain loop of many a blog post: ARIMA on the last 30 values, divide, round up.

mod hannan_rissanen;

use std::collections::VecDeque;
use std::time::Duration;

use super::seasonal::lead_steps;
use super::window::{replicas_above, target_above_zero};
use super::{Peer, PeerView};
use crate::units::Timestamp;

/// Steps that the model sees.
const POINTS: usize = 30;
/// How long the highest answer stands with stabilisation.
const STABILIZATION_WINDOW: Duration = Duration::from_mins(5);

/// ARIMA of the request rate at the step in which a pod ordered now serves.
#[derive(Debug)]
pub(super) struct Arima {
    share: f64,
    stabilized: bool,
    rates: VecDeque<f64>,
    answers: VecDeque<(Timestamp, u32)>,
}

impl Arima {
    fn new(share: f64, stabilized: bool) -> Self {
        let (rates, answers) = (VecDeque::new(), VecDeque::new());
        Self { share: target_above_zero(share), stabilized, rates, answers }
    }

    /// Without any damping. `share`: of the safe rate per pod.
    pub(super) fn ceil(share: f64) -> Self {
        Self::new(share, false)
    }

    /// With the highest forecast up to that step, and the highest answer of 300 s.
    pub(super) fn stab(share: f64) -> Self {
        Self::new(share, true)
    }

    /// Replicas for the forecast alone; `None` when the step was not measured.
    fn wanted(&mut self, view: &PeerView) -> Option<u32> {
        let rps = view.rps.filter(|rps| (0.0..=f64::MAX).contains(rps))?;
        if self.rates.len() == POINTS {
            self.rates.pop_front();
        }
        self.rates.push_back(rps);
        let target = view.target_rps(self.share)?;
        let path = if self.rates.len() == POINTS {
            hannan_rissanen::forecast(self.rates.make_contiguous(), lead_steps(view))
        } else {
            vec![rps]
        };
        let highest = || path.iter().copied().fold(0.0, f64::max);
        let load = if self.stabilized { highest() } else { path.last().copied()? };
        Some(replicas_above(load / target))
    }
}

impl Peer for Arima {
    fn name(&self) -> &'static str {
        if self.stabilized { "arima-stab" } else { "arima-ceil" }
    }

    fn desired(&mut self, view: &PeerView) -> u32 {
        let Some(wanted) = self.wanted(view) else { return view.bounded(view.replicas) };
        if !self.stabilized {
            return view.bounded(wanted);
        }
        while self
            .answers
            .front()
            .is_some_and(|(at, _)| view.now.since(*at) >= STABILIZATION_WINDOW)
        {
            self.answers.pop_front();
        }
        self.answers.push_back((view.now, wanted));
        let highest = self.answers.iter().map(|(_, replicas)| *replicas).max();
        view.bounded(highest.unwrap_or(wanted))
    }
}

#[cfg(test)]
mod tests;
