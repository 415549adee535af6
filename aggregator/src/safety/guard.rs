//! The guards by name, and a proposal on its way through them.

use crate::journal::GuardRecord;

/// Declares every guard once: what has no entry here cannot change an answer, and what has one
/// must have a scenario in `tests/guards.rs`.
macro_rules! guards {
    ($($(#[doc = $doc:literal])+ $guard:ident => $name:literal,)+) => {
        /// What may change a proposal.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(super) enum Guard {
            $($(#[doc = $doc])+ $guard,)+
        }

        impl Guard {
            /// All of them.
            #[cfg(test)]
            pub(super) const ALL: &'static [Self] = &[$(Self::$guard),+];

            /// Stable name, as in records and metrics.
            pub(super) const fn name(self) -> &'static str {
                match self {
                    $(Self::$guard => $name,)+
                }
            }
        }
    };
}

guards! {
    /// `min_replicas` and `max_replicas`.
    Bounds => "bounds",
    /// Telemetry is so old that nothing changes.
    StaleHold => "stale_hold",
    /// It is older still, and there is a number to have then.
    StaleFallback => "stale_fallback",
    /// The aggregator was started.
    RestartFloor => "restart_floor",
    /// Telemetry was old a moment ago.
    CleanWindow => "clean_window",
    /// Too few replicas were heard.
    Coverage => "coverage",
    /// No source told the replica counts.
    ReplicasUnknown => "replicas_unknown",
    /// Nothing newer came than what was decided on before.
    Repeated => "repeated",
    /// The objective was missed a moment ago.
    ObjectiveMissed => "objective_missed",
    /// More requests fail than usual.
    Errors => "errors",
    /// Raises did not help.
    Futile => "futile",
    /// There was a burst a moment ago.
    Burst => "burst",
    /// An earlier recommendation holds.
    Stabilization => "stabilization",
    /// As fast as the policies allow.
    RateLimit => "rate_limit",
    /// Somebody else has the target back.
    HandedBack => "handed_back",
    /// Paused for all targets.
    Paused => "paused",
    /// Somebody else writes the replicas.
    Contested => "contested",
    /// No node is found for pods.
    Unschedulable => "unschedulable",
    /// A rollout is in progress.
    Rollout => "rollout",
    /// Pods are not Ready past their start-up time.
    Unready => "unready",
    /// All targets together have lost enough pods.
    BlastRadius => "blast_radius",
}

/// Replicas on their way through the guards, and those that bound.
pub(super) struct Lane {
    pub(super) replicas: u32,
    pub(super) guards: Vec<GuardRecord>,
}

impl Lane {
    pub(super) fn guard(&mut self, guard: Guard, replicas: u32, reason: impl FnOnce() -> String) {
        #[cfg(test)]
        if super::tests::is_left_out(guard) {
            return;
        }
        if replicas != self.replicas {
            self.guards.push(GuardRecord {
                guard: guard.name().to_owned(),
                from_replicas: self.replicas,
                to_replicas: replicas,
                reason: reason(),
            });
            self.replicas = replicas;
        }
    }
}
