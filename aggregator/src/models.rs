//! Learned policies in files.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use thiserror::Error;

use crate::backtest::choice::{Candidate, Choice, UnknownPolicy};
use crate::learning::model::{Model, UnusableModel};
use crate::policy::Standing;
use crate::shadow::Shadow;

/// Models above this size are not read: those of `foresail train` are below 100 kB.
const MOST_BYTES: u64 = 64 << 20;

/// Why a policy cannot be had by its name.
#[derive(Debug, Error)]
pub enum PolicyError {
    /// No policy is called so.
    #[error("{0}; a model is named learned:FILE or raising:FILE")]
    Unknown(#[from] UnknownPolicy),
    /// The model's file cannot be read.
    #[error("{} cannot be read", path.display())]
    Unreadable {
        /// As named.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is far larger than any model.
    #[error("{} has {bytes} bytes, which no model of `foresail train` has", path.display())]
    TooLarge {
        /// As named.
        path: PathBuf,
        /// Its size.
        bytes: u64,
    },
    /// The file is no model of this version.
    #[error("{}", path.display())]
    NoModel {
        /// As named.
        path: PathBuf,
        /// What is wrong.
        source: UnusableModel,
    },
}

/// Reads a model's file.
///
/// # Errors
/// When it cannot be read, is too large, or is no model of this version.
pub fn load(path: &Path) -> Result<Model, PolicyError> {
    let unreadable = |source| PolicyError::Unreadable { path: path.to_owned(), source };
    let bytes = std::fs::metadata(path).map_err(unreadable)?.len();
    if bytes > MOST_BYTES {
        return Err(PolicyError::TooLarge { path: path.to_owned(), bytes });
    }
    let bytes = std::fs::read(path).map_err(unreadable)?;
    Model::from_bytes(&bytes)
        .map_err(|source| PolicyError::NoModel { path: path.to_owned(), source })
}

/// The policy of a name: one that is known, or `learned:FILE` for a model, `raising:FILE` for the
/// same before promotion.
///
/// # Errors
/// When there is none, or its model cannot be read.
pub fn policy(name: &str) -> Result<Shadow, PolicyError> {
    let (file, standing) = match name.split_once(':') {
        Some(("learned", file)) => (file, Standing::Promoted),
        Some(("raising", file)) => (file, Standing::Raises),
        _ => return Ok(Shadow::Known(Choice::parse(name)?)),
    };
    let model = Arc::new(load(Path::new(file))?);
    Ok(Shadow::Learned(Candidate { name: name.to_owned(), model, standing }))
}
