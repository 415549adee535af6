//! What people are told of a target: why nothing can be written, and which guards hold a decision.

use std::time::Duration;

use super::Managed;
use crate::clock::Stopwatch;
use crate::journal::Decision;
use crate::kubernetes::KubernetesError;
use crate::shadow::{News, Stage};

/// The same refusal is told again in an event after so long.
const SAY_AGAIN: Duration = Duration::from_mins(10);
/// Guards whose refusal is worth an event.
const TOLD_GUARDS: [&str; 8] = [
    "paused",
    "contested",
    "rollout",
    "unready",
    "unschedulable",
    "blast_radius",
    "stale_hold",
    "stale_fallback",
];

/// Why nothing can be written, as a condition's reason and message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// `Conflict`, `TargetNotFound`, …
    pub reason: &'static str,
    /// In words.
    pub message: String,
}

impl Managed {
    /// Remembers why nothing can be written, and tells it.
    pub(super) fn refuse(&self, error: &KubernetesError) {
        let refusal = Refusal { reason: reason(error), message: error.to_string() };
        let told = refusal.message.clone();
        self.state().refusal = Some(refusal);
        // What is not listed yet passes by itself.
        if self.0.acts && !matches!(error, KubernetesError::NotListed(_)) {
            self.tell(true, reason(error), &told, false);
        }
    }

    /// Tells which guards hold a decision.
    pub fn tell_guards(&self, decision: &Decision) {
        if !self.0.acts {
            return;
        }
        for guard in &decision.guards {
            if TOLD_GUARDS.contains(&guard.guard.as_str()) {
                let note =
                    format!("{} -> {}: {}", guard.from_replicas, guard.to_replicas, guard.reason);
                self.tell(true, camel(&guard.guard), &note, false);
            }
        }
    }

    /// Tells that a candidate is at another stage, or that Foresail has no turn any longer; in shadow
    /// mode too, for candidates come on in it.
    pub fn tell_news(&self, news: &News) {
        let (warns, reason, note) = match news {
            News::Demoted(reason) => (true, "Demoted", reason.clone()),
            News::Stage(change) => {
                let (from, to) = (change.from.name(), change.to.name());
                let note = format!("{}: {from} -> {to}: {}", change.candidate, change.reason);
                (change.to == Stage::Refused, stage(change.to), note)
            }
        };
        self.tell(warns, reason, &note, true);
    }

    /// Publishes an event; unless `always`, the same reason only now and then.
    pub(super) fn tell(&self, warns: bool, reason: &str, note: &str, always: bool) {
        if !self.0.cluster.fence().leads() {
            return;
        }
        {
            let mut state = self.state();
            let lately = state.told.get(reason).is_some_and(|at| at.elapsed() < SAY_AGAIN);
            if lately && !always {
                return;
            }
            state.told.insert(reason.to_owned(), Stopwatch::start());
        }
        self.0.cluster.publish(self.0.about.clone(), warns, reason, note);
    }
}

/// The reason of the event when a candidate has come to a stage.
const fn stage(stage: Stage) -> &'static str {
    match stage {
        Stage::Shadow => "CandidateInShadow",
        Stage::Waiting => "CandidateWaiting",
        Stage::Canary => "CandidateInCanary",
        Stage::Active => "CandidateActive",
        Stage::Refused => "CandidateRefused",
    }
}

/// The reason of a guard's event.
fn camel(guard: &str) -> &'static str {
    match guard {
        "paused" => "Paused",
        "contested" => "Contested",
        "rollout" => "RolloutInProgress",
        "unready" => "PodsUnready",
        "unschedulable" => "PodsUnschedulable",
        "blast_radius" => "BlastRadius",
        _ => "TelemetryStale",
    }
}

/// The reason of a condition and of an event.
fn reason(error: &KubernetesError) -> &'static str {
    match error {
        KubernetesError::NoTarget { .. } => "TargetNotFound",
        KubernetesError::Conflict { .. } => "Conflict",
        KubernetesError::NoHpa { .. } => "NoHpa",
        KubernetesError::NotListed(_) => "NotListed",
        KubernetesError::BlastRadius => "BlastRadius",
        KubernetesError::NoFinalizer => "NoFinalizer",
        KubernetesError::Timeout(_) => "ApiTimeout",
        KubernetesError::Moved(_) => "Moved",
        KubernetesError::NotLeading => "Standby",
        KubernetesError::Api(_) if matches!(error.code(), Some(401 | 403)) => "Forbidden",
        KubernetesError::Api(_) => "ApiError",
        _ => "NotScalable",
    }
}
