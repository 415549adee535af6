//! What a resource's status says: conditions with reasons, figures, the last decision.

mod conditions;

use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use k8s_openapi::jiff;

use crate::api::{Control, ControlStatus};
use crate::ingest::Workload;
use crate::journal::{Decision, Pause};
use crate::kubernetes::resource::{
    Actuation, CanaryStatus, Decided, DecidedGuard, Figures, ForecastAt, InvalidSpec, LastScale,
    MeshAutoscaler, MeshAutoscalerStatus, Mode, ProposedBy, Scorecard, TurnFigures, condition,
};
use crate::kubernetes::{Fault, Managed, Refusal, Seen};
use crate::shadow::{CanaryView, Score, Scoreboard, Shadow};
use crate::units::{Timestamp, micros};
use conditions::{
    Says, conflict, limited, model_ready, resource_metrics, says, stale, telemetry_ready, turn,
};

/// Whether the objectives are met is looked at over so much of the newest telemetry.
const LOOK_BACK: Duration = Duration::from_secs(30);
/// Faults that failed last within this time of each other are of one cause.
const AT_ONCE: Duration = Duration::from_secs(10);
/// A figure that changed by less is the same.
const SAME_WITHIN: f64 = 0.1;

/// Everything that a status is made from.
pub(super) struct Subject<'a> {
    pub(super) resource: &'a MeshAutoscaler,
    /// Why there is no control loop.
    pub(super) invalid: Option<&'a InvalidSpec>,
    pub(super) managed: Option<&'a Managed>,
    pub(super) control: Option<&'a Control>,
    pub(super) workload: Option<&'a Workload>,
    pub(super) pause: Option<Pause>,
    /// What of the API server does not work, or has not until a moment ago.
    pub(super) faults: &'a [Fault],
}

