//! Conditions of a status, each with its reason.

use std::time::Duration;

use super::{at, time};
use crate::journal::Decision;
use crate::kubernetes::Refusal;
use crate::kubernetes::resource::condition;
use crate::safety::{MAX_DATA_AGE, MIN_COVERAGE};
use crate::shadow::CanaryView;
use crate::units::Timestamp;

/// A condition without its times.
pub(super) struct Says {
    pub(super) kind: &'static str,
    pub(super) status: &'static str,
    pub(super) reason: String,
    pub(super) message: String,
}

pub(super) fn says(
    kind: &'static str,
    holds: bool,
    reason: &str,
    message: impl Into<String>,
) -> Says {
    let status = if holds { "True" } else { "False" };
    Says { kind, status, reason: reason.to_owned(), message: message.into() }
}

pub(super) fn unknown(kind: &'static str, reason: &str) -> Says {
    Says { kind, status: "Unknown", reason: reason.to_owned(), message: String::new() }
}

/// Whether decisions are carried out in mode Canary: whose turn it is.
pub(super) fn turn(canary: Option<&CanaryView>) -> Says {
    let kind = condition::SCALING_ACTIVE;
    let Some(canary) = canary else { return unknown(kind, "NoDecisionYet") };
    let until = canary.until.and_then(at).map(|at| format!(" until {}", at.0)).unwrap_or_default();
    match &canary.demoted {
        Some(reason) => says(
            kind,
            false,
            "Demoted",
            format!(
                "{reason}; decisions are recorded. Set mode Shadow and then Canary to try again"
            ),
        ),
        None if canary.acts => {
            says(kind, true, "CanaryTurn", format!("decisions are carried out{until}"))
        }
        None => {
            let message = format!("whoever scaled before has the target for himself{until}");
            says(kind, false, "IncumbentsTurn", message)
        }
    }
}

/// Whether it is known what the pods use.
pub(super) fn resource_metrics(problem: Option<Refusal>, decision: Option<&Decision>) -> Says {
    let kind = condition::RESOURCE_METRICS_READY;
    let facts = decision.and_then(|decision| decision.observation.cluster.as_ref());
    match (problem, facts.and_then(|facts| facts.cpu.or(facts.memory))) {
        (Some(problem), _) => {
            says(kind, false, problem.reason, format!("{}; decisions do without", problem.message))
        }
        (None, Some(used)) => says(kind, true, "Fresh", format!("figures of {} pods", used.pods)),
        (None, None) => unknown(kind, "NoDecisionYet"),
    }
}

pub(super) fn telemetry_ready(now: Timestamp, decision: Option<&Decision>) -> Says {
    let kind = condition::TELEMETRY_READY;
    let Some(decision) = decision else { return unknown(kind, "NoDecisionYet") };
    let Some(newest) = decision.observation.newest else {
        return says(kind, false, "NoTelemetry", "no frame of this workload was ever received");
    };
    if now.since(newest) > MAX_DATA_AGE + Duration::from_secs(15) {
        return says(kind, false, "Old", format!("the newest telemetry is of {}", spoken(newest)));
    }
    match decision.observation.coverage {
        Some(coverage) if coverage.get() >= MIN_COVERAGE => {
            says(kind, true, "Fresh", "enough pods report")
        }
        _ => says(kind, false, "LowCoverage", "too few of the Ready pods report"),
    }
}

pub(super) fn model_ready(decision: Option<&Decision>) -> Says {
    let kind = condition::MODEL_READY;
    let fault = decision.and_then(|it| it.guards.iter().find(|guard| guard.guard == "model_fault"));
    match (decision.and_then(|it| it.forecast.as_ref()), fault) {
        (_, Some(fault)) => says(kind, false, "ModelFault", fault.reason.clone()),
        (Some(forecast), None) => says(kind, true, "Forecasting", forecast.model.clone()),
        (None, None) => says(kind, false, "Learning", "decisions follow observed demand"),
    }
}

pub(super) fn limited(decision: Option<&Decision>) -> Says {
    let kind = condition::LIMITED;
    let Some(decision) = decision else { return unknown(kind, "NoDecisionYet") };
    let bound = decision.guards.iter().rev().find(|it| it.from_replicas != it.to_replicas);
    match bound {
        Some(guard) => says(kind, true, &camel(&guard.guard), guard.reason.clone()),
        None => says(kind, false, "NotLimited", "the answer stands as proposed"),
    }
}

pub(super) fn stale(decision: Option<&Decision>) -> Says {
    let kind = condition::STALE;
    let Some(decision) = decision else { return unknown(kind, "NoDecisionYet") };
    match decision.guards.iter().find(|guard| guard.guard.starts_with("stale_")) {
        Some(guard) => says(kind, true, "TelemetryStale", guard.reason.clone()),
        None => says(kind, false, "Fresh", "telemetry is fresh enough to decide on"),
    }
}

pub(super) fn conflict(refusal: Option<&Refusal>, contested: bool) -> Says {
    let kind = condition::CONFLICT;
    match refusal.filter(|refusal| refusal.reason == "Conflict") {
        Some(refusal) => says(kind, true, "AnotherAutoscaler", refusal.message.clone()),
        None if contested => says(
            kind,
            true,
            "Contested",
            "somebody else set the replicas three times in ten minutes; edit this resource to go on",
        ),
        None => says(kind, false, "NoConflict", "nobody else scales the target"),
    }
}

fn spoken(at: Timestamp) -> String {
    time(at).map_or_else(String::new, |time| time.0.to_string())
}

/// `rate_limit` as `RateLimit`.
fn camel(name: &str) -> String {
    let word = |word: &str| {
        let mut letters = word.chars();
        letters
            .next()
            .map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
    };
    name.split('_').map(word).collect()
}
