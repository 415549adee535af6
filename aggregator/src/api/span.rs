//! The part of the past that a question is about.

use serde::Deserialize;

use super::ApiError;
use crate::telemetry::Tier;
use crate::units::Timestamp;

/// `?tier=1s|15s|5m&since=…&until=…`, times in Unix seconds.
#[derive(Debug, Deserialize)]
pub(super) struct Asked {
    tier: Option<String>,
    since: Option<f64>,
    until: Option<f64>,
}

impl Asked {
    /// The tier that is named, else the one given.
    pub(super) fn tier(&self, otherwise: Tier) -> Result<Tier, ApiError> {
        match self.tier.as_deref() {
            None => Ok(otherwise),
            Some("1s") => Ok(Tier::Fine),
            Some("15s") => Ok(Tier::Mid),
            Some("5m") => Ok(Tier::Coarse),
            Some(_) => Err(ApiError::BadParameter { parameter: "tier", valid: "1s, 15s or 5m" }),
        }
    }

    /// From when to when; absent is from the beginning, and to the end.
    pub(super) fn span(&self) -> Result<Span, ApiError> {
        let read = |parameter, seconds: Option<f64>, otherwise| match seconds {
            None => Ok(otherwise),
            Some(seconds) if seconds.is_finite() => Ok(seconds),
            Some(_) => Err(ApiError::BadParameter { parameter, valid: "Unix seconds" }),
        };
        Ok(Span {
            since: read("since", self.since, 0.0)?,
            until: read("until", self.until, f64::MAX)?,
        })
    }
}

/// From `since` to `until` in Unix seconds, both included.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Span {
    since: f64,
    until: f64,
}

impl Span {
    /// Whether something that happened then is asked for.
    pub(super) fn holds(&self, at: Timestamp) -> bool {
        (self.since..=self.until).contains(&at.as_secs_f64())
    }
}
