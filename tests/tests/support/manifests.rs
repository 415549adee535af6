//! Applies manifests as `kubectl apply --server-side` does.

use anyhow::{Context, Result};
use kube::api::{Api, Patch, PatchParams};
use kube::core::{DynamicObject, GroupVersionKind, TypeMeta};
use kube::{Client, discovery};
use serde_json::Value;

/// Makes an object what the manifest says, with strict validation of its fields.
pub(crate) async fn apply(client: &Client, manifest: &Value) -> Result<()> {
    let types: TypeMeta = serde_json::from_value(manifest.clone())?;
    let gvk = GroupVersionKind::try_from(&types)?;
    let (resource, _) = discovery::pinned_kind(client, &gvk).await?;
    let text = |path| manifest.pointer(path).and_then(Value::as_str);
    let name = text("/metadata/name").context("a manifest without a name")?;
    let api: Api<DynamicObject> = match text("/metadata/namespace") {
        Some(namespace) => Api::namespaced_with(client.clone(), namespace, &resource),
        None => Api::all_with(client.clone(), &resource),
    };
    let by = PatchParams::apply("test").force().validation_strict();
    api.patch(name, &by, &Patch::Apply(manifest)).await.with_context(|| name.to_owned())?;
    Ok(())
}
