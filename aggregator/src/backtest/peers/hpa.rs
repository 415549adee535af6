//! The horizontal pod autoscaler of Kubernetes (autoscaling/v2), on CPU and on the request rate.
//!
//! Source: kubernetes `pkg/controller/podautoscaler/replica_calculator.go` and `horizontal.go`;
//! flags with their defaults: control loop 15 s, tolerance 0.1, CPU initialization period 5 min.

use std::time::Duration;

use super::window::{Every, Window, replicas_above, target_above_zero};
use super::{Peer, PeerView};
use crate::config::{Behavior, PolicyKind, ScalingPolicy, ScalingRules, SelectPolicy};
use crate::safety::behavior::{Recommendations, ReplicaHistory};

/// `--horizontal-pod-autoscaler-sync-period`.
pub(super) const SYNC_PERIOD: Duration = Duration::from_secs(15);
/// `--horizontal-pod-autoscaler-tolerance`.
const TOLERANCE: f64 = 0.1;
/// `metrics-server` shows the CPU of the last 15 s window that it scraped, itself up to 15 s old:
/// on average what a mean of the last 30 s shows.
const CPU_WINDOW: Duration = Duration::from_secs(30);
/// The usual `rate(…[1m])`.
pub(super) const RATE_WINDOW: Duration = Duration::from_mins(1);
/// KEDA's `pollingInterval`.
const KEDA_POLLING_INTERVAL: Duration = Duration::from_secs(30);

/// What a resource metric says of the pods of a workload.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Pods {
    /// `spec.replicas`.
    pub(super) current: u32,
    /// Pods whose sample counts.
    pub(super) measured: u32,
    /// Pods that are not ready, or not for long enough to have a sample.
    pub(super) unready: u32,
    /// Mean utilisation of the measured pods in per cent.
    pub(super) percent: f64,
}

/// Whether a ratio of metric to target changes nothing.
fn within_tolerance(ratio: f64) -> bool {
    (1.0 - TOLERANCE..=1.0 + TOLERANCE).contains(&ratio)
}

/// Replicas for a resource metric with a target of `Utilization`, in per cent
/// (`GetResourceReplicas`, with no pod's metric missing).
pub(super) fn resource_replicas(pods: &Pods, target_percent: f64) -> u32 {
    // The controller keeps utilisation in whole per cent, cut off; the small number undoes what
    // a float loses (0.29 * 100 < 29).
    let whole = |percent: f64| (percent + 1e-9).floor();
    let ratio = whole(pods.percent) / target_percent;
    if pods.unready == 0 || ratio <= 1.0 {
        if within_tolerance(ratio) {
            return pods.current;
        }
        return replicas_above(ratio * f64::from(pods.measured));
    }
    // On the way up, pods that are not ready yet count as idle.
    let all = f64::from(pods.measured) + f64::from(pods.unready);
    let damped = whole(pods.percent * f64::from(pods.measured) / all) / target_percent;
    if within_tolerance(damped) || damped < 1.0 {
        return pods.current;
    }
    // A change of the number of pods looked at must not turn the direction.
    replicas_above(damped * all).max(pods.current)
}

/// Replicas for an Object or External metric with a target of `AverageValue`.
pub(super) fn average_value_replicas(sum: f64, target: f64, status_replicas: u32) -> u32 {
    let ratio = sum / (target * f64::from(status_replicas));
    if within_tolerance(ratio) { status_replicas } else { replicas_above(sum / target) }
}

/// The `behavior` that holds when none is set.
pub(super) fn default_behavior() -> Behavior {
    let period = Duration::from_secs(15);
    let percent = ScalingPolicy { kind: PolicyKind::Percent, value: 100, period };
    let pods = ScalingPolicy { kind: PolicyKind::Pods, value: 4, period };
    let rules = |window, policies| ScalingRules {
        stabilization_window: window,
        policies,
        select_policy: SelectPolicy::Max,
    };
    Behavior {
        scale_up: rules(Duration::ZERO, vec![pods, percent]),
        scale_down: rules(Duration::from_mins(5), vec![percent]),
    }
}

/// The control loop round the metrics: its period, and the damping of `behavior`.
#[derive(Debug)]
pub(super) struct ControlLoop {
    behavior: Behavior,
    sync: Every,
    recommendations: Recommendations,
    history: ReplicaHistory,
    ordered: Option<u32>,
}

impl ControlLoop {
    pub(super) fn new() -> Self {
        Self {
            behavior: default_behavior(),
            sync: Every::new(SYNC_PERIOD),
            recommendations: Recommendations::default(),
            history: ReplicaHistory::default(),
            ordered: None,
        }
    }

