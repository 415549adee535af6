//! What a metrics pipeline does to a signal before a peer sees it: means over a trailing window,
//! and readings at intervals.

use std::collections::VecDeque;
use std::time::Duration;

use crate::units::Timestamp;

/// Mean of the steps that ended within a trailing window; of the last step if it is longer.
#[derive(Clone, Debug)]
pub(super) struct Window {
    length: Duration,
    samples: VecDeque<(Timestamp, Option<f64>)>,
}

impl Window {
    pub(super) const fn new(length: Duration) -> Self {
        Self { length, samples: VecDeque::new() }
    }

    /// Adds a step that ended at `now`. What is not finite or negative counts as not measured.
    pub(super) fn push(&mut self, now: Timestamp, value: Option<f64>) {
        while self.samples.front().is_some_and(|(at, _)| now.since(*at) >= self.length) {
            self.samples.pop_front();
        }
        self.samples.push_back((now, value.filter(|value| (0.0..=f64::MAX).contains(value))));
    }

    /// Mean of what was measured; `None` when the newest step was not.
    pub(super) fn mean(&self) -> Option<f64> {
        self.samples.back().and_then(|(_, newest)| *newest)?;
        let known = || self.samples.iter().filter_map(|(_, value)| *value);
        Some(known().sum::<f64>() / known().count() as f64)
    }

    /// Smallest of what was measured.
    pub(super) fn min(&self) -> Option<f64> {
        self.samples.iter().filter_map(|(_, value)| *value).min_by(f64::total_cmp)
    }
}

/// Something that happens at the first step, then at intervals.
#[derive(Clone, Copy, Debug)]
pub(super) struct Every {
    interval: Duration,
    last: Option<Timestamp>,
}

impl Every {
    pub(super) const fn new(interval: Duration) -> Self {
        Self { interval, last: None }
    }

    /// Whether it happens now.
    pub(super) fn due(&mut self, now: Timestamp) -> bool {
        let due = self.last.is_none_or(|last| now.since(last) >= self.interval);
        if due {
            self.last = Some(now);
        }
        due
    }
}

/// The whole number at or above a number of replicas. NaN and negative numbers are 0.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "`as` saturates, which is what is wanted here"
)]
pub(super) fn replicas_above(value: f64) -> u32 {
    value.ceil() as u32
}

/// A target above 0: what is no such number is taken as 0.01, the least that can be set.
pub(super) fn target_above_zero(knob: f64) -> f64 {
    if (0.01..=f64::MAX).contains(&knob) { knob } else { 0.01 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: u64) -> Timestamp {
        Timestamp::from_secs(secs)
    }

    #[test]
    fn a_minute_holds_four_steps_of_fifteen_seconds() {
        let mut window = Window::new(Duration::from_mins(1));
        for (step, value) in [100.0, 1.0, 2.0, 3.0, 4.0].into_iter().enumerate() {
            window.push(at(15 * step as u64), Some(value));
        }
        assert_eq!(window.mean(), Some(2.5));
        assert_eq!(window.min(), Some(1.0));
    }

    #[test]
    fn a_missing_newest_step_is_no_mean_and_an_older_one_is_left_out() {
        let mut window = Window::new(Duration::from_mins(1));
        window.push(at(15), Some(2.0));
        window.push(at(30), Some(f64::NAN));
        assert_eq!(window.mean(), None);
        window.push(at(45), Some(4.0));
        assert_eq!(window.mean(), Some(3.0));
    }

    #[test]
    fn a_loop_of_fifteen_seconds_runs_at_every_third_step_of_five() {
        let mut every = Every::new(Duration::from_secs(15));
        let due: Vec<bool> = (0..7).map(|step| every.due(at(5 * step))).collect();
        assert_eq!(due, [true, false, false, true, false, false, true]);
    }

    #[test]
    fn nonsense_is_no_number_of_replicas() {
        assert_eq!(replicas_above(f64::NAN), 0);
        assert_eq!(replicas_above(-3.0), 0);
        assert_eq!(replicas_above(2.1), 3);
        assert_eq!(replicas_above(f64::INFINITY), u32::MAX);
    }
}
