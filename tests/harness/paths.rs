//! Where the programs under test are, and the command that brings each one that is missing.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

/// The root of the work tree.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().map_or_else(PathBuf::new, Path::to_path_buf)
}

/// Cargo's output directory.
pub fn target() -> PathBuf {
    match std::env::var_os("CARGO_TARGET_DIR") {
        // Cargo takes a relative directory from where it was called, which for us is the root.
        Some(directory) => root().join(directory),
        None => root().join("target"),
    }
}

/// The Envoy binary; `ENVOY_BIN` overrides it.
pub fn envoy() -> Result<PathBuf> {
    find("ENVOY_BIN", &[root().join(".tools/bin/envoy")], "make setup")
}

/// The aggregator's binary; `FORESAIL_BIN` overrides it. Of the optimised builds that exist, the
/// newest is taken.
pub fn foresail() -> Result<PathBuf> {
    let builds = ["release", "quick"].map(|profile| target().join(profile).join("foresail"));
    find("FORESAIL_BIN", &builds, "cargo build --release --package foresail-aggregator")
}

/// The filter's module; `FORESAIL_WASM` overrides it.
pub fn wasm() -> Result<PathBuf> {
    find("FORESAIL_WASM", &[root().join("target/wasm/foresail_filter.wasm")], "make wasm")
}

/// KEDA's client of external scalers; `KEDA_CLIENT_BIN` overrides it.
pub fn keda_client() -> Result<PathBuf> {
    let here = root().join(".tools/bin/keda-client");
    find("KEDA_CLIENT_BIN", &[here], "tools/setup.sh keda")
}

/// The Kubernetes control plane; `CONTROL_PLANE_BIN` overrides it.
pub fn control_plane() -> Result<PathBuf> {
    let here = root().join(".tools/bin/control-plane");
    find("CONTROL_PLANE_BIN", &[here], "tools/setup.sh kube")
}

fn find(variable: &str, candidates: &[PathBuf], remedy: &str) -> Result<PathBuf> {
    if let Some(path) = std::env::var_os(variable) {
        let path = PathBuf::from(path);
        if path.is_file() {
            return Ok(path);
        }
        bail!("{variable} names {}, which is not a file", path.display());
    }
    let newest = candidates
        .iter()
        .filter_map(|path| Some((path.metadata().ok()?.modified().ok()?, path)))
        .max_by_key(|(modified, _)| *modified);
    let Some((_, path)) = newest else {
        let names: Vec<_> = candidates.iter().map(|path| path.display().to_string()).collect();
        bail!("missing {}; run `{remedy}`, or set {variable}", names.join(" or "));
    };
    Ok(path.clone())
}