    /// One step: asks for a proposal when the loop runs. Without one, nothing is scaled.
    pub(super) fn run(
        &mut self,
        view: &PeerView,
        propose: impl FnOnce(&PeerView) -> Option<u32>,
    ) -> u32 {
        if !self.sync.due(view.now) {
            return view.bounded(self.ordered.unwrap_or(view.replicas));
        }
        if self.ordered.is_none() {
            // A controller that starts takes the current number as its first recommendation.
            self.recommendations.0.push_back((view.now, view.replicas));
        }
        let ordered = propose(view).map_or(view.replicas, |wanted| self.damp(view, wanted));
        let ordered = view.bounded(ordered);
        self.ordered = Some(ordered);
        ordered
    }

    fn damp(&mut self, view: &PeerView, wanted: u32) -> u32 {
        let (now, current) = (view.now, view.replicas);
        self.history.record(now, current);
        let stable = self.recommendations.stabilize(now, current, wanted, wanted, &self.behavior);
        let allowed = view.bounded(self.history.limit(now, current, stable, &self.behavior));
        self.history.record(now, allowed);
        allowed
    }
}

/// What `metrics-server` shows of the pods' CPU.
#[derive(Debug)]
pub(super) struct CpuMetric {
    utilisation: Window,
    ready: Window,
}

impl CpuMetric {
    pub(super) const fn new() -> Self {
        Self { utilisation: Window::new(CPU_WINDOW), ready: Window::new(CPU_WINDOW) }
    }

    /// Takes a step.
    pub(super) fn observe(&mut self, view: &PeerView) {
        self.utilisation.push(view.now, view.cpu_utilisation);
        self.ready.push(view.now, Some(f64::from(view.ready)));
    }

    /// The pods as the controller groups them; `None` when no pod has a metric.
    ///
    /// In its first 5 min a pod's sample counts only if it was ready over the whole sample, so
    /// those that became ready within the window still count as unready.
    pub(super) fn pods(&self, view: &PeerView) -> Option<Pods> {
        let percent = self.utilisation.mean()? * 100.0;
        let measured = replicas_above(self.ready.min()?).min(view.replicas);
        let unready = view.replicas - measured;
        (measured > 0).then_some(Pods { current: view.replicas, measured, unready, percent })
    }
}

/// HPA on CPU utilisation.
#[derive(Debug)]
pub(super) struct HpaCpu {
    target_percent: f64,
    metric: CpuMetric,
    control: ControlLoop,
}

impl HpaCpu {
    /// `target`: CPU of the request, 1.0 = all of it.
    pub(super) fn new(target: f64) -> Self {
        let target_percent = target_above_zero(target) * 100.0;
        Self { target_percent, metric: CpuMetric::new(), control: ControlLoop::new() }
    }
}

impl Peer for HpaCpu {
    fn name(&self) -> &'static str {
        "hpa-cpu"
    }

    fn desired(&mut self, view: &PeerView) -> u32 {
        self.metric.observe(view);
        let Self { target_percent, metric, control } = self;
        control.run(view, |view| {
            metric.pods(view).map(|pods| resource_replicas(&pods, *target_percent))
        })
    }
}

/// HPA on the request rate: an External metric with a target of `AverageValue`.
#[derive(Debug)]
pub(super) struct HpaRps {
    name: &'static str,
    share: f64,
    rate: Window,
    polling: Every,
    polled: Option<f64>,
    control: ControlLoop,
}

impl HpaRps {
    /// `share`: of the safe rate per pod.
    pub(super) fn new(share: f64) -> Self {
        Self {
            name: "hpa-rps",
            share: target_above_zero(share),
            rate: Window::new(RATE_WINDOW),
            polling: Every::new(Duration::ZERO),
            polled: None,
            control: ControlLoop::new(),
        }
    }

    /// KEDA: the same HPA behind a metric that is read every `pollingInterval` (30 s).
    ///
    /// This is `useCachedMetrics: true`; without it the HPA's own reads go through and KEDA is
    /// [`HpaRps::new`]. `cooldownPeriod` concerns the last replica alone, which `min` keeps.
    pub(super) fn keda(share: f64) -> Self {
        Self { name: "keda", polling: Every::new(KEDA_POLLING_INTERVAL), ..Self::new(share) }
    }
}

impl Peer for HpaRps {
    fn name(&self) -> &'static str {
        self.name
    }

    fn desired(&mut self, view: &PeerView) -> u32 {
        self.rate.push(view.now, view.rps);
        if self.polling.due(view.now) {
            self.polled = self.rate.mean();
        }
        let (polled, share) = (self.polled, self.share);
        self.control.run(view, |view| {
            Some(average_value_replicas(polled?, view.target_rps(share)?, view.replicas))
        })
    }
}

#[cfg(test)]
mod tests;
