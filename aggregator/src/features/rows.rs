//! The feature rows of the online models, for the newest step and for any step of the past alike.

use super::calendar::Calendar;

/// Windows of the rolling means, in steps; the first is the base that rows are relative to.
const WINDOWS: [usize; 7] = [4, 8, 16, 32, 64, 128, 240];
/// Decay of the moving means of absolute changes.
const CHANGE_DECAYS: [f64; 4] = [0.3, 0.15, 0.05, 0.01];
/// Least absolute change on the log scale that counts.
const LEAST_CHANGE: f64 = 1e-4;

/// Inputs of the linear models: 1, four lags, six means, three seasonal increments.
pub(crate) const LINEAR: usize = 14;
/// Those of them that need no day of history.
pub(crate) const LINEAR_WITHOUT_SEASONS: usize = 11;
/// Inputs of the boosted models.
pub(crate) const BOOSTED: usize = 33;

/// Rolling state at one step of a series; advanced a step at a time.
#[derive(Clone, Debug, Default)]
pub(crate) struct Scanner {
    sums: [f64; WINDOWS.len()],
    changes: [f64; CHANGE_DECAYS.len()],
    /// Steps taken in.
    count: usize,
}

impl Scanner {
    /// Takes in `values[at]`; positions must follow each other.
    pub(crate) fn advance(&mut self, values: &[f32], at: usize) {
        let Some(x) = value(values, at) else { return };
        // The sums drift by rounding; made anew now and then.
        if self.count.is_multiple_of(4_096) {
            self.restart_sums(values, at);
        } else {
            let newest = x.exp();
            for (sum, window) in self.sums.iter_mut().zip(WINDOWS) {
                let oldest = at.checked_sub(window).and_then(|old| value(values, old));
                *sum += newest - oldest.map_or(0.0, f64::exp);
            }
        }
        let before = at.checked_sub(1).and_then(|before| value(values, before)).unwrap_or(x);
        for (change, decay) in self.changes.iter_mut().zip(CHANGE_DECAYS) {
            *change += decay.max(1.0 / (self.count + 1) as f64) * ((x - before).abs() - *change);
        }
        self.count += 1;
    }

    /// Computes the sums at `at` from the values themselves.
    pub(crate) fn restart_sums(&mut self, values: &[f32], at: usize) {
        for (sum, window) in self.sums.iter_mut().zip(WINDOWS) {
            let from = (at + 1).saturating_sub(window);
            *sum =
                values.get(from..=at).unwrap_or_default().iter().map(|x| f64::from(*x).exp()).sum();
        }
    }

    /// Logarithm of a rolling mean at `at`.
    fn mean(&self, which: usize, at: usize) -> f64 {
        let window = WINDOWS.get(which).copied().unwrap_or(1).min(at + 1);
        (self.sums.get(which).copied().unwrap_or(0.0) / window as f64).max(1e-12).ln()
    }

    /// The level that linear forecasts start from: the log mean of the last four steps.
    pub(crate) fn base(&self, at: usize) -> f64 {
        self.mean(0, at)
    }

    /// The log mean of the last hour of 15 s steps.
    pub(crate) fn level(&self, at: usize) -> f64 {
        self.mean(WINDOWS.len() - 1, at)
    }

    /// Log of the moving mean of absolute changes with the second decay.
    pub(crate) fn ln_change(&self) -> f64 {
        self.changes.get(1).copied().unwrap_or(0.0).max(LEAST_CHANGE).ln()
    }

    /// What does not depend on the horizon, into the first places of `row`.
    pub(crate) fn lags(&self, values: &[f32], at: usize, row: &mut [f64; LINEAR]) {
        let base = self.base(at);
        let lag = |lag: usize| {
            let back = at.saturating_sub(lag);
            value(values, back).map_or(0.0, |x| x - base)
        };
        *row = [0.0; LINEAR];
        row[0] = 1.0;
        (row[1], row[2], row[3], row[4]) = (lag(0), lag(1), lag(2), lag(3));
        for which in 1..WINDOWS.len() {
            if let Some(cell) = row.get_mut(which + 4) {
                *cell = self.mean(which, at) - base;
            }
        }
    }

