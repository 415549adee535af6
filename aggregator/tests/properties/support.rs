//! A workload, an autoscaler that has watched it for a while, and observations of it.

use foresail_aggregator::autoscaler::{Autoscaler, Step};
use foresail_aggregator::config::{Config, WorkloadConfig};
use foresail_aggregator::journal::Observation;
use foresail_aggregator::units::{Ratio, Rps, Timestamp};

/// Fewest and most replicas of [`config`].
pub(crate) const BOUNDS: (u32, u32) = (2, 40);
/// Seconds between two decisions of [`config`].
pub(crate) const INTERVAL: u64 = 5;
/// The stabilization window of [`config`] in seconds.
pub(crate) const WINDOW: u64 = 60;

/// A workload whose replicas serve 10 requests per second each; `scale_in` is `observed` or
/// `forecast`.
pub(crate) fn config(scale_in: &str) -> WorkloadConfig {
    let text = format!(
        "
workloads:
  - namespace: demo
    name: web
    mode: active
    min_replicas: {}
    max_replicas: {}
    objective: {{ latency: 250ms }}
    target_rps_per_replica: 10
    startup_time: 30s
    decision_interval: {INTERVAL}s
    scale_in: {scale_in}
    profile: responsive
    forecast: {{ season: 10m }}
    behavior: {{ scale_down: {{ stabilization_window: {WINDOW}s, policies: [] }} }}
    actuator: none
",
        BOUNDS.0, BOUNDS.1
    );
    Config::from_yaml(&text).unwrap().workloads.remove(0)
}

/// An instant, in seconds since the tests' own beginning.
pub(crate) fn at(second: u64) -> Timestamp {
    Timestamp::from_secs(1_700_000_400 + second)
}

/// Everything known and in order.
pub(crate) fn observed(now: Timestamp, rps: f64, replicas: u32) -> Observation {
    Observation {
        newest: Some(now),
        rps: Rps::new(rps).ok(),
        burst_rps: Rps::new(rps).ok(),
        p50_ms: Some(20.0),
        p95_ms: Some(100.0),
        p99_ms: Some(150.0),
        error_ratio: Some(Ratio::default()),
        concurrency: Some(rps * 0.03),
        outbound_concurrency: None,
        coverage: Some(Ratio::ONE),
        current_replicas: Some(replicas),
        ready_replicas: Some(replicas),
        cluster: None,
    }
}

/// Decides every five seconds from `from` to `to`, on a load with `replicas` that stay.
pub(crate) fn watch(
    autoscaler: &mut Autoscaler,
    seconds: std::ops::Range<u64>,
    rps: f64,
    replicas: u32,
) -> Vec<Step> {
    seconds
        .step_by(usize::try_from(INTERVAL).unwrap())
        .map(|second| autoscaler.step(at(second), &observed(at(second), rps, replicas)))
        .collect()
}
