//! The WebAssembly filter in a proxy, and who the proxy says it is.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

/// A WebAssembly HTTP filter.
#[derive(Clone, Debug)]
pub struct WasmFilter {
    module: PathBuf,
    config: String,
}

impl WasmFilter {
    /// The module with its plugin configuration, as a `WasmPlugin` would give it.
    pub fn new(module: &Path, config: &Value) -> Self {
        Self::with_text(module, &config.to_string())
    }

    /// The same with a configuration that need not be JSON.
    pub fn with_text(module: &Path, config: &str) -> Self {
        Self { module: module.to_owned(), config: config.to_owned() }
    }

    pub(super) fn to_json(&self) -> Value {
        json!({
            "name": "foresail",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm",
                "config": {
                    "name": "foresail",
                    "root_id": "foresail",
                    "configuration": {
                        "@type": "type.googleapis.com/google.protobuf.StringValue",
                        "value": self.config,
                    },
                    // What `failStrategy: FAIL_OPEN` of a WasmPlugin becomes.
                    "failure_policy": "FAIL_OPEN",
                    "vm_config": {
                        "vm_id": "foresail",
                        "runtime": "envoy.wasm.runtime.v8",
                        "code": {"local": {"filename": self.module.to_string_lossy()}},
                    },
                },
            },
        })
    }
}

/// Who a proxy is, in the metadata that Istio gives to a sidecar.
#[derive(Clone, Debug)]
pub struct Node {
    /// Kubernetes namespace.
    pub namespace: String,
    /// Name of the Deployment.
    pub workload: String,
    /// Name of the pod.
    pub pod: String,
    /// Value of the label `service.istio.io/canonical-revision`.
    pub revision: String,
}

impl Node {
    /// A sidecar of revision `v1`.
    pub fn new(namespace: &str, workload: &str, pod: &str) -> Self {
        Self {
            namespace: namespace.to_owned(),
            workload: workload.to_owned(),
            pod: pod.to_owned(),
            revision: "v1".to_owned(),
        }
    }

    pub(super) fn to_json(&self) -> Value {
        let Self { namespace, workload, pod, revision } = self;
        json!({
            "id": format!("sidecar~127.0.0.1~{pod}.{namespace}~{namespace}.svc.cluster.local"),
            "cluster": format!("{workload}.{namespace}"),
            "metadata": {
                "NAME": pod,
                "NAMESPACE": namespace,
                "WORKLOAD_NAME": workload,
                "OWNER": format!("kubernetes://apis/apps/v1/namespaces/{namespace}/deployments/{workload}"),
                "CLUSTER_ID": "Kubernetes",
                "MESH_ID": "cluster.local",
                "ISTIO_VERSION": "1.28.0",
                "LABELS": {
                    "app": workload,
                    "service.istio.io/canonical-name": workload,
                    "service.istio.io/canonical-revision": revision,
                },
            },
        })
    }
}
