//! The replicas of one policy, step by step.

use std::collections::VecDeque;
use std::time::Duration;

use super::requests::Replicas;
use super::{ReplicaModel, Scenario, Service, World};
use crate::chance::Chance;
use crate::journal::Observation;
use crate::units::{Ratio, Rps, Timestamp};

/// Seconds of work that may wait; the rest is dropped.
pub(super) const QUEUE_SECONDS: f64 = 2.0;

/// What a step was like.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Outcome {
    /// Requests per second that arrived.
    pub rps: f64,
    /// Replicas that served.
    pub ready: u32,
    /// Replicas that were billed: ready and starting.
    pub replicas: u32,
    /// Whether the objective was missed.
    pub violated: bool,
    /// Share of the served requests over the objective's latency.
    pub slow_share: f64,
    /// Share of the requests that was dropped.
    pub dropped_share: f64,
    /// Requests that wait at the step's end.
    pub backlog: f64,
    /// Share of the replicas' time in use, 0 to 1.
    pub utilisation: f64,
    /// Median latency.
    pub p50_ms: f64,
    /// 95th percentile of latency.
    pub p95_ms: f64,
    /// 99th percentile of latency.
    pub p99_ms: f64,
    /// Mean number of requests in flight.
    pub concurrency: f64,
}

/// Replicas and their queue.
#[derive(Clone, Debug)]
pub struct Cluster {
    ready: u32,
    /// Ordered replicas by the steps they still take, the next to serve first.
    starting: VecDeque<u32>,
    delay: usize,
    jitter: f64,
    backlog: f64,
    /// The replicas request by request, when they are simulated so.
    requests: Option<Replicas>,
    allowed_slow_share: f64,
    crash_chance: f64,
    telemetry_loss: f64,
    mean_service_s: f64,
    newest: Option<Timestamp>,
    chance: Chance,
}

impl Cluster {
    /// Begins with some ready replicas.
    pub fn new(scenario: &Scenario, replicas: u32) -> Self {
        let hours = scenario.decision_interval.as_secs_f64() / 3_600.0;
        Self {
            ready: replicas.max(1),
            starting: VecDeque::new(),
            delay: scenario.delay_steps(),
            jitter: scenario.startup_jitter,
            backlog: 0.0,
            requests: (scenario.service == Service::Requests).then(|| Replicas::new(scenario)),
            allowed_slow_share: 1.0 - scenario.objective_quantile,
            crash_chance: (scenario.crashes_per_hour * hours).clamp(0.0, 1.0),
            telemetry_loss: scenario.telemetry_loss,
            mean_service_s: scenario.mean_service.as_secs_f64(),
            newest: None,
            chance: Chance::new(scenario.seed),
        }
    }

    /// Steps from ordering a replica until it serves, for those that are ordered from now on.
    pub const fn set_delay(&mut self, steps: usize) {
        self.delay = steps;
    }

    /// So many serve, whatever was ordered; none start.
    pub fn set_ready(&mut self, replicas: u32) {
        self.ready = replicas;
        self.starting.clear();
    }

    /// Replicas that serve.
    pub const fn ready(&self) -> u32 {
        self.ready
    }

    /// Replicas that serve or start.
    pub fn replicas(&self) -> u32 {
        self.ready + self.starting.iter().sum::<u32>()
    }

    /// Serves step `at`; what was ordered long enough ago is ready after it.
    pub fn step(&mut self, world: &World, at: usize) -> Outcome {
        if let Some(outcome) = self.serve_requests(world, at) {
            self.advance();
            return outcome;
        }
        let rps = world.filled.get(at).copied().unwrap_or(0.0);
        self.serve(&world.replica, rps, world.grid.step)
    }

    /// Serves step `at` request by request, when that is wanted.
    fn serve_requests(&mut self, world: &World, at: usize) -> Option<Outcome> {
        let rps = world.filled.get(at).copied().unwrap_or(0.0);
        let seconds = world.grid.step.as_secs_f64();
        let (ready, replicas) = (self.ready, self.replicas());
        let scale = world.scale;
        let served = self.requests.as_mut()?.step(rps * scale, ready, seconds);
        let requests = f64::from(served.requests).max(1.0);
        let slow_share = f64::from(served.slow) / requests;
        let dropped_share = f64::from(served.dropped) / requests;
        Some(Outcome {
            rps,
            ready,
            replicas,
            violated: slow_share + dropped_share > self.allowed_slow_share,
            slow_share,
            dropped_share,
            backlog: f64::from(served.waiting) / scale,
            utilisation: served.utilisation,
            p50_ms: served.quantile_ms(0.5),
            p95_ms: served.quantile_ms(0.95),
            p99_ms: served.quantile_ms(0.99),
            concurrency: rps * served.mean_s(),
        })
    }

