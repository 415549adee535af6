//! The real aggregator: `foresail serve` with a configuration, killed and restarted at will.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::{Http, Process, Program, WorkDir, paths, ports};

const START_LIMIT: Duration = Duration::from_secs(20);
const STOP_GRACE: Duration = Duration::from_secs(10);

/// A running `foresail serve`; killed when this value goes.
#[derive(Debug)]
pub struct Aggregator {
    process: Process,
    http: Http,
    port: u16,
    config: PathBuf,
}

impl Aggregator {
    /// Starts it on a free port and waits until it is ready. `config` is the configuration without
    /// `listen` and, if it is not given, `state`; both are filled in.
    pub async fn start(directory: &WorkDir, config: Value) -> Result<Self> {
        Self::start_on(directory, ports::free()?, config).await
    }

    /// The same on a given port.
    pub async fn start_on(directory: &WorkDir, port: u16, config: Value) -> Result<Self> {
        Self::start_as(directory, port, config, None).await
    }

    /// The same in the role of a pod of this name.
    pub async fn start_as(
        directory: &WorkDir,
        port: u16,
        config: Value,
        pod: Option<&str>,
    ) -> Result<Self> {
        let config = write_config(directory, port, config)?;
        let mut program =
            Program::new("foresail", &paths::foresail()?, &directory.file("foresail.log"))
                .arg("serve")
                .arg("--config")
                .arg(&config);
        if let Some(pod) = pod {
            program = program.env("POD_NAME", pod);
        }
        let process = program.spawn()?;
        let mut aggregator = Self { process, http: Http::default(), port, config };
        aggregator.wait_ready().await?;
        Ok(aggregator)
    }

    /// `http://127.0.0.1:port`.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The port it listens on, the same after a restart.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Its configuration file.
    pub fn config(&self) -> &Path {
        &self.config
    }

    /// The process, for its log and its id.
    pub const fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// GET of a JSON resource, such as `/v1/workloads`.
    pub async fn json(&self, path: &str) -> Result<Value> {
        self.http.json(&format!("{}{path}", self.url())).await
    }

    /// GET of a text, such as `/metrics`.
    pub async fn text(&self, path: &str) -> Result<String> {
        self.http.text(&format!("{}{path}", self.url())).await
    }

    /// Ends it as an orchestrator would, with SIGTERM.
    pub async fn stop(&mut self) -> Result<()> {
        let status = self.process.stop(STOP_GRACE).await?;
        anyhow::ensure!(status.success(), "foresail ended with {status}");
        Ok(())
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Starts it again, on the same port and state, and waits until it is ready.
    pub async fn restart(&mut self) -> Result<()> {
        self.process.restart()?;
        self.wait_ready().await
    }

    /// Starts it again with another configuration on the same port.
    pub async fn restart_with(&mut self, directory: &WorkDir, config: Value) -> Result<()> {
        self.config = write_config(directory, self.port, config)?;
        self.restart().await
    }

    async fn wait_ready(&mut self) -> Result<()> {
        let url = format!("{}/readyz", self.url());
        let http = self.http.clone();
        let ready = || async { http.text(&url).await.ok() };
        self.process.wait_until(START_LIMIT, ready).await.map(drop)
    }
}

/// Every JSON document is a YAML document.
fn write_config(directory: &WorkDir, port: u16, mut config: Value) -> Result<PathBuf> {
    let fields = config.as_object_mut().context("the configuration must be an object")?;
    fields.insert("listen".to_owned(), format!("127.0.0.1:{port}").into());
    fields
        .entry("state")
        .or_insert_with(|| directory.file("state.redb").to_string_lossy().into_owned().into());
    directory.write("foresail.yaml", &serde_json::to_string_pretty(&config)?)
}
