//! Which of a target's pods count, as `HorizontalPodAutoscaler` groups them (k8s.io/kubernetes
//! v1.34, `pkg/controller/podautoscaler/replica_calculator.go`, `groupPods`, with the defaults of
//! kube-controller-manager).

use std::time::Duration;

use thiserror::Error;

use super::{Sample, Samples};
use crate::config::ResourceKind;
use crate::journal::ResourceUse;
use crate::kubernetes::KubernetesError;
use crate::kubernetes::facts::PodFacts;
use crate::units::Timestamp;

/// How long after a pod's start its CPU counts only while it is Ready
/// (`--horizontal-pod-autoscaler-cpu-initialization-period`).
const INITIALIZATION: Duration = Duration::from_mins(5);
/// A pod that was not Ready from so soon after its start on never was
/// (`--horizontal-pod-autoscaler-initial-readiness-delay`).
const READINESS_DELAY: Duration = Duration::from_secs(30);
/// Older figures are none.
const MAX_AGE: Duration = Duration::from_secs(90);

/// Why it is not known what a target's pods use.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(in crate::kubernetes) enum NoUse {
    /// Nobody was asked yet, which passes by itself.
    #[error("metrics.k8s.io was not asked yet")]
    NotAsked,
    /// Nobody serves the API. Install metrics-server, or take `resources` out of the spec.
    #[error("nobody serves metrics.k8s.io ({0}); install metrics-server, or remove spec.resources")]
    NoApi(String),
    /// We may not ask. Bind the role `foresail-read`.
    #[error("pods of metrics.k8s.io may not be listed ({0})")]
    Forbidden(String),
    /// Another failure of the API.
    #[error("metrics.k8s.io: {0}")]
    Failed(String),
    /// No figure of any pod that counts is newer than [`MAX_AGE`].
    #[error("metrics.k8s.io has no figures of these pods from the last {} s", MAX_AGE.as_secs())]
    NoFigures,
    /// A utilisation is a share of what is requested. Give every container requests.
    #[error("pod {pod} has a container that requests no {resource}")]
    NoRequests {
        /// Whose.
        pod: String,
        /// Of what.
        resource: &'static str,
    },
}

impl NoUse {
    pub(super) fn of(error: &KubernetesError) -> Self {
        let text = error.to_string();
        match error.code() {
            Some(404 | 503) => Self::NoApi(text),
            Some(401 | 403) => Self::Forbidden(text),
            _ => Self::Failed(text),
        }
    }

    /// As a condition's reason.
    pub(in crate::kubernetes) const fn reason(&self) -> &'static str {
        match self {
            Self::NotAsked => "NotAskedYet",
            Self::NoApi(_) => "NoMetricsApi",
            Self::Forbidden(_) => "Forbidden",
            Self::Failed(_) => "ApiError",
            Self::NoFigures => "NoFigures",
            Self::NoRequests { .. } => "NoRequests",
        }
    }
}

/// What the pods use of a resource.
///
/// # Errors
/// [`NoUse`] when that cannot be said.
pub(in crate::kubernetes) fn count<'a>(
    kind: ResourceKind,
    pods: impl Iterator<Item = (&'a str, &'a PodFacts)>,
    samples: &Samples,
    now: Timestamp,
) -> Result<ResourceUse, NoUse> {
    let mut sum = ResourceUse::default();
    for (name, pod) in pods.filter(|(_, pod)| !pod.is_over()) {
        let requested = pod
            .requests(kind)
            .ok_or_else(|| NoUse::NoRequests { pod: name.to_owned(), resource: kind.name() })?;
        let sample = samples.get(name).filter(|sample| now.since(sample.at) < MAX_AGE);
        match sample {
            _ if pod.is_pending() => {
                sum.unready += 1;
                sum.unready_requested += requested;
            }
            None => {
                sum.missing += 1;
                sum.missing_requested += requested;
            }
            Some(sample) if kind == ResourceKind::Cpu && is_unready(pod, sample, now) => {
                sum.unready += 1;
                sum.unready_requested += requested;
            }
            Some(sample) => {
                sum.pods += 1;
                sum.requested += requested;
                sum.used += match kind {
                    ResourceKind::Cpu => sample.cpu,
                    ResourceKind::Memory => sample.memory,
                };
            }
        }
    }
    if sum.pods == 0 { Err(NoUse::NoFigures) } else { Ok(sum) }
}

