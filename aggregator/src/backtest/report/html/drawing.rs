//! Lines, labels and legends of a drawing.

use std::fmt::Write;

/// Width of every drawing.
pub(super) const WIDTH: f64 = 860.0;
/// Room at the left and below.
pub(super) const MARGIN: f64 = 46.0;
/// Room at the right, for names.
pub(super) const LEGEND: f64 = 150.0;

/// Begins a drawing, with its title above.
pub(super) fn open(page: &mut String, title: &str, height: f64) {
    _ = write!(
        page,
        "<h3>{title}</h3><svg viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-label=\"{title}\">"
    );
}

pub(super) fn close(page: &mut String) {
    page.push_str("</svg>");
}

pub(super) fn text(page: &mut String, x: f64, y: f64, text: &str) {
    _ = write!(page, "<text x=\"{x:.1}\" y=\"{y:.1}\">{}</text>", escape(text));
}

/// A line across, from the left margin to the legend.
pub(super) fn across(page: &mut String, y: f64) {
    let end = WIDTH - LEGEND;
    _ = write!(page, "<path class=\"axis\" d=\"M{MARGIN} {y:.1}H{end:.1}\"/>");
}

/// A line through points; a missing one is a gap.
pub(super) fn line(
    page: &mut String,
    points: impl Iterator<Item = Option<(f64, f64)>>,
    color: &str,
    more: &str,
) {
    _ = write!(page, "<path fill=\"none\" stroke-width=\"1.5\" stroke=\"{color}\" {more} d=\"");
    let mut pen_down = false;
    for point in points {
        if let Some((x, y)) = point {
            _ = write!(page, "{}{x:.1} {y:.1}", if pen_down { 'L' } else { 'M' });
        }
        pen_down = point.is_some();
    }
    page.push_str("\"/>");
}

/// The name of line number `at`, in its colour.
pub(super) fn legend(page: &mut String, at: usize, name: &str) {
    colored(page, WIDTH - LEGEND + 10.0, 28.0 + at as f64 * 14.0, &color(at), name);
}

/// A text in a colour.
pub(super) fn colored(page: &mut String, x: f64, y: f64, color: &str, name: &str) {
    let name = escape(name);
    _ = write!(page, "<text x=\"{x:.1}\" y=\"{y:.1}\" style=\"fill:{color}\">{name}</text>");
}

/// The colour of line number `at`.
pub(super) fn color(at: usize) -> String {
    format!("var(--c{})", at % 8)
}

pub(super) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
