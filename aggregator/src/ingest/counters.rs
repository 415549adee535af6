//! What became of the frames, in numbers.

use std::sync::atomic::{AtomicU64, Ordering};

/// What became of a request to `/v1/frames`. Each has one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameResult {
    /// Counted.
    Accepted,
    /// Seen before.
    Duplicate,
    /// Longer than a frame may be.
    TooLarge,
    /// Does not begin as a frame does.
    BadMagic,
    /// A version that this build does not know.
    UnknownVersion,
    /// Cut short or out of range.
    Malformed,
    /// Followed by something else.
    TrailingBytes,
    /// Contradicts itself.
    Inconsistent,
    /// Its window ends after it was sent.
    FutureDated,
    /// Its body did not arrive in time, or not whole.
    Timeout,
    /// Too many frames wait.
    Shed,
    /// As many workloads as the configuration allows are known.
    TooManyWorkloads,
    /// As many proxies of its workload as are kept are known.
    TooManyProxies,
    /// The aggregator is shutting down.
    Draining,
    /// The store cannot write.
    StoreFailed,
    /// Another aggregator acts, and is the one to be told.
    Standby,
    /// Nobody vouches for its sender.
    Unidentified,
    /// Its sender is not of the workload that it is about.
    WrongIdentity,
}

impl FrameResult {
    /// All of them, in the order of declaration.
    pub const ALL: [Self; 18] = [
        Self::Accepted,
        Self::Duplicate,
        Self::TooLarge,
        Self::BadMagic,
        Self::UnknownVersion,
        Self::Malformed,
        Self::TrailingBytes,
        Self::Inconsistent,
        Self::FutureDated,
        Self::Timeout,
        Self::Shed,
        Self::TooManyWorkloads,
        Self::TooManyProxies,
        Self::Draining,
        Self::StoreFailed,
        Self::Standby,
        Self::Unidentified,
        Self::WrongIdentity,
    ];

    /// Stable name, for a metric's label.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Duplicate => "duplicate",
            Self::TooLarge => "too_large",
            Self::BadMagic => "bad_magic",
            Self::UnknownVersion => "unknown_version",
            Self::Malformed => "malformed",
            Self::TrailingBytes => "trailing_bytes",
            Self::Inconsistent => "inconsistent",
            Self::FutureDated => "future_dated",
            Self::Timeout => "timeout",
            Self::Shed => "shed",
            Self::TooManyWorkloads => "too_many_workloads",
            Self::TooManyProxies => "too_many_proxies",
            Self::Draining => "draining",
            Self::StoreFailed => "store_failed",
            Self::Standby => "standby",
            Self::Unidentified => "unidentified",
            Self::WrongIdentity => "wrong_identity",
        }
    }

    /// The result that the decoder's error stands for.
    pub(super) fn of_decode(error: &foresail_wire::DecodeError) -> Self {
        let same = |result: &&Self| result.name() == error.kind();
        Self::ALL.iter().find(same).copied().unwrap_or(Self::Malformed)
    }
}

/// Running counts since the process started.
#[derive(Debug, Default)]
pub struct Counters {
    results: [AtomicU64; FrameResult::ALL.len()],
    bytes: AtomicU64,
    batches: AtomicU64,
    store_errors: AtomicU64,
}

impl Counters {
    /// Counts a result.
    pub fn count(&self, result: FrameResult) {
        if let Some(counter) = self.results.get(result as usize) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// How often a result was counted.
    pub fn get(&self, result: FrameResult) -> u64 {
        self.results.get(result as usize).map_or(0, |counter| counter.load(Ordering::Relaxed))
    }

    /// Bytes of all frames that were committed.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Batches that were committed.
    pub fn batches(&self) -> u64 {
        self.batches.load(Ordering::Relaxed)
    }

    /// Commits that failed.
    pub fn store_errors(&self) -> u64 {
        self.store_errors.load(Ordering::Relaxed)
    }

    pub(super) fn add_batch(&self, bytes: usize) {
        self.batches.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(u64::try_from(bytes).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    pub(super) fn add_store_error(&self) {
        self.store_errors.fetch_add(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_result_has_its_own_counter_and_name() {
        let counters = Counters::default();
        for (at, result) in FrameResult::ALL.into_iter().enumerate() {
            assert_eq!(result as usize, at);
            counters.count(result);
            assert_eq!(counters.get(result), 1, "{}", result.name());
        }
        let mut names: Vec<_> = FrameResult::ALL.iter().map(|result| result.name()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), FrameResult::ALL.len());
    }

    #[test]
    fn every_decode_error_has_a_result_of_its_name() {
        let bad = foresail_wire::decode(b"FSL9").unwrap_err();
        assert_eq!(FrameResult::of_decode(&bad), FrameResult::UnknownVersion);
        let bad = foresail_wire::decode(b"hello").unwrap_err();
        assert_eq!(FrameResult::of_decode(&bad), FrameResult::BadMagic);
    }
}
