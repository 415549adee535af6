//! Learned policies in files, and in folders of versions.

mod versions;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use thiserror::Error;

use crate::backtest::choice::{Candidate, Choice, UnknownPolicy};
use crate::learning::model::{Model, UnusableModel};
use crate::policy::Standing;
use crate::shadow::Shadow;

pub use versions::{KEPT, RollbackError, Versions, put};

/// Models above this size are not read: those of `foresail train` are below 100 kB.
const MOST_BYTES: u64 = 64 << 20;

/// Why a policy cannot be had by its name.
#[derive(Debug, Error)]
pub enum PolicyError {
    /// No policy is called so.
    #[error("{0}; a model is named learned:PATH or raising:PATH")]
    Unknown(#[from] UnknownPolicy),
    /// The model's file cannot be read.
    #[error("{} cannot be read", path.display())]
    Unreadable {
        /// As named.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A version cannot be added to a folder. What was in use stays so.
    #[error("{} cannot be written", path.display())]
    Unwritable {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// No version in a folder is in use. Train one into it, or put one in use.
    #[error(
        "{} has no version in use; train one into it, or name one with `foresail models rollback --to`",
        path.display()
    )]
    NoVersion {
        /// The folder.
        path: PathBuf,
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

/// The policy of a name: one that is known, or `learned:PATH` for a model, `raising:PATH` for the
/// same before promotion. A path is a file, or a folder of which the version in use is taken.
///
/// # Errors
/// When there is none, or its model cannot be read.
pub fn policy(name: &str) -> Result<Shadow, PolicyError> {
    let Some((path, standing)) = model_of(name) else {
        return Ok(Shadow::Known(Choice::parse(name)?));
    };
    let version = version_in_use(path)?;
    let file = version.map_or_else(|| path.to_owned(), |number| Versions::of(path).path(number));
    let model = Arc::new(load(&file)?);
    Ok(Shadow::Learned(Candidate { name: name.to_owned(), version, model, standing }))
}

/// Adds the model of a name to a folder of versions, with what stands beside it, and puts it in use;
/// gives the version's file.
///
/// # Errors
/// When the name is that of no model, or a file cannot be read or written.
pub fn accept(name: &str, folder: &Path) -> Result<PathBuf, PolicyError> {
    let Shadow::Learned(candidate) = policy(name)? else {
        return Err(UnknownPolicy { name: name.to_owned() }.into());
    };
    let path = model_of(name).map_or_else(PathBuf::new, |(path, _)| path.to_owned());
    let file = candidate.version.map_or_else(|| path.clone(), |n| Versions::of(&path).path(n));
    let unreadable = |source| PolicyError::Unreadable { path: file.clone(), source };
    let model = std::fs::read(&file).map_err(unreadable)?;
    let beside = ["json", "png"].map(|ending| (ending, std::fs::read(file.with_extension(ending))));
    let beside: Vec<(&str, &[u8])> = beside
        .iter()
        .filter_map(|(ending, bytes)| Some((*ending, bytes.as_deref().ok()?)))
        .collect();
    let versions = Versions::of(folder);
    let unwritable = |source| PolicyError::Unwritable { path: folder.to_owned(), source };
    let number = versions.add(&model, &beside).map_err(unwritable)?;
    Ok(versions.path(number))
}

/// Where the model of a name is, and how far it is trusted; `None` for a policy without a model.
fn model_of(name: &str) -> Option<(&Path, Standing)> {
    match name.split_once(':')? {
        ("learned", path) => Some((Path::new(path), Standing::Promoted)),
        ("raising", path) => Some((Path::new(path), Standing::Raises)),
        _ => None,
    }
}

/// The version in use in a folder; `None` where the path is a file.
fn version_in_use(path: &Path) -> Result<Option<u64>, PolicyError> {
    if !path.is_dir() {
        return Ok(None);
    }
    let current = Versions::of(path).current();
    let current =
        current.map_err(|source| PolicyError::Unreadable { path: path.to_owned(), source })?;
    current.map(Some).ok_or_else(|| PolicyError::NoVersion { path: path.to_owned() })
}

/// The policy of a name anew, when another version of its model is in use than `known`.
///
/// # Errors
/// As [`policy`]; what was in use goes on.
pub fn newer(name: &str, known: Option<u64>) -> Result<Option<Shadow>, PolicyError> {
    let Some((path, _)) = model_of(name) else { return Ok(None) };
    if version_in_use(path)? == known { Ok(None) } else { policy(name).map(Some) }
}
