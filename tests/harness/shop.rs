//! A namespace with a Deployment and its `MeshAutoscaler`, as tests change and watch them.

use std::future::Future;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Namespace, Pod};
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, DynamicObject, Patch, PatchParams, PostParams};
use kube::core::{ApiResource, GroupVersionKind};
use kube::{Client, ResourceExt};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::paths;

/// Name of the Deployment and of the resource.
pub const NAME: &str = "web";

/// One namespace.
#[derive(Clone)]
pub struct Shop {
    client: Client,
    namespace: String,
}

impl std::fmt::Debug for Shop {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Shop").field("namespace", &self.namespace).finish_non_exhaustive()
    }
}

/// Takes the definition of `MeshAutoscaler` away, and with it every such resource.
pub async fn uninstall(client: &Client) -> Result<()> {
    let api: Api<CustomResourceDefinition> = Api::all(client.clone());
    let name = "meshautoscalers.foresail.dev";
    api.delete(name, &kube::api::DeleteParams::default()).await?;
    until(Duration::from_secs(30), "the definition is gone", || async {
        api.get_opt(name).await.ok()?.is_none().then_some(())
    })
    .await
}

/// Puts the definition of `MeshAutoscaler` into a cluster, from the committed manifest.
pub async fn install(client: &Client) -> Result<()> {
    let path = paths::root().join("istio/base/crd.yaml");
    let crd = read_yaml(&path)?;
    let api: Api<CustomResourceDefinition> = Api::all(client.clone());
    let parameters = PatchParams::apply("test").force();
    api.patch("meshautoscalers.foresail.dev", &parameters, &Patch::Apply(crd)).await?;
    until(Duration::from_secs(30), "the definition is served", || async {
        let all: Api<DynamicObject> = Api::all_with(client.clone(), &resource());
        all.list(&kube::api::ListParams::default()).await.is_ok().then_some(())
    })
    .await
}

fn read_yaml(path: &Path) -> Result<Value> {
    let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
    serde_saphyr::from_str(&text).with_context(|| path.display().to_string())
}

fn resource() -> ApiResource {
    let gvk = GroupVersionKind::gvk("foresail.dev", "v1alpha1", "MeshAutoscaler");
    ApiResource::from_gvk_with_plural(&gvk, "meshautoscalers")
}

/// Asks every 50 ms until there is an answer; an error after `limit`.
pub async fn until<T, F: Future<Output = Option<T>>>(
    limit: Duration,
    what: &str,
    mut ask: impl FnMut() -> F,
) -> Result<T> {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(answer) = ask().await {
            return Ok(answer);
        }
        if Instant::now() > deadline {
            bail!("not within {limit:?}: {what}");
        }
        sleep(Duration::from_millis(50)).await;
    }
}

impl Shop {
    /// A new namespace with a Deployment of so many replicas.
    pub async fn open(client: &Client, namespace: &str, replicas: u32) -> Result<Self> {
        let namespaces: Api<Namespace> = Api::all(client.clone());
        let made = serde_json::from_value(json!({"metadata": {"name": namespace}}))?;
        namespaces.create(&PostParams::default(), &made).await?;
        let shop = Self { client: client.clone(), namespace: namespace.to_owned() };
        shop.deploy(NAME, replicas, json!({})).await?;
        Ok(shop)
    }

    /// Creates a Deployment; `annotations` are those of its pods.
    pub async fn deploy(&self, name: &str, replicas: u32, annotations: Value) -> Result<()> {
        let deployment = json!({
            "metadata": {"name": name},
            "spec": {
                "replicas": replicas,
                "selector": {"matchLabels": {"app": name}},
                "template": {
                    "metadata": {"labels": {"app": name}, "annotations": annotations},
                    "spec": {
                        "terminationGracePeriodSeconds": 0,
                        "containers": [{"name": "app", "image": "none"}],
                    },
                },
            },
        });
        let deployment = serde_json::from_value(deployment)?;
        self.deployments().create(&PostParams::default(), &deployment).await?;
        Ok(())
    }

    /// Its name.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Its pods.
    pub fn pods(&self) -> Api<Pod> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// Its Deployments.
    pub fn deployments(&self) -> Api<Deployment> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// Its `MeshAutoscaler`s.
    pub fn autoscalers(&self) -> Api<DynamicObject> {
        Api::namespaced_with(self.client.clone(), &self.namespace, &resource())
    }

