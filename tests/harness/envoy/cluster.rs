//! Clusters: where a proxy sends requests.

use std::net::SocketAddr;

use serde_json::{Value, json};

use super::{Endpoints, socket_address};

const PROTOCOL: &str = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";

/// A cluster to be; HTTP/1 unless told.
#[derive(Clone, Debug)]
pub struct Cluster(Value);

impl Cluster {
    /// One fixed address.
    pub fn fixed(name: &str, address: SocketAddr) -> Self {
        Self(json!({
            "name": name,
            "type": "STATIC",
            "connect_timeout": "1s",
            "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": [
                {"endpoint": {"address": socket_address(address)}},
            ]}]},
        }))
    }

    /// The addresses that a file lists, followed as it changes. Requests go to the less busy of two
    /// endpoints, which is Istio's default.
    pub fn eds(name: &str, endpoints: &Endpoints) -> Self {
        Self(json!({
            "name": name,
            "type": "EDS",
            "connect_timeout": "1s",
            "lb_policy": "LEAST_REQUEST",
            "eds_cluster_config": {"eds_config": {
                "resource_api_version": "V3",
                "path_config_source": {"path": endpoints.path().to_string_lossy()},
            }},
        }))
    }

    /// Speaks HTTP/2 to the endpoints.
    #[must_use]
    pub fn http2(self) -> Self {
        self.protocol(json!({"explicit_http_config": {"http2_protocol_options": {}}}))
    }

    /// Speaks to the endpoints what the client spoke.
    #[must_use]
    pub fn same_protocol(self) -> Self {
        self.protocol(json!({"use_downstream_protocol_config": {
            "http_protocol_options": {}, "http2_protocol_options": {},
        }}))
    }

    fn protocol(self, mut options: Value) -> Self {
        if let Some(fields) = options.as_object_mut() {
            fields.insert("@type".to_owned(), format!("type.googleapis.com/{PROTOCOL}").into());
        }
        self.set("typed_extension_protocol_options", json!({PROTOCOL: options}))
    }

    /// Lets any number of requests wait, as Istio does; Envoy's own default is 1,024.
    #[must_use]
    pub fn unlimited(self) -> Self {
        let most = u32::MAX;
        self.set(
            "circuit_breakers",
            json!({"thresholds": [{
                "max_connections": most, "max_pending_requests": most, "max_requests": most,
            }]}),
        )
    }

    /// Sets a field of the cluster.
    #[must_use]
    pub fn set(mut self, field: &str, value: Value) -> Self {
        if let Some(fields) = self.0.as_object_mut() {
            fields.insert(field.to_owned(), value);
        }
        self
    }

    pub(super) fn into_json(self) -> Value {
        self.0
    }
}
