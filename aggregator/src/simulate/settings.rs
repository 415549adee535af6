//! A workload's settings in a simulated world.

use super::{Scenario, World};
use crate::config::{CapacitySource, Mode, WorkloadConfig};
use crate::units::{Ratio, Rps};

/// Upper bound on replicas in a replay, as a multiple of the mean.
const MAX_FACTOR: f64 = 200.0;

/// Settings for a world: the scenario's objective, times and capacity.
pub fn settings_for(config: &WorkloadConfig, scenario: &Scenario, world: &World) -> WorkloadConfig {
    let mut config = config.clone();
    config.mode = Mode::Active;
    config.min_replicas = 1;
    config.max_replicas = max_replicas(scenario);
    config.objective.latency = scenario.objective_latency;
    config.objective.quantile = Ratio::new(scenario.objective_quantile).unwrap_or(Ratio::ONE);
    config.objective.budget = Ratio::new(scenario.budget).unwrap_or_default();
    config.startup_time = scenario.startup;
    config.decision_interval = scenario.decision_interval;
    config.forecast.step = scenario.decision_interval;
    // Known to everybody here, peers included: what is compared is the decision.
    config.capacity = CapacitySource::Fixed;
    config.target_rps_per_replica = Rps::new(world.replica.capacity_rps).unwrap_or_default();
    config
}

/// The most replicas in a replay.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "clamped to a range that fits"
)]
pub fn max_replicas(scenario: &Scenario) -> u32 {
    (scenario.mean_replicas * MAX_FACTOR).clamp(100.0, 100_000.0) as u32
}
