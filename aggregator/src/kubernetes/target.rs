//! One workload in the cluster: its replica counts, and its `scale` subresource.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet, StatefulSet};
use k8s_openapi::api::autoscaling::v1::Scale;
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, ListParams, Patch, PatchParams};
use kube::core::{ApiResource, DynamicObject, GroupVersionKind, TypeMeta};
use kube::{Client, discovery};
use serde_json::json;
use tokio::sync::OnceCell;

use super::{FIELD_MANAGER, KubernetesError, pods};
use crate::config::TargetConfig;
use crate::telemetry::ReplicaStatus;

/// Time for one answer; a slower API server leaves the counts unknown.
const TIMEOUT: Duration = Duration::from_secs(5);

/// A scalable object; clones share what is known of its kind.
#[derive(Clone)]
pub struct Target(Arc<Inner>);

struct Inner {
    client: Client,
    namespace: String,
    config: TargetConfig,
    resource: OnceCell<ApiResource>,
}

impl fmt::Debug for Target {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Target").field(&self.name()).finish()
    }
}

impl Target {
    /// The object that a configuration names, in a namespace.
    pub fn new(client: Client, namespace: &str, config: &TargetConfig) -> Self {
        let (namespace, config) = (namespace.to_owned(), config.clone());
        Self(Arc::new(Inner { client, namespace, config, resource: OnceCell::new() }))
    }

    /// Time for one answer.
    pub const fn timeout() -> Duration {
        TIMEOUT
    }

    pub(super) fn name(&self) -> String {
        format!("{} {}/{}", self.0.config.kind, self.0.namespace, self.0.config.name)
    }

    /// The object's address, which the API server is asked for once: a kind of its own may have any
    /// plural.
    async fn api(&self) -> Result<Api<DynamicObject>, KubernetesError> {
        let TargetConfig { api_version, kind, .. } = &self.0.config;
        let meta = TypeMeta { api_version: api_version.clone(), kind: kind.clone() };
        let found = self.0.resource.get_or_try_init(|| async {
            if let Some(resource) = built_in(&self.0.config) {
                return Ok(resource);
            }
            let gvk = GroupVersionKind::try_from(&meta).map_err(|_| {
                KubernetesError::Incomplete { target: self.name(), field: "group and version" }
            })?;
            let (resource, _) = discovery::pinned_kind(&self.0.client, &gvk).await?;
            Ok::<_, KubernetesError>(resource)
        });
        let resource = found.await?;
        Ok(Api::namespaced_with(self.0.client.clone(), &self.0.namespace, resource))
    }

    /// Replicas that are wanted of the target now, and its own pods that serve.
    ///
    /// # Errors
    /// When the API server does not answer, or the kind cannot be scaled: nothing is known then.
    pub async fn status(&self) -> Result<ReplicaStatus, KubernetesError> {
        within(async {
            let scale = self.api().await?.get_scale(&self.0.config.name).await?;
            let missing = |field| KubernetesError::Incomplete { target: self.name(), field };
            let wanted = scale.spec.and_then(|spec| spec.replicas).unwrap_or(0);
            let selector = scale.status.and_then(|status| status.selector);
            let selector = selector.filter(|selector| !selector.is_empty());
            let uid = scale.metadata.uid.ok_or_else(|| missing("uid"))?;
            let own = ListParams::default()
                .labels(&selector.ok_or_else(|| missing("selector"))?)
                .match_any();
            let pods: Api<Pod> = Api::namespaced(self.0.client.clone(), &self.0.namespace);
            let sets: Api<ReplicaSet> = Api::namespaced(self.0.client.clone(), &self.0.namespace);
            let (pods, sets) = tokio::try_join!(pods.list(&own), sets.list(&own))?;
            let ready = pods::ready(&uid, &sets.items, &pods.items);
            Ok(ReplicaStatus {
                current_replicas: u32::try_from(wanted).unwrap_or(0),
                ready_replicas: u32::try_from(ready.len()).unwrap_or(u32::MAX),
                ready_pods: Some(ready),
                cluster: None,
            })
        })
        .await
    }

