//! Which pods are a target's own, and which of them serve.

use std::collections::BTreeSet;

use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

/// Uid of the controller that owns an object.
fn controller(meta: &ObjectMeta) -> Option<&str> {
    let owners = meta.owner_references.as_deref().unwrap_or_default();
    owners.iter().find(|owner| owner.controller == Some(true)).map(|owner| owner.uid.as_str())
}

/// Names of the pods that serve: owned by the target itself or through one of its replica sets,
/// Ready, and not on their way out. A pod that merely carries the same labels is not counted.
pub(super) fn ready(target_uid: &str, sets: &[ReplicaSet], pods: &[Pod]) -> Vec<String> {
    let mut owners: BTreeSet<&str> = sets
        .iter()
        .filter(|set| controller(&set.metadata) == Some(target_uid))
        .filter_map(|set| set.metadata.uid.as_deref())
        .collect();
    owners.insert(target_uid);
    let is_own = |pod: &&Pod| controller(&pod.metadata).is_some_and(|uid| owners.contains(uid));
    let own = pods.iter().filter(is_own).filter(|pod| is_ready(pod));
    own.filter_map(|pod| pod.metadata.name.clone()).collect()
}

fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_deref());
    let holds = conditions
        .unwrap_or_default()
        .iter()
        .any(|condition| condition.type_ == "Ready" && condition.status == "True");
    holds && pod.metadata.deletion_timestamp.is_none()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{from_value, json};

    fn owned(kind: &str, uid: &str) -> serde_json::Value {
        json!([{"apiVersion": "apps/v1", "kind": kind, "name": "x", "uid": uid, "controller": true}])
    }

    fn pod(name: &str, owner: &str, ready: &str) -> Pod {
        from_value(json!({
            "metadata": {"name": name, "ownerReferences": owned("ReplicaSet", owner)},
            "status": {"conditions": [{"type": "Ready", "status": ready}]},
        }))
        .unwrap()
    }

    #[test]
    fn only_own_ready_pods_count() {
        let sets: Vec<ReplicaSet> = [("own", "web"), ("foreign", "other")]
            .map(|(uid, owner)| {
                let owners = owned("Deployment", owner);
                from_value(json!({"metadata": {"uid": uid, "ownerReferences": owners}})).unwrap()
            })
            .into();
        let mut leaving = pod("leaving", "own", "True");
        leaving.metadata.deletion_timestamp = from_value(json!("2026-01-01T00:00:00Z")).unwrap();
        let pods = [
            pod("serves", "own", "True"),
            pod("direct", "web", "True"),
            pod("starts", "own", "False"),
            pod("same-labels", "foreign", "True"),
            leaving,
            Pod::default(),
        ];
        assert_eq!(ready("web", &sets, &pods), ["serves", "direct"]);
    }
}
