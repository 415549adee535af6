//! kubectl and helm, as a person would call them.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use anyhow::{Context, Result, bail};

use crate::paths;

/// How long one command may take.
const LIMIT_SECONDS: &str = "180";

/// Runs commands of a shell as a person does who has this kubeconfig and stands at the root of the
/// work tree.
#[derive(Debug)]
pub struct Shell<'a> {
    kubeconfig: &'a Path,
}

impl<'a> Shell<'a> {
    /// For the cluster of a kubeconfig.
    pub const fn new(kubeconfig: &'a Path) -> Self {
        Self { kubeconfig }
    }

    /// Runs a command to its end, and gives its standard output.
    ///
    /// # Errors
    /// With what it said, when it ends in failure.
    pub fn run(&self, command: &str) -> Result<String> {
        let output = self.output(command)?;
        let said = String::from_utf8_lossy(&output.stderr);
        if !output.status.success() {
            bail!("`{command}` ended with {}:\n{said}", output.status);
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Runs a command to its end, however that is.
    pub fn output(&self, command: &str) -> Result<Output> {
        let tools = paths::root().join(".tools/bin");
        for tool in ["kubectl", "helm"] {
            if !tools.join(tool).exists() {
                bail!("missing {}; run `tools/setup.sh manifests`", tools.join(tool).display());
            }
        }
        let path = std::env::var("PATH").unwrap_or_default();
        Command::new("timeout")
            .args([LIMIT_SECONDS, "bash", "-euo", "pipefail", "-c", command])
            .current_dir(paths::root())
            .env("PATH", format!("{}:{path}", tools.display()))
            .env("KUBECONFIG", self.kubeconfig)
            // Nothing of a person's own.
            .env("HOME", self.kubeconfig.parent().unwrap_or_else(|| Path::new("/")))
            .stdin(Stdio::null())
            .output()
            .with_context(|| format!("cannot run `{command}`"))
    }
}
