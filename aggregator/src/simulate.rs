//! A simulated service: replicas that take time to start, a queue that fills, what telemetry shows.
//!
//! Requests are a fluid, and latency within a step follows from the closed form of the queue at the
//! step's utilisation; or each request is served by itself, which takes longer. The assumptions are
//! in `docs/backtest.md`.

mod cluster;
mod latency;
mod replica;
mod requests;
mod settings;

use std::time::Duration;

use crate::queueing::safe_utilisation;

pub use cluster::{Cluster, Outcome};
pub use replica::ReplicaModel;
pub use settings::{max_replicas, settings_for};

/// How requests are served.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Service {
    /// By the closed form of the queue.
    #[default]
    Fluid,
    /// One by one.
    Requests,
}

/// How a replica works on requests, where they come one by one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Discipline {
    /// Each worker on one at a time, first come, first served.
    #[default]
    Queue,
    /// All that are there share the workers.
    Sharing,
}

/// How a request finds a replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Balance {
    /// By chance.
    #[default]
    Random,
    /// The less busy of two by chance: Envoy's `LEAST_REQUEST`.
    LeastRequest,
}

/// The service and the world around it.
#[derive(Clone, Debug, PartialEq)]
pub struct Scenario {
    /// From ordering a replica to its serving.
    pub startup: Duration,
    /// Spread of the start-up time: standard deviation of its logarithm; 0 for none.
    pub startup_jitter: f64,
    /// Replicas that the load requires on average: capacity is scaled to it.
    pub mean_replicas: f64,
    /// Highest rate per replica at which the objective holds, in requests per second, where it is
    /// known and not to be scaled.
    pub capacity_rps: Option<f64>,
    /// Time at the beginning that is not scored; `None` for a share of the recording.
    pub warm_up: Option<Duration>,
    /// Requests that a replica works on at once.
    pub workers: u32,
    /// Mean time of one request without waiting.
    pub mean_service: Duration,
    /// Its coefficient of variation: 1 for an exponential distribution, which the fluid has always.
    pub service_cv: f64,
    /// How requests find a replica, where they come one by one.
    pub balance: Balance,
    /// How a replica works on them.
    pub discipline: Discipline,
    /// Whether requests are a fluid or come one by one.
    pub service: Service,
    /// Share of requests that must be within the latency.
    pub objective_quantile: f64,
    /// That latency.
    pub objective_latency: Duration,
    /// Share of requests that may be served while the objective is missed.
    pub budget: f64,
    /// Time between decisions, and length of a step.
    pub decision_interval: Duration,
    /// Share of the steps whose telemetry is lost.
    pub telemetry_loss: f64,
    /// Failures of a replica an hour.
    pub crashes_per_hour: f64,
    /// Where chance begins.
    pub seed: u64,
}

impl Default for Scenario {
    fn default() -> Self {
        Self {
            startup: Duration::from_mins(1),
            startup_jitter: 0.0,
            mean_replicas: 12.0,
            capacity_rps: None,
            warm_up: None,
            workers: 4,
            mean_service: Duration::from_millis(50),
            service_cv: 1.0,
            balance: Balance::Random,
            discipline: Discipline::Queue,
            service: Service::Fluid,
            objective_quantile: 0.99,
            objective_latency: Duration::from_millis(350),
            budget: 0.01,
            decision_interval: Duration::from_secs(15),
            telemetry_loss: 0.0,
            crashes_per_hour: 0.0,
            seed: 1,
        }
    }
}

impl Scenario {
    /// Steps between an order and the first step that is served.
    pub fn delay_steps(&self) -> usize {
        let steps = self.startup.as_nanos().div_ceil(self.decision_interval.as_nanos().max(1));
        usize::try_from(steps).unwrap_or(usize::MAX)
    }

    /// The highest rate of its own requests at which a replica meets the objective.
    pub fn safe_rps(&self) -> f64 {
        self.safe_utilisation() * f64::from(self.workers) / self.mean_service.as_secs_f64()
    }

