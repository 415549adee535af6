//! Knative's pod autoscaler on the request rate.
//!
//! Source: knative/serving `pkg/autoscaler/scaling/autoscaler.go`, `Scale`; defaults from
//! `config-autoscaler`: stable window 60 s, panic window 10 % of it, panic threshold 200 %, at most
//! 1000 times up and half down at once, scale-down delay 0 s.

use std::time::Duration;

use super::window::{Window, replicas_above, target_above_zero};
use super::{Peer, PeerView};
use crate::units::Timestamp;

/// `stable-window`.
const STABLE_WINDOW: Duration = Duration::from_mins(1);
/// `panic-window-percentage` 10 of the stable window.
const PANIC_WINDOW: Duration = Duration::from_secs(6);
/// `panic-threshold-percentage`, as a factor.
const PANIC_THRESHOLD: f64 = 2.0;
/// `max-scale-up-rate`.
const MAX_SCALE_UP_RATE: f64 = 1000.0;
/// `max-scale-down-rate`.
const MAX_SCALE_DOWN_RATE: f64 = 2.0;

/// The decision without its metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Decider {
    panicking_since: Option<Timestamp>,
    max_panic_pods: u32,
}

impl Decider {
    /// Begins; with more than one pod as if in panic, so that nothing shrinks before a stable
    /// window has filled.
    pub(super) fn starting(now: Timestamp, ready: u32) -> Self {
        Self { panicking_since: (ready > 1).then_some(now), max_panic_pods: ready }
    }

    /// Pods for the means over both windows. All rates in requests per second.
    pub(super) fn scale(
        &mut self,
        now: Timestamp,
        ready: u32,
        stable: f64,
        panic: f64,
        target: f64,
    ) -> u32 {
        let ready = f64::from(ready.max(1));
        // 1. What each window asks for, between half and a thousand times what there is.
        let (stable_pods, panic_pods) = ((stable / target).ceil(), (panic / target).ceil());
        let least = (ready / MAX_SCALE_DOWN_RATE).floor();
        let most = (ready * MAX_SCALE_UP_RATE).ceil();
        let bounded = |pods: f64| replicas_above(pods.max(least).min(most));
        // 2. Panic begins or goes on at twice the pods there are, and ends a stable window later.
        if panic_pods / ready >= PANIC_THRESHOLD {
            self.panicking_since = Some(now);
        } else if self.panicking_since.is_some_and(|since| since + STABLE_WINDOW < now) {
            *self = Self::default();
        }
        // 3. In panic the greater of both, and never fewer than before.
        if self.panicking_since.is_none() {
            return bounded(stable_pods);
        }
        let wanted = bounded(stable_pods).max(bounded(panic_pods));
        self.max_panic_pods = self.max_panic_pods.max(wanted);
        self.max_panic_pods
    }
}

/// KPA with the metric `rps`.
#[derive(Debug)]
pub(super) struct Kpa {
    share: f64,
    stable: Window,
    panic: Window,
    decider: Option<Decider>,
    decided: Option<u32>,
}

impl Kpa {
    /// `share`: of the safe rate per pod.
    pub(super) fn new(share: f64) -> Self {
        Self {
            share: target_above_zero(share),
            stable: Window::new(STABLE_WINDOW),
            panic: Window::new(PANIC_WINDOW),
            decider: None,
            decided: None,
        }
    }

    fn decide(&mut self, view: &PeerView) -> Option<u32> {
        let decider = self.decider.get_or_insert_with(|| Decider::starting(view.now, view.ready));
        let (stable, panic) = (self.stable.mean()?, self.panic.mean()?);
        let target = view.target_rps(self.share)?;
        Some(decider.scale(view.now, view.ready, stable, panic, target))
    }
}

impl Peer for Kpa {
    fn name(&self) -> &'static str {
        "kpa"
    }

    fn desired(&mut self, view: &PeerView) -> u32 {
        self.stable.push(view.now, view.rps);
        self.panic.push(view.now, view.rps);
        // Without data there is no decision: the last one stands.
        self.decided = self.decide(view).or(self.decided);
        view.bounded(self.decided.unwrap_or(view.replicas))
    }
}

#[cfg(test)]
mod tests;