impl Subject<'_> {
    /// The status at `now`.
    pub(super) fn status(&self, now: Timestamp) -> MeshAutoscalerStatus {
        let control = self.control.map(Control::status).unwrap_or_default();
        let decision = control.decision.as_ref();
        let seen = self.managed.and_then(Managed::seen);
        let conditions = self.conditions(now, &control, seen);
        MeshAutoscalerStatus {
            observed_generation: self.resource.metadata.generation,
            conditions: self.dated(conditions, now),
            current_replicas: seen.map(|seen| signed(seen.replicas)),
            ready_replicas: seen.map(|seen| signed(seen.ready)),
            desired_replicas: decision.map(|decision| signed(decision.desired_replicas)),
            forecast: decision.and_then(forecast),
            objective_met: self.objective_met(now, decision),
            capacity_per_pod: self
                .control
                .map(|it| rounded(it.config.target_rps_per_replica.get())),
            learned_startup_seconds: seen
                .and_then(|seen| seen.startup)
                .and_then(|startup| i64::try_from(startup.as_secs()).ok()),
            last_scale: self.last_scale(),
            scorecard: control.shadows.as_ref().and_then(scorecard),
            canary: canary_of(&control).map(canary),
            last_decision: decision.and_then(decided),
        }
    }

    fn last_scale(&self) -> Option<LastScale> {
        let Some(last) = self.managed.and_then(Managed::last_written) else {
            // One of an earlier leader.
            return self.resource.status.as_ref()?.last_scale.clone();
        };
        Some(LastScale {
            time: time(last.at)?,
            from: signed(last.from),
            to: signed(last.to),
            reason: last.reason,
        })
    }

    fn objective_met(&self, now: Timestamp, decision: Option<&Decision>) -> Option<bool> {
        let objective = &self.control?.config.objective;
        let reached = self
            .workload?
            .with(|telemetry| telemetry.recent_latency(now - LOOK_BACK))
            .quantile(objective.quantile.get())?;
        let failed = decision.and_then(|decision| decision.observation.error_ratio);
        let succeeds = match (self.resource.spec.objectives.success_ratio, failed) {
            (Some(ratio), Some(failed)) => 1.0 - failed.get() >= ratio,
            _ => true,
        };
        Some(succeeds && reached <= micros(objective.latency))
    }

    fn conditions(&self, now: Timestamp, control: &ControlStatus, seen: Option<Seen>) -> Vec<Says> {
        let decision = control.decision.as_ref();
        let refusal = self.managed.and_then(Managed::refusal);
        let contested = self.managed.is_some_and(Managed::is_contested);
        let mut all = vec![
            telemetry_ready(now, decision),
            model_ready(decision),
            self.able_to_scale(refusal.as_ref()),
            self.scaling_active(seen, contested, canary_of(control)),
            limited(decision),
            stale(decision),
            conflict(refusal.as_ref(), contested),
        ];
        if self.resource.spec.resources.is_some() {
            all.push(resource_metrics(self.managed.and_then(Managed::no_use), decision));
        }
        all
    }

    fn able_to_scale(&self, refusal: Option<&Refusal>) -> Says {
        let kind = condition::ABLE_TO_SCALE;
        if let Some(invalid) = self.invalid {
            return says(kind, false, "InvalidSpec", invalid.to_string());
        }
        if let Some(refusal) = refusal {
            return says(kind, false, refusal.reason, refusal.message.clone());
        }
        let faults = || self.faults.iter().filter(|fault| self.concerns(fault));
        let newest = faults().map(|fault| fault.last).max().unwrap_or_default();
        // Of those that failed at about the same time: who cannot read writes onto what is old, and
        // then the cause is told, not the conflict.
        let together = faults().filter(|fault| newest.since(fault.last) < AT_ONCE);
        match together.min_by_key(|fault| !is_watch(fault)) {
            Some(fault) => says(kind, false, fault.reason(), fault.to_string()),
            None => says(kind, true, "ReadyToScale", "the target can be read and written"),
        }
    }

    /// Whether a fault of the API server stands in the way of this resource: what it is decided by
    /// may be old, or nobody may write. What was refused to others, or to an event, does not.
    fn concerns(&self, fault: &Fault) -> bool {
        let asked = &fault.asked;
        let is_here =
            asked.namespace.is_none() || asked.namespace == self.resource.metadata.namespace;
        let is_read =
            is_watch(fault) || (asked.verb == "get" && asked.resource.ends_with("/scale"));
        // Use of CPU and memory has a condition of its own.
        let is_read = is_read && !asked.resource.ends_with(".metrics.k8s.io");
        let is_status = asked.resource == "meshautoscalers/status";
        asked.resource == "leases" || (is_here && (is_read || is_status))
    }

    fn scaling_active(
        &self,
        seen: Option<Seen>,
        contested: bool,
        canary: Option<&CanaryView>,
    ) -> Says {
        let kind = condition::SCALING_ACTIVE;
        let spec = &self.resource.spec;
        let (reason, message) = match (spec.mode, spec.actuation) {
            _ if self.invalid.is_some() => ("InvalidSpec", "the spec cannot be honoured"),
            (Mode::Shadow, _) => ("Shadow", "decisions are recorded and not carried out"),
            (Mode::Paused, _) => ("Paused", "decisions are recorded and not carried out"),
            (_, Actuation::None) => ("NotActing", "actuation is None"),
            _ if self.pause == Some(Pause::All) => ("PausedForAll", "all targets are paused"),
            _ if contested => ("Contested", "somebody else writes the replicas too"),
            _ if seen.is_some_and(|seen| seen.replicas == 0) => {
                ("SwitchedOff", "somebody has scaled the target to 0")
            }
            (Mode::Canary, _) => return turn(canary),
            _ => return says(kind, true, "Scaling", "decisions are carried out"),
        };
        says(kind, false, reason, message)
    }

    /// With times: that of the change before, where the status is the same.
    fn dated(&self, conditions: Vec<Says>, now: Timestamp) -> Vec<Condition> {
        let there = self.resource.status.as_ref().map(|status| status.conditions.as_slice());
        let now = time(now).unwrap_or(Time(jiff::Timestamp::UNIX_EPOCH));
        let dated = |says: Says| {
            let before = there.unwrap_or_default().iter().find(|old| old.type_ == says.kind);
            let since = before.filter(|old| old.status == says.status);
            Condition {
                last_transition_time: since
                    .map_or_else(|| now.clone(), |old| old.last_transition_time.clone()),
                message: says.message,
                observed_generation: self.resource.metadata.generation,
                reason: says.reason,
                status: says.status.to_owned(),
                type_: says.kind.to_owned(),
            }
        };
        conditions.into_iter().map(dated).collect()
    }
}

fn canary_of(control: &ControlStatus) -> Option<&CanaryView> {
    control.shadows.as_ref()?.canary.as_ref()
}

/// Whether what a watch keeps up to date is old.
fn is_watch(fault: &Fault) -> bool {
    matches!(fault.asked.verb, "list" | "watch")
}

fn figures(score: &Score) -> Figures {
    Figures {
        violation_percent: rounded(score.violation * 100.0),
        pod_hours: rounded(score.pod_hours),
        cost_over_oracle: rounded(score.cost_over_oracle),
    }
}

