//! What a replica does with its load, as a fluid.

use std::sync::Arc;

use super::Scenario;
use super::latency::{Latencies, LatencyTable};
use crate::policy::replicas_for;

/// A replica's capacity, and its latencies at a utilisation.
#[derive(Clone, Debug)]
pub struct ReplicaModel {
    /// Highest rate at which the objective holds, in requests per second.
    pub capacity_rps: f64,
    safe_utilisation: f64,
    latency: Arc<LatencyTable>,
}

impl ReplicaModel {
    /// With the scenario's queue and objective.
    pub fn new(scenario: &Scenario, capacity_rps: f64) -> Self {
        Self {
            capacity_rps,
            safe_utilisation: scenario.safe_utilisation(),
            latency: LatencyTable::of(scenario),
        }
    }

    /// The highest rate that it serves at all, in requests per second.
    pub(super) fn most_rps(&self) -> f64 {
        self.capacity_rps / self.safe_utilisation.max(1e-9)
    }

    pub(super) fn latencies(&self, utilisation: f64) -> Latencies {
        self.latency.at(utilisation)
    }

    /// Replicas that a rate requires, at least 1.
    pub fn required(&self, rps: f64) -> u32 {
        required(rps, self.capacity_rps)
    }
}

/// Replicas that serve a rate, at least 1.
pub(super) fn required(rps: f64, capacity_rps: f64) -> u32 {
    replicas_for(rps, capacity_rps).max(1)
}
