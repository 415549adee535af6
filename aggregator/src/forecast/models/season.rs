#![expect(
    clippy::indexing_slicing,
    reason = "lags stay below the length that the correlations were computed to"
)]
//! Finds the lengths of a series' seasons: hills of its autocorrelation.
//!
//! Short and long seasons are looked for apart, because a day's course hides a half-hour's: the
//! short ones after a moving mean was taken off, the long ones in the moving mean.

use std::f64::consts::TAU;
use std::time::Duration;

use super::Series;
use super::series::step_seconds;
use crate::forecast::fourier::{inverse, transform};

/// Longest lag of the short seasons.
const SHORT: usize = 120;
/// Deviations by which a hill must rise out of what chance does.
const DEVIATIONS: f64 = 2.5;
/// Least autocorrelation at a season.
const LEAST: f64 = 0.1;
/// A shorter lag is the season if its autocorrelation is this share of the greatest.
const SHORTER: f64 = 0.9;
/// Times a season must be seen.
const CYCLES: usize = 2;
/// Lengths that clocks give, in seconds: half an hour, an hour, a day, a week.
const CALENDAR: [f64; 4] = [1_800.0, 3_600.0, 86_400.0, 604_800.0];
/// Relative distance at which a found length is taken for one of the calendar.
const SNAP: f64 = 0.015;
/// Waves of a season whose strength tells its length.
const HARMONICS: u32 = 4;
/// Values of a season that this needs.
const BLOCKS: usize = 64;
/// Values looked at, at most; the newest.
const MOST: usize = 1 << 17;

/// Season lengths in steps, ascending; at most one short, one long, and one above the long one.
///
/// Each was seen twice at least. Empty when the series has none, or is too short to tell.
pub fn find_seasons(series: &Series<'_>) -> Vec<usize> {
    let filled = series.filled(None);
    let y = &filled[filled.len().saturating_sub(MOST)..];
    if y.len() < 4 * CYCLES {
        return Vec::new();
    }
    let mut found = Vec::new();
    let border = SHORT.min(y.len() / CYCLES);
    let smooth = moving_mean(y, 2 * border + 1);
    let rest: Vec<f64> = y.iter().zip(&smooth).map(|(y, smooth)| y - smooth).collect();
    found.extend(hill(&rest, 2, border, series.step));
    let longest = y.len() / CYCLES;
    if longest > border {
        // A window of whole short seasons takes them away entirely.
        let width = found.first().copied().unwrap_or(border / 4).max(1);
        let mut long = moving_mean(y, width | 1);
        without_line(&mut long);
        if let Some(season) = hill(&long, border + 1, longest, series.step) {
            found.push(season);
            without_season(&mut long, season);
            let next = hill(&long, 2 * season, longest, series.step);
            found.extend(next.filter(|next| *next > season + season / 2));
        }
    }
    found.sort_unstable();
    found.dedup();
    found
}

/// Centred moving mean; narrower at the ends.
fn moving_mean(y: &[f64], width: usize) -> Vec<f64> {
    let half = width / 2;
    let mut sums = Vec::with_capacity(y.len() + 1);
    sums.push(0.0);
    let mut sum = 0.0;
    for value in y {
        sum += value;
        sums.push(sum);
    }
    let mean = |at: usize| {
        let half = half.min(at).min(y.len() - 1 - at);
        (sums[at + half + 1] - sums[at - half]) / (2 * half + 1) as f64
    };
    (0..y.len()).map(mean).collect()
}

/// Takes the least-squares line off.
fn without_line(y: &mut [f64]) {
    let middle = (y.len() as f64 - 1.0) / 2.0;
    let mean = y.iter().sum::<f64>() / y.len().max(1) as f64;
    let (mut product, mut square) = (0.0, 0.0);
    for (at, value) in y.iter().enumerate() {
        let t = at as f64 - middle;
        product += t * (value - mean);
        square += t * t;
    }
    let slope = product / f64::max(square, 1e-12);
    for (at, value) in y.iter_mut().enumerate() {
        *value -= mean + slope * (at as f64 - middle);
    }
}

