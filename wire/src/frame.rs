//! What one proxy VM saw in one window.

use serde::{Deserialize, Serialize};

use crate::bounded;
use crate::{Counts, LatencyHistogram, Text};

/// The most series with keys of their own in a frame.
pub const MAX_KEYED_SERIES: usize = 64;
/// The most series in a frame: those with keys of their own, and one for each direction that takes
/// what overflows.
pub const MAX_SERIES: usize = MAX_KEYED_SERIES + 2;
/// The most different status codes in a series.
pub const MAX_STATUS_CODES: usize = 64;
/// The most different gRPC statuses in a series (17 are defined).
pub const MAX_GRPC_STATUSES: usize = 32;
/// The most different response flags in a series.
pub const MAX_FLAGS: usize = 64;
/// Route label of the series that takes the requests of all series beyond the limit.
pub const OVERFLOW_ROUTE: &str = "__overflow__";

/// One report of one proxy VM: everything that finished in a window, and what is still in flight.
///
/// Times are µs since 1970-01-01 UTC by the proxy's own clock, which may be off; the aggregator
/// measures by how much from `sent_at_micros`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Frame<'a> {
    /// Whose requests these are.
    #[serde(borrow)]
    pub identity: Identity<'a>,
    /// Random per proxy VM: an Envoy with two workers has one for each.
    pub instance: u64,
    /// 1 for an instance's first frame, then one more for each. A resent frame keeps its number;
    /// a receiver drops numbers it has seen.
    pub sequence: u64,
    /// What the frame covers.
    pub window: Window,
    /// When this copy was sent; the only field in which two sendings of a frame may differ.
    pub sent_at_micros: u64,
    /// How the filter itself is doing.
    pub health: Health,
    /// At most [`MAX_SERIES`], each key once.
    #[serde(borrow, deserialize_with = "bounded::sequence::<_, _, MAX_SERIES>")]
    pub series: Vec<Series<'a>>,
}

/// Which workload a proxy belongs to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity<'a> {
    /// Kubernetes namespace, or what stands for it.
    #[serde(borrow)]
    pub namespace: Text<'a>,
    /// Name of the Deployment or other scaled object.
    #[serde(borrow)]
    pub workload: Text<'a>,
    /// Name of this replica.
    #[serde(borrow)]
    pub pod: Text<'a>,
    /// Version of the workload; may be empty.
    #[serde(borrow)]
    pub revision: Text<'a>,
}

/// Half-open interval [start, end) in µs since 1970 by the proxy's clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    /// First instant.
    pub start_micros: u64,
    /// First instant after; greater than the start.
    pub end_micros: u64,
}

/// Running totals of an instance since it started, so that a lost frame loses none of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    /// Requests that went to an overflow series because [`MAX_KEYED_SERIES`] were there.
    pub overflowed: u64,
    /// Windows that were merged into another because too many waited.
    pub merged: u64,
    /// Sendings that were not answered with 200 or 202.
    pub failed_sends: u64,
    /// Requests whose duration or status the proxy could not tell.
    pub unreadable: u64,
}

/// Which way a request went, seen from the proxy's workload.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
)]
pub enum Direction {
    /// To the workload.
    #[default]
    Inbound,
    /// From the workload to one that it depends on.
    Outbound,
}

/// What tells one series of a frame from another.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct SeriesKey<'a> {
    /// To or from the workload.
    pub direction: Direction,
    /// Service that was called; empty for inbound series.
    #[serde(borrow)]
    pub destination: Text<'a>,
    /// Route label; empty when route labels are off.
    #[serde(borrow)]
    pub route: Text<'a>,
}

impl SeriesKey<'_> {
    /// The key of the series that takes the requests of all series beyond the limit.
    ///
    /// Each direction has its own: what a workload calls must not count as its load.
    pub fn overflow(direction: Direction) -> SeriesKey<'static> {
        SeriesKey {
            direction,
            destination: Text::default(),
            route: Text::truncated(OVERFLOW_ROUTE),
        }
    }

    /// Whether this is [`SeriesKey::overflow`] of its direction.
    pub fn is_overflow(&self) -> bool {
        self.route.as_str() == OVERFLOW_ROUTE && self.destination.as_str().is_empty()
    }
}

/// Requests of one direction, destination and route.
///
/// Every finished request is counted in `codes` once, and either in `latency` or in `streams`:
/// `codes.total() == latency.total() + streams.finished`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Series<'a> {
    /// Which requests.
    #[serde(borrow)]
    pub key: SeriesKey<'a>,
    /// Requests that had begun and not finished at the window's end.
    pub in_flight: u32,
    /// Time integral of requests in flight over the window, in request-µs; divided by the
    /// window's length it is the mean concurrency.
    pub concurrency_micros: u64,
    /// HTTP status codes; 0 when the request ended before there was one.
    pub codes: Counts<u16, MAX_STATUS_CODES>,
    /// gRPC statuses, from trailers or headers, of the requests that had one.
    pub grpc: Counts<u8, MAX_GRPC_STATUSES>,
    /// Envoy response flags by bit number (`StreamInfo::CoreResponseFlag`).
    pub flags: Counts<u8, MAX_FLAGS>,
    /// Whole durations of requests that are not streams.
    pub latency: LatencyHistogram,
    /// Time to first byte of the response, of streams only.
    pub first_byte: LatencyHistogram,
    /// Websockets, server-sent events and gRPC streams.
    pub streams: Streams,
}

impl Series<'_> {
    /// Whether codes, latencies and streams count the same requests, as far as one can tell: a
    /// count at its limit says nothing any more.
    pub(crate) fn adds_up(&self) -> bool {
        let finished = self.latency.total().saturating_add(u64::from(self.streams.finished));
        self.codes.total() == finished
            || self.codes.is_saturated()
            || self.latency.is_saturated()
            || self.streams.finished == u32::MAX
    }
}

/// Long-lived requests, kept out of the latency histogram.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Streams {
    /// How many ended in the window.
    pub finished: u32,
    /// Their durations, summed, in µs.
    pub duration_micros: u64,
}
