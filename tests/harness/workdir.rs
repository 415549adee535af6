//! A directory for one run's configurations and logs, removed with it.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::watchdog;

/// A temporary directory. It goes when this value does, and also when the process is killed.
///
/// `FORESAIL_KEEP=1` keeps it, for reading the logs of a failed run.
#[derive(Debug)]
pub struct WorkDir {
    directory: tempfile::TempDir,
}

impl WorkDir {
    /// Creates `foresail-<name>-…` in the system's temporary directory.
    pub fn new(name: &str) -> Result<Self> {
        let mut directory = tempfile::Builder::new()
            .prefix(&format!("foresail-{name}-"))
            .tempdir()
            .context("cannot create a work directory")?;
        if std::env::var_os("FORESAIL_KEEP").is_some() {
            directory.disable_cleanup(true);
        } else {
            watchdog::remove_at_exit(directory.path())?;
        }
        Ok(Self { directory })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// The path of a file in it.
    pub fn file(&self, name: &str) -> PathBuf {
        self.path().join(name)
    }

    /// Writes a file in it and returns its path.
    pub fn write(&self, name: &str, text: &str) -> Result<PathBuf> {
        let path = self.file(name);
        std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(path)
    }
}
