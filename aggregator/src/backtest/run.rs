//! One trace through every policy, a step at a time, side by side.
//!
//! Foresail's rows are the real autoscaler with its guards ([`crate::autoscaler::Autoscaler::step`]); what the load
//! will be does not depend on the policy, so one forecast serves all of them.

mod ablation;
mod contender;
mod leaders;

use thiserror::Error;

use super::oracle::oracle;
use super::report::{CostAt, LEVELS, PolicyReport, Replicas, Run, Timeline, TraceReport, cost_at};
use super::trace::Trace;
use crate::config::WorkloadConfig;
use crate::simulate::{Scenario, World};
use crate::units::Timestamp;
use contender::{Contender, Step};
use leaders::Leaders;

pub use contender::{Choice, UnknownPolicy};

/// Buckets of a timeline.
const BUCKETS: usize = 480;
/// Steps between two reports of progress.
const REPORT_EVERY: usize = 2_000;

/// Why a trace cannot be replayed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("trace {trace}: {problem}")]
pub struct Unusable {
    /// Its name.
    pub trace: String,
    /// What is wrong, and what would do.
    pub problem: &'static str,
}

/// What is run.
#[derive(Clone, Debug, PartialEq)]
pub struct Selection {
    /// Policies, in the order of the report.
    pub policies: Vec<Choice>,
    /// Whether each is run at every knob, for a curve of cost against violations.
    pub sweep: bool,
}

/// Takes the time of decisions; the core has no clock of its own.
pub trait Stopwatch {
    /// µs since some fixed moment.
    fn micros(&self) -> f64;
}

/// Replays a trace. `config` is Foresail's; its objective, start-up, interval and capacity are
/// those of the scenario. `progress` is told the share that is done, 0 to 1.
///
/// # Errors
/// [`Unusable`] when there is no load to speak of.
pub fn run_trace(
    trace: &Trace,
    scenario: &Scenario,
    config: &WorkloadConfig,
    selection: &Selection,
    watch: &dyn Stopwatch,
    progress: &mut dyn FnMut(f64),
) -> Result<TraceReport, Unusable> {
    let unusable = |problem| Unusable { trace: trace.name.clone(), problem };
    let grid = trace.resampled(scenario.decision_interval, scenario.seed);
    let measured = grid.rates.iter().flatten().filter(|rate| **rate > 0.0).count();
    if measured < 40 {
        return Err(unusable("fewer than 40 steps have load; give at least ten minutes of it"));
    }
    let world = World::new(grid, scenario);
    let required: Vec<u32> = (0..world.filled.len()).map(|at| world.required(at)).collect();
    let scored = required.get(world.warm_up_steps..).unwrap_or_default();
    let plan = oracle(scored, scenario.delay_steps());
    let config = contender::for_world(config, scenario, &world);
    let start = Timestamp::of_step(world.grid.first_index, world.grid.step);
    let mut contenders = Vec::new();
    for choice in &selection.policies {
        contenders.extend(choice.contenders(&config, scenario, &world, selection.sweep, &plan));
    }
    let needed = contenders.iter().filter(|contender| contender.forecasts());
    let mut leaders = Leaders::new(&config, start, needed.map(Contender::without));
    let mut timeline = Buckets::new(&world, &contenders);
    for at in 0..world.filled.len() {
        let now = Timestamp::of_step(world.grid.first_index + at as u64 + 1, world.grid.step);
        leaders.learn(&world, at, now, watch);
        let step = Step { world: &world, at, now, leaders: &leaders };
        timeline.begin(at, &world, &required);
        for (which, contender) in contenders.iter_mut().enumerate() {
            let replicas = contender.step(&step, watch);
            timeline.add(which, replicas);
        }
        leaders.refit();
        if at.is_multiple_of(REPORT_EVERY) {
            progress(at as f64 / world.filled.len() as f64);
        }
    }
    progress(1.0);
    let hours = |steps: f64| steps * world.grid.step.as_secs_f64() / 3_600.0;
    Ok(TraceReport {
        trace: trace.name.clone(),
        days_scored: hours(scored.len() as f64) / 24.0,
        step_s: world.grid.step.as_secs_f64(),
        capacity_rps: world.capacity_rps,
        oracle_pod_hours: hours(plan.pod_steps as f64),
        policies: by_policy(contenders),
        timeline: timeline.finish(),
    })
}

/// Groups the runs of each policy.
fn by_policy(contenders: Vec<Contender>) -> Vec<PolicyReport> {
    let mut reports: Vec<PolicyReport> = Vec::new();
    for contender in contenders {
        let policy = contender.name().to_owned();
        let run = contender.finish();
        if let Some(report) = reports.iter_mut().find(|report| report.policy == policy) {
            report.runs.push(run);
        } else {
            reports.push(PolicyReport { policy, runs: vec![run], cost_at: Vec::new() });
        }
    }
    for report in &mut reports {
        report.runs.sort_by(|a, b| a.knob.total_cmp(&b.knob));
        let swept = report.runs.len() > 1;
        // Foresail's own default has no knob: it is a point beside the curve.
        let steers = report.policy.starts_with("foresail");
        let knobs: Vec<Run> =
            report.runs.iter().filter(|run| !(steers && run.is_default)).cloned().collect();
        report.cost_at = LEVELS
            .iter()
            .filter(|_| swept)
            .map(|level| CostAt { violation: *level, cost_over_oracle: cost_at(&knobs, *level) })
            .collect();
    }
    reports
}

/// Collects a timeline in buckets of equal length.
struct Buckets {
    timeline: Timeline,
    per_bucket: usize,
    shown: Vec<Option<usize>>,
}

impl Buckets {
    fn new(world: &World, contenders: &[Contender]) -> Self {
        let per_bucket = world.filled.len().div_ceil(BUCKETS).max(1);
        let mut timeline = Timeline::default();
        let mut shown = Vec::new();
        for contender in contenders {
            shown.push(contender.is_default().then(|| {
                let policy = contender.name().to_owned();
                timeline.policies.push(Replicas { policy, replicas: Vec::new() });
                timeline.policies.len() - 1
            }));
        }
        Self { timeline, per_bucket, shown }
    }

    fn begin(&mut self, at: usize, world: &World, required: &[u32]) {
        let (rate, need) = (world.filled.get(at), required.get(at));
        let (Some(rate), Some(need)) = (rate, need) else { return };
        if at.is_multiple_of(self.per_bucket) {
            let start = Timestamp::of_step(world.grid.first_index + at as u64, world.grid.step);
            self.timeline.t.push(start.as_secs_f64());
            self.timeline.rps.push(0.0);
            self.timeline.required.push(0.0);
            for policy in &mut self.timeline.policies {
                policy.replicas.push(0.0);
            }
        }
        #[expect(clippy::cast_possible_truncation, reason = "for a picture")]
        if let (Some(rps), Some(required)) =
            (self.timeline.rps.last_mut(), self.timeline.required.last_mut())
        {
            *rps = rps.max(*rate as f32);
            *required = required.max(*need as f32);
        }
    }

    fn add(&mut self, which: usize, replicas: u32) {
        let Some(slot) = self.shown.get(which).copied().flatten() else { return };
        let last = self.timeline.policies.get_mut(slot).and_then(|p| p.replicas.last_mut());
        if let Some(last) = last {
            *last += replicas as f32 / self.per_bucket as f32;
        }
    }

    fn finish(self) -> Timeline {
        self.timeline
    }
}
