//! Two frames of one instance as one: what a sender does when it holds more than it may keep.
//!
//! Merging commutes and associates, and no count is lost; only resolution in time is.

use std::cmp::Ordering;

use thiserror::Error;

use crate::{Frame, MAX_KEYED_SERIES, Series, SeriesKey};

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
    /// number; requests in flight are those of the frame that had it or, between frames that have
    /// no numbers of their own yet, of the one that ends later.
    ///
    /// Only frames that were never sent may be merged: a receiver that has one of the two already,
    /// because its answer was lost, would not know it in the result and count it twice.
    ///
    /// Of more than [`MAX_KEYED_SERIES`] keys the least stay, and the series of the others go to the
    /// overflow series of their direction. So the order of merging does not matter.
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
        let age = |frame: &Self| (frame.sequence, frame.window.end_micros);
        let order = age(self).cmp(&age(&other));
        let mut series = other.series;
        match order {
            Ordering::Less => self.series.iter_mut().for_each(|series| series.in_flight = 0),
            Ordering::Equal => {}
            Ordering::Greater => series.iter_mut().for_each(|series| series.in_flight = 0),
        }
        self.sequence = self.sequence.max(other.sequence);
        self.window.start_micros = self.window.start_micros.min(other.window.start_micros);
        self.window.end_micros = self.window.end_micros.max(other.window.end_micros);
        self.sent_at_micros = self.sent_at_micros.max(other.sent_at_micros);
        self.health.overflowed = self.health.overflowed.max(other.health.overflowed);
        self.health.merged = self.health.merged.max(other.health.merged);
        self.health.failed_sends = self.health.failed_sends.max(other.health.failed_sends);
        self.health.unreadable = self.health.unreadable.max(other.health.unreadable);
        self.series.append(&mut series);
        merge_equal_keys(&mut self.series);
        self.fold_overflow();
        Ok(())
    }

    /// Leaves the least [`MAX_KEYED_SERIES`] keys and moves the others to the overflow series.
    fn fold_overflow(&mut self) {
        let keyed = self.series.iter().filter(|series| !series.key.is_overflow()).count();
        if keyed <= MAX_KEYED_SERIES {
            return;
        }
        let mut beyond = keyed - MAX_KEYED_SERIES;
        for series in self.series.iter_mut().rev() {
            if beyond > 0 && !series.key.is_overflow() {
                series.key = SeriesKey::overflow(series.key.direction);
                beyond -= 1;
            }
        }
        merge_equal_keys(&mut self.series);
    }
}

/// Sorts series by key and makes one of those with the same.
fn merge_equal_keys(series: &mut Vec<Series<'_>>) {
    series.sort_by(|a, b| a.key.cmp(&b.key));
    series.dedup_by(|next, kept| {
        let same = next.key == kept.key;
        if same {
            kept.merge(next);
        }
        same
    });
}

impl Series<'_> {
    /// Adds all that `other` counts, requests in flight too; its key is taken to be the same.
    /// Everything saturates.
    pub fn merge(&mut self, other: &Series<'_>) {
        self.in_flight = self.in_flight.saturating_add(other.in_flight);
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
