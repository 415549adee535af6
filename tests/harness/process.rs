//! Child processes that end with their guard.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::future::Future;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use tokio::time::{Instant, sleep};

use crate::watchdog;

/// What to run.
#[derive(Clone, Debug)]
pub struct Program {
    name: String,
    path: PathBuf,
    arguments: Vec<OsString>,
    environment: Vec<(OsString, OsString)>,
    log: PathBuf,
}

impl Program {
    /// A program with its output, of both kinds, appended to `log`. The name is for messages.
    pub fn new(name: &str, path: &Path, log: &Path) -> Self {
        Self {
            name: name.to_owned(),
            path: path.to_owned(),
            arguments: Vec::new(),
            environment: Vec::new(),
            log: log.to_owned(),
        }
    }

    /// Adds an argument.
    #[must_use]
    pub fn arg(mut self, argument: impl Into<OsString>) -> Self {
        self.arguments.push(argument.into());
        self
    }

    /// Adds several arguments.
    #[must_use]
    pub fn args<const N: usize>(mut self, arguments: [&str; N]) -> Self {
        self.arguments.extend(arguments.map(OsString::from));
        self
    }

    /// Sets an environment variable.
    #[must_use]
    pub fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.environment.push((name.into(), value.into()));
        self
    }

    /// Starts it.
    pub fn spawn(self) -> Result<Process> {
        let child = self.start()?;
        Ok(Process { program: self, child })
    }

    fn start(&self) -> Result<Child> {
        let log = open_log(&self.log)?;
        // A process group of its own: Ctrl-C at the terminal goes to the owner alone, which then
        // ends its children in order.
        let child = Command::new(&self.path)
            .args(&self.arguments)
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .process_group(0)
            .spawn()
            .with_context(|| format!("cannot start {} ({})", self.name, self.path.display()))?;
        watchdog::watch(child.id())?;
        Ok(child)
    }
}

fn open_log(path: &Path) -> Result<File> {
    OpenOptions::new()
        .create(true)
        .append(true)
        .open(path)
        .with_context(|| format!("cannot open the log {}", path.display()))
}

/// A running program; killed when this value goes.
#[derive(Debug)]
pub struct Process {
    program: Program,
    child: Child,
}

impl Process {
    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The file that its output goes to.
    pub fn log(&self) -> &Path {
        &self.program.log
    }

    /// How it ended; `None` while it runs.
    pub fn exited(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        let pid = i32::try_from(self.id()).ok().and_then(Pid::from_raw).context("no such pid")?;
        kill_process(pid, signal).with_context(|| format!("cannot signal {}", self.program.name))
    }

    /// Ends it at once, as `kill -9` does, and waits until it is gone.
    pub fn kill(&mut self) {
        let _ = watchdog::forget(self.id());
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Asks it to end (SIGTERM), waits for at most `grace`, then kills it. Returns how it ended.
    pub async fn stop(&mut self, grace: Duration) -> Result<ExitStatus> {
        if self.exited().is_none() {
            self.signal(Signal::TERM)?;
        }
        let deadline = Instant::now() + grace;
        while self.exited().is_none() && Instant::now() < deadline {
            sleep(Duration::from_millis(20)).await;
        }
        self.kill();
        self.exited().with_context(|| format!("{} did not end", self.program.name))
    }

    /// Waits for it to end by itself.
    pub async fn wait(&mut self, limit: Duration) -> Result<ExitStatus> {
        let deadline = Instant::now() + limit;
        loop {
            if let Some(status) = self.exited() {
                return Ok(status);
            }
            if Instant::now() > deadline {
                bail!("{} still runs after {limit:?}", self.program.name);
            }
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// Kills it if it still runs, and starts the same program again.
    pub fn restart(&mut self) -> Result<()> {
        self.kill();
        self.child = self.program.start()?;
        Ok(())
    }

    /// Asks `ready` every 20 ms until it answers with a value, for at most `limit`.
    ///
    /// Fails with the end of its log when it ends before or the time is up.
    pub async fn wait_until<T, F: Future<Output = Option<T>>>(
        &mut self,
        limit: Duration,
        mut ready: impl FnMut() -> F,
    ) -> Result<T> {
        let deadline = Instant::now() + limit;
        loop {
            if let Some(value) = ready().await {
                return Ok(value);
            }
            let name = &self.program.name;
            if let Ok(Some(status)) = self.child.try_wait() {
                bail!("{name} ended with {status} before it was ready:\n{}", self.log_tail());
            }
            if Instant::now() > deadline {
                bail!("{name} was not ready within {limit:?}:\n{}", self.log_tail());
            }
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// Time on a core since it started, its own and the system's for it, to a hundredth of a second.
    pub fn cpu_seconds(&self) -> Result<f64> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.id()))?;
        let rest = stat.rsplit(')').next().unwrap_or_default();
        let ticks = rest.split_whitespace().skip(11).take(2);
        let ticks: u64 = ticks.map(|ticks| ticks.parse::<u64>().unwrap_or_default()).sum();
        // Linux counts hundredths for every program.
        Ok(ticks as f64 / 100.0)
    }

    /// The last 30 lines of its log.
    pub fn log_tail(&self) -> String {
        let text = std::fs::read_to_string(&self.program.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines
            .iter()
            .skip(lines.len().saturating_sub(30))
            .fold(String::new(), |all, line| all + "    " + line + "\n")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}
