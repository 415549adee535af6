//! A cluster's endpoints in a file, as a control plane would send them.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::socket_address;
use crate::WorkDir;

/// The file behind [`super::Cluster::eds`].
#[derive(Debug)]
pub struct Endpoints {
    cluster: String,
    path: PathBuf,
    version: u64,
}

impl Endpoints {
    /// Creates the file for one cluster, without endpoints.
    pub fn new(directory: &WorkDir, cluster: &str) -> Result<Self> {
        let path = directory.file(&format!("{cluster}.eds.json"));
        let mut endpoints = Self { cluster: cluster.to_owned(), path, version: 0 };
        endpoints.set(&[])?;
        Ok(endpoints)
    }

    /// Where the file is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Replaces all endpoints. The file is renamed into place: proxies act on the rename, and never
    /// read half a file.
    pub fn set(&mut self, addresses: &[SocketAddr]) -> Result<()> {
        self.version += 1;
        let endpoints: Vec<Value> = addresses
            .iter()
            .map(|address| json!({"endpoint": {"address": socket_address(*address)}}))
            .collect();
        let response = json!({
            "version_info": self.version.to_string(),
            "resources": [{
                "@type": "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment",
                "cluster_name": self.cluster,
                "endpoints": [{"lb_endpoints": endpoints}],
            }],
        });
        let draft = self.path.with_extension("draft");
        std::fs::write(&draft, response.to_string())
            .and_then(|()| std::fs::rename(&draft, &self.path))
            .with_context(|| format!("cannot write {}", self.path.display()))
    }
}