/// Takes the mean course of a season off.
fn without_season(y: &mut [f64], season: usize) {
    for phase in 0..season.min(y.len()) {
        let (sum, count) = y
            .iter()
            .skip(phase)
            .step_by(season)
            .fold((0.0, 0.0), |(sum, count), value| (sum + value, count + 1.0));
        y.iter_mut().skip(phase).step_by(season).for_each(|value| *value -= sum / count);
    }
}

/// Autocorrelations of the lags 0 to `most`, each over the pairs that there are. Empty when the
/// signal does not vary.
fn autocorrelation(signal: &[f64], most: usize) -> Vec<f64> {
    let n = signal.len();
    let mean = signal.iter().sum::<f64>() / n as f64;
    let mut padded: Vec<f64> = signal.iter().map(|value| value - mean).collect();
    let variance = padded.iter().map(|value| value * value).sum::<f64>() / n as f64;
    if variance <= 1e-12 * (1.0 + mean * mean) {
        return Vec::new();
    }
    padded.resize((n + most + 1).next_power_of_two(), 0.0);
    let power: Vec<(f64, f64)> =
        transform(&padded).iter().map(|(re, im)| (re * re + im * im, 0.0)).collect();
    let sums = inverse(&power);
    (0..=most).map(|lag| sums[lag] / ((n - lag) as f64 * variance)).collect()
}

/// The lag of the hill that stands for a season, from `least` to `most`.
fn hill(signal: &[f64], least: usize, most: usize, step: Duration) -> Option<usize> {
    if most < least || most * CYCLES > signal.len() {
        return None;
    }
    let n = signal.len() as f64;
    let r = autocorrelation(signal, (most + most / 8 + 1).min(signal.len() - 1));
    if r.is_empty() {
        return None;
    }
    let mut squares = vec![0.0; r.len()];
    for lag in 1..r.len() {
        squares[lag] = squares[lag - 1] + r[lag] * r[lag];
    }
    let is_hill = |lag: usize| {
        let half = (lag / 8).max(1);
        let (from, to) = (lag - half, (lag + half).min(r.len() - 1));
        let is_highest = (from..=to).all(|other| r[other] <= r[lag]);
        // Bartlett's variance of a correlation, as far as shorter lags explain it.
        let chance = ((1.0 + 2.0 * squares[lag / 4]) / n).sqrt();
        let valley = (lag / 4..=3 * lag / 4).map(|lag| r[lag]).fold(f64::INFINITY, f64::min);
        is_highest
            && r[lag] > (DEVIATIONS * chance).max(LEAST)
            && r[lag] - valley > (DEVIATIONS * chance).max(LEAST)
    };
    let hills: Vec<usize> = (least..=most).filter(|lag| *lag < r.len() && is_hill(*lag)).collect();
    let highest = hills.iter().map(|lag| r[*lag]).fold(0.0, f64::max);
    let first = hills.into_iter().find(|lag| r[*lag] >= SHORTER * highest)?;
    Some(snapped(sharpened(signal, first), step, least, most))
}

/// The length near `lag` whose waves are strongest: noise moves a hill, but not the whole signal's
/// frequency.
fn sharpened(signal: &[f64], lag: usize) -> usize {
    let block = (lag / BLOCKS).max(1);
    let coarse: Vec<f64> =
        signal.chunks_exact(block).map(|chunk| chunk.iter().sum::<f64>()).collect();
    let strength = |lag: usize| {
        let turns = block as f64 / lag as f64;
        (1..=HARMONICS).map(|k| power(&coarse, TAU * f64::from(k) * turns)).sum::<f64>()
    };
    let slack = (lag / 24 + 1).min(lag - 1);
    let lags = lag - slack..=lag + slack;
    let strengths = lags.map(|lag| (lag, strength(lag)));
    strengths.max_by(|a, b| a.1.total_cmp(&b.1)).map_or(lag, |(lag, _)| lag)
}

