//! Shapes that the share of slow requests may have over the load of a replica.
//!
//! Near the load at which the objective just holds, the logarithm of that share grows about linearly
//! with the load, whatever the queue: for M/M/1 exactly, with a slope of utilisation times latency
//! over service time; steeper the more a replica works on at once. Below, a share of slow requests
//! may remain that no replica helps against.

use crate::config::Objective;

/// Growth of the logarithm while the load doubles from nothing to capacity.
const STEEPNESS: [f64; 6] = [2.0, 5.0, 12.0, 30.0, 90.0, 300.0];
/// Part of the allowed share that remains without load.
const IDLE: [f64; 2] = [0.0, 0.6];
/// How many shapes there are.
pub(super) const CURVES: usize = STEEPNESS.len() * IDLE.len();
/// The least share that is expected of any load, against the allowed one: rarer is chance.
const RAREST: f64 = 0.02;
/// Beyond this multiple of the allowed share, slow is slow: how slow an overload is says more of
/// timeouts and of queues before us than of capacity.
const BAD: f64 = 8.0;
const MOST_SLOW: f64 = 0.95;

/// Slow shares that hypotheses expect of loads relative to their capacity.
#[derive(Clone, Debug)]
pub struct Expectation {
    allowed: f64,
}

/// Logarithms of a slow share and of the rest.
#[derive(Clone, Copy, Debug)]
pub(super) struct Logs {
    pub(super) slow: f64,
    pub(super) fast: f64,
}

impl Expectation {
    /// For an objective.
    pub fn new(objective: &Objective) -> Self {
        Self { allowed: (1.0 - objective.quantile.get()).clamp(1e-4, 0.5) }
    }

    /// Share of slow requests that the objective allows.
    pub const fn allowed(&self) -> f64 {
        self.allowed
    }

    /// The share from which on slow is slow.
    pub(super) fn bad(&self) -> f64 {
        (self.allowed * BAD).min(MOST_SLOW)
    }

    /// What a shape expects of a load relative to capacity.
    pub(super) fn logs(&self, curve: usize, load: f64) -> Logs {
        let (flat, steep) = (curve / STEEPNESS.len(), curve % STEEPNESS.len());
        let (Some(idle), Some(steepness)) = (IDLE.get(flat), STEEPNESS.get(steep)) else {
            return Logs { slow: 0.5_f64.ln(), fast: 0.5_f64.ln() };
        };
        let grown = idle + (1.0 - idle) * (steepness * (load - 1.0)).exp();
        let slow = (self.allowed * grown).clamp(self.allowed * RAREST, self.bad());
        Logs { slow: slow.ln(), fast: (1.0 - slow).ln() }
    }
}
