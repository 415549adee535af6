//! The policies beside the one in charge, by their names in a workload's settings.

use thiserror::Error;

use crate::config::WorkloadConfig;
use crate::models::{self, PolicyError};
use crate::shadow::Shadow;

/// Why they cannot run.
#[derive(Debug, Error)]
pub enum ShadowError {
    /// One cannot be had. Correct `shadows`.
    #[error("a policy in `shadows` cannot be had")]
    Policy(#[from] PolicyError),
    /// The candidate is another autoscaler, which cannot be in charge. Name a way of Foresail or a
    /// model.
    #[error(
        "promotion.candidate is {0}, another autoscaler; only ways of Foresail and models can be in \
         charge"
    )]
    NoCandidate(String),
}

/// The policies that the settings name.
pub(super) fn shadows(config: &WorkloadConfig) -> Result<Vec<Shadow>, ShadowError> {
    let all = config.shadows.iter().map(|name| models::policy(name));
    let all: Vec<Shadow> = all.collect::<Result<_, _>>()?;
    let candidate = config.promotion.as_ref().map(|terms| &terms.candidate);
    let named = all.iter().find(|shadow| candidate.is_some_and(|name| name == shadow.name()));
    match named {
        Some(shadow) if shadow.way(config).is_none() => {
            Err(ShadowError::NoCandidate(shadow.name().to_owned()))
        }
        _ => Ok(all),
    }
}
