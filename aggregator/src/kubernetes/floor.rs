//! The floor under a `HorizontalPodAutoscaler`: its `minReplicas`, raised and lowered, never below
//! what its owner wrote. The owner's value is kept in an annotation and given back.

use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use kube::Client;
use kube::api::{Api, Patch, PatchParams};
use serde_json::{Value, json};

use super::cache::Key;
use super::facts::HpaFacts;
use super::resource::{FINALIZER, MeshAutoscaler};
use super::{FIELD_MANAGER, KubernetesError};

/// Annotation with the owner's own `minReplicas`, while we have raised it.
pub const FLOOR_ANNOTATION: &str = "foresail.dev/user-min-replicas";

impl HpaFacts {
    /// The owner's own `minReplicas`. `ours` is the floor that we set last: when another stands
    /// there, its owner has written a new one of his own.
    pub fn owners_min(&self, ours: Option<u32>) -> u32 {
        let kept = self.users_min.filter(|_| ours.is_none_or(|ours| ours == self.min));
        kept.unwrap_or(self.min)
    }
}

/// Sets the floor over the owner's own `minReplicas`; gives the new version. The version of what was seen makes sure that nothing else is overwritten.
///
/// # Errors
/// When it is not certain that it was done; a conflict when somebody wrote it in between.
pub(crate) async fn set(
    client: &Client,
    key: &Key,
    seen: &HpaFacts,
    owners: u32,
    floor: u32,
) -> Result<Option<String>, KubernetesError> {
    let annotation = if floor == owners { Value::Null } else { json!(owners.to_string()) };
    let patch = json!({
        "metadata": {
            "resourceVersion": seen.resource_version,
            "annotations": {FLOOR_ANNOTATION: annotation},
        },
        "spec": {"minReplicas": floor},
    });
    let api: Api<HorizontalPodAutoscaler> = Api::namespaced(client.clone(), &key.0);
    let parameters =
        PatchParams { field_manager: Some(FIELD_MANAGER.into()), ..PatchParams::default() };
    let answer = api.patch(&key.1, &parameters, &Patch::Merge(patch)).await?;
    let answered = answer.spec.and_then(|spec| spec.min_replicas);
    if answered.and_then(|answered| u32::try_from(answered).ok()) == Some(floor) {
        Ok(answer.metadata.resource_version)
    } else {
        Err(KubernetesError::WrongEcho { asked: floor, answered })
    }
}

/// Gives the owner's own `minReplicas` back; nothing when it was never raised.
///
/// # Errors
/// As any call of the API server; [`KubernetesError::Moved`] when somebody wrote it in between.
pub async fn give_back(client: &Client, key: &Key, seen: &HpaFacts) -> Result<(), KubernetesError> {
    match seen.users_min {
        None => Ok(()),
        Some(owners) => set(client, key, seen, owners, owners).await.map(drop),
    }
}

/// Puts the finalizer on a resource that has a floor to give back, or takes it away. Nothing when
/// the resource is gone or has changed: the watch will say so.
///
/// # Errors
/// When it is not certain that it was done.
pub async fn set_finalizer(
    client: &Client,
    resource: &MeshAutoscaler,
    there: bool,
) -> Result<(), KubernetesError> {
    let meta = &resource.metadata;
    let (Some(namespace), Some(name)) = (&meta.namespace, &meta.name) else { return Ok(()) };
    let mut finalizers = meta.finalizers.clone().unwrap_or_default();
    finalizers.retain(|other| other != FINALIZER);
    if there {
        finalizers.push(FINALIZER.to_owned());
    }
    let patch = json!({"metadata": {
        "finalizers": finalizers, "resourceVersion": meta.resource_version,
    }});
    let api: Api<MeshAutoscaler> = Api::namespaced(client.clone(), namespace);
    let parameters =
        PatchParams { field_manager: Some(FIELD_MANAGER.into()), ..PatchParams::default() };
    match api.patch(name, &parameters, &Patch::Merge(patch)).await {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