    /// The highest utilisation at which the objective holds.
    pub fn safe_utilisation(&self) -> f64 {
        safe_utilisation(
            self.workers,
            self.mean_service.as_secs_f64(),
            self.objective_quantile,
            self.objective_latency.as_secs_f64(),
        )
    }
}

/// Load on a regular grid.
#[derive(Clone, Debug, PartialEq)]
pub struct Grid {
    /// Number of the first step since 1970.
    pub first_index: u64,
    /// Length of a step.
    pub step: Duration,
    /// Mean rate of each step in requests per second; `None` where it is not known.
    pub rates: Vec<Option<f64>>,
}

/// A load, and how large a replica is against it.
#[derive(Clone, Debug)]
pub struct World {
    /// The load as recorded.
    pub grid: Grid,
    /// The load that comes: gaps carry the value before them.
    pub filled: Vec<f64>,
    /// What a replica does with its load.
    pub replica: ReplicaModel,
    /// Steps at the beginning that are not scored.
    pub warm_up_steps: usize,
    /// Simulated requests for one of the recording, whose unit may be anything.
    scale: f64,
}

impl World {
    /// Scales a replica's capacity so that the scored part requires the scenario's mean.
    pub fn new(grid: Grid, scenario: &Scenario) -> Self {
        let mut filled = Vec::with_capacity(grid.rates.len());
        let mut last = grid.rates.iter().flatten().copied().next().unwrap_or(0.0);
        for rate in &grid.rates {
            last = rate.unwrap_or(last);
            filled.push(last);
        }
        let warm_up_steps = scenario.warm_up.map_or_else(
            || warm_up(filled.len(), grid.step),
            |time| {
                usize::try_from(time.as_nanos() / grid.step.as_nanos().max(1)).unwrap_or(usize::MAX)
            },
        );
        let scored = filled.get(warm_up_steps..).unwrap_or_default();
        let capacity_rps =
            scenario.capacity_rps.unwrap_or_else(|| capacity(scored, scenario.mean_replicas));
        Self {
            replica: ReplicaModel::new(scenario, capacity_rps),
            scale: scenario.safe_rps() / capacity_rps,
            grid,
            filled,
            warm_up_steps,
        }
    }

    /// The same world from a step on, for so many steps, all of them scored.
    #[must_use]
    pub fn slice(&self, from: usize, steps: usize) -> Self {
        let to = from.saturating_add(steps).min(self.filled.len());
        let from = from.min(to);
        let part = |all: &[f64]| all.get(from..to).unwrap_or_default().to_vec();
        Self {
            grid: Grid {
                first_index: self.grid.first_index + from as u64,
                step: self.grid.step,
                rates: self.grid.rates.get(from..to).unwrap_or_default().to_vec(),
            },
            filled: part(&self.filled),
            warm_up_steps: 0,
            replica: self.replica.clone(),
            scale: self.scale,
        }
    }

    /// Replicas that a step requires, at least 1.
    pub fn required(&self, at: usize) -> u32 {
        self.replica.required(self.filled.get(at).copied().unwrap_or(0.0))
    }
}

/// Days that policies may learn from before they are scored.
fn warm_up(steps: usize, step: Duration) -> usize {
    let day = 86_400.0 / step.as_secs_f64();
    let days = steps as f64 / day;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a few days in steps"
    )]
    let whole = |days: f64| (days * day) as usize;
    if days >= 6.9 {
        whole(3.0)
    } else if days >= 3.9 {
        whole(2.0)
    } else {
        (steps / 10).min(20)
    }
}

/// The rate per replica at which the mean of the required replicas is `mean`.
fn capacity(rates: &[f64], mean: f64) -> f64 {
    let highest = rates.iter().copied().fold(0.0, f64::max).max(1e-6);
    let (mut low, mut high) = (highest * 1e-6, highest);
    for _ in 0..60 {
        let middle = (low * high).sqrt();
        let sum: f64 = rates.iter().map(|rate| f64::from(replica::required(*rate, middle))).sum();
        if sum / rates.len().max(1) as f64 > mean {
            low = middle;
        } else {
            high = middle;
        }
    }
    (low * high).sqrt()
}

#[cfg(test)]
mod tests;
