//! Counts finished requests in series, and empties them into a window's report.

use foresail_wire::{
    Counts, Digits, Direction, LatencyHistogram, MAX_LATENCY_MICROS, Series, SeriesKey, Streams,
    bucket_index,
};
use hdrhistogram::Histogram;

use crate::request::{Kind, Observation};

/// Windows without a request after which a series makes room for another.
const IDLE_WINDOWS: u32 = 300;

/// How many series a VM keeps: 64, fewer when each needs more memory, so that it stays below 4 MiB.
pub const fn max_series(digits: Digits) -> usize {
    if digits.get() < 3 { 64 } else { 32 }
}

/// Place of a series in the recorder; valid until [`Recorder::epoch`] changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SeriesIndex(usize);

/// All series of a VM.
#[derive(Debug)]
pub struct Recorder {
    digits: Digits,
    /// Digits of the window that follows the open one.
    next_digits: Digits,
    series: Vec<Recording>,
    epoch: u32,
    overflowed: u64,
}

#[derive(Debug)]
struct Recording {
    key: SeriesKey<'static>,
    in_flight: u32,
    /// May be below zero for a while: a request that began late in its window was credited half
    /// of it, and what was too much is taken back when it finishes.
    concurrency_micros: i64,
    codes: Counts<u16, { foresail_wire::MAX_STATUS_CODES }>,
    grpc: Counts<u8, { foresail_wire::MAX_GRPC_STATUSES }>,
    flags: Counts<u8, { foresail_wire::MAX_FLAGS }>,
    latency: Dense,
    first_byte: Dense,
    streams: Streams,
    idle_windows: u32,
}

/// A histogram that takes memory when it first counts.
#[derive(Debug, Default)]
struct Dense(Option<Histogram<u32>>);

impl Recorder {
    /// Records latencies with so many digits.
    pub fn new(digits: Digits) -> Self {
        Self { digits, next_digits: digits, series: Vec::new(), epoch: 0, overflowed: 0 }
    }

    /// Records with other digits from the next window on.
    pub fn set_digits(&mut self, digits: Digits) {
        self.next_digits = digits;
        if self.series.is_empty() {
            self.digits = digits;
        }
    }

    /// Changes whenever an index that was handed out may have become another series'.
    pub fn epoch(&self) -> u32 {
        self.epoch
    }

    /// Requests that went to the overflow series so far.
    pub fn overflowed(&self) -> u64 {
        self.overflowed
    }

    /// The series of a key; the overflow series when there is no room for another.
    pub fn index_of(&mut self, key: &SeriesKey<'_>) -> SeriesIndex {
        let found = self.series.iter().position(|series| series.key == *key);
        let at = found.unwrap_or_else(|| {
            if self.series.len() >= max_series(self.digits) {
                self.make_room();
            }
            if self.series.len() < max_series(self.digits) {
                self.push(own(key))
            } else {
                self.overflow(key.direction)
            }
        });
        SeriesIndex(at)
    }

    fn push(&mut self, key: SeriesKey<'static>) -> usize {
        self.series.push(Recording::new(key));
        self.series.len() - 1
    }

    /// The series beyond the limit, one for each direction: the calls a workload makes are not its
    /// own load.
    fn overflow(&mut self, direction: Direction) -> usize {
        let key = SeriesKey::overflow(direction);
        let found = self.series.iter().position(|series| series.key == key);
        found.unwrap_or_else(|| self.push(key))
    }

    fn make_room(&mut self) {
        let before = self.series.len();
        self.series.retain(|series| series.idle_windows < IDLE_WINDOWS);
        if self.series.len() < before {
            self.epoch = self.epoch.wrapping_add(1);
        }
    }

    /// Counts a finished request. Its in-flight time is its duration less what closed windows have
    /// credited already.
    #[inline]
    pub fn record(&mut self, at: SeriesIndex, seen: &Observation, credited_micros: u64) {
        let digits = self.digits;
        let Some(series) = self.series.get_mut(at.0) else { return };
        if series.is_overflow() {
            self.overflowed = self.overflowed.saturating_add(1);
        }
        series.record(digits, seen);
        let left = signed(seen.duration_micros).saturating_sub(signed(credited_micros));
        series.concurrency_micros = series.concurrency_micros.saturating_add(left);
    }

