//! Two frames of one instance as one: what a sender does when it holds more than it may keep.
//!
//! Merging commutes and associates, and no count is lost; only resolution in time is.

use std::cmp::Ordering;

use thiserror::Error;

use crate::{Frame, MAX_SERIES, OVERFLOW_ROUTE, Series, Text};

/// Why two frames do not belong together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum MergeError {
    /// The frames come from different proxy VMs.
    #[error("frames of instances {left:#x} and {right:#x} cannot be merged")]
    DifferentInstances {
        /// Instance of the frame merged into.
        left: u64,
        /// Instance of the other.
        right: u64,
    },
}

impl<'a> Frame<'a> {
    /// Adds what `other` saw. The result covers both windows and carries the higher sequence
    /// number; requests in flight are those at the later end.
    ///
    /// # Errors
    /// [`MergeError::DifferentInstances`]; then nothing was changed.
    pub fn merge(&mut self, other: Frame<'a>) -> Result<(), MergeError> {
        if self.instance != other.instance {
            return Err(MergeError::DifferentInstances {
                left: self.instance,
                right: other.instance,
            });
        }
        let order = self.window.end_micros.cmp(&other.window.end_micros);
        self.sequence = self.sequence.max(other.sequence);
        self.window.start_micros = self.window.start_micros.min(other.window.start_micros);
        self.window.end_micros = self.window.end_micros.max(other.window.end_micros);
        self.sent_at_micros = self.sent_at_micros.max(other.sent_at_micros);
        self.health.overflowed = self.health.overflowed.max(other.health.overflowed);
        self.health.merged = self.health.merged.max(other.health.merged);
        self.health.failed_sends = self.health.failed_sends.max(other.health.failed_sends);
        self.health.unreadable = self.health.unreadable.max(other.health.unreadable);
        if order == Ordering::Less {
            self.series.iter_mut().for_each(|series| series.in_flight = 0);
        }
        for mut series in other.series {
            if order == Ordering::Greater {
                series.in_flight = 0;
            }
            self.add_series(series);
        }
        self.series.sort_by(|a, b| a.key.cmp(&b.key));
        Ok(())
    }

    /// Adds a series to the one with its key; beyond [`MAX_SERIES`] keys, to the overflow series.
    fn add_series(&mut self, mut series: Series<'a>) {
        if let Some(mine) = self.series.iter_mut().find(|mine| mine.key == series.key) {
            mine.merge(&series);
            return;
        }
        if self.series.len() < MAX_SERIES {
            self.series.push(series);
            return;
        }
        series.key.destination = Text::default();
        series.key.route = Text::truncated(OVERFLOW_ROUTE);
        let overflow = self.series.iter().position(|mine| mine.key.route == series.key.route);
        // A frame this full has an overflow series; if a stranger's has none, its last one serves.
        let at = overflow.unwrap_or(MAX_SERIES - 1);
        if let Some(mine) = self.series.get_mut(at) {
            mine.merge(&series);
        }
    }
}

impl Series<'_> {
    /// Adds the counts of `other`, whose key is taken to be the same; everything saturates.
    pub fn merge(&mut self, other: &Series<'_>) {
        self.in_flight = self.in_flight.max(other.in_flight);
        self.concurrency_micros = self.concurrency_micros.saturating_add(other.concurrency_micros);
        self.codes.merge(&other.codes);
        self.grpc.merge(&other.grpc);
        self.flags.merge(&other.flags);
        self.latency.merge(&other.latency);
        self.first_byte.merge(&other.first_byte);
        self.streams.finished = self.streams.finished.saturating_add(other.streams.finished);
        self.streams.duration_micros =
            self.streams.duration_micros.saturating_add(other.streams.duration_micros);
    }
}
