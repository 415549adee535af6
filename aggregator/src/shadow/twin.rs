//! One policy with its own replicas.

use super::Moment;
use crate::backtest::decider::{Decider, Seen};
use crate::backtest::peers::PeerView;
use crate::config::WorkloadConfig;
use crate::journal::Observation;
use crate::simulate::{Cluster, Outcome, ReplicaModel};
use crate::units::{Ratio, Rps};

/// A policy, and the replicas that it would have.
#[derive(Debug)]
pub(super) struct Twin {
    pub(super) name: String,
    decider: Decider,
    cluster: Cluster,
}

/// What it looks at.
#[derive(Clone, Copy)]
pub(super) struct View<'a> {
    pub(super) moment: &'a Moment<'a>,
    /// The load since the last decision.
    pub(super) rps: Rps,
    pub(super) replica: &'a ReplicaModel,
    pub(super) config: &'a WorkloadConfig,
    /// Decisions from ordering a replica until it serves.
    pub(super) delay_steps: usize,
}

impl Twin {
    pub(super) fn new(name: &str, decider: Decider, cluster: Cluster) -> Self {
        Self { name: name.to_owned(), decider, cluster }
    }

    /// Serves the load since the last decision, then decides. Gives what the time was like, and
    /// whether another number of replicas was ordered at its end.
    pub(super) fn step(&mut self, view: &View<'_>) -> (Outcome, bool) {
        let View { moment, rps, replica, config, delay_steps } = *view;
        let interval = config.decision_interval;
        self.cluster.set_delay(delay_steps);
        let outcome = self.cluster.serve(replica, rps.get(), interval);
        let before = self.cluster.replicas();
        if let Decider::Foresail(autoscaler) = &mut self.decider {
            autoscaler.set_known(moment.safe, moment.startup);
        }
        let desired = self.decider.decide(&Seen {
            observation: &self.observation(moment.observation, &outcome),
            curve: moment.curve,
            peer: PeerView {
                now: moment.now,
                step: interval,
                rps: Some(rps.get()),
                cpu_utilisation: Some(outcome.utilisation),
                ready: self.cluster.ready(),
                replicas: before,
                capacity_rps: moment.safe.get(),
                startup: moment.startup,
                min: config.min_replicas,
                max: config.max_replicas,
            },
        });
        self.cluster.order(desired);
        (outcome, self.cluster.replicas() != before)
    }

    /// The load as it was measured, and everything else as this policy's replicas would have shown it.
    fn observation(&self, measured: &Observation, outcome: &Outcome) -> Observation {
        Observation {
            p50_ms: Some(outcome.p50_ms),
            p95_ms: Some(outcome.p95_ms),
            p99_ms: Some(outcome.p99_ms),
            error_ratio: Ratio::new(outcome.dropped_share).ok(),
            concurrency: Some(outcome.concurrency),
            outbound_concurrency: None,
            current_replicas: Some(self.cluster.replicas()),
            ready_replicas: Some(self.cluster.ready()),
            cluster: None,
            ..measured.clone()
        }
    }
}
