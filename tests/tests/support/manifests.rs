//! Applies manifests as `kubectl apply --server-side` does.

use anyhow::{Context, Result};
use foresail_tests::kubectl::Shell;
use foresail_tests::paths;
use kube::api::{Api, Patch, PatchParams};
use kube::core::{DynamicObject, GroupVersionKind, TypeMeta};
use kube::{Client, discovery};
use serde_json::Value;

/// The documents in the blocks of YAML of a page, in order, that have a kind.
pub(crate) fn in_page(page: &str) -> Result<Vec<Value>> {
    let text = std::fs::read_to_string(paths::root().join(page)).context(page.to_owned())?;
    let blocks = text.split("```yaml\n").skip(1).filter_map(|rest| rest.split("```").next());
    let documents = blocks.flat_map(|block| block.split("\n---\n"));
    let documents: Result<Vec<Value>> =
        documents.map(|text| serde_saphyr::from_str(text).context(text.to_owned())).collect();
    Ok(documents?.into_iter().filter(|document| !document["kind"].is_null()).collect())
}

/// What one template of the chart renders with values, as options of helm.
pub(crate) fn of_chart(template: &str, values: &str) -> Result<Vec<Value>> {
    let text = Shell::new("/dev/null".as_ref()).run(&format!(
        "helm template foresail istio/chart --namespace foresail {values} \
         --show-only templates/{template}.yaml"
    ))?;
    let documents = text.split("\n---\n").map(|text| text.trim_start_matches("---\n"));
    documents.map(|text| serde_saphyr::from_str(text).context(text.to_owned())).collect()
}

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
