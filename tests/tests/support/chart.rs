//! What the chart renders.

use anyhow::{Context, Result};
use foresail_tests::kubectl::Shell;
use serde_json::Value;

/// What one template of the chart renders with values, as options of helm.
pub(crate) fn rendered(template: &str, values: &str) -> Result<Vec<Value>> {
    let text = Shell::new("/dev/null".as_ref()).run(&format!(
        "helm template foresail istio/chart --namespace foresail {values} \
         --show-only templates/{template}.yaml"
    ))?;
    let documents = text.split("\n---\n").map(|text| text.trim_start_matches("---\n"));
    documents.map(|text| serde_saphyr::from_str(text).context(text.to_owned())).collect()
}
