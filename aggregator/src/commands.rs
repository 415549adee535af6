//! The commands beside `serve`: decisions and comparisons without a mesh, and what people ask of
//! one.

pub mod backtest;
pub mod capacity;
pub mod cluster;
pub mod crd;
pub mod decide;
pub mod forecast;
pub mod models;
mod traces;
pub mod train;

use std::path::Path;

use anyhow::Context;

use crate::config::{Config, WorkloadConfig};

/// Settings of the first workload of a configuration of `serve`, or of
/// [`decide::DEFAULT_CONFIG`].
///
/// # Errors
/// When the file cannot be read, is not valid, or has no workload.
pub fn workload(path: Option<&Path>) -> anyhow::Result<WorkloadConfig> {
    let config = match path {
        None => Config::from_yaml(decide::DEFAULT_CONFIG)?,
        Some(path) => {
            let text = std::fs::read_to_string(path)
                .with_context(|| format!("the configuration {} cannot be read", path.display()))?;
            Config::from_yaml(&text).with_context(|| path.display().to_string())?
        }
    };
    config.workloads.into_iter().next().context("the configuration has no workload; add one")
}
