//! Windows that still take frames, and sums over windows.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::time::Duration;

use foresail_wire::{Frame, LatencyHistogram, Series, Window};
use serde::{Deserialize, Serialize};

use super::{LATE_LIMIT, SETTLE, Summary, Tier, is_load};
use crate::units::Timestamp;

/// The most windows that one frame is spread over; beyond, it counts in the newest of them.
const MAX_SPREAD: u64 = 60;
/// Bits of Envoy's flags for "the client went away", which is not the workload's fault: closed the
/// connection (HTTP/1) or reset the stream (HTTP/2); a request has one of them at most
/// (`StreamInfo::CoreResponseFlag::{DownstreamConnectionTermination, DownstreamRemoteReset}`, envoy
/// v1.40).
const FLAGS_CLIENT_GONE: [u8; 2] = [14, 28];
/// gRPC statuses that say the server failed: unknown, deadline exceeded, resource exhausted,
/// unimplemented, internal, unavailable, data loss.
const GRPC_SERVER_ERRORS: [u8; 7] = [2, 4, 8, 12, 13, 14, 15];

/// Windows by their number since 1970.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct OpenWindows(BTreeMap<u64, OpenWindow>);

/// One second, as far as frames of it have arrived.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct OpenWindow {
    pub(super) requests: f64,
    errors: f64,
    concurrency: f64,
    outbound: f64,
    pub(super) latency: LatencyHistogram,
    heard: Heard,
    pub(super) ready_replicas: Option<u32>,
    desired_replicas: Option<u32>,
}

/// Which replicas were heard, by their number.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Heard(Vec<u64>);

impl Heard {
    fn insert(&mut self, pod: u32) {
        let at = (pod / 64) as usize;
        if self.0.len() <= at {
            self.0.resize(at + 1, 0);
        }
        if let Some(word) = self.0.get_mut(at) {
            *word |= 1 << (pod % 64);
        }
    }

    fn count(&self) -> u32 {
        self.0.iter().map(|word| word.count_ones()).sum()
    }
}

/// The fine windows that a frame covers, by the aggregator's clock.
pub(super) fn windows_of(window: Window, offset_micros: i64) -> RangeInclusive<u64> {
    let step = 1_000_000_u64;
    let start = window.start_micros.saturating_add_signed(offset_micros);
    let end = window.end_micros.saturating_add_signed(offset_micros);
    if end - start.min(end) <= step * 3 / 2 {
        let middle = start.midpoint(end) / step;
        return middle..=middle;
    }
    let first = (start + step / 2) / step;
    let last = ((end + step / 2) / step).saturating_sub(1).max(first);
    first.max(last.saturating_sub(MAX_SPREAD - 1))..=last
}

impl OpenWindows {
    /// Adds a frame to its windows and returns how many of its requests came too late.
    ///
    /// Requests and concurrency are spread evenly over the windows; latencies, which cannot be
    /// divided, count in the last.
    pub(super) fn add(
        &mut self,
        frame: &Frame<'_>,
        span: &RangeInclusive<u64>,
        pod: u32,
        received_at: Timestamp,
    ) -> u64 {
        let first_open = (received_at - LATE_LIMIT).step_index(Tier::Fine.step());
        let last_open = received_at.step_index(Tier::Fine.step()) + 1;
        let windows = span.end() - span.start() + 1;
        let share = 1.0 / windows as f64;
        let requests: u64 = load_of(frame).map(|series| series.codes.total()).sum();
        let mut in_time = 0;
        for index in span.clone() {
            if index < first_open || index > last_open {
                continue;
            }
            in_time += 1;
            let window = self.0.entry(index).or_default();
            window.heard.insert(pod);
            window.outbound += outbound_micros(frame) as f64 / 1e6 * share;
            for series in load_of(frame) {
                window.requests += series.codes.total() as f64 * share;
                window.errors += errors_of(series) as f64 * share;
                window.concurrency += series.concurrency_micros as f64 / 1e6 * share;
                if index == *span.end() {
                    window.latency.merge(&series.latency);
                }
            }
        }
        requests * (windows - in_time) / windows
    }

    /// Marks the newest window with the replica counts of now.
    pub(super) fn set_replicas(&mut self, ready: Option<u32>, desired: Option<u32>) {
        for window in self.0.values_mut().rev().take(3) {
            window.ready_replicas = window.ready_replicas.or(ready);
            window.desired_replicas = window.desired_replicas.or(desired);
        }
    }

    /// Takes out the oldest window if its number is below `first_open`.
    pub(super) fn pop_before(&mut self, first_open: u64) -> Option<(u64, OpenWindow)> {
        let oldest = self.0.first_entry()?;
        (*oldest.key() < first_open).then(|| oldest.remove_entry())
    }

    /// The most replicas heard in one window.
    pub(super) fn most_heard(&self) -> Option<u32> {
        self.0.values().map(|window| window.heard.count()).max()
    }

    /// Windows, oldest first.
    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = (u64, &OpenWindow)> + Clone {
        self.0.iter().map(|(index, window)| (*index, window))
    }

