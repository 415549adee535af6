//! What is kept of pods, replica sets, targets and other autoscalers.

use std::time::Duration;

use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::core::v1::{Pod, PodCondition};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use kube::core::{DynamicObject, PartialObjectMeta};
use serde_json::Value;

use super::cache::{Kept, Key};
use super::floor::FLOOR_ANNOTATION;
use super::requests::Requests;
use super::resource::MeshAutoscaler;
use crate::config::ResourceKind;
use crate::units::Timestamp;

/// Uid of the controller that owns an object.
fn controller(meta: &ObjectMeta) -> Option<String> {
    let owners = meta.owner_references.as_deref().unwrap_or_default();
    owners.iter().find(|owner| owner.controller == Some(true)).map(|owner| owner.uid.clone())
}

fn key(meta: &ObjectMeta) -> Option<Key> {
    Some((meta.namespace.clone()?, meta.name.clone()?))
}

/// A time of the API server; `None` before 1970.
pub(super) fn timestamp(time: &Time) -> Option<Timestamp> {
    u64::try_from(time.0.as_microsecond()).ok().map(Timestamp::from_micros)
}

/// A pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PodFacts {
    owner: Option<String>,
    created: Option<Timestamp>,
    /// Since when it is Ready, or is not.
    ready: Option<(bool, Timestamp)>,
    /// Since when there is no node for it.
    unschedulable: Option<Timestamp>,
    leaving: bool,
    /// Its service account, where it is not the default one.
    account: Option<String>,
    /// When it was taken in by a node.
    started: Option<Timestamp>,
    phase: Phase,
    requests: Requests,
}

/// How far a pod is, as far as it matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Pending,
    Failed,
    Other,
}

/// Service account of pods that name none.
const DEFAULT_ACCOUNT: &str = "default";

impl PodFacts {
    pub(super) fn keep(pod: Pod) -> Option<(Key, Self)> {
        let status = pod.status.unwrap_or_default();
        let conditions = status.conditions.unwrap_or_default();
        let of = |kind: &str| conditions.iter().find(|condition| condition.type_ == kind);
        let since =
            |condition: &PodCondition| condition.last_transition_time.as_ref().and_then(timestamp);
        let ready = of("Ready").and_then(|ready| Some((ready.status == "True", since(ready)?)));
        let unschedulable = of("PodScheduled").filter(|scheduled| {
            scheduled.status == "False" && scheduled.reason.as_deref() == Some("Unschedulable")
        });
        let requests = Requests::of(pod.spec.as_ref());
        let facts = Self {
            owner: controller(&pod.metadata),
            created: pod.metadata.creation_timestamp.as_ref().and_then(timestamp),
            ready,
            unschedulable: unschedulable.and_then(since),
            leaving: pod.metadata.deletion_timestamp.is_some(),
            account: pod
                .spec
                .and_then(|spec| spec.service_account_name)
                .filter(|account| account != DEFAULT_ACCOUNT),
            started: status.start_time.as_ref().and_then(timestamp),
            phase: match status.phase.as_deref() {
                Some("Pending") => Phase::Pending,
                Some("Failed") => Phase::Failed,
                _ => Phase::Other,
            },
            requests,
        };
        Some((key(&pod.metadata)?, facts))
    }

    /// Whether it is on its way out or has failed.
    pub(crate) const fn is_over(&self) -> bool {
        self.leaving || matches!(self.phase, Phase::Failed)
    }

    /// Whether it does not run yet.
    pub(crate) const fn is_pending(&self) -> bool {
        matches!(self.phase, Phase::Pending)
    }

    /// When a node took it in.
    pub(crate) const fn started(&self) -> Option<Timestamp> {
        self.started
    }

    /// Whether it is Ready, and since when that is so.
    pub(crate) const fn ready(&self) -> Option<(bool, Timestamp)> {
        self.ready
    }

    /// What it requests; `None` where one of its containers requests nothing.
    pub(crate) const fn requests(&self, kind: ResourceKind) -> Option<u64> {
        self.requests.get(kind)
    }

    /// Its service account.
    pub(crate) fn account(&self) -> &str {
        self.account.as_deref().unwrap_or(DEFAULT_ACCOUNT)
    }

    /// Whether it serves.
    pub(crate) fn is_ready(&self) -> bool {
        !self.leaving && matches!(self.ready, Some((true, _)))
    }

