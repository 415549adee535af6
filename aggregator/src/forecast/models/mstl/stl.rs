#![expect(clippy::indexing_slicing, reason = "positions within the series, one a phase and cycle")]
//! One season by loess.
//!
//! Source: R. Cleveland, W. Cleveland, J. `McRae` and I. Terpenning, "STL: a seasonal-trend
//! decomposition procedure based on loess", Journal of Official Statistics 6 (1990).

/// Passes of the inner loop.
const PASSES: usize = 2;
/// Cycles from which a season may change; fewer tell only its mean course.
const CYCLES: usize = 6;
/// Steps of a season from which its course is smoothed along the season too.
const LONG: usize = 200;
/// Parts of a long season over which it is.
const PARTS: usize = 288;

/// The season of length `m` (at least 2, seen twice at least); the `order`-th shortest of several,
/// from 0: longer ones change more slowly.
pub(super) fn season(y: &[f64], m: usize, order: usize) -> Vec<f64> {
    let n = y.len();
    let width = 11 + 4 * order;
    let trend_width = odd(1.5 * m as f64 / (1.0 - 1.5 / width as f64));
    let mut trend = vec![0.0; n];
    let mut season = vec![0.0; n];
    for _ in 0..PASSES {
        // 1. Each phase of the season by itself, one cycle more on both ends.
        let mut cycles = vec![0.0; n + 2 * m];
        for phase in 0..m {
            let values: Vec<f64> = (phase..n).step_by(m).map(|at| y[at] - trend[at]).collect();
            let smooth = phase_course(&values, width);
            for (at, value) in smooth.iter().enumerate() {
                if let Some(slot) = cycles.get_mut(phase + at * m) {
                    *slot = *value;
                }
            }
        }
        // 2. What is no season in it: two means over a season, one over three, and loess.
        let low = moving_mean(&moving_mean(&moving_mean(&cycles, m), m), 3);
        let low = loess(&low, odd(m as f64), (m / 10).max(1));
        for at in 0..n {
            season[at] = cycles[at + m] - low.get(at).copied().unwrap_or(0.0);
        }
        // 3. The trend of what is left.
        let rest: Vec<f64> = y.iter().zip(&season).map(|(y, season)| y - season).collect();
        trend = loess(&rest, trend_width, (trend_width / 10).max(1));
    }
    if m >= LONG {
        season = loess(&season, odd((m / PARTS) as f64), 1);
    }
    season
}

/// The smoothed values of one phase, with one more before and after them.
fn phase_course(values: &[f64], width: usize) -> Vec<f64> {
    let n = values.len();
    if n < CYCLES {
        return vec![values.iter().sum::<f64>() / n.max(1) as f64; n + 2];
    }
    let at = |x: f64| local_line(values, x, width);
    (0..n + 2).map(|place| at(place as f64 - 1.0)).collect()
}

fn odd(width: f64) -> usize {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a few seasons")]
    let width = width.ceil() as usize;
    width.max(3) | 1
}

/// Means of `width` values; as many fewer.
fn moving_mean(y: &[f64], width: usize) -> Vec<f64> {
    let mut sum: f64 = y[..width.min(y.len())].iter().sum();
    let mut means = Vec::with_capacity(y.len());
    for at in 0..(y.len() + 1).saturating_sub(width) {
        if at > 0 {
            sum += y[at + width - 1] - y[at - 1];
        }
        means.push(sum / width as f64);
    }
    means
}

/// Loess of degree 1; worked out at every `jump`-th place, between them by straight lines.
fn loess(y: &[f64], width: usize, jump: usize) -> Vec<f64> {
    let n = y.len();
    let mut smooth = vec![0.0; n];
    let Some(last) = n.checked_sub(1) else { return smooth };
    let mut before = 0;
    smooth[0] = local_line(y, 0.0, width);
    while before < last {
        let next = (before + jump).min(last);
        smooth[next] = local_line(y, next as f64, width);
        let slope = (smooth[next] - smooth[before]) / (next - before) as f64;
        for at in before + 1..next {
            smooth[at] = smooth[before] + slope * (at - before) as f64;
        }
        before = next;
    }
    smooth
}

/// The line through the `width` values nearest to `x`, near ones weighing more (tricube), at `x`.
fn local_line(y: &[f64], x: f64, width: usize) -> f64 {
    let n = y.len();
    let count = width.min(n);
    let half = (count / 2) as f64;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "within the values"
    )]
    let from = ((x - half).round().max(0.0) as usize).min(n - count);
    let to = from + count;
    let mut reach = (x - from as f64).abs().max((to as f64 - 1.0 - x).abs());
    if width > n {
        reach += ((width - n) / 2) as f64;
    }
    let reach = reach.max(1e-9) * 1.0001;
    let (mut w, mut wt, mut wy, mut wtt, mut wty) = (0.0, 0.0, 0.0, 0.0, 0.0);
    for (at, y) in y[from..to].iter().enumerate() {
        let t = (from + at) as f64 - x;
        let u = t.abs() / reach;
        let weight = (1.0 - u * u * u).powi(3);
        w += weight;
        wt += weight * t;
        wy += weight * y;
        wtt += weight * t * t;
        wty += weight * t * y;
    }
    let spread = w * wtt - wt * wt;
    if spread > 1e-9 * w * w { (wtt * wy - wt * wty) / spread } else { wy / w.max(1e-300) }
}