fn canary(view: &CanaryView) -> CanaryStatus {
    let turns = |score: &Score| TurnFigures {
        hours: rounded(score.known_seconds / 3_600.0),
        figures: figures(score),
    };
    CanaryStatus {
        acts: view.acts,
        until: view.until.and_then(at),
        demoted: view.demoted.clone(),
        foresail: view.own_turns.as_ref().map(turns),
        incumbent: view.incumbents_turns.as_ref().map(turns),
    }
}

/// Of the last day.
fn scorecard(board: &Scoreboard) -> Option<Scorecard> {
    let day = board.day()?;
    let measured = day.measured.as_ref()?;
    Some(Scorecard {
        hours: rounded(measured.known_seconds / 3_600.0),
        measured: figures(measured),
        modelled: figures(day.modelled.as_ref()?),
        configured: figures(day.policies.get(Shadow::Configured.name())?),
    })
}

fn forecast(decision: &Decision) -> Option<ForecastAt> {
    let used = decision.forecast.as_ref()?;
    Some(ForecastAt {
        rps: rounded(used.point.get()),
        upper: rounded(used.upper.get()),
        horizon_seconds: i64::try_from(used.horizon.as_secs()).ok()?,
        model: used.model.clone(),
    })
}

fn decided(decision: &Decision) -> Option<Decided> {
    Some(Decided {
        time: time(decision.at)?,
        reason: decision.reason.clone(),
        proposals: decision
            .signals
            .iter()
            .map(|signal| ProposedBy {
                signal: signal.name.clone(),
                replicas: signed(signal.desired_replicas),
                reason: signal.reason.clone(),
            })
            .collect(),
        guards: decision
            .guards
            .iter()
            .map(|guard| DecidedGuard {
                guard: guard.guard.clone(),
                from: signed(guard.from_replicas),
                to: signed(guard.to_replicas),
                reason: guard.reason.clone(),
            })
            .collect(),
        without_forecast: signed(decision.without_forecast),
    })
}

/// Whether two statuses differ in something that people or programs wait for.
pub(super) fn differs_in_kind(a: &MeshAutoscalerStatus, b: &MeshAutoscalerStatus) -> bool {
    let conditions = |status: &MeshAutoscalerStatus| {
        let brief = |it: &Condition| (it.type_.clone(), it.status.clone(), it.reason.clone());
        status.conditions.iter().map(brief).collect::<Vec<_>>()
    };
    let last = |status: &MeshAutoscalerStatus| {
        status.last_scale.as_ref().map(|last| (last.time.clone(), last.from, last.to))
    };
    a.observed_generation != b.observed_generation
        || a.current_replicas != b.current_replicas
        || a.ready_replicas != b.ready_replicas
        || a.desired_replicas != b.desired_replicas
        || conditions(a) != conditions(b)
        || last(a) != last(b)
}

/// Whether two statuses differ in figures by more than a little.
pub(super) fn differs_in_figures(a: &MeshAutoscalerStatus, b: &MeshAutoscalerStatus) -> bool {
    let rps = |status: &MeshAutoscalerStatus| status.forecast.as_ref().map(|it| it.rps);
    let differ = |a: Option<f64>, b: Option<f64>| match (a, b) {
        (Some(a), Some(b)) => (a - b).abs() > SAME_WITHIN * a.abs().max(b.abs()).max(1.0),
        (a, b) => a.is_some() != b.is_some(),
    };
    let startup = |status: &MeshAutoscalerStatus| status.learned_startup_seconds;
    let compared = |status: &MeshAutoscalerStatus| {
        let canary = status.canary.as_ref()?;
        let hours = [&canary.foresail, &canary.incumbent].map(|it| it.as_ref().map(|it| it.hours));
        Some(hours.into_iter().flatten().sum())
    };
    a.objective_met != b.objective_met
        || differ(rps(a), rps(b))
        || differ(a.capacity_per_pod, b.capacity_per_pod)
        || differ(startup(a).map(|s| s as f64), startup(b).map(|s| s as f64))
        || a.last_decision.is_some() != b.last_decision.is_some()
        || differ(a.scorecard.as_ref().map(|it| it.hours), b.scorecard.as_ref().map(|it| it.hours))
        || differ(compared(a), compared(b))
}

fn signed(count: u32) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}

/// To a hundredth: nobody reads more, and it compares better.
fn rounded(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}

fn time(at: Timestamp) -> Option<Time> {
    let seconds = i64::try_from(at.as_micros() / 1_000_000).ok()?;
    jiff::Timestamp::from_second(seconds).ok().map(Time)
}

/// Seconds since 1970.
fn at(seconds: f64) -> Option<Time> {
    let micros = Duration::try_from_secs_f64(seconds).ok().map(micros)?;
    time(Timestamp::from_micros(micros))
}