    /// Whether it should serve by now and does not.
    pub(crate) fn is_overdue(&self, now: Timestamp, startup: Duration) -> bool {
        let since = match self.ready {
            Some((true, _)) => return false,
            Some((false, since)) => Some(since),
            None => self.created,
        };
        !self.leaving && since.is_some_and(|since| now.since(since) > startup)
    }

    /// How long there has been no node for it.
    pub(crate) fn unschedulable_for(&self, now: Timestamp) -> Option<Duration> {
        self.unschedulable.filter(|_| !self.leaving).map(|since| now.since(since))
    }

    /// Time from its creation to its being Ready, to the second.
    pub(crate) fn startup(&self) -> Option<Duration> {
        match (self.created, self.ready) {
            (Some(created), Some((true, ready))) if !self.leaving => Some(ready.since(created)),
            _ => None,
        }
    }
}

impl Kept for PodFacts {
    fn owner(&self) -> Option<&str> {
        self.owner.as_deref()
    }
}

/// A replica set, which stands between a Deployment and its pods.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SetFacts {
    owner: Option<String>,
    /// Its own uid.
    pub uid: String,
}

impl SetFacts {
    pub(super) fn keep(set: PartialObjectMeta<ReplicaSet>) -> Option<(Key, Self)> {
        let owner = controller(&set.metadata);
        Some((key(&set.metadata)?, Self { owner, uid: set.metadata.uid? }))
    }
}

impl Kept for SetFacts {
    fn owner(&self) -> Option<&str> {
        self.owner.as_deref()
    }
}

/// A `HorizontalPodAutoscaler`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HpaFacts {
    target: String,
    /// Its `minReplicas`.
    pub min: u32,
    /// Its `maxReplicas`.
    pub max: u32,
    /// Its owner's `minReplicas`, while we have raised it.
    pub users_min: Option<u32>,
    /// For writing.
    pub resource_version: String,
    /// Kind and name of who made it: a `ScaledObject`, perhaps.
    pub made_by: Option<String>,
}

/// How a `HorizontalPodAutoscaler` is found by its target.
pub fn target_key(namespace: &str, kind: &str, name: &str) -> String {
    format!("{kind}/{namespace}/{name}")
}

impl HpaFacts {
    /// What it scales, as [`target_key`] says.
    pub fn target(&self) -> &str {
        &self.target
    }

    /// What is kept of one, by namespace and name.
    pub fn keep(hpa: HorizontalPodAutoscaler) -> Option<(Key, Self)> {
        let spec = hpa.spec?;
        let key = key(&hpa.metadata)?;
        let annotations = hpa.metadata.annotations.as_ref();
        let users_min = annotations.and_then(|all| all.get(FLOOR_ANNOTATION)?.parse().ok());
        let makers = hpa.metadata.owner_references.as_deref().unwrap_or_default();
        let facts = Self {
            target: target_key(&key.0, &spec.scale_target_ref.kind, &spec.scale_target_ref.name),
            min: spec.min_replicas.and_then(|min| u32::try_from(min).ok()).unwrap_or(1),
            max: u32::try_from(spec.max_replicas).unwrap_or(0),
            users_min,
            resource_version: hpa.metadata.resource_version.unwrap_or_default(),
            made_by: makers.first().map(|maker| format!("{} {}", maker.kind, maker.name)),
        };
        Some((key, facts))
    }
}

impl Kept for HpaFacts {
    fn owner(&self) -> Option<&str> {
        Some(&self.target)
    }
}

/// An object that is scaled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TargetFacts {
    /// Its uid.
    pub uid: String,
    /// Replicas that it is to have.
    pub replicas: u32,
    /// Whether pods of another revision than the newest still run, or the newest is not seen yet.
    pub rollout: bool,
    /// For writing.
    pub resource_version: String,
    /// Who last wrote its replicas, where that is known.
    pub writer: Option<String>,
    /// Service account of the pods that it makes, where it has a template of them.
    pub account: Option<String>,
}

impl TargetFacts {
    pub(super) fn keep(object: &DynamicObject) -> Option<(Key, Self)> {
        let key = key(&object.metadata)?;
        let at = |path: &str| object.data.pointer(path);
        let number = |path: &str| at(path).and_then(Value::as_i64);
        let generation = object.metadata.generation.unwrap_or(0);
        let unseen = number("/status/observedGeneration").unwrap_or(0) < generation;
        let old_pods = match (number("/status/replicas"), number("/status/updatedReplicas")) {
            (Some(all), updated) if at("/status/updateRevision").is_none() => {
                all > updated.unwrap_or(if object_has_revisions(object) { 0 } else { all })
            }
            _ => at("/status/updateRevision") != at("/status/currentRevision"),
        };
        let facts = Self {
            uid: object.metadata.uid.clone()?,
            replicas: number("/spec/replicas").map_or(1, |n| u32::try_from(n).unwrap_or(0)),
            rollout: unseen || old_pods,
            resource_version: object.metadata.resource_version.clone().unwrap_or_default(),
            writer: writer(&object.metadata),
            account: at("/spec/template/spec").map(|pod| {
                let account = pod.get("serviceAccountName").and_then(Value::as_str);
                account.unwrap_or(DEFAULT_ACCOUNT).to_owned()
            }),
        };
        Some((key, facts))
    }
}

