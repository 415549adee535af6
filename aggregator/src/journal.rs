//! What was decided, from what, and why: complete enough to decide again and compare.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::units::{Ratio, Rps, Timestamp};

/// What is known of a workload when a decision is due. Absent means not known, never zero.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Observation {
    /// End of the newest telemetry window that counts here; `None` before the first.
    pub newest: Option<Timestamp>,
    /// Mean request rate since the last decision, over windows with coverage.
    pub rps: Option<Rps>,
    /// Mean request rate of the last 6 s, for burst mode.
    pub burst_rps: Option<Rps>,
    /// Median latency in milliseconds.
    pub p50_ms: Option<f64>,
    /// 95th percentile of latency in milliseconds.
    pub p95_ms: Option<f64>,
    /// 99th percentile of latency in milliseconds.
    pub p99_ms: Option<f64>,
    /// Share of requests that failed: status 5xx, gRPC server errors, resets.
    pub error_ratio: Option<Ratio>,
    /// Mean number of requests in flight over the whole workload.
    pub concurrency: Option<f64>,
    /// Mean number of its calls to other services in flight; `None` when it makes none, or none that
    /// its proxies see.
    pub outbound_concurrency: Option<f64>,
    /// Share of the Ready replicas whose proxies were heard in every window that counts here.
    pub coverage: Option<Ratio>,
    /// Replicas that exist.
    pub current_replicas: Option<u32>,
    /// Replicas that serve.
    pub ready_replicas: Option<u32>,
    /// What the cluster says of the target; `None` outside of one.
    pub cluster: Option<ClusterFacts>,
}

/// What only a cluster can tell of a target, and what speaks against changing it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ClusterFacts {
    /// Pods of another revision than the newest still run, or the newest is not seen yet.
    pub rollout: bool,
    /// Own pods that are not Ready although their start-up time is over.
    pub overdue_pods: u32,
    /// Own pods for which no node was found for longer than
    /// [`UNSCHEDULABLE_FOR`](crate::safety::UNSCHEDULABLE_FOR).
    pub unschedulable_pods: u32,
    /// How many pods may go until the blast radius is reached; `None` when nothing limits it.
    pub removable_pods: Option<u32>,
    /// Somebody else writes the target's replicas, again and again: until its owner decides who
    /// does, nothing is changed.
    pub contested: bool,
    /// What is paused for all targets.
    pub pause: Option<Pause>,
    /// Replicas that the target is to have, where something else of it is decided on: a floor.
    pub replicas: Option<u32>,
    /// What its pods use of CPU, in thousandths of a core; `None` when nobody asked for it or it is
    /// not known.
    pub cpu: Option<ResourceUse>,
    /// The same of memory, in bytes.
    pub memory: Option<ResourceUse>,
}

/// What pods use of a resource and what they request, in its unit: those of which the use is known, and
/// those of which it is not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ResourceUse {
    /// Pods that serve, and of which the use is known.
    pub pods: u32,
    /// What these use.
    pub used: u64,
    /// What these request.
    pub requested: u64,
    /// Pods of which the use is not known.
    pub missing: u32,
    /// What these request.
    pub missing_requested: u64,
    /// Pods that do not serve yet, whose use says nothing.
    pub unready: u32,
    /// What these request.
    pub unready_requested: u64,
}

/// A direction in which nothing is changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pause {
    /// Nothing scales in.
    In,
    /// Nothing scales out.
    Out,
    /// Nothing changes.
    All,
}

/// Data dated further ahead than this is an error of a clock, not data.
pub(crate) const MAX_FUTURE: Duration = Duration::from_secs(2);

impl Observation {
    /// Replicas that the target is to have, also where something else of it is decided on.
    pub fn target_replicas(&self) -> Option<u32> {
        self.cluster.as_ref().and_then(|facts| facts.replicas).or(self.current_replicas)
    }

    /// What can be believed of it at `now`: a number that is not finite or negative is missing, and
    /// of a measurement that is dated ahead nothing but what the cluster said is left.
    #[must_use]
    pub fn believed(&self, now: Timestamp) -> Self {
        if self.newest.is_some_and(|newest| newest > now + MAX_FUTURE) {
            let Self { current_replicas, ready_replicas, .. } = *self;
            let cluster = self.cluster.clone();
            return Self { current_replicas, ready_replicas, cluster, ..Self::default() };
        }
        let number = |value: Option<f64>| value.filter(|value| (0.0..=f64::MAX).contains(value));
        Self {
            p50_ms: number(self.p50_ms),
            p95_ms: number(self.p95_ms),
            p99_ms: number(self.p99_ms),
            concurrency: number(self.concurrency),
            outbound_concurrency: number(self.outbound_concurrency),
            ..self.clone()
        }
    }
}

/// What one signal asks for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Signal {
    /// `reactive`, `predictive`, `burst`, `cpu`, `memory` or `learned`.
    pub name: String,
    /// Replicas that this signal alone would have.
    pub desired_replicas: u32,
    /// Why, in words and figures.
    pub reason: String,
}

/// The forecast that a decision looked at.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ForecastUsed {
    /// Name of the model in charge.
    pub model: String,
    /// How far ahead the deciding step lies.
    pub horizon: Duration,
    /// Expected request rate there.
    pub point: Rps,
    /// Its upper quantile.
    pub upper: Rps,
}

/// A guard that changed or bound the proposal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GuardRecord {
    /// Stable name, as in metrics: `stale_hold`, `coverage`, `stabilization`, …
    pub guard: String,
    /// Replicas before this guard.
    pub from_replicas: u32,
    /// Replicas after it.
    pub to_replicas: u32,
    /// Why, in words and figures.
    pub reason: String,
}

/// One decision with its inputs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Decision {
    /// 1 for the first of a workload, then one more for each.
    pub sequence: u64,
    /// When it was made.
    pub at: Timestamp,
    /// What was known.
    pub observation: Observation,
    /// What each signal asked for.
    pub signals: Vec<Signal>,
    /// The forecast looked at; `None` while there is none.
    pub forecast: Option<ForecastUsed>,
    /// What the policy proposed before any guard.
    pub proposed_replicas: u32,
    /// The guards that bound, in order.
    pub guards: Vec<GuardRecord>,
    /// Replicas to have.
    pub desired_replicas: u32,
    /// What the reactive answer alone, under the same guards, would have been.
    pub without_forecast: u32,
    /// The whole in one sentence.
    pub reason: String,
}

impl Decision {
    /// Whether it asks for another number of replicas than there are.
    pub fn is_change(&self) -> bool {
        self.observation.current_replicas.is_some_and(|current| current != self.desired_replicas)
    }
}
