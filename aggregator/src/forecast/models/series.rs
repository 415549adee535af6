//! The stretch of a series that a model is fitted to.

use std::time::Duration;

use crate::forecast::ForecastError;
use crate::units::micros;

/// Times the robust deviation of the changes that a single value must stand out by, on both sides
/// and to the same side, to be taken for an error of measurement.
const SPIKE: f64 = 25.0;

/// Equally spaced values, oldest first; `None` where nothing was measured, which is not zero.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Series<'a> {
    /// The values. What is not finite counts as not measured.
    pub y: &'a [Option<f64>],
    /// Number of the first step since 1970.
    pub first: u64,
    /// Length of a step.
    pub step: Duration,
}

impl Series<'_> {
    /// A measured value; `None` for a gap.
    pub fn value(&self, at: usize) -> Option<f64> {
        self.y.get(at).copied().flatten().filter(|y| y.is_finite() && y.abs() < 1e15)
    }

    /// Values that are known.
    pub fn known(&self) -> usize {
        (0..self.y.len()).filter(|at| self.value(*at).is_some()).count()
    }

    /// # Errors
    /// [`ForecastError::TooShort`] when fewer than `needed` values are known.
    pub(super) fn needs(&self, needed: usize) -> Result<(), ForecastError> {
        let known = self.known();
        if known < needed { Err(ForecastError::TooShort { known, needed }) } else { Ok(()) }
    }

    /// The values with gaps as NaN, and single wild values as gaps.
    pub(super) fn with_gaps(&self) -> Vec<f64> {
        let mut y: Vec<f64> =
            (0..self.y.len()).map(|at| self.value(at).unwrap_or(f64::NAN)).collect();
        remove_spikes(&mut y);
        y
    }

    /// The values with gaps filled: by the value a season before where there is one, moved to the
    /// level at the gap's edges; else by a straight line. Empty when nothing is known.
    pub(super) fn filled(&self, season: Option<usize>) -> Vec<f64> {
        let mut y = self.with_gaps();
        fill(&mut y, season);
        y
    }
}

/// A counter that was reset gives a negative rate once: not a measurement.
pub fn without_resets(rates: &mut [Option<f64>]) {
    for rate in rates {
        *rate = rate.filter(|rate| (0.0..=1e15).contains(rate));
    }
}

fn remove_spikes(y: &mut [f64]) {
    let changes = y.windows(2).filter_map(|pair| match pair {
        [a, b] => Some((b - a).abs()),
        _ => None,
    });
    let mut sorted: Vec<f64> = changes.filter(|change| change.is_finite()).collect();
    if sorted.len() < 20 {
        return;
    }
    // The upper part, not the median: a series that mostly stands still has a median change of 0.
    let place = sorted.len() * 9 / 10;
    let (_, wide, _) = sorted.select_nth_unstable_by(place, f64::total_cmp);
    let least = SPIKE * *wide / 1.645;
    if least <= 0.0 {
        return;
    }
    let spikes: Vec<usize> = y
        .windows(3)
        .enumerate()
        .filter_map(|(at, three)| match three {
            [a, b, c] => {
                let (up, down) = (b - a, b - c);
                (up * down > 0.0 && up.abs().min(down.abs()) > least).then_some(at + 1)
            }
            _ => None,
        })
        .collect();
    for at in spikes {
        if let Some(value) = y.get_mut(at) {
            *value = f64::NAN;
        }
    }
}

fn fill(y: &mut Vec<f64>, season: Option<usize>) {
    let known: Vec<usize> =
        (0..y.len()).filter(|at| y.get(*at).is_some_and(|v| !v.is_nan())).collect();
    let (Some(first), Some(last)) = (known.first().copied(), known.last().copied()) else {
        y.clear();
        return;
    };
    let value = |y: &[f64], at: usize| y.get(at).copied().unwrap_or(f64::NAN);
    let edges = std::iter::once((None, first))
        .chain(known.windows(2).filter_map(|pair| match pair {
            [a, b] => Some((Some(*a), *b)),
            _ => None,
        }))
        .chain(std::iter::once((Some(last), y.len())));
    for (from, to) in edges.collect::<Vec<_>>() {
        let start = from.map_or(0, |from| from + 1);
        let (a, b) = (from.unwrap_or(to), if to < y.len() { to } else { last });
        let (ya, yb) = (value(y, a), value(y, b));
        // The newest value that is known whole seasons before.
        let shape = |y: &[f64], at: usize| {
            let season = season.filter(|season| *season > 0).unwrap_or(usize::MAX);
            let mut back =
                std::iter::successors(at.checked_sub(season), |at| at.checked_sub(season));
            back.find_map(|at| Some(value(y, at)).filter(|y| y.is_finite())).unwrap_or(f64::NAN)
        };
        let long = season.is_some_and(|_| to - start > 3);
        let (sa, sb) = (shape(y, a), shape(y, b));
        for at in start..to {
            let share = if b > a { (at.saturating_sub(a)) as f64 / (b - a) as f64 } else { 0.0 };
            let line = ya + share.min(1.0) * (yb - ya);
            let before = shape(y, at);
            let seasonal = before + (ya - sa) + share.min(1.0) * ((yb - sb) - (ya - sa));
            if let Some(slot) = y.get_mut(at) {
                *slot = if long && seasonal.is_finite() { seasonal } else { line };
            }
        }
    }
}

/// Seconds of a step, above 0.
pub(super) fn step_seconds(step: Duration) -> f64 {
    micros(step).max(1) as f64 / 1e6
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(y: &[Option<f64>]) -> Series<'_> {
        Series { y, first: 0, step: Duration::from_mins(1) }
    }

    #[test]
    fn a_short_gap_is_a_line_and_a_long_one_repeats_the_season() {
        let wave = |at: usize| [0.0, 4.0, 9.0, 4.0, 1.0, 0.0][at % 6] + 10.0;
        let mut y: Vec<_> = (0..60).map(|at| Some(wave(at))).collect();
        y[20] = None;
        y[31..43].fill(None);
        let filled = series(&y).filled(Some(6));
        assert!((filled[20] - f64::midpoint(wave(19), wave(21))).abs() < 1e-12);
        for (at, filled) in filled.iter().enumerate().take(43).skip(31) {
            assert!((filled - wave(at)).abs() < 1e-9, "{at}: {filled}");
        }
    }

    #[test]
    fn a_single_wild_value_is_a_gap_and_a_new_level_is_not() {
        let mut y: Vec<_> = (0..100).map(|at| Some(f64::from(at % 3))).collect();
        y[50] = Some(1e6);
        y[80..].fill(Some(1e4));
        let clean = series(&y).with_gaps();
        assert!(clean[50].is_nan());
        assert_eq!(clean.iter().filter(|y| y.is_nan()).count(), 1);
    }

    #[test]
    fn a_negative_rate_is_a_reset_and_not_a_measurement() {
        let mut rates = [Some(3.0), Some(-2e9), None, Some(f64::NAN), Some(0.0)];
        without_resets(&mut rates);
        assert_eq!(rates, [Some(3.0), None, None, None, Some(0.0)]);
    }

    #[test]
    fn edges_and_emptiness_are_filled_as_far_as_they_can_be() {
        assert_eq!(series(&[None, Some(2.0), None]).filled(None), [2.0, 2.0, 2.0]);
        assert!(series(&[None, None]).filled(Some(1)).is_empty());
    }
}