/// A `ReplicaSet` has one revision and counts no updated pods.
fn object_has_revisions(object: &DynamicObject) -> bool {
    object.types.as_ref().is_none_or(|types| types.kind != "ReplicaSet")
}

/// The manager that owns `spec.replicas`, and of several the last.
fn writer(meta: &ObjectMeta) -> Option<String> {
    let entries = meta.managed_fields.as_deref().unwrap_or_default();
    let owners = entries.iter().filter(|entry| {
        let fields = entry.fields_v1.as_ref().map(|fields| &fields.0);
        fields.is_some_and(|fields| fields.pointer("/f:spec/f:replicas").is_some())
    });
    owners.max_by_key(|entry| entry.time.as_ref().map(|time| time.0))?.manager.clone()
}

impl Kept for TargetFacts {
    fn owner(&self) -> Option<&str> {
        None
    }
}

impl Kept for MeshAutoscaler {
    fn owner(&self) -> Option<&str> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{from_value, json};

    fn target(spec: &Value, status: &Value) -> TargetFacts {
        let object = json!({
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "web", "namespace": "shop", "uid": "u", "generation": 3},
            "spec": spec,
            "status": status,
        });
        TargetFacts::keep(&from_value(object).unwrap()).unwrap().1
    }

    #[test]
    fn a_rollout_is_seen_by_its_old_pods_and_before_it_begins() {
        let facts = |status| target(&json!({"replicas": 4}), &status).rollout;
        let seen = |all: i64, updated: i64| {
            facts(json!({"observedGeneration": 3, "replicas": all, "updatedReplicas": updated}))
        };
        assert!(!seen(4, 4));
        assert!(!seen(2, 2), "scaling up is none");
        assert!(seen(5, 1), "four old pods");
        assert!(facts(json!({"observedGeneration": 3, "replicas": 4})), "only old pods");
        let unseen = json!({"observedGeneration": 2, "replicas": 4, "updatedReplicas": 4});
        assert!(facts(unseen), "the newest spec is not acted on yet");
        let of = |update: &str| {
            facts(json!({"observedGeneration": 3, "replicas": 4, "updatedReplicas": 1,
                "currentRevision": "a", "updateRevision": update}))
        };
        assert!(of("b"), "a stateful set on its way from a to b");
        assert!(!of("a"));
    }

    #[test]
    fn a_pod_is_overdue_when_its_start_up_time_is_over() {
        let pod = |ready: Option<&str>, leaving: bool| {
            let conditions: Vec<_> = ready
                .map(|status| {
                    json!({"type": "Ready", "status": status,
                        "lastTransitionTime": "2026-01-01T00:00:20Z"})
                })
                .into_iter()
                .collect();
            let deleted = leaving.then_some("2026-01-01T00:00:30Z");
            let pod = json!({
                "metadata": {"name": "x", "namespace": "shop", "deletionTimestamp": deleted,
                    "creationTimestamp": "2026-01-01T00:00:00Z"},
                "status": {"conditions": conditions},
            });
            PodFacts::keep(from_value(pod).unwrap()).unwrap().1
        };
        let at = |second: u64| Timestamp::from_secs(1_767_225_600 + second);
        let startup = Duration::from_secs(30);
        assert!(!pod(Some("True"), false).is_overdue(at(500), startup));
        assert_eq!(pod(Some("True"), false).startup(), Some(Duration::from_secs(20)));
        assert!(!pod(None, false).is_overdue(at(30), startup));
        assert!(pod(None, false).is_overdue(at(31), startup));
        assert!(!pod(Some("False"), false).is_overdue(at(50), startup), "not Ready for 30 s");
        assert!(pod(Some("False"), false).is_overdue(at(51), startup));
        assert!(!pod(Some("False"), true).is_overdue(at(500), startup), "it leaves");
        assert_eq!(pod(Some("False"), false).startup(), None);
    }
}
