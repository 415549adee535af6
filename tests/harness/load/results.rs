//! What became of a load.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use anyhow::Result;
use hdrhistogram::Histogram;

/// A generator that is so late has not been given the processor.
pub const LATE_START: Duration = Duration::from_millis(50);

/// What became of one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// It was answered, to the last byte.
    Answered {
        /// HTTP status.
        status: u16,
        /// gRPC status, where there was one.
        grpc: Option<u8>,
    },
    /// It was not: `connect`, `reset`, `body` (cut off) or `timeout`.
    Failed(&'static str),
}

impl Outcome {
    /// Whether the answer is what a user wanted: a status below 400, and gRPC status 0 if any.
    pub fn is_success(self) -> bool {
        matches!(self, Self::Answered { status: 200..400, grpc: None | Some(0) })
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Answered { status, grpc: None } => write!(formatter, "{status}"),
            Self::Answered { status, grpc: Some(grpc) } => write!(formatter, "{status}/{grpc}"),
            Self::Failed(why) => formatter.write_str(why),
        }
    }
}

/// Counts and latencies of finished requests.
#[derive(Clone, Debug)]
pub struct Results {
    objective: Duration,
    /// Requests by what became of them.
    pub outcomes: BTreeMap<Outcome, u64>,
    /// Latencies from the planned time, failures included, in µs to three digits.
    pub latency: Histogram<u64>,
    /// Requests that succeeded within the objective.
    pub within: u64,
    /// Requests that left over [`LATE_START`] after their planned time. They count with the delay;
    /// more than a few mean that the machine was too busy to play the load as planned.
    pub late_starts: u64,
}

impl Results {
    pub(super) fn new(objective: Duration) -> Result<Self> {
        let latency = Histogram::new_with_bounds(1, 120_000_000, 3)?;
        Ok(Self { objective, outcomes: BTreeMap::new(), latency, within: 0, late_starts: 0 })
    }

    pub(super) fn record(&mut self, outcome: Outcome, latency: Duration, lag: Duration) {
        self.late_starts += u64::from(lag > LATE_START);
        *self.outcomes.entry(outcome).or_default() += 1;
        self.latency.saturating_record(u64::try_from(latency.as_micros()).unwrap_or(u64::MAX));
        self.within += u64::from(outcome.is_success() && latency <= self.objective);
    }

    /// All requests.
    pub fn total(&self) -> u64 {
        self.outcomes.values().sum()
    }

    /// Requests that failed or took longer than the objective.
    pub fn over(&self) -> u64 {
        self.total() - self.within
    }

    /// Requests that did not succeed, however fast.
    pub fn failed(&self) -> u64 {
        self.outcomes.iter().filter(|(outcome, _)| !outcome.is_success()).map(|(_, n)| n).sum()
    }

    /// Requests with one HTTP status.
    pub fn with_status(&self, wanted: u16) -> u64 {
        let is_it = |outcome: &Outcome| matches!(outcome, Outcome::Answered { status, .. } if *status == wanted);
        self.outcomes.iter().filter(|(outcome, _)| is_it(outcome)).map(|(_, n)| n).sum()
    }

    /// A quantile of the latencies, `quantile` in 0 to 1.
    pub fn quantile(&self, quantile: f64) -> Duration {
        Duration::from_micros(self.latency.value_at_quantile(quantile))
    }
}
