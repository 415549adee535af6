//! The simulated service alone: load in, replicas asked for directly.

use std::sync::Arc;

use super::{Environment, Step};
use crate::chance::Chance;
use crate::learning::reward::Prices;
use crate::simulate::{Cluster, Outcome, Scenario, World};

/// Changes of the replicas: shares of them, or single ones.
pub const DELTAS: [Delta; 7] = [
    Delta::Share(-0.10),
    Delta::Replicas(-1),
    Delta::Replicas(0),
    Delta::Replicas(1),
    Delta::Share(0.06),
    Delta::Share(0.15),
    Delta::Share(0.40),
];

/// A change of the replicas.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Delta {
    /// So many.
    Replicas(i32),
    /// A share of those that there are, at least one.
    Share(f64),
}

impl Delta {
    fn of(self, replicas: u32) -> u32 {
        match self {
            Self::Replicas(change) => replicas.saturating_add_signed(change),
            Self::Share(share) => {
                let change = (f64::from(replicas) * share).abs().ceil().max(1.0);
                #[expect(
                    clippy::cast_possible_truncation,
                    reason = "a share of a number that fits"
                )]
                let change = change.min(f64::from(i32::MAX)) as i32;
                replicas.saturating_add_signed(if share < 0.0 { -change } else { change })
            }
        }
    }
}

/// Steps of an episode.
const EPISODE: usize = 960;
/// Numbers of an observation.
const INPUTS: usize = 5;

/// The service with [`DELTAS`] as actions. An observation is: ln of load over capacity of the
/// ready replicas; starting over all replicas; waiting requests over a second's capacity; ln of
/// the load over the last; ln of replicas over 12.
#[derive(Clone, Debug)]
pub struct Direct {
    world: Arc<World>,
    scenario: Scenario,
    prices: Prices,
    cluster: Cluster,
    at: usize,
    end: usize,
    seen: [f32; INPUTS],
    last_rps: f64,
}

impl Direct {
    /// Episodes of 960 steps from anywhere in a world.
    pub fn new(world: Arc<World>, scenario: &Scenario, prices: Prices) -> Self {
        let cluster = Cluster::new(scenario, 1);
        let scenario = scenario.clone();
        let mut new =
            Self { world, scenario, prices, cluster, at: 0, end: 0, seen: [0.0; 5], last_rps: 0.0 };
        new.reset(0);
        new
    }

    fn serve(&mut self) -> Outcome {
        let outcome = self.cluster.step(&self.world, self.at);
        self.at += 1;
        let replicas = self.cluster.replicas();
        let ready = self.cluster.ready();
        let capacity = f64::from(ready.max(1)) * self.world.replica.capacity_rps;
        let log = |a: f64, b: f64| (a.max(1e-9) / b.max(1e-9)).ln().clamp(-3.0, 3.0);
        let seen = [
            log(outcome.rps, capacity),
            f64::from(replicas - ready) / f64::from(replicas.max(1)),
            (outcome.backlog / capacity.max(1e-9)).min(3.0),
            log(outcome.rps, self.last_rps),
            log(f64::from(replicas), 12.0),
        ];
        self.last_rps = outcome.rps;
        #[expect(clippy::cast_possible_truncation, reason = "an input needs few digits")]
        {
            self.seen = seen.map(|value| value as f32);
        }
        outcome
    }
}

impl Environment for Direct {
    fn inputs(&self) -> usize {
        INPUTS
    }

    fn actions(&self) -> usize {
        DELTAS.len()
    }

    fn reset(&mut self, seed: u64) {
        let mut chance = Chance::new(seed);
        let last = self.world.filled.len().saturating_sub(EPISODE);
        self.at = chance.below(last.max(1));
        self.end = self.at + EPISODE.min(self.world.filled.len());
        self.scenario.seed = seed;
        let needed = self.world.required(self.at);
        let replicas = needed + u32::try_from(chance.below(needed as usize + 1)).unwrap_or(0);
        self.cluster = Cluster::new(&self.scenario, replicas);
        self.last_rps = self.world.filled.get(self.at).copied().unwrap_or(0.0);
        self.serve();
    }

    fn observation(&self) -> &[f32] {
        &self.seen
    }

    fn step(&mut self, action: usize) -> Step {
        let before = self.cluster.replicas();
        let delta = DELTAS.get(action).or(DELTAS.first()).copied();
        self.cluster.order(delta.map_or(before, |delta| delta.of(before)));
        let changed = self.cluster.replicas() != before;
        let required = self.world.required(self.at);
        let outcome = self.serve();
        let reward = self.prices.reward(&outcome, required, changed, self.scenario.mean_replicas);
        Step { reward, terminated: false, truncated: self.at >= self.end }
    }
}