/// Whether a pod's CPU says nothing yet: what it does to start is not load.
fn is_unready(pod: &PodFacts, sample: &Sample, now: Timestamp) -> bool {
    let (Some(started), Some((ready, since))) = (pod.started(), pod.ready()) else { return true };
    if started + INITIALIZATION > now {
        !ready || sample.at < since + sample.window
    } else {
        !ready && started + READINESS_DELAY > since
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::sync::Arc;

    use super::*;
    use serde_json::{Value, from_value, json};

    fn at(second: u64) -> Timestamp {
        Timestamp::from_secs(1_767_225_600 + second)
    }

    /// A pod that was started at second 0, with this Ready condition since second 10.
    fn pod(status: &str, more: &Value) -> PodFacts {
        let mut pod = json!({
            "metadata": {"name": "x", "namespace": "shop"},
            "spec": {"containers": [
                {"name": "app", "resources": {"requests": {"cpu": "400m", "memory": "64Mi"}}},
                {"name": "proxy", "resources": {"requests": {"cpu": "0.1", "memory": "1Mi"}}},
            ]},
            "status": {
                "phase": "Running", "startTime": "2026-01-01T00:00:00Z",
                "conditions": [{"type": "Ready", "status": status,
                    "lastTransitionTime": "2026-01-01T00:00:10Z"}],
            },
        });
        if let (Some(at), Some(more)) = (pod.pointer_mut("/status"), more.as_object()) {
            at.as_object_mut().unwrap().extend(more.clone());
        }
        PodFacts::keep(from_value(pod).unwrap()).unwrap().1
    }

    fn sample(second: u64, cpu: u64) -> Sample {
        Sample { at: at(second), window: Duration::from_secs(15), cpu, memory: 1 << 20 }
    }

    fn count_of(
        kind: ResourceKind,
        pods: &[(PodFacts, Option<Sample>)],
        now: u64,
    ) -> Result<ResourceUse, NoUse> {
        let names: Vec<String> = (0..pods.len()).map(|number| format!("pod-{number}")).collect();
        let samples: HashMap<_, _> = names
            .iter()
            .zip(pods)
            .filter_map(|(name, (_, sample))| Some((name.clone(), (*sample)?)))
            .collect();
        let all = names.iter().map(String::as_str).zip(pods.iter().map(|(pod, _)| pod));
        count(kind, all, &Arc::new(samples), at(now))
    }

    #[test]
    fn pods_are_grouped_by_readiness_and_figures() {
        let ready = || pod("True", &json!({}));
        let pods = [
            (ready(), Some(sample(60, 300))),
            (ready(), Some(sample(60, 200))),
            (ready(), None),
            (ready(), Some(sample(20, 900))),
            (pod("False", &json!({})), Some(sample(60, 900))),
            (pod("True", &json!({"phase": "Pending"})), Some(sample(60, 900))),
            (pod("True", &json!({"phase": "Failed"})), Some(sample(60, 900))),
        ];
        let use_of = count_of(ResourceKind::Cpu, &pods, 61).unwrap();
        let wanted = ResourceUse {
            pods: 2,
            used: 500,
            requested: 1_000,
            missing: 1,
            missing_requested: 500,
            // One whose mean begins before it was Ready, one that is not, one that is not there.
            unready: 3,
            unready_requested: 1_500,
        };
        assert_eq!(use_of, wanted);
        let memory = count_of(ResourceKind::Memory, &pods, 61).unwrap();
        assert_eq!((memory.pods, memory.unready, memory.missing), (4, 1, 1), "{memory:?}");
        assert_eq!((memory.used, memory.requested), (4 << 20, 4 * (65 << 20)));
        // Later a pod that lost its readiness counts again.
        let lost = pod("False", &json!({"startTime": "2025-12-31T23:59:00Z"}));
        let late = count_of(ResourceKind::Cpu, &[(lost, Some(sample(400, 70)))], 401).unwrap();
        assert_eq!((late.pods, late.used), (1, 70));
    }

    #[test]
    fn what_cannot_be_said_is_an_error() {
        let ready = || pod("True", &json!({}));
        let old = count_of(ResourceKind::Cpu, &[(ready(), Some(sample(60, 300)))], 150);
        assert_eq!(old, Err(NoUse::NoFigures));
        let bare = json!({
            "metadata": {"name": "x", "namespace": "shop"},
            "spec": {"containers": [
                {"name": "app", "resources": {"requests": {"cpu": "400m"}}}, {"name": "proxy"},
            ]},
        });
        let bare = PodFacts::keep(from_value(bare).unwrap()).unwrap().1;
        let none = count_of(ResourceKind::Cpu, &[(bare, Some(sample(60, 300)))], 61);
        let no_requests = NoUse::NoRequests { pod: "pod-0".to_owned(), resource: "cpu" };
        assert_eq!(none, Err(no_requests));
    }
}
