#![expect(
    clippy::indexing_slicing,
    reason = "every position is the newest one or before it, and checked where it may not be"
)]
//! Rows of features for the models that learn from them: lags, means, seasons and the calendar.

use std::f64::consts::TAU;

use super::Series;
use super::series::step_seconds;

/// Widths of the means that the newest values are compared with, in steps.
const WIDTHS: [usize; 5] = [8, 16, 32, 64, 128];
/// Values whose mean is the base that rows are relative to.
const BASE: usize = 3;
/// Newest values that are features themselves.
const LAGS: usize = 4;
/// Seasons that are looked at.
const SEASONS: usize = 3;
/// Values to both sides over which a long season's past value is smoothed, as a share of it.
const SMOOTHING: f64 = 1.0 / 480.0;
/// Seconds of a day.
const DAY: f64 = 86_400.0;

/// A series as rows.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Rows {
    y: Vec<f64>,
    /// Whether each was measured.
    known: Vec<bool>,
    /// Sums of the values before each position.
    sums: Vec<f64>,
    seasons: Vec<usize>,
    /// Number of the first step since 1970.
    first: u64,
    step_seconds: f64,
    /// What stands for 1 in the unit of the values.
    unit: f64,
}

impl Rows {
    /// Of a series with at least one value, with up to three seasons.
    pub(super) fn new(series: &Series<'_>, seasons: &[usize]) -> Self {
        let y = series.filled(seasons.first().copied());
        let known = (0..y.len()).map(|at| series.value(at).is_some()).collect();
        let mean = y.iter().sum::<f64>() / y.len().max(1) as f64;
        let variance =
            y.iter().map(|y| (y - mean) * (y - mean)).sum::<f64>() / y.len().max(1) as f64;
        let seasons: Vec<usize> = seasons
            .iter()
            .copied()
            .filter(|season| *season > 1 && *season * 2 < y.len())
            .take(SEASONS)
            .collect();
        let mut rows = Self {
            y,
            known,
            sums: Vec::new(),
            seasons,
            first: series.first,
            step_seconds: step_seconds(series.step),
            unit: variance.sqrt().max(1e-9 * (1.0 + mean.abs())),
        };
        rows.sum_up();
        rows
    }

    fn sum_up(&mut self) {
        self.sums.clear();
        self.sums.push(0.0);
        let mut sum = 0.0;
        for y in &self.y {
            sum += y;
            self.sums.push(sum);
        }
    }

    /// Values held.
    pub(super) fn len(&self) -> usize {
        self.y.len()
    }

    /// Steps that a row looks back, at a far horizon too.
    pub(super) fn reach(&self) -> usize {
        let longest = self.seasons.last().copied().unwrap_or(0);
        (longest + longest / 8).max(WIDTHS[0])
    }

    /// What stands for 1 in the unit of the values; above 0.
    pub(super) fn unit(&self) -> f64 {
        self.unit
    }

    /// A value that was measured.
    pub(super) fn target(&self, at: usize) -> Option<f64> {
        self.known.get(at).filter(|known| **known).and_then(|_| self.y.get(at).copied())
    }

    /// Takes the next value; a gap carries the value a season ago, or the last one.
    pub(super) fn push(&mut self, y: Option<f64>) {
        let y = y.filter(|y| y.is_finite());
        let carried = self.y.last().copied().unwrap_or_default();
        self.y.push(y.unwrap_or(carried));
        self.known.push(y.is_some());
        let sum = self.sums.last().copied().unwrap_or_default();
        self.sums.push(sum + y.unwrap_or(carried));
        let keep = 2 * self.reach() + WIDTHS[WIDTHS.len() - 1];
        if self.y.len() > 4 * keep {
            let surplus = self.y.len() - keep;
            self.y.drain(..surplus);
            self.known.drain(..surplus);
            self.first += surplus as u64;
            self.sum_up();
        }
    }

    /// Mean of the values from `from` up to and without `to`.
    fn mean(&self, from: usize, to: usize) -> f64 {
        let to = to.min(self.y.len());
        let from = from.min(to.saturating_sub(1));
        (self.sums[to] - self.sums[from]) / (to - from).max(1) as f64
    }

    /// The level that the row of an origin is relative to.
    pub(super) fn base(&self, at: usize) -> f64 {
        self.mean((at + 1).saturating_sub(BASE), at + 1)
    }

    /// The row for `ahead` steps (at least 1) after position `at`; every row has the same length.
    pub(super) fn row(&self, at: usize, ahead: usize, row: &mut Vec<f64>) {
        let base = self.base(at);
        row.clear();
        row.push(self.unit);
        row.extend((0..LAGS).map(|lag| self.y[at.saturating_sub(lag)] - base));
        row.extend(WIDTHS.map(|width| self.mean((at + 1).saturating_sub(width), at + 1) - base));
        for season in &self.seasons {
            // Whole seasons back from the target, to a value that is known at the origin.
            let back = season * ahead.div_ceil(*season);
            for back in [back, back + season] {
                row.push(self.increment(at, ahead, back, *season));
            }
        }
        let seconds = (self.first + (at + ahead) as u64) as f64 * self.step_seconds;
        let phase = TAU * (seconds / DAY).fract();
        for harmonic in [1.0, 2.0] {
            let (sin, cos) = (harmonic * phase).sin_cos();
            row.push(self.unit * sin);
            row.push(self.unit * cos);
        }
        let day = (seconds / DAY).floor() + 3.0;
        row.push(if day.rem_euclid(7.0) >= 5.0 { self.unit } else { 0.0 });
    }

    /// How the values rose from the origin to the target, `back` steps before; 0 where not known.
    fn increment(&self, at: usize, ahead: usize, back: usize, season: usize) -> f64 {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a share of a season"
        )]
        let half = (season as f64 * SMOOTHING) as usize;
        let Some(origin) = at.checked_sub(back) else { return 0.0 };
        let target = at + ahead - back;
        let around = self.mean(target.saturating_sub(half), (target + half + 1).min(at + 1));
        around - self.base(origin)
    }
}
