//! What a backtest found: per trace, policy and knob, and over all traces.

mod html;
mod table;

use serde::Serialize;

use super::score::Score;
use crate::simulate::{Scenario, Service};

pub use html::html;
pub use table::table;

/// Levels of violation at which costs are compared.
pub const LEVELS: [f64; 3] = [0.02, 0.01, 0.005];
/// A policy keeps its budget when it misses it by no more than this factor.
const WITHIN: f64 = 1.2;

/// One policy at one knob on one trace.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Run {
    /// The knob: a risk price for Foresail, a share of capacity for most peers.
    pub knob: f64,
    /// Whether this is what a user gets who sets nothing.
    pub is_default: bool,
    /// What came of it.
    #[serde(flatten)]
    pub score: Score,
    /// Median time of a decision, in µs; `null` when it was not taken.
    pub decision_p50_us: Option<f64>,
    /// 99th percentile of it, in µs.
    pub decision_p99_us: Option<f64>,
}

/// Cost at a level of violation.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct CostAt {
    /// Share of requests in violated steps.
    pub violation: f64,
    /// Pod-hours over the oracle's with the best knob in hindsight; `null`: unreachable.
    pub cost_over_oracle: Option<f64>,
}

/// One policy on one trace.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PolicyReport {
    /// Its name.
    pub policy: String,
    /// Every knob that was run, ascending.
    pub runs: Vec<Run>,
    /// Interpolated between neighbouring knobs.
    pub cost_at: Vec<CostAt>,
}

impl PolicyReport {
    /// The run of who sets nothing.
    pub fn default_run(&self) -> Option<&Run> {
        self.runs.iter().find(|run| run.is_default)
    }

    /// Cost at a level for people: `-` without a sweep, and said when it is unreachable.
    fn cost_text(&self, violation: f64) -> String {
        match self.cost_at(violation) {
            Some(cost) => format!("{cost:.3}"),
            None if self.runs.len() < 2 => "-".to_owned(),
            None => "unreachable".to_owned(),
        }
    }

    /// Cost at a level; `None` when it is unreachable or no sweep was made.
    pub fn cost_at(&self, violation: f64) -> Option<f64> {
        self.cost_at.iter().find(|at| (at.violation - violation).abs() < 1e-9)?.cost_over_oracle
    }
}

/// Replicas and violations of a policy over time.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Replicas {
    /// Its name.
    pub policy: String,
    /// Mean per bucket.
    pub replicas: Vec<f32>,
    /// Share of the bucket's steps in which the objective was missed.
    pub violated: Vec<f32>,
}

/// Load, need and replicas over time, in some hundred buckets.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Timeline {
    /// Start of each bucket in Unix seconds.
    pub t: Vec<f64>,
    /// Highest request rate of each bucket.
    pub rps: Vec<f32>,
    /// Highest of what Foresail's forecast, made a horizon before, expected; `null` before the first.
    pub forecast: Vec<Option<f32>>,
    /// From when on steps were scored, in Unix seconds.
    pub scored_from: f64,
    /// Replicas that the objective required, at most.
    pub required: Vec<f32>,
    /// Policies at their defaults.
    pub policies: Vec<Replicas>,
}

/// Everything about one trace.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TraceReport {
    /// Its name.
    pub trace: String,
    /// Days that were scored, after the warm-up.
    pub days_scored: f64,
    /// Length of a step in seconds.
    pub step_s: f64,
    /// What a replica serves at the objective, in requests per second.
    pub capacity_rps: f64,
    /// What the clairvoyant oracle pays.
    pub oracle_pod_hours: f64,
    /// One entry a policy.
    pub policies: Vec<PolicyReport>,
    /// Load, need and replicas.
    pub timeline: Timeline,
}

/// Assumptions of the replay.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ScenarioSummary {
    /// Time from ordering a replica to its serving, in seconds.
    pub startup_s: f64,
    /// Time between decisions, in seconds.
    pub decision_interval_s: f64,
    /// Mean number of replicas that the load requires; capacity is scaled to it.
    pub mean_replicas: f64,
    /// Share of requests that must be within the latency.
    pub objective_quantile: f64,
    /// The latency, in ms.
    pub objective_ms: f64,
    /// Share of requests that may be served while the objective is missed.
    pub budget: f64,
    /// The model of a replica.
    pub pod_model: String,
}

impl ScenarioSummary {
    /// That of a scenario.
    pub fn of(scenario: &Scenario) -> Self {
        let Scenario { workers, mean_service, service_cv, service, .. } = scenario;
        let ms = mean_service.as_secs_f64() * 1e3;
        Self {
            startup_s: scenario.startup.as_secs_f64(),
            decision_interval_s: scenario.decision_interval.as_secs_f64(),
            mean_replicas: scenario.mean_replicas,
            objective_quantile: scenario.objective_quantile,
            objective_ms: scenario.objective_latency.as_secs_f64() * 1e3,
            budget: scenario.budget,
            pod_model: match service {
                Service::Fluid => format!("M/M/{workers}, {ms:.0} ms mean service"),
                Service::Requests => format!(
                    "request by request, {workers} at once, {ms:.0} ms mean service, variation {service_cv}"
                ),
            },
        }
    }
}

