//! The report as one file that can be sent to a colleague: no script, no request to anywhere.

use std::fmt::Write;

use super::{LEVELS, PolicyReport, Report, TraceReport};

/// Size of a drawing.
const WIDTH: f64 = 860.0;
const HEIGHT: f64 = 260.0;
const MARGIN: f64 = 46.0;

const STYLE: &str = "
:root { color-scheme: light dark; --fg: #1b1f24; --bg: #fff; --dim: #6b7280; --line: #d1d5db;
  --c0: #2563eb; --c1: #dc2626; --c2: #059669; --c3: #d97706; --c4: #7c3aed; --c5: #0891b2;
  --c6: #be185d; --c7: #4d7c0f; }
@media (prefers-color-scheme: dark) { :root { --fg: #e5e7eb; --bg: #111418; --dim: #9ca3af;
  --line: #374151; --c0: #60a5fa; --c1: #f87171; --c2: #34d399; --c3: #fbbf24; --c4: #a78bfa;
  --c5: #22d3ee; --c6: #f472b6; --c7: #a3e635; } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--fg); background: var(--bg);
  max-width: 56rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; margin: 1rem 0; } td, th { padding: .2rem .7rem;
  border-bottom: 1px solid var(--line); text-align: right; } td:first-child,
th:first-child { text-align: left; } svg { width: 100%; height: auto; }
svg text { fill: var(--dim); font-size: 11px; } .axis { stroke: var(--line); fill: none; }
.verdict { font-size: 1.25rem; } .scroll { overflow-x: auto; }
";

/// The whole report as HTML.
pub fn html(report: &Report) -> String {
    let mut page = String::from(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\"><title>Foresail backtest</title>",
    );
    _ = write!(page, "<style>{STYLE}</style></head><body><h1>Backtest</h1>");
    _ = write!(page, "<p class=\"verdict\">{}</p>", verdict(report));
    summary(&mut page, report);
    for trace in &report.traces {
        one(&mut page, trace);
    }
    method(&mut page, report);
    page.push_str("</body></html>\n");
    page
}

/// The result in a sentence.
fn verdict(report: &Report) -> String {
    let Some(own) = report.summary.first() else { return "Nothing was compared.".to_owned() };
    let traces = report.traces.len();
    let rivals = report.summary.iter().filter(|policy| !policy.policy.starts_with("foresail"));
    let best = rivals.max_by(|a, b| {
        let by_budget = a.within_budget.cmp(&b.within_budget);
        by_budget.then(b.default_cost.total_cmp(&a.default_cost))
    });
    let budget = report.scenario.budget * 100.0;
    let mut text = format!(
        "{} keeps a budget of {budget} % on {} of {traces} traces at {:.2} times the pod-hours of a \
         clairvoyant oracle",
        escape(&own.policy),
        own.within_budget,
        own.default_cost
    );
    if let Some(best) = best {
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

fn summary(page: &mut String, report: &Report) {
    page.push_str("<div class=\"scroll\"><table><tr><th>policy</th><th>within budget</th><th>cost / oracle</th><th>changes/h</th><th>reversals/h</th>");
    for level in LEVELS {
        _ = write!(page, "<th>cost at {} %</th>", level * 100.0);
    }
    page.push_str("</tr>");
    for policy in &report.summary {
        _ = write!(
            page,
            "<tr><td>{}</td><td>{} of {}</td><td>{:.3}</td><td>{:.1}</td><td>{:.1}</td>",
            escape(&policy.policy),
            policy.within_budget,
            report.traces.len(),
            policy.default_cost,
            policy.changes_per_hour,
            policy.reversals_per_hour
        );
        for at in &policy.frontier {
            let cost = at.cost_text();
            _ = write!(page, "<td>{cost} <small>({})</small></td>", at.feasible);
        }
        page.push_str("</tr>");
    }
    page.push_str("</table></div><p>Cost is replica time over the oracle's. In brackets: traces on which a policy reaches the level at all; the means are over those that every policy reaches, each with its best knob in hindsight.</p>");
}

fn one(page: &mut String, trace: &TraceReport) {
    _ = write!(
        page,
        "<h2>{}</h2><p>{:.1} days scored; a replica serves {:.1} requests per second; the oracle pays {:.0} pod-hours.</p>",
        escape(&trace.trace),
        trace.days_scored,
        trace.capacity_rps,
        trace.oracle_pod_hours
    );
    page.push_str("<div class=\"scroll\"><table><tr><th>policy</th><th>violation</th><th>slow</th><th>pod-hours</th><th>/ oracle</th><th>changes/h</th><th>cost at 1 %</th></tr>");
    for policy in &trace.policies {
        let Some(run) = policy.default_run() else { continue };
        let cost = policy.cost_text(0.01);
        _ = write!(
            page,
            "<tr><td>{}</td><td>{:.2} %</td><td>{:.2} %</td><td>{:.0}</td><td>{:.3}</td><td>{:.1}</td><td>{cost}</td></tr>",
            escape(&policy.policy),
            run.score.violation * 100.0,
            run.score.slow_share * 100.0,
            run.score.pod_hours,
            run.score.cost_over_oracle,
            run.score.changes_per_hour
        );
    }
    page.push_str("</table></div>");
    curves(page, &trace.policies);
    timeline(page, trace);
}

fn color(at: usize) -> String {
    format!("var(--c{})", at % 8)
}

/// Cost against violations, a line a policy.
fn curves(page: &mut String, policies: &[PolicyReport]) {
    let x = |violation: f64| {
        let share = ((violation + 1e-4).ln() - 1e-4_f64.ln()) / (0.5_f64.ln() - 1e-4_f64.ln());
        MARGIN + share.clamp(0.0, 1.0) * (WIDTH - MARGIN - 150.0)
    };
    let y = |cost: f64| {
        HEIGHT - MARGIN - ((cost - 1.0) / 2.0).clamp(0.0, 1.0) * (HEIGHT - 2.0 * MARGIN)
    };
    open(page, "Cost over the oracle's against the share of requests in violation");
    for (share, label) in [
        (0.0, "0"),
        (0.001, "0.1 %"),
        (0.005, "0.5 %"),
        (0.01, "1 %"),
        (0.02, "2 %"),
        (0.1, "10 %"),
    ] {
        text(page, x(share), HEIGHT - MARGIN + 16.0, label);
    }
    for cost in [1.0, 1.5, 2.0, 2.5, 3.0] {
        text(page, 8.0, y(cost) + 4.0, &format!("{cost:.1}"));
        _ = write!(
            page,
            "<path class=\"axis\" d=\"M{MARGIN} {0:.1}H{1:.1}\"/>",
            y(cost),
            WIDTH - 150.0
        );
    }
    for (at, policy) in policies.iter().enumerate() {
        let points =
            policy.runs.iter().map(|run| (x(run.score.violation), y(run.score.cost_over_oracle)));
        line(page, points, &color(at));
        for run in policy.runs.iter().filter(|run| run.is_default) {
            _ = write!(
                page,
                "<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"4\" fill=\"{}\"/>",
                x(run.score.violation),
                y(run.score.cost_over_oracle),
                color(at)
            );
        }
        legend(page, at, &policy.policy);
    }
    page.push_str("</svg>");
}

/// Required and actual replicas over time.
fn timeline(page: &mut String, trace: &TraceReport) {
    let timeline = &trace.timeline;
    let buckets = timeline.t.len().max(2) as f64;
    let shown = timeline.policies.iter().enumerate().take(3);
    let highest = shown
        .clone()
        .flat_map(|(_, policy)| policy.replicas.iter())
        .chain(&timeline.required)
        .copied()
        .fold(1.0_f32, f32::max);
    let point = |(at, value): (usize, &f32)| {
        let x = MARGIN + at as f64 / (buckets - 1.0) * (WIDTH - MARGIN - 150.0);
        (x, HEIGHT - MARGIN - f64::from(value / highest) * (HEIGHT - 2.0 * MARGIN))
    };
    open(page, "Replicas over time: required at most, and those of the first policies");
    for share in [0.0, 0.5, 1.0] {
        let y = HEIGHT - MARGIN - share * (HEIGHT - 2.0 * MARGIN);
        text(page, 8.0, y + 4.0, &format!("{:.0}", share * f64::from(highest)));
    }
    line(page, timeline.required.iter().enumerate().map(point), "var(--dim)");
    text(page, WIDTH - 140.0, 14.0, "grey: required");
    for (at, policy) in shown {
        line(page, policy.replicas.iter().enumerate().map(point), &color(at));
        legend(page, at, &policy.policy);
    }
    page.push_str("</svg>");
}

fn open(page: &mut String, title: &str) {
    _ = write!(
        page,
        "<h3>{title}</h3><svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{title}\">"
    );
}

fn text(page: &mut String, x: f64, y: f64, text: &str) {
    _ = write!(page, "<text x=\"{x:.1}\" y=\"{y:.1}\">{}</text>", escape(text));
}

fn line(page: &mut String, points: impl Iterator<Item = (f64, f64)>, color: &str) {
    page.push_str("<path fill=\"none\" stroke-width=\"1.5\" stroke=\"");
    page.push_str(color);
    page.push_str("\" d=\"");
    for (at, (x, y)) in points.enumerate() {
        _ = write!(page, "{}{x:.1} {y:.1}", if at == 0 { 'M' } else { 'L' });
    }
    page.push_str("\"/>");
}

fn legend(page: &mut String, at: usize, name: &str) {
    let color = color(at);
    let y = 28.0 + at as f64 * 14.0;
    _ = write!(
        page,
        "<text x=\"{:.1}\" y=\"{y:.1}\" style=\"fill:{color}\">{}</text>",
        WIDTH - 140.0,
        escape(name)
    );
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
         knows the whole load, has the same start-up time, and never violates.</p>",
        scenario.decision_interval_s,
        escape(&scenario.pod_model),
        scenario.startup_s,
        scenario.mean_replicas,
        scenario.objective_quantile * 100.0,
        scenario.objective_ms
    );
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
