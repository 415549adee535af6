//! The report as one file that can be sent to a colleague: no script, no request to anywhere.
//!
//! Every figure in a table carries the exact number that the JSON has in `data-value`.

mod drawing;
mod pareto;
mod timeline;

use std::fmt::Write;

use super::{LEVELS, PolicySummary, Report, TraceReport};
use drawing::escape;

const STYLE: &str = include_str!("html/report.css");

/// The whole report as HTML.
pub fn html(report: &Report) -> String {
    let mut page = String::from(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\"><title>Foresail backtest</title>",
    );
    _ = write!(page, "<style>{STYLE}</style></head><body><main><h1>Backtest</h1>");
    _ = write!(page, "<p class=\"verdict\">{}</p>", verdict(report));
    page.push_str("<h2>Over all traces</h2>");
    pareto::summary(&mut page, report);
    summary(&mut page, report);
    contents(&mut page, report);
    for (at, trace) in report.traces.iter().enumerate() {
        one(&mut page, at, trace);
    }
    method(&mut page, report);
    page.push_str("</main></body></html>\n");
    page
}

/// The rival that keeps the budget on most traces, and of those the cheapest.
fn best_rival(report: &Report) -> Option<&PolicySummary> {
    let rivals = report.summary.iter().filter(|policy| !policy.policy.starts_with("foresail"));
    rivals.max_by(|a, b| {
        let by_budget = a.within_budget.cmp(&b.within_budget);
        by_budget.then(b.default_cost.total_cmp(&a.default_cost))
    })
}

/// The result in a sentence.
fn verdict(report: &Report) -> String {
    let Some(own) = report.summary.first() else { return "Nothing was compared.".to_owned() };
    let traces = report.traces.len();
    let budget = report.scenario.budget * 100.0;
    let mut text = format!(
        "{} keeps a budget of {budget} % on {} of {traces} traces at {:.2} times the pod-hours of a \
         clairvoyant oracle",
        escape(&own.policy),
        own.within_budget,
        own.default_cost
    );
    if let Some(best) = best_rival(report) {
        _ = write!(
            text,
            "; the best rival at its default, {}, keeps it on {} at {:.2} times",
            escape(&best.policy),
            best.within_budget,
            best.default_cost
        );
    }
    text + "."
}

/// A cell of a table: the number as it is, and for people.
fn cell(page: &mut String, name: &str, value: f64, shown: &str) {
    _ = write!(page, "<td data-field=\"{name}\" data-value=\"{value}\">{shown}</td>");
}

fn summary(page: &mut String, report: &Report) {
    let traces = report.traces.len();
    page.push_str("<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Table over all traces\"><table id=\"summary\"><thead><tr><th scope=\"col\">policy</th><th scope=\"col\">within budget</th><th scope=\"col\">violation</th><th scope=\"col\">cost / oracle</th><th scope=\"col\">changes/h</th><th scope=\"col\">reversals/h</th>");
    for level in LEVELS {
        _ = write!(page, "<th scope=\"col\">cost at {} %</th>", level * 100.0);
    }
    page.push_str("</tr></thead><tbody>");
    for policy in &report.summary {
        let name = escape(&policy.policy);
        _ = write!(page, "<tr data-policy=\"{name}\"><th scope=\"row\">{name}</th>");
        let within = policy.within_budget as f64;
        cell(page, "within_budget", within, &format!("{within} of {traces}"));
        let violation = policy.default_violation;
        cell(page, "default_violation", violation, &format!("{:.2} %", violation * 100.0));
        cell(page, "default_cost", policy.default_cost, &format!("{:.3}", policy.default_cost));
        for (field, value) in [
            ("changes_per_hour", policy.changes_per_hour),
            ("reversals_per_hour", policy.reversals_per_hour),
        ] {
            cell(page, field, value, &format!("{value:.1}"));
        }
        for at in &policy.frontier {
            let cost = at.cost_text();
            _ = write!(page, "<td>{cost} <small>({})</small></td>", at.feasible);
        }
        page.push_str("</tr>");
    }
    page.push_str("</tbody></table></div><p>Cost is replica time over the oracle's. In brackets: traces on which a policy reaches the level at all; the means are over those that every policy reaches, each with its best knob in hindsight.</p>");
}

