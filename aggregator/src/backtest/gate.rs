//! Whether a candidate may replace the policy in charge: written conditions, judged on a report.

use serde::Deserialize;
use thiserror::Error;

use super::report::{Report, Run, TraceReport};

/// Draws of the bootstrap.
const DRAWS: usize = 2_000;

/// Conditions. All must hold.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gate {
    /// The policy that is tested, by its name in the report. Default: the only model that is replayed.
    #[serde(default)]
    pub candidate: Option<String>,
    /// The policy that it would replace. Default `foresail`.
    #[serde(default = "foresail")]
    pub incumbent: String,
    /// Price of a violation: cost is pod-hours over the oracle's, plus this times the share of
    /// requests in violated steps. Default 25.
    #[serde(default = "twenty_five")]
    pub violation_price: f64,
    /// Share by which the cost must be lower, over all traces. Default 0.02.
    #[serde(default = "two_percent")]
    pub least_gain: f64,
    /// The candidate may violate this many times as much as the incumbent, or within its budget.
    /// Default 1.
    #[serde(default = "one")]
    pub most_violations: f64,
    /// It may change replicas this many times as often. Default 1.5.
    #[serde(default = "half_more")]
    pub most_changes: f64,
    /// Days that must have been replayed, over all traces. Default 14.
    #[serde(default = "fourteen")]
    pub least_days: f64,
}

fn foresail() -> String {
    "foresail".to_owned()
}
const fn twenty_five() -> f64 {
    25.0
}
const fn two_percent() -> f64 {
    0.02
}
const fn one() -> f64 {
    1.0
}
const fn half_more() -> f64 {
    1.5
}
const fn fourteen() -> f64 {
    14.0
}

/// Why a report cannot be judged.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum GateError {
    /// A policy was not replayed.
    #[error("the gate names {0}, which was not replayed; add it to --policies")]
    NoPolicy(String),
    /// It names no candidate, and there is not exactly one model.
    #[error("the gate names no candidate; name it, or exactly one model in --policies")]
    NoCandidate,
}

/// What was found.
#[derive(Clone, Debug, PartialEq)]
pub struct Passage {
    /// Cost of the candidate over the incumbent's: the geometric mean over traces.
    pub cost_ratio: f64,
    /// Its 95 % interval, by drawing traces anew; the mean itself when there is one trace.
    pub interval: (f64, f64),
    /// Conditions that do not hold, in words; none lets the candidate pass.
    pub failures: Vec<String>,
}

impl Gate {
    /// Judges a report.
    ///
    /// # Errors
    /// [`GateError`] when it lacks one of the two policies.
    pub fn judge(&self, report: &Report) -> Result<Passage, GateError> {
        let candidate = self.candidate.as_ref().ok_or(GateError::NoCandidate)?;
        let (own, other) = (runs(report, candidate)?, runs(report, &self.incumbent)?);
        let cost =
            |run: &Run| run.score.cost_over_oracle + self.violation_price * run.score.violation;
        let ratios: Vec<f64> =
            own.iter().zip(&other).map(|(own, other)| (cost(own) / cost(other)).ln()).collect();
        let cost_ratio = mean(&ratios).exp();
        let interval = interval(&ratios);
        let budget = report.scenario.budget;
        let mut failures = Vec::new();
        let mut demand = |holds: bool, words: String| {
            if !holds {
                failures.push(words);
            }
        };
        let most = 1.0 - self.least_gain;
        demand(
            interval.1 <= most.max(1.0) && cost_ratio <= most,
            format!(
                "cost {cost_ratio:.3} of the incumbent's ({:.3} to {:.3}); at most {most:.3}, surely below 1",
                interval.0, interval.1
            ),
        );
        let days: f64 = report.traces.iter().map(|trace| trace.days_scored).sum();
        let least = self.least_days;
        demand(days >= least, format!("{days:.1} days replayed; at least {least:.1}"));
        for (trace, (own, other)) in report.traces.iter().zip(own.iter().zip(&other)) {
            let (own, other) = (&own.score, &other.score);
            let allowed = (self.most_violations * other.violation).max(budget);
            demand(
                own.violation <= allowed,
                format!(
                    "{}: {:.3} % violations; at most {:.3} %",
                    trace.trace,
                    own.violation * 100.0,
                    allowed * 100.0
                ),
            );
            let (changes, most) =
                (own.changes_per_hour, self.most_changes * other.changes_per_hour);
            demand(
                changes <= most,
                format!("{}: {changes:.1} changes an hour; at most {most:.1}", trace.trace),
            );
        }
        Ok(Passage { cost_ratio, interval, failures })
    }
}