/// Power of the wave that turns by `angle` a value.
fn power(signal: &[f64], angle: f64) -> f64 {
    let (sin, cos) = angle.sin_cos();
    let (mut turn, mut sum) = ((1.0, 0.0), (0.0, 0.0));
    for value in signal {
        sum = (sum.0 + value * turn.0, sum.1 + value * turn.1);
        turn = (turn.0 * cos - turn.1 * sin, turn.0 * sin + turn.1 * cos);
    }
    sum.0 * sum.0 + sum.1 * sum.1
}

/// The calendar's length, where the found one is as good as it.
fn snapped(lag: usize, step: Duration, least: usize, most: usize) -> usize {
    let seconds = step_seconds(step);
    let near = CALENDAR.into_iter().map(|length| length / seconds).find(|steps| {
        (lag as f64 / steps - 1.0).abs() <= SNAP && (steps - steps.round()).abs() < 1e-6
    });
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "within 2 % of a lag"
    )]
    let near = near.map(|steps| steps.round() as usize);
    near.filter(|steps| (least..=most).contains(steps)).unwrap_or(lag)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::forecast::models::tests::Chance;

    fn found(step: u64, y: impl Iterator<Item = f64>) -> Vec<usize> {
        let y: Vec<_> = y.map(Some).collect();
        find_seasons(&Series { y: &y, first: 0, step: Duration::from_secs(step) })
    }

    #[test]
    fn a_day_is_found_at_every_resolution() {
        // Steps of a prime number of seconds: no calendar helps.
        for (season, seed) in [(24, 1), (96, 2), (1_440, 3), (24, 4), (96, 5), (1_440, 6)] {
            let mut chance = Chance::new(seed);
            let wave = |at: usize| {
                let phase = TAU * at as f64 / season as f64;
                100.0 + 30.0 * phase.sin() + 10.0 * (2.0 * phase).cos()
            };
            let y = (0..7 * season).map(|at| wave(at) + 15.0 * chance.normal());
            let seasons = found(7, y.collect::<Vec<_>>().into_iter());
            let near = if season == 1_440 { 20 } else { 0 };
            assert!(
                seasons.len() == 1 && seasons[0].abs_diff(season) <= near,
                "{seasons:?} for {season}"
            );
        }
        let wave = |at: usize| 100.0 + 30.0 * (TAU * at as f64 / 1_440.0).sin();
        let mut chance = Chance::new(9);
        let y: Vec<_> = (0..6_000).map(|at| wave(at) + 15.0 * chance.normal()).collect();
        assert_eq!(found(60, y.into_iter()), [1_440]);
    }

    #[test]
    fn a_half_hour_calendar_is_found_beside_the_day() {
        let mut chance = Chance::new(3);
        let y: Vec<_> = (0..5 * 1_440)
            .map(|at| {
                let day = 100.0 + 60.0 * (TAU * f64::from(at) / 1_440.0).sin();
                day + if at % 30 < 2 { 40.0 } else { 0.0 } + 5.0 * chance.normal()
            })
            .collect();
        assert_eq!(found(60, y.into_iter()), [30, 1_440]);
    }

    #[test]
    fn a_week_is_found_above_the_day() {
        let mut chance = Chance::new(4);
        let y: Vec<_> = (0..5 * 168)
            .map(|at| {
                let day = 1.0 + (TAU * f64::from(at) / 24.0).sin();
                let level = if at / 24 % 7 < 5 { 100.0 } else { 40.0 };
                level * day + 5.0 * chance.normal()
            })
            .collect();
        assert_eq!(found(3_600, y.into_iter()), [24, 168]);
    }

    #[test]
    fn what_has_no_season_gets_none() {
        let mut chance = Chance::new(5);
        assert!(found(60, (0..3_000).map(|_| chance.normal())).is_empty());
        let mut level = 0.0;
        let walk: Vec<_> = (0..3_000)
            .map(|_| {
                level += chance.normal();
                level
            })
            .collect();
        assert_eq!(found(60, walk.into_iter()), [0; 0]);
        assert!(found(60, std::iter::repeat_n(5.0, 3_000)).is_empty());
        assert!(found(60, [1.0, 2.0].into_iter()).is_empty());
    }
}