/// Links to the traces, where there are many.
fn contents(page: &mut String, report: &Report) {
    if report.traces.len() < 4 {
        return;
    }
    page.push_str("<nav aria-label=\"Traces\"><h2>Traces</h2><ul class=\"contents\">");
    for (at, trace) in report.traces.iter().enumerate() {
        _ = write!(page, "<li><a href=\"#trace-{at}\">{}</a></li>", escape(&trace.trace));
    }
    page.push_str("</ul></nav>");
}

fn one(page: &mut String, at: usize, trace: &TraceReport) {
    let name = escape(&trace.trace);
    _ = write!(
        page,
        "<section id=\"trace-{at}\" data-trace=\"{name}\"><h2>{name}</h2><p>{:.1} days scored; a replica serves {:.1} requests per second; the oracle pays {:.0} pod-hours.</p>",
        trace.days_scored, trace.capacity_rps, trace.oracle_pod_hours
    );
    timeline::timeline(page, trace);
    pareto::of_trace(page, trace);
    _ = write!(
        page,
        "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Table of {name}\"><table><thead><tr><th scope=\"col\">policy</th><th scope=\"col\">violation</th><th scope=\"col\">slow</th><th scope=\"col\">pod-hours</th><th scope=\"col\">/ oracle</th><th scope=\"col\">changes/h</th><th scope=\"col\">cost at 1 %</th></tr></thead><tbody>"
    );
    for policy in &trace.policies {
        let Some(run) = policy.default_run() else { continue };
        let score = &run.score;
        let name = escape(&policy.policy);
        _ = write!(page, "<tr data-policy=\"{name}\"><th scope=\"row\">{name}</th>");
        for (field, value) in [("violation", score.violation), ("slow_share", score.slow_share)] {
            cell(page, field, value, &format!("{:.2} %", value * 100.0));
        }
        cell(page, "pod_hours", score.pod_hours, &format!("{:.0}", score.pod_hours));
        let cost = score.cost_over_oracle;
        cell(page, "cost_over_oracle", cost, &format!("{cost:.3}"));
        let changes = score.changes_per_hour;
        cell(page, "changes_per_hour", changes, &format!("{changes:.1}"));
        _ = write!(page, "<td>{}</td></tr>", policy.cost_text(0.01));
    }
    page.push_str("</tbody></table></div></section>");
}

fn method(page: &mut String, report: &Report) {
    let scenario = &report.scenario;
    _ = write!(
        page,
        "<h2>Method</h2><p>Every policy meets the same load, a step of {:.0} s at a time. A replica \
         ({}) ordered at the end of a step serves {:.0} s later and is billed from its order; one that \
         is removed ends at once. Its capacity is scaled so that the load requires {} replicas on \
         average. The objective is that {} % of the requests take at most {:.0} ms; a step in which \
         they do not, or in which requests wait or are dropped, is in violation with all its \
         requests. The first days of a recording are for learning and are not scored. The oracle \
         knows the whole load, has the same start-up time, and never violates.</p>\
         <p>What this assumes: the load does not react to how it is served (no retries, nobody \
         gives up); all requests cost the same; replicas are alike and never fail; telemetry comes \
         at once and whole. Every policy knows the capacity of a replica. A real service breaks some \
         of these, so a difference of a few per cent here decides nothing.</p>",
        scenario.decision_interval_s,
        escape(&scenario.pod_model),
        scenario.startup_s,
        scenario.mean_replicas,
        scenario.objective_quantile * 100.0,
        scenario.objective_ms
    );
}