    /// Adds in-flight time to a series, and says how many requests are in flight there.
    pub fn credit(&mut self, at: SeriesIndex, in_flight: u32, micros: u64) {
        if let Some(series) = self.series.get_mut(at.0) {
            series.in_flight = series.in_flight.saturating_add(in_flight);
            series.concurrency_micros = series.concurrency_micros.saturating_add(signed(micros));
        }
    }

    /// Takes what was counted, ascending by key, and begins anew. Series without anything to
    /// report are left out.
    pub fn close(&mut self) -> Vec<Series<'static>> {
        let digits = self.digits;
        let mut report: Vec<_> =
            self.series.iter_mut().filter_map(|series| series.take(digits)).collect();
        report.sort_by(|a, b| a.key.cmp(&b.key));
        if self.digits != self.next_digits {
            self.digits = self.next_digits;
            // Their histograms have the wrong digits, and there may be too many of them.
            self.series.clear();
            self.epoch = self.epoch.wrapping_add(1);
        }
        report
    }
}

impl Recording {
    fn new(key: SeriesKey<'static>) -> Self {
        Self {
            key,
            in_flight: 0,
            concurrency_micros: 0,
            codes: Counts::new(),
            grpc: Counts::new(),
            flags: Counts::new(),
            latency: Dense::default(),
            first_byte: Dense::default(),
            streams: Streams::default(),
            idle_windows: 0,
        }
    }

    fn is_overflow(&self) -> bool {
        self.key.is_overflow()
    }

    #[inline]
    fn record(&mut self, digits: Digits, seen: &Observation) {
        self.codes.add(seen.code, 1);
        if let Some(status) = seen.grpc {
            self.grpc.add(status, 1);
        }
        let mut flags = seen.flags;
        while flags != 0 {
            // At most 63, so it always fits.
            self.flags.add(u8::try_from(flags.trailing_zeros()).unwrap_or(u8::MAX), 1);
            flags &= flags - 1;
        }
        match seen.kind {
            Kind::Request => self.latency.record(digits, seen.duration_micros),
            Kind::Stream { first_byte_micros } => {
                self.streams.finished = self.streams.finished.saturating_add(1);
                self.streams.duration_micros =
                    self.streams.duration_micros.saturating_add(seen.duration_micros);
                if let Some(micros) = first_byte_micros {
                    self.first_byte.record(digits, micros);
                }
            }
        }
    }

    fn take(&mut self, digits: Digits) -> Option<Series<'static>> {
        let concurrency_micros = u64::try_from(self.concurrency_micros).unwrap_or(0);
        if self.codes.is_empty() && self.in_flight == 0 && concurrency_micros == 0 {
            self.idle_windows = self.idle_windows.saturating_add(1);
            return None;
        }
        self.idle_windows = 0;
        self.concurrency_micros = self.concurrency_micros.min(0);
        Some(Series {
            key: self.key.clone(),
            in_flight: std::mem::take(&mut self.in_flight),
            concurrency_micros,
            codes: std::mem::take(&mut self.codes),
            grpc: std::mem::take(&mut self.grpc),
            flags: std::mem::take(&mut self.flags),
            latency: self.latency.take(digits),
            first_byte: self.first_byte.take(digits),
            streams: std::mem::take(&mut self.streams),
        })
    }
}

impl Dense {
    #[inline]
    fn record(&mut self, digits: Digits, micros: u64) {
        if self.0.is_none() {
            self.0 = Histogram::new_with_bounds(1, MAX_LATENCY_MICROS, digits.get()).ok();
        }
        if let Some(histogram) = &mut self.0 {
            histogram.saturating_record(micros.min(MAX_LATENCY_MICROS));
        }
    }

    fn take(&mut self, digits: Digits) -> LatencyHistogram {
        let Some(histogram) = self.0.as_mut().filter(|histogram| !histogram.is_empty()) else {
            return LatencyHistogram::new(digits);
        };
        let buckets = histogram.iter_recorded().map(|step| {
            let index = bucket_index(digits, step.value_iterated_to());
            (index, step.count_at_value())
        });
        let sparse = LatencyHistogram::from_buckets(digits, buckets);
        histogram.reset();
        sparse.unwrap_or_else(|| LatencyHistogram::new(digits))
    }
}

fn own(key: &SeriesKey<'_>) -> SeriesKey<'static> {
    SeriesKey {
        direction: key.direction,
        destination: key.destination.clone().into_owned(),
        route: key.route.clone().into_owned(),
    }
}

fn signed(micros: u64) -> i64 {
    i64::try_from(micros).unwrap_or(i64::MAX)
}
