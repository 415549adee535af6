//! Everything ever counted of a workload: what must equal the proxies' own counters.

use std::collections::BTreeMap;

use foresail_wire::{Direction, Frame, LatencyHistogram};
use serde::{Deserialize, Serialize};

/// Counts of one direction since the state began.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DirectionTotals {
    /// Finished requests.
    pub requests: u64,
    /// Of those, streams.
    pub streams: u64,
    /// Finished requests by HTTP status code; 0 when there was none.
    pub codes: BTreeMap<u16, u64>,
    /// Finished requests by gRPC status, where they had one.
    pub grpc: BTreeMap<u8, u64>,
    /// Finished requests by Envoy response flag (bit number).
    pub flags: BTreeMap<u8, u64>,
    /// Durations of all requests that are not streams.
    pub latency: LatencyHistogram,
}

/// All counts of a workload since its state began.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    /// Requests to the workload.
    pub inbound: DirectionTotals,
    /// Requests from the workload to others.
    pub outbound: DirectionTotals,
    /// Frames counted.
    pub frames: u64,
    /// Frames seen before and dropped.
    pub duplicate_frames: u64,
    /// Frames whose window ended after they were sent, dropped.
    pub future_frames: u64,
    /// Frames that were never received, by gaps in sequence numbers.
    pub lost_frames: u64,
    /// Requests that came after their window had closed: counted here, in no window.
    pub late_requests: u64,
    /// Requests that went to a filter's overflow series.
    pub overflowed: u64,
    /// Windows that filters merged while the aggregator was away.
    pub merged_windows: u64,
    /// Sendings that filters had to repeat.
    pub failed_sends: u64,
    /// Requests whose duration or status a filter could not read.
    pub unreadable: u64,
}

impl Totals {
    /// Adds a frame that counts.
    pub(super) fn add(&mut self, frame: &Frame<'_>, late: u64) {
        self.frames += 1;
        self.late_requests += late;
        for series in &frame.series {
            let totals = match series.key.direction {
                Direction::Inbound => &mut self.inbound,
                Direction::Outbound => &mut self.outbound,
            };
            totals.requests += series.codes.total();
            totals.streams += u64::from(series.streams.finished);
            add_counts(&mut totals.codes, series.codes.iter());
            add_counts(&mut totals.grpc, series.grpc.iter());
            add_counts(&mut totals.flags, series.flags.iter());
            totals.latency.merge(&series.latency);
        }
    }
}

fn add_counts<K: Ord>(counts: &mut BTreeMap<K, u64>, more: impl Iterator<Item = (K, u32)>) {
    for (key, count) in more {
        *counts.entry(key).or_default() += u64::from(count);
    }
}
