//! One trace through every policy, a step at a time, side by side.
//!
//! Foresail's rows are the real autoscaler with its guards ([`crate::autoscaler::Autoscaler::step`]); what the load
//! will be does not depend on the policy, so one forecast serves all of them.

mod buckets;
mod contender;
mod leaders;

use thiserror::Error;

use super::choice::{Candidate, Choice};
use super::oracle::oracle_pod_steps;
use super::report::{CostAt, LEVELS, PolicyReport, Run, TraceReport, cost_at};
use super::trace::Trace;
use crate::config::WorkloadConfig;
use crate::simulate::{Scenario, World, settings_for};
use crate::units::Timestamp;
use buckets::Buckets;
use contender::{Contender, Setting, Step, contenders_of};
use leaders::Leaders;

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
    /// Learned policies, after them.
    pub learned: Vec<Candidate>,
    /// Whether each is run at every knob, for a curve of cost against violations.
    pub sweep: bool,
}

impl Selection {
    /// What the report calls them.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let learned = self.learned.iter().map(|candidate| candidate.name.as_str());
        self.policies.iter().map(|choice| choice.name()).chain(learned)
    }
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
    let oracle_pod_steps = oracle_pod_steps(scored, scenario.delay_steps());
    let config = settings_for(config, scenario, &world);
    let start = Timestamp::of_step(world.grid.first_index, world.grid.step);
    let setting = Setting { config: &config, scenario, world: &world, oracle_pod_steps };
    let mut contenders = Vec::new();
    for choice in &selection.policies {
        let all = contenders_of(*choice, &setting, selection.sweep);
        contenders.extend(all);
    }
    for candidate in &selection.learned {
        contenders.push(Contender::learned(candidate, &setting));
    }
    let needed = contenders.iter().filter(|contender| contender.forecasts());
    let mut leaders = Leaders::new(&config, start, needed.map(Contender::without));
    let mut timeline = Buckets::new(&world, &contenders);
    for at in 0..world.filled.len() {
        let now = Timestamp::of_step(world.grid.first_index + at as u64 + 1, world.grid.step);
        leaders.learn(&world, at, now, watch);
        timeline.begin(at, &world, &required);
        timeline.expect(leaders.curve(None));
        let step = Step { world: &world, at, now, leaders: &leaders };
        for (which, contender) in contenders.iter_mut().enumerate() {
            timeline.add(which, contender.step(&step, watch));
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
        capacity_rps: world.replica.capacity_rps,
        oracle_pod_hours: hours(oracle_pod_steps as f64),
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
