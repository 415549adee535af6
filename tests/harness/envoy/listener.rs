//! Listeners and routes: what a proxy accepts and what becomes of it.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use super::{WasmFilter, seconds, socket_address};

const MANAGER: &str =
    "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager";

/// A listener to be: HTTP/1 and HTTP/2, told apart by their first bytes, on a port of the
/// kernel's choice.
#[derive(Clone, Debug)]
pub struct Listener {
    name: String,
    port: u16,
    direction: Option<&'static str>,
    routes: Vec<Value>,
    filters: Vec<Value>,
    manager: Value,
    transport_socket: Option<Value>,
}

impl Listener {
    /// A listener without routes. Its name is also the prefix of its counters:
    /// `http.<name>.downstream_rq_total`.
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            port: 0,
            direction: None,
            routes: Vec::new(),
            filters: Vec::new(),
            manager: json!({
                "@type": format!("type.googleapis.com/{MANAGER}"),
                "stat_prefix": name,
                "codec_type": "AUTO",
            }),
            transport_socket: None,
        }
    }

    /// Binds a given port.
    #[must_use]
    pub fn port(mut self, port: u16) -> Self {
        self.port = port;
        self
    }

    /// Takes connections by way of a transport socket, such as TLS.
    #[must_use]
    pub fn transport_socket(mut self, socket: Value) -> Self {
        self.transport_socket = Some(socket);
        self
    }

    /// Marks it as a sidecar's way in, as Istio does.
    #[must_use]
    pub fn inbound(mut self) -> Self {
        self.direction = Some("INBOUND");
        self
    }

    /// Marks it as a sidecar's way out, as Istio does.
    #[must_use]
    pub fn outbound(mut self) -> Self {
        self.direction = Some("OUTBOUND");
        self
    }

    /// Adds a route; the first that matches counts.
    #[must_use]
    pub fn route(mut self, route: Route) -> Self {
        self.routes.push(route.0);
        self
    }

    /// Adds a filter in front of the router.
    #[must_use]
    pub fn filter(mut self, filter: &WasmFilter) -> Self {
        self.filters.push(filter.to_json());
        self
    }

    /// Writes an access log. `format` is Envoy's; a line feed is added.
    #[must_use]
    pub fn access_log(self, path: &Path, format: &str) -> Self {
        let log = json!([{
            "name": "envoy.access_loggers.file",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog",
                "path": path.to_string_lossy(),
                "log_format": {"text_format_source": {"inline_string": format!("{format}\n")}},
            },
        }]);
        self.set("access_log", log)
    }

    /// Sets a field of the HTTP connection manager.
    #[must_use]
    pub fn set(mut self, field: &str, value: Value) -> Self {
        if let Some(fields) = self.manager.as_object_mut() {
            fields.insert(field.to_owned(), value);
        }
        self
    }

    pub(super) fn into_json(mut self) -> Value {
        self.filters.push(json!({
            "name": "envoy.filters.http.router",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router",
            },
        }));
        let (filters, routes) =
            (std::mem::take(&mut self.filters), std::mem::take(&mut self.routes));
        let address = socket_address(SocketAddr::from(([127, 0, 0, 1], self.port)));
        let (name, direction) = (self.name.clone(), self.direction);
        let transport_socket = self.transport_socket.take();
        let manager = self
            .set("http_filters", filters.into())
            .set(
                "route_config",
                json!({"name": name, "virtual_hosts": [
                    {"name": name, "domains": ["*"], "routes": routes},
                ]}),
            )
            .manager;
        let mut chain = json!({"filters": [{
            "name": "envoy.filters.network.http_connection_manager",
            "typed_config": manager,
        }]});
        if let (Some(chain), Some(socket)) = (chain.as_object_mut(), transport_socket) {
            chain.insert("transport_socket".to_owned(), socket);
        }
        json!({
            "name": name,
            "address": address,
            "traffic_direction": direction.unwrap_or("UNSPECIFIED"),
            "filter_chains": [chain],
        })
    }
}

/// A route to be.
#[derive(Clone, Debug)]
pub struct Route(Value);

impl Route {
    /// Requests whose path begins with `prefix`.
    pub fn prefix(prefix: &str) -> Self {
        Self(json!({"match": {"prefix": prefix}}))
    }

    /// Names it.
    #[must_use]
    pub fn name(self, name: &str) -> Self {
        self.set("name", name.into())
    }

    /// Goes to a cluster.
    #[must_use]
    pub fn cluster(self, cluster: &str) -> Self {
        self.action("cluster", cluster.into())
    }

    /// Is answered 504 when it takes longer; Envoy's default is 15 s.
    #[must_use]
    pub fn timeout(self, limit: Duration) -> Self {
        self.action("timeout", seconds(limit))
    }

    /// Is tried again, at most `times`, on Envoy's conditions such as `5xx,reset`.
    #[must_use]
    pub fn retries(self, times: u32, on: &str) -> Self {
        self.action("retry_policy", json!({"num_retries": times, "retry_on": on}))
    }

    /// Is answered by the proxy itself.
    #[must_use]
    pub fn direct(self, status: u16, body: &str) -> Self {
        self.set("direct_response", json!({"status": status, "body": {"inline_string": body}}))
    }

    /// Sets a field of the route.
    #[must_use]
    pub fn set(mut self, field: &str, value: Value) -> Self {
        if let Some(fields) = self.0.as_object_mut() {
            fields.insert(field.to_owned(), value);
        }
        self
    }

    /// Sets a field of what is done with requests that go to a cluster.
    #[must_use]
    pub fn action(mut self, field: &str, value: Value) -> Self {
        if let Some(fields) = self.0.as_object_mut() {
            let action = fields.entry("route").or_insert_with(|| json!({}));
            if let Some(action) = action.as_object_mut() {
                action.insert(field.to_owned(), value);
            }
        }
        self
    }
}
