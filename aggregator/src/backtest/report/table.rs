//! The report for a terminal.

use std::fmt::Write;

use super::{LEVELS, Report, TraceReport};

/// A plain table: per trace and policy, then over all traces.
pub fn table(report: &Report) -> String {
    let mut text = String::new();
    for trace in &report.traces {
        one(&mut text, trace);
    }
    over_all(&mut text, report);
    text
}

fn one(text: &mut String, trace: &TraceReport) {
    _ = writeln!(
        text,
        "{}: {:.1} days scored, a replica serves {:.1} rps, the oracle pays {:.0} pod-hours",
        trace.trace, trace.days_scored, trace.capacity_rps, trace.oracle_pod_hours
    );
    _ = writeln!(
        text,
        "  {:<17} {:>9} {:>7} {:>10} {:>7} {:>7} {:>7} {:>9} {:>9} {:>8} {:>8}  cost at 2 / 1 / 0.5 %",
        "policy",
        "violation",
        "slow",
        "pod-hours",
        "/oracle",
        "ups",
        "downs",
        "reversals/h",
        "recovery",
        "p50 us",
        "p99 us",
    );
    for policy in &trace.policies {
        let Some(run) = policy.default_run() else { continue };
        let score = &run.score;
        let micros = |value: Option<f64>| value.map_or_else(|| "-".into(), |us| format!("{us:.0}"));
        _ = write!(
            text,
            "  {:<17} {:>8.2}% {:>6.2}% {:>10.0} {:>7.3} {:>7} {:>7} {:>11.1} {:>9.1} {:>8} {:>8} ",
            policy.policy,
            score.violation * 100.0,
            score.slow_share * 100.0,
            score.pod_hours,
            score.cost_over_oracle,
            score.scale_ups,
            score.scale_downs,
            score.reversals_per_hour,
            score.recovery_mean_steps,
            micros(run.decision_p50_us),
            micros(run.decision_p99_us),
        );
        for level in LEVELS {
            let cost = policy.cost_text(level);
            _ = write!(text, " {cost}");
        }
        text.push('\n');
    }
    text.push('\n');
}

fn over_all(text: &mut String, report: &Report) {
    let traces = report.traces.len();
    _ = writeln!(
        text,
        "over {traces} trace(s); budget {:.2} % of requests, start-up {:.0} s, mean {:.0} replicas",
        report.scenario.budget * 100.0,
        report.scenario.startup_s,
        report.scenario.mean_replicas
    );
    _ = writeln!(
        text,
        "  {:<17} {:>13} {:>9} {:>9} {:>11}  cost at 2 / 1 / 0.5 % (feasible)",
        "policy", "within budget", "/oracle", "changes/h", "reversals/h"
    );
    for policy in &report.summary {
        _ = write!(
            text,
            "  {:<17} {:>10}/{traces:<2} {:>9.3} {:>9.1} {:>11.1} ",
            policy.policy,
            policy.within_budget,
            policy.default_cost,
            policy.changes_per_hour,
            policy.reversals_per_hour
        );
        for at in &policy.frontier {
            let cost = at.cost_text();
            _ = write!(text, " {cost} ({})", at.feasible);
        }
        text.push('\n');
    }
}