    /// Creates the resource: active, a decision each second, 10 rps a replica, no damping on the
    /// way up; `more` replaces what it names in its spec.
    pub async fn autoscale(&self, more: Value) -> Result<()> {
        let mut spec = json!({
            "scaleTargetRef": {"name": NAME},
            "minReplicas": 1,
            "maxReplicas": 20,
            "mode": "Active",
            "objectives": {"latency": {"threshold": "250ms"}},
            "targetRpsPerReplica": 10,
            "tolerance": 0,
            "startupTime": "5s",
            "decisionInterval": "1s",
            // No step is half measured within a test: it is about writing, not about forecasting.
            "model": {"step": "1h"},
            "behavior": {
                "scaleUp": {"policies": []},
                "scaleDown": {"stabilizationWindowSeconds": 4, "policies": []},
            },
        });
        if let (Some(spec), Value::Object(more)) = (spec.as_object_mut(), more) {
            spec.extend(more);
        }
        let object = json!({
            "apiVersion": "foresail.dev/v1alpha1",
            "kind": "MeshAutoscaler",
            "metadata": {"name": NAME},
            "spec": spec,
        });
        let object = serde_json::from_value(object)?;
        self.autoscalers().create(&PostParams::default(), &object).await?;
        Ok(())
    }

    /// Changes the spec of the resource.
    pub async fn edit(&self, spec: Value) -> Result<()> {
        let patch = Patch::Merge(json!({"spec": spec}));
        self.autoscalers().patch(NAME, &PatchParams::default(), &patch).await?;
        Ok(())
    }

    /// Changes the Deployment as `manager`.
    pub async fn patch(&self, manager: &str, patch: Value) -> Result<()> {
        let parameters =
            PatchParams { field_manager: Some(manager.to_owned()), ..PatchParams::default() };
        self.deployments().patch(NAME, &parameters, &Patch::Merge(patch)).await?;
        Ok(())
    }

    /// Replicas that the Deployment is to have.
    pub async fn replicas(&self) -> Result<i32> {
        let deployment = self.deployments().get(NAME).await?;
        deployment.spec.and_then(|spec| spec.replicas).context("no replicas")
    }

    /// Waits until the Deployment is to have so many replicas.
    pub async fn has_replicas(&self, wanted: i32, limit: Duration) -> Result<()> {
        let what = format!("{} has {wanted} replicas", self.namespace);
        let result =
            until(limit, &what, || async { (self.replicas().await.ok()? == wanted).then_some(()) });
        match result.await {
            Ok(()) => Ok(()),
            Err(error) => Err(error.context(self.told().await)),
        }
    }

    /// Waits until a condition of the resource has this status and reason.
    pub async fn says(
        &self,
        kind: &str,
        status: &str,
        reason: &str,
        limit: Duration,
    ) -> Result<()> {
        let what = format!("{}: {kind} is {status} ({reason})", self.namespace);
        let result = until(limit, &what, || async {
            let object = self.autoscalers().get(NAME).await.ok()?;
            let conditions = object.data.pointer("/status/conditions")?.as_array()?.clone();
            let found = conditions.into_iter().find(|it| text(it, "type") == kind)?;
            (text(&found, "status") == status && text(&found, "reason") == reason).then_some(())
        });
        match result.await {
            Ok(()) => Ok(()),
            Err(error) => Err(error.context(self.told().await)),
        }
    }

    /// The status of the resource; null when there is none.
    pub async fn status(&self) -> Result<Value> {
        let object = self.autoscalers().get(NAME).await?;
        Ok(object.data.get("status").cloned().unwrap_or_default())
    }

    /// The resource with its status, and the events: for a failed wait.
    async fn told(&self) -> String {
        let object = self.autoscalers().get(NAME).await.ok();
        let status = object.and_then(|it| it.data.get("status").map(ToString::to_string));
        format!("status {}, events {:?}", status.unwrap_or_default(), self.events().await)
    }

    /// Reasons and notes of all events about the resource.
    pub async fn events(&self) -> Vec<(String, String)> {
        let api: Api<Event> = Api::namespaced(self.client.clone(), &self.namespace);
        let Ok(events) = api.list(&kube::api::ListParams::default()).await else { return vec![] };
        let about = |event: &Event| {
            event.regarding.as_ref().is_some_and(|it| it.kind.as_deref() == Some("MeshAutoscaler"))
        };
        let mut events: Vec<_> = events.items.into_iter().filter(about).collect();
        events.sort_by_key(|event| event.event_time.as_ref().map(|time| time.0));
        let told =
            |event: Event| (event.reason.unwrap_or_default(), event.note.unwrap_or_default());
        events.into_iter().map(told).collect()
    }

    /// Waits for an event with this reason.
    pub async fn event(&self, reason: &str, limit: Duration) -> Result<String> {
        until(limit, &format!("{}: an event {reason}", self.namespace), || async {
            let events = self.events().await;
            events.into_iter().find(|(it, _)| it == reason).map(|(_, note)| note)
        })
        .await
    }

    /// Names of the Ready pods of the Deployment.
    pub async fn ready_pods(&self) -> Result<Vec<String>> {
        let pods = self.pods().list(&kube::api::ListParams::default()).await?;
        Ok(pods
            .items
            .iter()
            .filter(|pod| crate::frames::is_ready(pod))
            .map(ResourceExt::name_any)
            .collect())
    }
}

/// A member that is a text.
fn text<'a>(object: &'a Value, member: &str) -> &'a str {
    object.get(member).and_then(Value::as_str).unwrap_or_default()
}