    /// Writes the number of replicas, unless another autoscaler drives the target.
    ///
    /// # Errors
    /// When it is not certain that it was done.
    pub async fn scale(&self, replicas: u32) -> Result<(), KubernetesError> {
        within(async {
            if let Some(name) = self.rival().await? {
                return Err(KubernetesError::Conflict { name });
            }
            let patch = Patch::Merge(json!({"spec": {"replicas": replicas}}));
            let parameters =
                PatchParams { field_manager: Some(FIELD_MANAGER.into()), ..Default::default() };
            let api = self.api().await?;
            let scale = api.patch_scale(&self.0.config.name, &parameters, &patch).await?;
            confirmed(&scale, replicas)
        })
        .await
    }

    /// The target's `scale` subresource as it is now.
    ///
    /// # Errors
    /// When the API server does not answer or the kind has none.
    pub(super) async fn read(&self) -> Result<Scale, KubernetesError> {
        within(async { Ok(self.api().await?.get_scale(&self.0.config.name).await?) }).await
    }

    /// Writes the number of replicas unless the target has changed since `version`: by server-side
    /// apply, or by a merge patch. Gives the new version.
    ///
    /// # Errors
    /// When it is not certain that it was done.
    pub(super) async fn write(
        &self,
        replicas: u32,
        version: &str,
        applies: bool,
    ) -> Result<Option<String>, KubernetesError> {
        let metadata = json!({"name": self.0.config.name, "resourceVersion": version});
        let spec = json!({"replicas": replicas});
        let (patch, parameters) = if applies {
            let scale = json!({"apiVersion": "autoscaling/v1", "kind": "Scale",
                "metadata": metadata, "spec": spec});
            (Patch::Apply(scale), PatchParams::apply(FIELD_MANAGER).force())
        } else {
            let field_manager = Some(FIELD_MANAGER.into());
            let parameters = PatchParams { field_manager, ..PatchParams::default() };
            (Patch::Merge(json!({"metadata": metadata, "spec": spec})), parameters)
        };
        within(async {
            let api = self.api().await?;
            let scale = api.patch_scale(&self.0.config.name, &parameters, &patch).await?;
            confirmed(&scale, replicas)?;
            Ok(scale.metadata.resource_version)
        })
        .await
    }

    /// Name of a `HorizontalPodAutoscaler` on the same target.
    async fn rival(&self) -> Result<Option<String>, KubernetesError> {
        let all: Api<HorizontalPodAutoscaler> =
            Api::namespaced(self.0.client.clone(), &self.0.namespace);
        let all = all.list(&ListParams::default().match_any()).await?;
        let same = all.items.into_iter().find(|other| {
            other.spec.as_ref().is_some_and(|spec| {
                let target = &spec.scale_target_ref;
                target.kind == self.0.config.kind && target.name == self.0.config.name
            })
        });
        Ok(same.and_then(|other| other.metadata.name))
    }
}

/// Whether the API server says that it wrote what was asked for.
fn confirmed(scale: &Scale, asked: u32) -> Result<(), KubernetesError> {
    let answered = scale.spec.as_ref().and_then(|spec| spec.replicas);
    if answered.and_then(|answered| u32::try_from(answered).ok()) == Some(asked) {
        Ok(())
    } else {
        Err(KubernetesError::WrongEcho { asked, answered })
    }
}

/// A kind that every cluster has.
pub(super) fn built_in(target: &TargetConfig) -> Option<ApiResource> {
    if target.api_version != "apps/v1" {
        return None;
    }
    match target.kind.as_str() {
        "Deployment" => Some(ApiResource::erase::<Deployment>(&())),
        "StatefulSet" => Some(ApiResource::erase::<StatefulSet>(&())),
        "ReplicaSet" => Some(ApiResource::erase::<ReplicaSet>(&())),
        _ => None,
    }
}

/// Bounds a call in time.
pub(super) async fn within<T>(
    call: impl Future<Output = Result<T, KubernetesError>>,
) -> Result<T, KubernetesError> {
    tokio::time::timeout(TIMEOUT, call).await.unwrap_or(Err(KubernetesError::Timeout(TIMEOUT)))
}
