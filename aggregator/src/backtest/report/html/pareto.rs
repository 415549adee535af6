//! Cost against violations: further left and further down is better.

use std::fmt::Write;

use super::drawing::{LEGEND, MARGIN, WIDTH, across, close, color, legend, line, open, text};
use crate::backtest::report::{Report, TraceReport};

const HEIGHT: f64 = 260.0;

/// Below this share of violations is drawn as none.
const LEAST: f64 = 1e-4;

fn x(violation: f64) -> f64 {
    let share = ((violation + LEAST).ln() - LEAST.ln()) / (0.5_f64.ln() - LEAST.ln());
    MARGIN + share.clamp(0.0, 1.0) * (WIDTH - MARGIN - LEGEND)
}

fn y(cost: f64) -> f64 {
    HEIGHT - MARGIN - ((cost - 1.0) / 2.0).clamp(0.0, 1.0) * (HEIGHT - 2.0 * MARGIN)
}

fn begin(page: &mut String, title: &str, budget: Option<f64>) {
    open(page, title, HEIGHT);
    let labels = [
        (0.0, "0"),
        (0.001, "0.1 %"),
        (0.005, "0.5 %"),
        (0.01, "1 %"),
        (0.02, "2 %"),
        (0.1, "10 %"),
    ];
    for (share, label) in labels {
        text(page, x(share), HEIGHT - MARGIN + 16.0, label);
    }
    for cost in [1.0, 1.5, 2.0, 2.5, 3.0] {
        text(page, 8.0, y(cost) + 4.0, &format!("{cost:.1}"));
        across(page, y(cost));
    }
    if let Some(budget) = budget {
        let (at, bottom) = (x(budget), HEIGHT - MARGIN);
        _ = write!(
            page,
            "<path class=\"axis\" stroke-dasharray=\"4 3\" d=\"M{at:.1} {MARGIN}V{bottom}\"/>"
        );
        text(page, at + 3.0, MARGIN - 4.0, "budget");
    }
}

fn dot(page: &mut String, violation: f64, cost: f64, at: usize, name: &str) {
    _ = write!(
        page,
        "<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"4\" fill=\"{}\"><title>{name}: {:.2} % violated at {cost:.3} times the oracle's cost</title></circle>",
        x(violation),
        y(cost),
        color(at),
        violation * 100.0
    );
}

/// Every policy over all traces: a dot for its default, a line through the levels it reaches.
pub(super) fn summary(page: &mut String, report: &Report) {
    let title = "Mean cost over the oracle's against the share of requests in violation";
    begin(page, title, Some(report.scenario.budget));
    for (at, policy) in report.summary.iter().enumerate() {
        let levels = policy.frontier.iter();
        let points =
            levels.map(|level| level.cost_over_oracle.map(|cost| (x(level.violation), y(cost))));
        line(page, points, &color(at), "");
        dot(page, policy.default_violation, policy.default_cost, at, &policy.policy);
        legend(page, at, &policy.policy);
    }
    close(page);
}

/// Every policy on one trace: a line through its knobs, a dot for its default.
pub(super) fn of_trace(page: &mut String, trace: &TraceReport) {
    let title = "Cost over the oracle's against the share of requests in violation";
    begin(page, title, None);
    for (at, policy) in trace.policies.iter().enumerate() {
        let runs = policy.runs.iter();
        let points = runs.map(|run| Some((x(run.score.violation), y(run.score.cost_over_oracle))));
        line(page, points, &color(at), "");
        for run in policy.runs.iter().filter(|run| run.is_default) {
            dot(page, run.score.violation, run.score.cost_over_oracle, at, &policy.policy);
        }
        legend(page, at, &policy.policy);
    }
    close(page);
}
