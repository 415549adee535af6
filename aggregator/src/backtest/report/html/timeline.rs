//! Load and forecast, replicas, and violations of one trace, above each other on one time axis.

use std::fmt::Write;

use super::drawing::{LEGEND, MARGIN, WIDTH, across, close, color, colored, line, open, text};
use crate::backtest::report::{Timeline, TraceReport};

/// Policies whose replicas are drawn; more would hide each other.
const SHOWN: usize = 3;
const LOAD: Panel = Panel { top: 10.0, bottom: 130.0 };
const REPLICAS: Panel = Panel { top: 150.0, bottom: 290.0 };
/// Where the rows of violations begin, and how high each is.
const STRIPS: f64 = 306.0;
const STRIP: f64 = 13.0;

/// A part of the drawing with its own scale.
struct Panel {
    top: f64,
    bottom: f64,
}

impl Panel {
    fn y(&self, value: f32, highest: f32) -> f64 {
        self.bottom - f64::from(value / highest) * (self.bottom - self.top)
    }

    fn scale(&self, page: &mut String, highest: f32) {
        for share in [0.0, 0.5, 1.0] {
            let y = self.y(highest * share, highest);
            across(page, y);
            text(page, 4.0, y + 4.0, &short(highest * share));
        }
    }
}

/// Three digits.
fn short(value: f32) -> String {
    match value {
        v if v >= 10_000.0 => format!("{:.0}k", v / 1_000.0),
        v if v >= 100.0 => format!("{v:.0}"),
        v => format!("{v:.1}"),
    }
}

fn highest<'a>(values: impl Iterator<Item = &'a f32>) -> f32 {
    values.copied().fold(f32::MIN_POSITIVE, f32::max)
}

/// The middle of a bucket on the axis.
fn x(timeline: &Timeline, at: usize) -> f64 {
    let buckets = timeline.t.len().max(1) as f64;
    MARGIN + (at as f64 + 0.5) / buckets * (WIDTH - MARGIN - LEGEND)
}

/// The whole drawing.
pub(super) fn timeline(page: &mut String, trace: &TraceReport) {
    let timeline = &trace.timeline;
    let height = STRIPS + STRIP * timeline.policies.len() as f64 + 26.0;
    open(page, "Load and forecast, replicas, and violations over time", height);
    warm_up(page, timeline, height - 26.0);
    load(page, timeline);
    replicas(page, timeline);
    violations(page, timeline);
    days(page, timeline, height - 8.0);
    close(page);
}

/// What was not scored, in grey behind the rest.
fn warm_up(page: &mut String, timeline: &Timeline, bottom: f64) {
    let learning = timeline.t.iter().filter(|start| **start < timeline.scored_from).count();
    if learning == 0 {
        return;
    }
    let width = x(timeline, learning) - MARGIN;
    _ = write!(
        page,
        "<rect class=\"warm\" x=\"{MARGIN}\" y=\"0\" width=\"{width:.1}\" height=\"{bottom:.1}\"><title>for learning, not scored</title></rect>"
    );
}

fn load(page: &mut String, timeline: &Timeline) {
    let most = highest(timeline.rps.iter().chain(timeline.forecast.iter().flatten()));
    LOAD.scale(page, most);
    let forecast = timeline.forecast.iter().enumerate();
    let points = forecast.map(|(at, value)| Some((x(timeline, at), LOAD.y((*value)?, most))));
    line(page, points, "var(--c4)", "stroke-dasharray=\"3 2\"");
    let actual = timeline.rps.iter().enumerate();
    let points = actual.map(|(at, value)| Some((x(timeline, at), LOAD.y(*value, most))));
    line(page, points, "var(--fg)", "stroke-opacity=\"0.8\"");
    colored(page, WIDTH - LEGEND + 10.0, 24.0, "var(--fg)", "requests per second");
    colored(page, WIDTH - LEGEND + 10.0, 38.0, "var(--c4)", "forecast, made before");
}

fn replicas(page: &mut String, timeline: &Timeline) {
    let shown = || timeline.policies.iter().take(SHOWN);
    let most = highest(shown().flat_map(|policy| &policy.replicas).chain(&timeline.required));
    REPLICAS.scale(page, most);
    let draw = |page: &mut String, values: &[f32], color: &str| {
        let values = values.iter().enumerate();
        let points = values.map(|(at, value)| Some((x(timeline, at), REPLICAS.y(*value, most))));
        line(page, points, color, "");
    };
    draw(page, &timeline.required, "var(--dim)");
    colored(page, WIDTH - LEGEND + 10.0, 164.0, "var(--dim)", "replicas required");
    for (at, policy) in shown().enumerate() {
        draw(page, &policy.replicas, &color(at));
        let y = 178.0 + at as f64 * 14.0;
        colored(page, WIDTH - LEGEND + 10.0, y, &color(at), &policy.policy);
    }
}

/// A row for each policy, marked where it missed the objective, the more the stronger.
fn violations(page: &mut String, timeline: &Timeline) {
    let width = (WIDTH - MARGIN - LEGEND) / timeline.t.len().max(1) as f64;
    for (row, policy) in timeline.policies.iter().enumerate() {
        let top = STRIPS + STRIP * row as f64;
        across(page, top + STRIP - 2.0);
        _ = write!(page, "<g fill=\"{}\">", color(row));
        for (at, share) in policy.violated.iter().enumerate().filter(|(_, share)| **share > 0.0) {
            let left = x(timeline, at) - width / 2.0;
            let strength = 0.35 + 0.65 * share.clamp(0.0, 1.0);
            _ = write!(
                page,
                "<path d=\"M{left:.1} {:.1}h{:.1}v{:.1}h-{:.1}z\" opacity=\"{strength:.2}\"/>",
                top + 1.0,
                width.max(1.0),
                STRIP - 3.0,
                width.max(1.0)
            );
        }
        page.push_str("</g>");
        let name = format!("missed: {}", policy.policy);
        colored(page, WIDTH - LEGEND + 10.0, top + STRIP - 3.0, &color(row), &name);
    }
}

/// Days since the recording began.
fn days(page: &mut String, timeline: &Timeline, y: f64) {
    let Some((first, last)) = timeline.t.first().zip(timeline.t.last()) else { return };
    let length = (last - first) / 86_400.0;
    let unit = [(2.0, 24.0, "h"), (f64::MAX, 1.0, "d")];
    let Some((_, per_day, unit)) = unit.into_iter().find(|(most, _, _)| length <= *most) else {
        return;
    };
    for part in 0..=6 {
        let share = f64::from(part) / 6.0;
        let at = MARGIN + share * (WIDTH - MARGIN - LEGEND);
        let label = format!("{:.1} {unit}", length * per_day * share);
        text(page, if part == 6 { at - 24.0 } else { at }, y, &label);
    }
}
