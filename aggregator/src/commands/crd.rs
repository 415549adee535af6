//! `foresail crd`: the definition of `MeshAutoscaler` as a manifest.

use anyhow::Context;
use kube::CustomResourceExt;

use crate::kubernetes::resource::MeshAutoscaler;

/// The manifest.
///
/// # Errors
/// When it cannot be written as YAML, which would be a bug.
pub fn manifest() -> anyhow::Result<String> {
    let crd = serde_json::to_value(MeshAutoscaler::crd())?;
    let text = serde_saphyr::to_string(&crd).context("the definition cannot be written")?;
    Ok(format!(
        "# Made by `make crd` from aggregator/src/kubernetes/resource.rs; do not edit.\n{text}"
    ))
}
