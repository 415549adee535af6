//! How far the data behind a proposal can be trusted.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::guard::Guard;
use crate::config::WorkloadConfig;
use crate::journal::{MAX_FUTURE, Observation};
use crate::units::Timestamp;

/// Data older than this does not count for a scale-down.
pub const MAX_DATA_AGE: Duration = Duration::from_secs(30);
/// Share of the Ready replicas that must be heard for a scale-down.
pub const MIN_COVERAGE: f64 = 0.8;

/// Why nothing is scaled down for now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Cause {
    /// The aggregator was started.
    Started,
    /// Data was older than [`MAX_DATA_AGE`], dated ahead, or there was none.
    Old,
    /// Less than [`MIN_COVERAGE`] of the replicas were heard.
    Coverage,
    /// No source told the replica counts.
    ReplicasUnknown,
    /// Nothing newer came than what was decided on before.
    Repeated,
}

impl Cause {
    /// The guard that holds because of it.
    pub(super) const fn guard(self) -> Guard {
        match self {
            Self::Started => Guard::RestartFloor,
            Self::Old => Guard::CleanWindow,
            Self::Coverage => Guard::Coverage,
            Self::ReplicasUnknown => Guard::ReplicasUnknown,
            Self::Repeated => Guard::Repeated,
        }
    }

    /// The cause for people.
    pub(super) const fn in_words(self) -> &'static str {
        match self {
            Self::Started => "started less than a stabilization window ago",
            Self::Old => "telemetry was old within the stabilization window",
            Self::Coverage => "too few replicas were heard within the stabilization window",
            Self::ReplicasUnknown => "replica counts were unknown within the stabilization window",
            Self::Repeated => "no telemetry newer than at an earlier decision",
        }
    }
}

/// What may be done on the data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Trust {
    /// Scale up and down.
    Full,
    /// Scale up only, because of `cause`, for `remaining` at least.
    NotYet {
        /// What was wrong last.
        cause: Cause,
        /// Time until a clean window has passed.
        remaining: Duration,
    },
    /// Keep what there is, and have at least `fallback` when the data is older still.
    Stale {
        /// Age of the data.
        age: Duration,
        /// Replicas to have at least.
        fallback: Option<u32>,
    },
}

/// When the data was last not good enough to scale down on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Freshness {
    newest: Timestamp,
    /// End of the newest data that was decided on; `None` before any.
    decided_on: Option<Timestamp>,
    last_bad: Timestamp,
    cause: Cause,
}

impl Freshness {
    pub(super) const fn new(now: Timestamp) -> Self {
        Self { newest: now, decided_on: None, last_bad: now, cause: Cause::Started }
    }

    pub(super) fn restart(&mut self, now: Timestamp) {
        *self = Self::new(now);
    }

    /// Takes note of an observation and says what may be done on it.
    pub(super) fn judge(
        &mut self,
        config: &WorkloadConfig,
        now: Timestamp,
        observation: &Observation,
    ) -> Trust {
        let newest = observation.newest.filter(|newest| *newest <= now + MAX_FUTURE);
        self.newest = newest.unwrap_or(self.newest).max(self.newest);
        let is_new = newest > self.decided_on;
        self.decided_on = newest.max(self.decided_on);
        let age = now.since(self.newest);
        if let Some(cause) = flaw(observation, newest, now) {
            self.last_bad = now.max(self.last_bad);
            self.cause = cause;
        }
        let staleness = &config.staleness;
        if age >= staleness.hold_after {
            let late = age >= staleness.fallback_after;
            return Trust::Stale {
                age,
                fallback: late.then_some(staleness.fallback_replicas).flatten(),
            };
        }
        let window = config.behavior.scale_down.stabilization_window;
        let clean = now.since(self.last_bad);
        if clean < window || clean.is_zero() {
            return Trust::NotYet { cause: self.cause, remaining: window.saturating_sub(clean) };
        }
        if !is_new {
            // What came twice, or late, lowers nothing; what comes next may.
            return Trust::NotYet { cause: Cause::Repeated, remaining: Duration::ZERO };
        }
        Trust::Full
    }
}

/// What speaks against scaling down on an observation.
fn flaw(observation: &Observation, newest: Option<Timestamp>, now: Timestamp) -> Option<Cause> {
    let Some(newest) = newest.filter(|newest| now.since(*newest) <= MAX_DATA_AGE) else {
        return Some(Cause::Old);
    };
    debug_assert!(newest <= now + MAX_FUTURE);
    if observation.current_replicas.is_none() || observation.ready_replicas.is_none() {
        return Some(Cause::ReplicasUnknown);
    }
    match observation.coverage {
        Some(coverage) if coverage.get() >= MIN_COVERAGE => None,
        _ => Some(Cause::Coverage),
    }
}
