//! A control plane with our definition and our rights, and aggregators on it that the audit log
//! tells apart.

use std::sync::Arc;

use anyhow::{Context, Result};
use k8s_openapi::api::core::v1::Namespace;
use kube::Client;
use kube::api::{Api, DeleteParams, DynamicObject, Patch, PatchParams, PostParams};
use kube::core::{ApiResource, GroupVersionKind};
use serde_json::{Value, json};

use crate::control_plane::ControlPlane;
use crate::{Aggregator, ApiProxy, WorkDir, paths, ports, shop};

/// Namespace of the lease.
pub const NAMESPACE: &str = "foresail";
/// What is bound to each aggregator's user, as `istio/base` and `istio/overlays/active` do for the
/// service account.
const ROLES: [(&str, &str); 3] = [
    ("ClusterRole", "foresail-read"),
    ("ClusterRole", "foresail-scale"),
    ("Role", "foresail-lease"),
];

/// A control plane for aggregators.
#[derive(Clone, Debug)]
pub struct Stage {
    plane: Arc<ControlPlane>,
    _work: Arc<WorkDir>,
}

/// An aggregator that watches, behind a proxy of its own.
#[derive(Debug)]
pub struct Actor {
    /// The process.
    pub foresail: Aggregator,
    /// The way to the API server, which names the requests: `foresail-NAME`.
    pub api: ApiProxy,
    /// Where its files are.
    pub work: WorkDir,
}

impl Stage {
    /// Starts a control plane with flags of `control-plane up`; the definition and the roles of the
    /// manifests are there.
    pub async fn start(name: &str, flags: &[&str]) -> Result<Self> {
        let work = WorkDir::new(name)?;
        let plane = ControlPlane::start(&work, flags).await?;
        let client = plane.client().await?;
        shop::install(&client).await?;
        let namespaces: Api<Namespace> = Api::all(client.clone());
        let made = serde_json::from_value(json!({"metadata": {"name": NAMESPACE}}))?;
        namespaces.create(&PostParams::default(), &made).await?;
        for role in roles()? {
            apply(&client, &role).await?;
        }
        Ok(Self { plane: Arc::new(plane), _work: Arc::new(work) })
    }

    /// The control plane.
    pub fn plane(&self) -> &ControlPlane {
        &self.plane
    }

    /// A client with the administrator's rights, for the runtime that this is called in.
    pub async fn client(&self) -> Result<Client> {
        self.plane.client().await
    }

    /// Starts an aggregator that watches, with `more` in its configuration under `kubernetes`, as
    /// the user `foresail-NAME` with the rights of the manifests.
    pub async fn actor(&self, name: &str, more: Value) -> Result<Actor> {
        self.actor_in(None, name, more).await
    }

    /// The same in the role of a pod in [`NAMESPACE`].
    pub async fn actor_in(&self, pod: Option<&str>, name: &str, more: Value) -> Result<Actor> {
        let client = self.client().await?;
        let user = format!("foresail-{name}");
        for binding in bindings(&user) {
            apply(&client, &binding).await?;
        }
        let work = WorkDir::new(&user)?;
        let api = ApiProxy::start(client, &user).await?;
        let mut settings = json!({"watch": true});
        if let (Some(settings), Value::Object(more)) = (settings.as_object_mut(), more) {
            settings.extend(more);
        }
        let config = json!({"kubeconfig": api.kubeconfig(&work)?, "kubernetes": settings});
        let foresail = Aggregator::start_as(&work, ports::free()?, config, pod).await?;
        Ok(Actor { foresail, api, work })
    }
}

impl Actor {
    /// What the process has written to its log.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.work.file("foresail.log")).unwrap_or_default()
    }

    /// Whether it says that it leads.
    pub async fn leads(&self) -> bool {
        let answer = self.foresail.json("/readyz").await.ok();
        answer.and_then(|answer| answer.get("leads")?.as_bool()) == Some(true)
    }
}

/// The rendered manifests, `istio/base/foresail.yaml`.
pub fn manifests() -> Result<Vec<Value>> {
    let path = paths::root().join("istio/base/foresail.yaml");
    let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    let documents = text.split("\n---\n").map(|text| -> Result<Value> {
        serde_saphyr::from_str(text).with_context(|| text.to_owned())
    });
    documents.collect()
}

/// The roles among the manifests.
fn roles() -> Result<Vec<Value>> {
    let documents = manifests()?;
    let text = |document: &Value, at: &str| {
        document.pointer(at).and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    let is_role = |document: &Value| {
        let it = (text(document, "/kind"), text(document, "/metadata/name"));
        ROLES.iter().any(|(kind, name)| (*kind, *name) == (it.0.as_str(), it.1.as_str()))
    };
    let found: Vec<_> = documents.into_iter().filter(is_role).collect();
    anyhow::ensure!(found.len() == ROLES.len(), "the manifests have not all roles");
    Ok(found)
}

/// Binds all roles to a user.
fn bindings(user: &str) -> Vec<Value> {
    let bind = |(kind, role): &(&str, &str)| {
        let name = format!("{role}-{user}");
        let metadata = match *kind {
            "Role" => json!({"name": name, "namespace": NAMESPACE}),
            _ => json!({"name": name}),
        };
        json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": format!("{kind}Binding"),
            "metadata": metadata,
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": role},
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user}],
        })
    };
    ROLES.iter().map(bind).collect()
}

/// Makes a role or a binding what it should be.
async fn apply(client: &Client, manifest: &Value) -> Result<()> {
    let name = manifest.pointer("/metadata/name").and_then(Value::as_str).context("no name")?;
    let parameters = PatchParams::apply("test").force();
    api_of(client, manifest)?.patch(name, &parameters, &Patch::Apply(manifest)).await?;
    Ok(())
}

fn api_of(client: &Client, manifest: &Value) -> Result<Api<DynamicObject>> {
    let kind = manifest.get("kind").and_then(Value::as_str).context("no kind")?;
    let gvk = GroupVersionKind::gvk("rbac.authorization.k8s.io", "v1", kind);
    let resource = ApiResource::from_gvk_with_plural(&gvk, &format!("{}s", kind.to_lowercase()));
    Ok(match manifest.pointer("/metadata/namespace").and_then(Value::as_str) {
        Some(namespace) => Api::namespaced_with(client.clone(), namespace, &resource),
        None => Api::all_with(client.clone(), &resource),
    })
}

/// Takes the right of a role from an aggregator's user, or gives it back.
pub async fn set_right(client: &Client, name: &str, role: &str, has: bool) -> Result<()> {
    for binding in bindings(&format!("foresail-{name}")) {
        if binding.pointer("/roleRef/name").and_then(Value::as_str) != Some(role) {
            continue;
        }
        if has {
            apply(client, &binding).await?;
        } else {
            let name = binding.pointer("/metadata/name").and_then(Value::as_str);
            let parameters = DeleteParams::default();
            api_of(client, &binding)?.delete(name.context("no name")?, &parameters).await?;
        }
    }
    Ok(())
}