    /// Serves a rate for a step, as a fluid; what was ordered long enough ago is ready after it.
    pub fn serve(&mut self, replica: &ReplicaModel, rps: f64, step: Duration) -> Outcome {
        let outcome = self.flow(replica, rps, step.as_secs_f64());
        self.advance();
        outcome
    }

    fn flow(&mut self, replica: &ReplicaModel, rps: f64, seconds: f64) -> Outcome {
        let safe = f64::from(self.ready) * replica.capacity_rps;
        let most = f64::from(self.ready) * replica.most_rps();
        let waiting = self.backlog;
        let work = rps * seconds + waiting;
        let served = work.min(most * seconds);
        let left = work - served;
        let dropped = (left - most * QUEUE_SECONDS).max(0.0);
        self.backlog = left - dropped;
        let utilisation = if most > 0.0 { (work / (most * seconds)).min(1.0) } else { 1.0 };
        let mut latencies = replica.latencies(utilisation);
        // The queue's own delay: who arrives waits for what is before him.
        let queued_ms =
            if most > 0.0 { f64::midpoint(waiting, self.backlog) / most * 1e3 } else { 0.0 };
        let violated = rps > safe * (1.0 + 1e-9) || waiting > 0.0 || self.backlog > 0.0;
        if self.backlog > 0.0 {
            latencies.slow_share = 1.0;
        }
        let latency_s = (latencies.p50_ms.max(self.mean_service_s * 1e3) + queued_ms) / 1e3;
        Outcome {
            rps,
            ready: self.ready,
            replicas: self.replicas(),
            violated,
            slow_share: latencies.slow_share,
            dropped_share: if work > 0.0 {
                (dropped / (rps * seconds).max(1e-12)).min(1.0)
            } else {
                0.0
            },
            backlog: self.backlog,
            utilisation,
            p50_ms: latencies.p50_ms + queued_ms,
            p95_ms: latencies.p95_ms + queued_ms,
            p99_ms: latencies.p99_ms + queued_ms,
            concurrency: rps * latency_s + f64::midpoint(waiting, self.backlog),
        }
    }

    /// Starts and failures between two steps.
    fn advance(&mut self) {
        self.ready += self.starting.pop_front().unwrap_or(0);
        if self.crash_chance > 0.0 {
            let failed =
                (0..self.ready).filter(|_| self.chance.uniform() < self.crash_chance).count();
            let failed = u32::try_from(failed).unwrap_or(0).min(self.ready);
            self.ready -= failed;
            self.start(failed);
        }
    }

    fn start(&mut self, replicas: u32) {
        if self.jitter <= 0.0 {
            self.start_in(self.delay, replicas);
            return;
        }
        for _ in 0..replicas {
            let factor = (self.jitter * self.chance.normal()).exp();
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "clamped to a range that fits"
            )]
            let delay = (self.delay as f64 * factor).round().clamp(0.0, 1e6) as usize;
            self.start_in(delay, 1);
        }
    }

    fn start_in(&mut self, delay: usize, replicas: u32) {
        // The step after the order is the first that a delay of zero serves.
        let Some(place) = delay.checked_sub(1) else {
            self.ready += replicas;
            return;
        };
        if self.starting.len() <= place {
            self.starting.resize(place + 1, 0);
        }
        if let Some(slot) = self.starting.get_mut(place) {
            *slot += replicas;
        }
    }

    /// Orders a number of replicas, at least 1: more start, fewer end at once, the newest of the
    /// starting first.
    pub fn order(&mut self, replicas: u32) {
        let (wanted, current) = (replicas.max(1), self.replicas());
        if wanted > current {
            self.start(wanted - current);
            return;
        }
        let mut surplus = current - wanted;
        for slot in self.starting.iter_mut().rev() {
            let ended = surplus.min(*slot);
            *slot -= ended;
            surplus -= ended;
        }
        self.ready -= surplus.min(self.ready);
    }

    /// What the aggregator knows at the end of step `at`.
    pub fn observation(
        &mut self,
        world: &World,
        at: usize,
        outcome: &Outcome,
        now: Timestamp,
    ) -> Observation {
        let is_lost = self.telemetry_loss > 0.0 && self.chance.uniform() < self.telemetry_loss;
        let rate = world.grid.rates.get(at).copied().flatten().filter(|_| !is_lost);
        let mut observation = Observation {
            current_replicas: Some(self.replicas()),
            ready_replicas: Some(self.ready),
            ..Observation::default()
        };
        let Some(rate) = rate else {
            observation.newest = self.newest;
            return observation;
        };
        self.newest = Some(now);
        observation.newest = Some(now);
        observation.rps = Rps::new(rate).ok();
        observation.p50_ms = Some(outcome.p50_ms);
        observation.p95_ms = Some(outcome.p95_ms);
        observation.p99_ms = Some(outcome.p99_ms);
        observation.error_ratio = Ratio::new(outcome.dropped_share).ok();
        observation.concurrency = Some(outcome.concurrency);
        observation.coverage = Some(Ratio::ONE);
        observation
    }
}
