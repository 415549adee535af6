//! What the clock means for a workload: the lengths of its day, its week and its hours, in steps.

use serde::{Deserialize, Serialize};

/// Cycles in steps. Shorter ones follow from the day, so a compressed day compresses its hours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Calendar {
    /// Steps of a day.
    pub(crate) day: usize,
}

impl Calendar {
    /// A day of `day` steps, at least 4.
    pub(crate) fn new(day: usize) -> Self {
        Self { day: day.max(4) }
    }

    /// Steps of an hour, at least 1.
    pub(crate) fn hour(self) -> usize {
        (self.day / 24).max(1)
    }

    /// Steps to both sides over which a past day is smoothed: a minute, at least one step.
    pub(crate) fn smoothing(self) -> usize {
        (self.hour() / 60).max(1)
    }

    /// Steps of a week.
    pub(crate) fn week(self) -> usize {
        self.day * 7
    }

    /// Steps of history that the models look back to.
    pub(crate) fn memory(self) -> usize {
        self.week() + self.hour()
    }

    /// Where step `index` lies in a cycle of `length` steps, 0 to 1.
    pub(crate) fn phase(index: u64, length: usize) -> f64 {
        let length = length.max(1) as u64;
        (index % length) as f64 / length as f64
    }
}
