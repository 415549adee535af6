//! What both autoscalers are given, in one place, so that "the same" can be read off.

use std::time::Duration;

/// Requests of the workload that succeed in at most this time are within its objective.
pub(crate) const OBJECTIVE: Duration = Duration::from_millis(250);
/// Part of the requests that should be.
pub(crate) const OBJECTIVE_QUANTILE: f64 = 0.95;
/// Part of the requests that may come while they are not.
pub(crate) const OBJECTIVE_BUDGET: f64 = 0.02;

/// Requests per second that one Ready replica should get. A replica works on
/// [`REPLICA_CONCURRENCY`] requests of [`WORK_MEAN`] at a time, so it could do 50: at 30 it is 60 %
/// busy, the usual setting.
pub(crate) const TARGET_RPS: f64 = 30.0;
/// The highest rate at which one replica still meets the objective, which is what Foresail is told:
/// an M/M/3 queue of [`WORK_MEAN`] has its 95th percentile at 250 ms when it is 69 % busy.
pub(crate) const SAFE_RPS: f64 = 34.0;
/// Requests that a replica works on at a time; the others wait in line.
pub(crate) const REPLICA_CONCURRENCY: usize = 3;
/// Mean work of a request.
pub(crate) const WORK_MEAN: Duration = Duration::from_millis(60);
/// Standard deviation of the logarithm of the work: the slowest 1 % need over 170 ms.
pub(crate) const WORK_SIGMA: f64 = 0.5;

/// Fewest replicas.
pub(crate) const MIN_REPLICAS: u32 = 2;
/// Most replicas.
pub(crate) const MAX_REPLICAS: u32 = 14;

/// Time between decisions; also the step of the forecast and of the recorded days.
pub(crate) const DECISION_INTERVAL: Duration = Duration::from_secs(2);
/// Deviation from the target that changes nothing (autoscaling/v2's default).
pub(crate) const TOLERANCE: f64 = 0.1;
/// `behavior.scaleDown.stabilizationWindowSeconds`: the default of 300 s, compressed like the day.
pub(crate) const DOWN_WINDOW: Duration = Duration::from_secs(20);
/// `behavior.scaleUp.policies`, the defaults: the greater of the two in any [`POLICY_PERIOD`].
pub(crate) const UP_PERCENT: u32 = 100;
/// The other of the two.
pub(crate) const UP_PODS: u32 = 4;
/// `behavior.scaleDown.policies`, the default.
pub(crate) const DOWN_PERCENT: u32 = 100;
/// `periodSeconds` of all policies, the default.
pub(crate) const POLICY_PERIOD: Duration = Duration::from_secs(15);

/// The gateway gives up on a request after this time. Long waits would punish whoever falls behind
/// long after it has caught up.
pub(crate) const GATEWAY_TIMEOUT: Duration = Duration::from_secs(2);
