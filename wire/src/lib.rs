//! What a filter tells the aggregator: bytes <-> values, no I/O.
//!
//! A [`Frame`] is what one proxy VM saw in one window. [`encode`] and [`decode`] are its only way to
//! bytes and back; `wire/README.md` is the normative layout. Bytes are hostile until decoded:
//! every length is checked against its `MAX_…` and against what is left before memory is asked for.
//!
//! [`LatencyHistogram`] is the sparse form of an `HdrHistogram` with the same buckets, so what a
//! proxy recorded can be merged anywhere without loss.

mod bounded;
mod codec;
mod counts;
mod frame;
mod histogram;
mod merge;
mod text;

pub use codec::{
    CONTENT_TYPE, DecodeError, EncodeError, MAGIC, MAX_FRAME_BYTES, decode, decode_identity, encode,
};
pub use counts::Counts;
pub use frame::{
    Direction, Frame, Health, Identity, MAX_FLAGS, MAX_GRPC_STATUSES, MAX_KEYED_SERIES, MAX_SERIES,
    MAX_STATUS_CODES, OVERFLOW_ROUTE, Series, SeriesKey, Streams, Window,
};
pub use histogram::{
    Bucket, Digits, InvalidDigits, LatencyHistogram, MAX_LATENCY_MICROS, bucket_count,
    bucket_index, bucket_range,
};
pub use merge::MergeError;
pub use text::{MAX_TEXT_BYTES, Text};