    /// Windows that are over, oldest first; the newest only once all are heard or a moment passed.
    pub(super) fn settled(
        &self,
        now: Timestamp,
        expected: Option<u32>,
    ) -> impl DoubleEndedIterator<Item = (u64, &OpenWindow)> + Clone {
        let step = Tier::Fine.step();
        self.iter().filter(move |(index, window)| {
            let end = Timestamp::of_step(index + 1, step);
            end + SETTLE <= now || (end <= now && window.coverage(expected) >= 1.0)
        })
    }
}

impl OpenWindow {
    /// Share of the expected replicas that were heard; 1 when it is not known how many to expect.
    pub(super) fn coverage(&self, expected: Option<u32>) -> f64 {
        let heard = self.heard.count();
        match expected {
            Some(expected) if expected > 0 => (f64::from(heard) / f64::from(expected)).min(1.0),
            _ => f64::from(u8::from(heard > 0)),
        }
    }

    /// The window in figures.
    pub(super) fn summary(&self, expected: Option<u32>) -> Summary {
        let mut sum = Accumulator::default();
        sum.add(self, expected);
        Summary {
            ready_replicas: self.ready_replicas,
            desired_replicas: self.desired_replicas,
            ..sum.summary(Tier::Fine.step())
        }
    }
}

/// A sum over fine windows.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Accumulator {
    windows: u32,
    requests: f64,
    errors: f64,
    concurrency: f64,
    outbound: f64,
    coverage: f64,
    latency: LatencyHistogram,
}

impl Accumulator {
    /// Adds a window.
    pub(super) fn add(&mut self, window: &OpenWindow, expected: Option<u32>) {
        let coverage = window.coverage(expected);
        self.windows += 1;
        self.requests += window.requests;
        self.errors += window.errors;
        self.concurrency += window.concurrency;
        self.outbound += window.outbound;
        self.coverage += coverage;
        self.latency.merge(&window.latency);
    }

    /// Mean number of calls to other services in flight; `None` when there were none.
    pub(super) fn outbound_concurrency(&self) -> Option<f64> {
        (self.outbound > 0.0).then(|| self.outbound / f64::from(self.windows))
    }

    /// The latencies of all of them.
    pub(super) const fn latency(&self) -> &LatencyHistogram {
        &self.latency
    }

    /// Length of the windows added.
    pub(super) fn length(&self) -> Duration {
        Tier::Fine.step() * self.windows
    }

    /// The sum in figures, of a window of the given length. Rates are means over the fine windows
    /// that were heard; what was not heard is not zero.
    pub(super) fn summary(&self, length: Duration) -> Summary {
        if self.windows == 0 {
            return Summary::default();
        }
        let heard = f64::from(self.windows);
        let whole = (length.as_secs_f64() / Tier::Fine.step().as_secs_f64()).max(1.0);
        let quantile =
            |q| self.latency.quantile(q).map(|micros| u32::try_from(micros).unwrap_or(u32::MAX));
        #[expect(clippy::cast_possible_truncation, reason = "f32 keeps seven digits, enough here")]
        let float = |value: f64| value as f32;
        Summary {
            rps: Some(float(self.requests / heard)),
            p50_micros: quantile(0.5),
            p90_micros: quantile(0.9),
            p95_micros: quantile(0.95),
            p99_micros: quantile(0.99),
            p999_micros: quantile(0.999),
            error_ratio: (self.requests > 0.0)
                .then(|| float((self.errors / self.requests).clamp(0.0, 1.0))),
            concurrency: Some(float(self.concurrency / heard)),
            coverage: Some(float(self.coverage / whole).min(1.0)),
            ready_replicas: None,
            desired_replicas: None,
        }
    }
}

fn load_of<'f, 'a>(frame: &'f Frame<'a>) -> impl Iterator<Item = &'f Series<'a>> {
    frame.series.iter().filter(|series| is_load(series.key.direction))
}

/// Time that calls to other services were in flight, in µs.
fn outbound_micros(frame: &Frame<'_>) -> u64 {
    let others = frame.series.iter().filter(|series| !is_load(series.key.direction));
    others.map(|series| series.concurrency_micros).fold(0, u64::saturating_add)
}

/// Requests of a series that failed through no fault of the client.
fn errors_of(series: &Series<'_>) -> u64 {
    let codes: u64 = series
        .codes
        .iter()
        .filter(|(code, _)| *code >= 500)
        .map(|(_, count)| u64::from(count))
        .sum();
    let client_gone: u64 =
        FLAGS_CLIENT_GONE.iter().map(|flag| u64::from(series.flags.get(*flag))).sum();
    let unanswered = u64::from(series.codes.get(0)).saturating_sub(client_gone);
    let grpc: u64 = series
        .grpc
        .iter()
        .filter(|(status, _)| GRPC_SERVER_ERRORS.contains(status))
        .map(|(_, count)| u64::from(count))
        .sum();
    (codes + unanswered + grpc).min(series.codes.total())
}