/// One policy over all traces.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PolicySummary {
    /// Its name.
    pub policy: String,
    /// Per level: traces on which it is reachable, and the geometric mean of its cost over the
    /// oracle's on the traces that every swept policy reaches.
    pub frontier: Vec<Frontier>,
    /// Traces on which the default stays within 1.2 times the budget.
    pub within_budget: usize,
    /// Mean share of requests in violated steps of the default, over all traces.
    pub default_violation: f64,
    /// Geometric mean of the default's cost over the oracle's, on all traces.
    pub default_cost: f64,
    /// Mean changes an hour of the default.
    pub changes_per_hour: f64,
    /// Mean reversals an hour of the default.
    pub reversals_per_hour: f64,
}

/// A point of comparison.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Frontier {
    /// Share of requests in violated steps.
    pub violation: f64,
    /// Traces on which the policy reaches it.
    pub feasible: usize,
    /// Geometric mean where all policies do; `null` when there is no such trace.
    pub cost_over_oracle: Option<f64>,
    /// Traces in that mean.
    pub common: usize,
}

impl Frontier {
    /// The cost for people.
    fn cost_text(&self) -> String {
        self.cost_over_oracle.map_or_else(|| "-".to_owned(), |cost| format!("{cost:.3}"))
    }
}

/// The whole backtest.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// Its assumptions.
    pub scenario: ScenarioSummary,
    /// One entry a policy, in the order in which they were asked for.
    pub summary: Vec<PolicySummary>,
    /// One entry a trace.
    pub traces: Vec<TraceReport>,
}

impl Report {
    /// Sums up.
    pub fn new(scenario: ScenarioSummary, traces: Vec<TraceReport>) -> Self {
        let names = traces.first().map_or(&[][..], |trace| trace.policies.as_slice());
        let summary =
            names.iter().map(|policy| summarise(&policy.policy, &traces, scenario.budget));
        Self { summary: summary.collect(), scenario, traces }
    }
}

fn summarise(name: &str, traces: &[TraceReport], budget: f64) -> PolicySummary {
    let own = |trace: &TraceReport| -> Option<PolicyReport> {
        trace.policies.iter().find(|policy| policy.policy == name).cloned()
    };
    let of_all: Vec<PolicyReport> = traces.iter().filter_map(own).collect();
    let frontier = LEVELS.map(|level| {
        let feasible = of_all.iter().filter(|policy| policy.cost_at(level).is_some()).count();
        let reached = |trace: &&TraceReport| {
            trace
                .policies
                .iter()
                .all(|policy| policy.runs.len() < 2 || policy.cost_at(level).is_some())
        };
        let common: Vec<f64> =
            traces.iter().filter(reached).filter_map(|trace| own(trace)?.cost_at(level)).collect();
        Frontier {
            violation: level,
            feasible,
            cost_over_oracle: geometric_mean(&common),
            common: common.len(),
        }
    });
    let defaults: Vec<&Run> = of_all.iter().filter_map(PolicyReport::default_run).collect();
    let mean = |value: &dyn Fn(&Score) -> f64| {
        defaults.iter().map(|run| value(&run.score)).sum::<f64>() / defaults.len().max(1) as f64
    };
    let costs: Vec<f64> = defaults.iter().map(|run| run.score.cost_over_oracle).collect();
    PolicySummary {
        policy: name.to_owned(),
        frontier: frontier.to_vec(),
        within_budget: defaults.iter().filter(|run| run.score.violation <= WITHIN * budget).count(),
        default_violation: mean(&|score| score.violation),
        default_cost: geometric_mean(&costs).unwrap_or(f64::NAN),
        changes_per_hour: mean(&|score| score.changes_per_hour),
        reversals_per_hour: mean(&|score| score.reversals_per_hour),
    }
}

/// `None` of nothing.
fn geometric_mean(values: &[f64]) -> Option<f64> {
    let sum: f64 = values.iter().map(|value| value.ln()).sum();
    (!values.is_empty()).then(|| (sum / values.len() as f64).exp())
}

/// The cheapest cost at a level of violation over a sweep: a knob that stays below it, or the line
/// between two neighbouring knobs on its two sides, on the scale of log violation.
pub fn cost_at(runs: &[Run], level: f64) -> Option<f64> {
    let log = |violation: f64| (violation + 1e-5).ln();
    let below = runs.iter().filter(|run| run.score.violation <= level);
    let mut costs: Vec<f64> = below.map(|run| run.score.cost_over_oracle).collect();
    for pair in runs.windows(2) {
        let [one, other] = pair else { continue };
        let (a, b) = (one.score.violation, other.score.violation);
        if (a - level) * (b - level) < 0.0 {
            let share = (log(level) - log(a)) / (log(b) - log(a));
            let (from, to) = (one.score.cost_over_oracle, other.score.cost_over_oracle);
            costs.push(from + share * (to - from));
        }
    }
    costs.into_iter().min_by(f64::total_cmp)
}

#[cfg(test)]
mod tests;
