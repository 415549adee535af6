//! Frames written by hand, byte after byte, as the README says: a second encoder that knows where
//! its length prefixes are, and can be made to lie about them.

use foresail_wire::{
    Frame, LatencyHistogram, MAX_FLAGS, MAX_GRPC_STATUSES, MAX_SERIES, MAX_STATUS_CODES,
    MAX_TEXT_BYTES, Series, bucket_count,
};

/// A length prefix: where it stands, how many bytes it takes, the most that it may say.
pub(crate) struct Length {
    pub(crate) at: usize,
    pub(crate) width: usize,
    pub(crate) limit: usize,
}

#[derive(Default)]
pub(crate) struct Writer {
    pub(crate) bytes: Vec<u8>,
    pub(crate) lengths: Vec<Length>,
}

/// An integer in the fewest bytes.
pub(crate) fn varint(value: u64) -> Vec<u8> {
    let bytes = value.to_le_bytes();
    match value {
        0..=250 => vec![bytes[0]],
        251..=0xffff => [&[251], &bytes[..2]].concat(),
        0x1_0000..=0xffff_ffff => [&[252], &bytes[..4]].concat(),
        _ => [&[253], &bytes[..]].concat(),
    }
}

impl Writer {
    pub(crate) fn frame(frame: &Frame<'_>) -> Self {
        let mut to = Self::default();
        to.bytes.extend_from_slice(b"FSL1");
        let identity = &frame.identity;
        for name in [&identity.namespace, &identity.workload, &identity.pod, &identity.revision] {
            to.text(name.as_str());
        }
        to.integer(frame.instance);
        to.integer(frame.sequence);
        to.integer(frame.window.start_micros);
        to.integer(frame.window.end_micros);
        to.integer(frame.sent_at_micros);
        let health = frame.health;
        for count in [health.overflowed, health.merged, health.failed_sends, health.unreadable] {
            to.integer(count);
        }
        to.length(frame.series.len(), MAX_SERIES);
        for series in &frame.series {
            to.series(series);
        }
        to
    }

    fn series(&mut self, series: &Series<'_>) {
        self.integer(series.key.direction as u64);
        self.text(series.key.destination.as_str());
        self.text(series.key.route.as_str());
        self.integer(series.in_flight.into());
        self.integer(series.concurrency_micros);
        self.length(series.codes.iter().count(), MAX_STATUS_CODES);
        for (code, count) in series.codes.iter() {
            self.integer(code.into());
            self.integer(count.into());
        }
        self.small(series.grpc.iter().collect(), MAX_GRPC_STATUSES);
        self.small(series.flags.iter().collect(), MAX_FLAGS);
        self.histogram(&series.latency);
        self.histogram(&series.first_byte);
        self.integer(series.streams.finished.into());
        self.integer(series.streams.duration_micros);
    }

    fn small(&mut self, counts: Vec<(u8, u32)>, limit: usize) {
        self.length(counts.len(), limit);
        for (key, count) in counts {
            self.bytes.push(key);
            self.integer(count.into());
        }
    }

    fn histogram(&mut self, histogram: &LatencyHistogram) {
        self.bytes.push(histogram.digits().get());
        self.length(histogram.buckets().len(), bucket_count(histogram.digits()));
        let mut before = 0;
        for bucket in histogram.buckets() {
            self.integer(u64::from(bucket.index - before));
            self.integer(bucket.count.into());
            before = bucket.index;
        }
    }

    fn text(&mut self, text: &str) {
        self.length(text.len(), MAX_TEXT_BYTES);
        self.bytes.extend_from_slice(text.as_bytes());
    }

    fn integer(&mut self, value: u64) {
        self.bytes.extend(varint(value));
    }

    fn length(&mut self, value: usize, limit: usize) {
        let at = self.bytes.len();
        self.integer(value as u64);
        self.lengths.push(Length { at, width: self.bytes.len() - at, limit });
    }

    /// The bytes with one length replaced.
    pub(crate) fn with_length(&self, length: &Length, value: u64) -> Vec<u8> {
        let rest = &self.bytes[length.at + length.width..];
        [&self.bytes[..length.at], &varint(value), rest].concat()
    }
}
