//! A real Kubernetes control plane: etcd, kube-apiserver, kube-controller-manager and nodes that
//! only say that pods run. See `tests/control-plane/README.md`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::{Process, Program, WorkDir, paths};

const START_LIMIT: Duration = Duration::from_mins(3);
const STOP_GRACE: Duration = Duration::from_secs(15);

/// A part that runs as a process of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// `kube-apiserver`.
    ApiServer,
    /// `kube-controller-manager`.
    ControllerManager,
    /// What stands for scheduler and kubelets.
    Nodes,
}

impl Part {
    const fn name(self) -> &'static str {
        match self {
            Self::ApiServer => "kube-apiserver",
            Self::ControllerManager => "kube-controller-manager",
            Self::Nodes => "nodes",
        }
    }
}

/// A running control plane; ended when this value goes.
#[derive(Debug)]
pub struct ControlPlane {
    process: Process,
    directory: PathBuf,
    server: String,
}

impl ControlPlane {
    /// Starts one on free ports with flags of `control-plane up`, and waits until it is ready.
    pub async fn start(work: &WorkDir, flags: &[&str]) -> Result<Self> {
        let directory = work.file("control-plane");
        std::fs::create_dir_all(&directory).context("cannot make the control plane's directory")?;
        let log = work.file("control-plane.log");
        let mut program = Program::new("control-plane", &paths::control_plane()?, &log)
            .arg("up")
            .arg("-dir")
            .arg(&directory);
        for flag in flags {
            program = program.arg(*flag);
        }
        let mut process = program.spawn()?;
        let ready = directory.join("ready.json");
        let text = process
            .wait_until(START_LIMIT, || async { std::fs::read_to_string(&ready).ok() })
            .await?;
        let said: Value = serde_json::from_str(&text).context("ready.json")?;
        let server = said.get("server").and_then(Value::as_str);
        let server = server.context("ready.json names no server")?.to_owned();
        Ok(Self { process, directory, server })
    }

    /// Address of the API server, `https://127.0.0.1:port`.
    pub fn server(&self) -> &str {
        &self.server
    }

    /// A file of the control plane, such as `ca.crt` or `kubeconfig`.
    pub fn file(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// The administrator's kubeconfig.
    pub fn kubeconfig(&self) -> PathBuf {
        self.file("kubeconfig")
    }

    /// A client with the administrator's rights.
    pub async fn client(&self) -> Result<Client> {
        client(&self.kubeconfig()).await
    }

    /// Every request that the API server has answered so far, oldest first: audit events of
    /// audit.k8s.io/v1, but those of the control plane itself.
    pub fn audit(&self) -> Result<Vec<Value>> {
        let text = std::fs::read_to_string(self.file("audit.log")).context("no audit log")?;
        // The last line may still be being written.
        let whole = text.rfind('\n').map_or("", |end| text.get(..end).unwrap_or_default());
        whole.lines().map(|line| serde_json::from_str(line).context("the audit log")).collect()
    }

    /// Sends one part a signal: STOP and CONT make it stall, as a machine that hangs does. A part
    /// that ends ends the whole control plane.
    pub fn signal(&self, part: Part, signal: Signal) -> Result<()> {
        let pid = child(self.process.id(), part.name())
            .with_context(|| format!("{} does not run", part.name()))?;
        kill_process(pid, signal).with_context(|| format!("cannot signal {}", part.name()))
    }

    /// Ends it in order.
    pub async fn stop(&mut self) -> Result<()> {
        let status = self.process.stop(STOP_GRACE).await?;
        if !status.success() {
            bail!("control-plane ended with {status}:\n{}", self.process.log_tail());
        }
        Ok(())
    }
}

/// A client for the cluster of a kubeconfig.
pub async fn client(kubeconfig: &Path) -> Result<Client> {
    let file = Kubeconfig::read_from(kubeconfig)?;
    let config = Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await?;
    Ok(Client::try_from(config)?)
}

/// The child of a process that was started with `argument` as its first.
fn child(parent: u32, argument: &str) -> Option<Pid> {
    for entry in std::fs::read_dir("/proc").ok()?.flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok()) else {
            continue;
        };
        let read = |name| std::fs::read_to_string(entry.path().join(name)).unwrap_or_default();
        // `pid (name) state ppid …`, where the name may hold anything.
        let stat = read("stat");
        let of = stat.rsplit(')').next().and_then(|rest| rest.split_whitespace().nth(1));
        let is_child = of.and_then(|of| of.parse().ok()) == Some(parent);
        if is_child && read("cmdline").split('\0').nth(1) == Some(argument) {
            return Pid::from_raw(pid);
        }
    }
    None
}