    /// Inputs of the boosted model for `ahead` steps after `at`; `linear` is the row of the linear
    /// model with its seasonal increments, `point` the linear forecast.
    pub(crate) fn boosted(
        &self,
        values: &[f32],
        at: usize,
        origin: &Origin,
        linear: &[f64; LINEAR],
        point: f64,
        row: &mut Vec<f32>,
    ) {
        let Origin { calendar, index, ahead } = *origin;
        let (base, level) = (self.base(at), self.level(at));
        let smoothing = calendar.smoothing();
        let target = index + ahead as u64;
        row.clear();
        let mut push = |value: f64| row.push(narrow(value));
        linear.iter().skip(1).for_each(|value| push(*value));
        push(point - base);
        push(Calendar::phase(target, calendar.day));
        push(Calendar::phase(target, calendar.hour()));
        // Jobs that run every so many minutes: half an hour, a quarter, five.
        for part in [2, 4, 12] {
            push(Calendar::phase(target, (calendar.hour() / part).max(1)));
        }
        self.changes.iter().for_each(|change| push(change.max(LEAST_CHANGE).ln()));
        push(level);
        push(highest(values, (at + 1).saturating_sub(calendar.hour()), at + 1) - base);
        for lag in [calendar.hour(), calendar.day, calendar.week()] {
            let Some(then) = (at + ahead).checked_sub(lag).filter(|then| *then <= at) else {
                (0..2).for_each(|_| push(f64::NAN));
                continue;
            };
            push(value(values, then).map_or(f64::NAN, |x| x - level));
            let to = (then + smoothing + 1).min(at + 1);
            push(highest(values, then.saturating_sub(smoothing), to) - level);
        }
        let day_before =
            (at + ahead).checked_sub(calendar.day).filter(|then| then + 2 * smoothing <= at);
        push(
            day_before.map_or(f64::NAN, |then| highest(values, then, then + 2 * smoothing) - level),
        );
        push(
            day_before
                .and_then(|then| smoothed(values, then, smoothing))
                .map_or(f64::NAN, |x| x - level),
        );
        debug_assert_eq!(row.len(), BOOSTED);
    }
}

/// Where a forecast starts and how far it goes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Origin {
    /// Lengths of the cycles.
    pub(crate) calendar: Calendar,
    /// Number of the step at the origin.
    pub(crate) index: u64,
    /// Steps ahead.
    pub(crate) ahead: usize,
}

/// Fills the seasonal increments of a row: what one, two and seven days ago the load did over the
/// same `ahead` steps; 0 where that is not known.
pub(crate) fn seasons(
    values: &[f32],
    at: usize,
    ahead: usize,
    calendar: Calendar,
    row: &mut [f64; LINEAR],
) {
    for (cell, days) in row.iter_mut().skip(LINEAR_WITHOUT_SEASONS).zip([1, 2, 7]) {
        *cell = increment(values, at, ahead, calendar, days).unwrap_or(0.0);
    }
}

/// Change over `ahead` steps, so many days before `at`.
pub(crate) fn increment(
    values: &[f32],
    at: usize,
    ahead: usize,
    calendar: Calendar,
    days: usize,
) -> Option<f64> {
    let (lag, smoothing) = (calendar.day * days, calendar.smoothing());
    // The smoothing must not reach past the origin, which matters for very short days only.
    let then = at.checked_sub(lag).filter(|_| ahead + smoothing <= lag)?;
    Some(smoothed(values, then + ahead, smoothing)? - smoothed(values, then, smoothing)?)
}

/// Mean of the steps around a position, as far as known.
fn smoothed(values: &[f32], at: usize, smoothing: usize) -> Option<f64> {
    let to = (at + smoothing + 1).min(values.len());
    let slice = values.get(at.saturating_sub(smoothing)..to).filter(|slice| !slice.is_empty())?;
    Some(f64::from(slice.iter().sum::<f32>()) / slice.len() as f64)
}

/// Highest value in a range, as far as known.
fn highest(values: &[f32], from: usize, to: usize) -> f64 {
    let slice = values.get(from..to.min(values.len())).unwrap_or_default();
    slice.iter().copied().max_by(f32::total_cmp).map_or(f64::NAN, f64::from)
}

/// One value.
pub(crate) fn value(values: &[f32], at: usize) -> Option<f64> {
    values.get(at).copied().map(f64::from)
}

#[expect(clippy::cast_possible_truncation, reason = "trees look at bins, not digits")]
fn narrow(value: f64) -> f32 {
    value as f32
}
