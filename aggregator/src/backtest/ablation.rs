//! Foresail without one of its parts, to see what the part earns.

use std::collections::VecDeque;
use std::time::Duration;

use crate::config::{Part, PolicyKind, ScalingPolicy, WorkloadConfig};
use crate::journal::Observation;

/// How late telemetry is without [`Part::FreshTelemetry`].
const LATENESS: Duration = Duration::from_mins(1);

/// Name of the policy without a part.
pub(super) const fn name(part: Part) -> &'static str {
    match part {
        Part::Trees => "foresail-without-trees",
        Part::Scale => "foresail-without-scale",
        Part::Experts => "foresail-without-experts",
        Part::Recalibration => "foresail-without-recalibration",
        Part::Pricing => "foresail-without-pricing",
        Part::Hold => "foresail-without-hold",
        Part::ChangePrice => "foresail-without-change-price",
        Part::ReactiveFloor => "foresail-without-reactive-floor",
        Part::CalmAfterMiss => "foresail-without-calm-after-miss",
        Part::RateLimit => "foresail-without-rate-limit",
        Part::FreshTelemetry => "foresail-without-fresh-telemetry",
        Part::Drift => "foresail-without-drift",
    }
}

/// The configuration without a part.
pub(super) fn leave_out(config: &mut WorkloadConfig, part: Part) {
    config.without = Some(part);
    match part {
        Part::RateLimit => {
            let period = config.decision_interval;
            let all = ScalingPolicy { kind: PolicyKind::Percent, value: 100, period };
            config.behavior.scale_down.policies = vec![all];
        }
        // What is known of the load is so much older when a replica serves.
        Part::FreshTelemetry => config.startup_time += LATENESS,
        _ => {}
    }
}

/// Steps by which telemetry is late.
pub(super) fn late_steps(without: Option<Part>, step: Duration) -> usize {
    if without != Some(Part::FreshTelemetry) {
        return 0;
    }
    usize::try_from(LATENESS.as_nanos().div_ceil(step.as_nanos().max(1))).unwrap_or(usize::MAX)
}

/// Observations on their way.
#[derive(Debug, Default)]
pub(super) struct Late {
    steps: usize,
    waiting: VecDeque<Observation>,
}

impl Late {
    /// What leaving out `without` means.
    pub(super) fn of(without: Option<Part>, step: Duration) -> Self {
        Self { steps: late_steps(without, step), waiting: VecDeque::new() }
    }

    /// What is known now: telemetry of some steps ago, and the replicas of now. That it is old is
    /// not known.
    pub(super) fn delayed(&mut self, observation: Observation) -> Observation {
        if self.steps == 0 {
            return observation;
        }
        let Observation { newest, current_replicas, ready_replicas, .. } = observation;
        self.waiting.push_back(observation);
        if self.waiting.len() <= self.steps {
            return Observation { current_replicas, ready_replicas, ..Observation::default() };
        }
        let old = self.waiting.pop_front().unwrap_or_default();
        Observation { newest, current_replicas, ready_replicas, ..old }
    }
}
