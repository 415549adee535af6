//! A real Envoy from a configuration built in the test.
//!
//! Ports are chosen by the kernel (port 0) and read back from the admin page, so that any number
//! of runs can go on at a time.

mod admin;
mod cluster;
mod endpoints;
mod listener;
mod mtls;
mod wasm;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::{Value, json};

pub use admin::Admin;
pub use cluster::Cluster;
pub use endpoints::Endpoints;
pub use listener::{Listener, Route};
pub use mtls::Authority;
pub use wasm::{Node, WasmFilter};

use crate::{Http, Process, Program, WorkDir, paths};

/// Long, because a dozen proxies may start at once on two shared cores.
const START_LIMIT: Duration = Duration::from_secs(30);

/// A proxy to be.
#[derive(Clone, Debug)]
pub struct EnvoyBuilder {
    name: String,
    workers: u32,
    log_level: String,
    bootstrap: Value,
}

impl EnvoyBuilder {
    /// Number of worker threads (`--concurrency`); 1 unless told.
    #[must_use]
    pub fn workers(mut self, workers: u32) -> Self {
        self.workers = workers;
        self
    }

    /// `--log-level`; `warn` unless told.
    #[must_use]
    pub fn log_level(mut self, level: &str) -> Self {
        level.clone_into(&mut self.log_level);
        self
    }

    /// Adds a listener.
    #[must_use]
    pub fn listener(mut self, listener: Listener) -> Self {
        push(&mut self.bootstrap, "listeners", listener.into_json());
        self
    }

    /// Adds a cluster.
    #[must_use]
    pub fn cluster(mut self, cluster: Cluster) -> Self {
        push(&mut self.bootstrap, "clusters", cluster.into_json());
        self
    }

    /// Sets who it is.
    #[must_use]
    pub fn node(self, node: &Node) -> Self {
        self.set("node", node.to_json())
    }

    /// Sets a field of the bootstrap.
    #[must_use]
    pub fn set(mut self, field: &str, value: Value) -> Self {
        if let Some(fields) = self.bootstrap.as_object_mut() {
            fields.insert(field.to_owned(), value);
        }
        self
    }

    /// Starts it and waits until it takes requests. Configuration, log and access logs are named
    /// after it in `directory`.
    pub async fn start(self, directory: &WorkDir) -> Result<Envoy> {
        let config = directory.write(
            &format!("{}.json", self.name),
            &serde_json::to_string_pretty(&self.bootstrap)?,
        )?;
        let address_file = directory.file(&format!("{}.admin", self.name));
        // A proxy of the same name may have left its own there.
        let _ = std::fs::remove_file(&address_file);
        let log = directory.file(&format!("{}.log", self.name));
        let mut process = Program::new(&self.name, &paths::envoy()?, &log)
            .arg("--config-path")
            .arg(config)
            .arg("--concurrency")
            .arg(self.workers.to_string())
            .arg("--log-level")
            .arg(self.log_level)
            .arg("--admin-address-path")
            .arg(&address_file)
            // Hot restart needs shared memory that two proxies on a machine would fight over.
            .arg("--disable-hot-restart")
            // Access logs are read by tests while the proxy still runs.
            .args(["--file-flush-interval-msec", "100"])
            .args(["--drain-time-s", "1", "--parent-shutdown-time-s", "2"])
            .spawn()?;
        let http = Http::default();
        let found = || async {
            let address = std::fs::read_to_string(&address_file).ok()?;
            let admin = Admin::new(http.clone(), address.trim().parse().ok()?);
            admin.is_ready().await.then_some(admin)
        };
        let admin = process.wait_until(START_LIMIT, found).await?;
        let addresses = admin.listeners().await?;
        Ok(Envoy { process, admin, addresses })
    }
}

fn push(bootstrap: &mut Value, list: &str, item: Value) {
    let resources = bootstrap.pointer_mut(&format!("/static_resources/{list}"));
    if let Some(items) = resources.and_then(Value::as_array_mut) {
        items.push(item);
    }
}

/// A running proxy; killed when this value goes.
#[derive(Debug)]
pub struct Envoy {
    process: Process,
    admin: Admin,
    addresses: BTreeMap<String, SocketAddr>,
}

impl Envoy {
    /// Starts one that answers every request with the same JSON, at its listener `webhook`: a webhook
    /// that says the same replica counts for ever.
    pub async fn webhook(directory: &WorkDir, answer: &Value) -> Result<Self> {
        let route = Route::prefix("/").direct(200, &answer.to_string());
        let listener = Listener::new("webhook").route(route);
        Self::builder("webhook").listener(listener).start(directory).await
    }

    /// Begins a configuration. The name is that of its files.
    pub fn builder(name: &str) -> EnvoyBuilder {
        EnvoyBuilder {
            name: name.to_owned(),
            workers: 1,
            log_level: "warn".to_owned(),
            bootstrap: json!({
                "node": {"id": name, "cluster": name},
                "admin": {"address": socket_address(SocketAddr::from(([127, 0, 0, 1], 0)))},
                "static_resources": {"listeners": [], "clusters": []},
            }),
        }
    }

    /// The address of a listener.
    pub fn address(&self, listener: &str) -> Result<SocketAddr> {
        self.addresses.get(listener).copied().with_context(|| format!("no listener {listener}"))
    }

    /// Its admin page.
    pub const fn admin(&self) -> &Admin {
        &self.admin
    }

    /// The process, for its log and its id.
    pub const fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// Ends it with SIGTERM, so that it writes its access logs out, and waits until it is gone.
    pub async fn stop(&mut self) -> Result<()> {
        self.process.stop(Duration::from_secs(10)).await.map(drop)
    }
}

pub(crate) fn socket_address(address: SocketAddr) -> Value {
    json!({"socket_address": {"address": address.ip().to_string(), "port_value": address.port()}})
}

/// A duration as protobuf's JSON form writes it.
pub(crate) fn seconds(duration: Duration) -> Value {
    format!("{:.6}s", duration.as_secs_f64()).into()
}