fn runs<'a>(report: &'a Report, name: &str) -> Result<Vec<&'a Run>, GateError> {
    let of = |trace: &'a TraceReport| {
        trace.policies.iter().find(|policy| policy.policy == name)?.default_run()
    };
    let runs: Option<Vec<&Run>> = report.traces.iter().map(of).collect();
    runs.ok_or_else(|| GateError::NoPolicy(name.to_owned()))
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}

/// Of the exponential of the mean.
fn interval(values: &[f64]) -> (f64, f64) {
    let mut chance = crate::chance::Chance::new(1);
    let mut means: Vec<f64> = (0..DRAWS)
        .map(|_| {
            let draw = |_| values.get(chance.below(values.len())).copied().unwrap_or(0.0);
            mean(&(0..values.len()).map(draw).collect::<Vec<f64>>()).exp()
        })
        .collect();
    means.sort_by(f64::total_cmp);
    let at = |place: usize| means.get(place).copied().unwrap_or(1.0);
    (at(DRAWS / 40), at(DRAWS - 1 - DRAWS / 40))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backtest::report::{PolicyReport, ScenarioSummary, Timeline};
    use crate::backtest::score::Score;
    use crate::simulate::Scenario;

    fn run(cost: f64, violation: f64, changes: f64) -> Run {
        let score = Score {
            violation,
            slow_share: 0.0,
            pod_hours: 1.0,
            cost_over_oracle: cost,
            scale_ups: 0,
            scale_downs: 0,
            changes_per_hour: changes,
            reversals_per_hour: 0.0,
            recovery_mean_steps: 0.0,
            recovery_p95_steps: 0.0,
        };
        Run { knob: 0.0, is_default: true, score, decision_p50_us: None, decision_p99_us: None }
    }

    /// Traces of ten days, with cost, violations and changes of the candidate; the incumbent has
    /// 1.2, 1 % and 4 an hour.
    fn report(candidate: &[(f64, f64, f64)]) -> Report {
        let policy = |name: &str, run| PolicyReport {
            policy: name.to_owned(),
            runs: vec![run],
            cost_at: vec![],
        };
        let traces =
            candidate.iter().enumerate().map(|(at, (cost, violation, changes))| TraceReport {
                trace: format!("trace {at}"),
                days_scored: 10.0,
                step_s: 15.0,
                capacity_rps: 1.0,
                oracle_pod_hours: 1.0,
                policies: vec![
                    policy("foresail", run(1.2, 0.01, 4.0)),
                    policy("learned", run(*cost, *violation, *changes)),
                ],
                timeline: Timeline::default(),
            });
        Report::new(ScenarioSummary::of(&Scenario::default()), traces.collect())
    }

    fn failures(candidate: &[(f64, f64, f64)]) -> Vec<String> {
        let gate = Gate {
            candidate: Some("learned".into()),
            incumbent: foresail(),
            violation_price: 25.0,
            least_gain: 0.02,
            most_violations: 1.0,
            most_changes: 1.5,
            least_days: 14.0,
        };
        gate.judge(&report(candidate)).unwrap().failures
    }

    #[test]
    fn a_candidate_that_is_better_everywhere_passes() {
        assert_eq!(failures(&[(1.10, 0.008, 4.0), (1.12, 0.009, 5.0)]), Vec::<String>::new());
    }

    #[test]
    fn one_that_is_good_on_one_trace_and_worse_on_the_others_never_passes() {
        // Half the cost where it was trained, a little worse elsewhere: the mean is lower.
        let found = failures(&[(0.60, 0.001, 4.0), (1.25, 0.010, 4.0), (1.25, 0.010, 4.0)]);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].contains("surely below 1"), "{found:?}");
    }

    #[test]
    fn each_condition_is_named_when_it_does_not_hold() {
        let has = |candidate: &[(f64, f64, f64)], words: &str| {
            let found = failures(candidate);
            assert!(found.iter().any(|failure| failure.contains(words)), "{found:?}");
        };
        has(&[(1.19, 0.010, 4.0); 2], "at most 0.980");
        has(&[(0.9, 0.012, 4.0); 2], "violations");
        has(&[(0.9, 0.001, 7.0); 2], "changes an hour");
        has(&[(0.9, 0.001, 4.0)], "days replayed");
    }

    #[test]
    fn a_policy_that_was_not_replayed_is_an_error() {
        let gate: Gate = serde_json::from_str(r#"{"candidate": "learned:x"}"#).unwrap();
        let error = gate.judge(&report(&[(1.0, 0.0, 1.0)]));
        assert_eq!(error, Err(GateError::NoPolicy("learned:x".into())));
        assert!(serde_json::from_str::<Gate>(r#"{"candidate": "a", "x": 1}"#).is_err());
    }
}
