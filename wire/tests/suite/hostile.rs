//! Bytes from someone who wishes us ill: an error each time, never a panic.

use std::error::Error;

use foresail_wire::{
    DecodeError, Digits, EncodeError, Frame, LatencyHistogram, MAX_FRAME_BYTES, MAX_SERIES,
    MAX_TEXT_BYTES, Series, SeriesKey, Text, bucket_count, decode, encode,
};

use crate::samples::{self, goldens};
use crate::written::{Writer, varint};

fn kind(bytes: &[u8]) -> &'static str {
    decode(bytes).map_or_else(|error| error.kind(), |_| "ok")
}

#[test]
fn every_truncation_is_refused() {
    for (name, bytes, _) in goldens() {
        for end in 0..bytes.len() {
            let expected = if end < 4 { "bad_magic" } else { "malformed" };
            assert_eq!(kind(&bytes[..end]), expected, "{name} cut at {end}");
        }
    }
}

#[test]
fn every_length_beyond_its_limit_or_the_end_is_refused() {
    let mut replaced = 0;
    for (name, _, frame) in goldens() {
        let written = Writer::frame(&frame);
        for length in &written.lengths {
            let beyond = length.limit as u64 + 1;
            for value in [beyond, 0xffff, 1 << 20, u64::from(u32::MAX), 1 << 62, u64::MAX] {
                let bytes = written.with_length(length, value);
                let error = decode(&bytes).unwrap_err();
                assert_eq!(error.kind(), "malformed", "{name}: {value} at {}", length.at);
                // Of a list it is the length that is refused, not the first element that lacks.
                let cause = error.source().unwrap().to_string();
                let by_length = cause.contains(&format!("invalid length {value},"));
                assert!(by_length || length.limit == MAX_TEXT_BYTES, "{name}: {value}: {cause}");
                replaced += 1;
            }
        }
    }
    assert!(replaced > 200, "{replaced}");
}

/// Every bit, every marker of an integer's width; what is still accepted must be writable again.
#[test]
fn no_changed_byte_panics() {
    for (_, bytes, _) in goldens() {
        let mut changed = bytes.to_vec();
        for at in 0..bytes.len() {
            let flipped = (0..8).map(|bit| bytes[at] ^ (1 << bit));
            for value in flipped.chain([0, 1, 250, 251, 252, 253, 254, 255]) {
                changed[at] = value;
                if let Ok(frame) = decode(&changed) {
                    assert_eq!(decode(&encode(&frame).unwrap()).unwrap(), frame);
                }
            }
            changed[at] = bytes[at];
        }
    }
}

#[test]
fn bytes_after_the_end_are_refused() {
    for (_, bytes, _) in goldens() {
        let longer = [bytes, &[0; 3]].concat();
        assert!(matches!(decode(&longer), Err(DecodeError::TrailingBytes { extra: 3 })));
    }
}

#[test]
fn other_formats_and_versions_are_told_apart() {
    let body = &goldens()[0].1[4..];
    for other in [b"FSM1", b"fsl1", b"\x1f\x8b\x08\0", b"POST"] {
        assert_eq!(kind(&[other, body].concat()), "bad_magic");
    }
    for version in ['0', '2', '\0', '\u{ff}'] {
        let bytes = [b"FSL", &[u8::try_from(version).unwrap()][..], body].concat();
        let error = decode(&bytes).unwrap_err();
        assert!(
            matches!(error, DecodeError::UnknownVersion { version: seen } if seen == version),
            "{error}"
        );
    }
}

#[test]
fn a_frame_beyond_the_largest_is_refused_unread() {
    let mut bytes = samples::goldens()[3].1.to_vec();
    bytes.resize(MAX_FRAME_BYTES + 1, 0);
    assert_eq!(kind(&bytes), "too_large");
    bytes.pop();
    assert_eq!(kind(&bytes), "trailing_bytes");
}

/// `series` series, every bucket of both histograms hit once.
fn dense(series: usize, digits: u8) -> Frame<'static> {
    let digits = Digits::new(digits).unwrap();
    let all = 0..u16::try_from(bucket_count(digits)).unwrap();
    let histogram = LatencyHistogram::from_buckets(digits, all.map(|index| (index, 1))).unwrap();
    let one = |n: usize| {
        let route = Text::truncated(format!("/{n:02}"));
        let mut series = Series {
            key: SeriesKey { route, ..SeriesKey::default() },
            latency: histogram.clone(),
            first_byte: histogram.clone(),
            ..Series::default()
        };
        series.codes.add(200, u32::try_from(histogram.total()).unwrap());
        series
    };
    Frame { series: (0..series).map(one).collect(), ..samples::heartbeat() }
}

/// The codec's own limit counted integers at their full width and refused this frame of 0.7 MB.
#[test]
fn a_dense_frame_below_the_limit_is_read() {
    let frame = dense(MAX_SERIES, 2);
    let bytes = encode(&frame).unwrap();
    assert!(bytes.len() > MAX_FRAME_BYTES / 2, "{}", bytes.len());
    assert_eq!(decode(&bytes).unwrap(), frame);
}

#[test]
fn a_frame_beyond_the_largest_is_not_written() {
    assert!(matches!(encode(&dense(40, 3)), Err(EncodeError::TooLarge { .. })));
}

/// What is wrong, by field and problem, and a frame made so.
fn contradictions() -> Vec<(&'static str, &'static str, Frame<'static>)> {
    let made = |change: fn(&mut Frame<'static>)| {
        let mut frame = samples::full();
        change(&mut frame);
        frame
    };
    let codes = "status codes and latencies count different requests";
    vec![
        ("identity.namespace", "empty", made(|frame| frame.identity.namespace = Text::default())),
        ("identity.workload", "empty", made(|frame| frame.identity.workload = Text::default())),
        ("sequence", "numbers begin with 1", made(|frame| frame.sequence = 0)),
        (
            "window",
            "its end is not after its start",
            made(|frame| frame.window.end_micros = frame.window.start_micros),
        ),
        ("series", "keys do not ascend", made(|frame| frame.series.swap(0, 1))),
        (
            "series",
            "keys do not ascend",
            made(|frame| frame.series[1].key = frame.series[0].key.clone()),
        ),
        ("series", codes, made(|frame| frame.series[2].streams.finished += 1)),
        ("series", codes, made(|frame| frame.series[2].latency.record(1))),
        ("series", codes, made(|frame| frame.series[2].codes.add(500, 1))),
    ]
}

#[test]
fn contradictions_are_neither_written_nor_read() {
    for (field, problem, frame) in contradictions() {
        match encode(&frame) {
            Err(EncodeError::Inconsistent { field: f, problem: p }) => {
                assert_eq!((f, p), (field, problem));
            }
            other => panic!("{field} {problem}: {other:?}"),
        }
        match decode(&Writer::frame(&frame).bytes) {
            Err(DecodeError::Inconsistent { field: f, problem: p }) => {
                assert_eq!((f, p), (field, problem));
            }
            other => panic!("{field} {problem}: {other:?}"),
        }
    }
}

#[test]
fn too_many_series_are_neither_written_nor_read() {
    let frame = dense(MAX_SERIES + 1, 1);
    assert!(matches!(encode(&frame), Err(EncodeError::Inconsistent { field: "series", .. })));
    assert_eq!(kind(&Writer::frame(&frame).bytes), "malformed");
}

/// The example's bytes with what follows the codes' length replaced.
fn with(find: &[u8], replacement: &[u8]) -> Vec<u8> {
    let bytes = Writer::frame(&samples::example()).bytes;
    let at = bytes.windows(find.len()).position(|window| window == find).unwrap();
    [&bytes[..at], replacement, &bytes[at + find.len()..]].concat()
}

#[test]
fn counts_that_are_empty_or_do_not_ascend_are_refused() {
    let codes = [2, 200, 3, 251, 0xf7, 1, 1];
    assert_eq!(kind(&with(&codes, &codes)), "ok");
    assert_eq!(kind(&with(&codes, &[2, 200, 3, 200, 1])), "inconsistent", "the same key twice");
    assert_eq!(kind(&with(&codes, &[2, 200, 3, 100, 1])), "inconsistent", "descending");
    assert_eq!(kind(&with(&codes, &[2, 200, 4, 201, 0])), "inconsistent", "a count of zero");
    let grpc_and_flags = |bytes: &[u8]| {
        let [none, some] = [&[0, 0][..], bytes].map(|rest| [&codes, rest].concat());
        kind(&with(&none, &some))
    };
    assert_eq!(grpc_and_flags(&[2, 4, 1, 5, 1, 2, 1, 1, 2, 1]), "ok");
    assert_eq!(grpc_and_flags(&[2, 5, 1, 4, 1, 0]), "inconsistent", "gRPC statuses");
    assert_eq!(grpc_and_flags(&[0, 2, 5, 1, 4, 1]), "inconsistent", "flags");
}

#[test]
fn buckets_that_are_empty_do_not_ascend_or_are_out_of_range_are_refused() {
    let histogram = example_histogram();
    assert_eq!(kind(&with(&histogram, &histogram)), "ok");
    let replaced = |buckets: &[u8]| kind(&with(&histogram, buckets));
    assert_eq!(replaced(&[2, 2, 5, 3, 0, 1]), "malformed", "the same bucket twice");
    assert_eq!(replaced(&[2, 2, 5, 4, 1, 0]), "malformed", "a count of zero");
    assert_eq!(replaced(&[0, 1, 5, 4]), "malformed", "no digits");
    assert_eq!(replaced(&[4, 1, 5, 4]), "malformed", "four digits");
    let past = |distance| [&[2, 1], &varint(distance)[..], &[4]].concat();
    let limit = bucket_count(Digits::DEFAULT) as u64;
    assert_eq!(replaced(&past(limit - 1)), "ok");
    assert_eq!(replaced(&past(limit)), "malformed", "beyond the last bucket");
    assert_eq!(replaced(&[2, 2, 5, 1, 251, 0xff, 0xff, 3]), "malformed", "the index overflows");
}

fn example_histogram() -> Vec<u8> {
    let mut bytes = vec![2];
    let latency = samples::example().series.remove(0).latency;
    bytes.extend(varint(latency.buckets().len() as u64));
    let mut before = 0;
    for bucket in latency.buckets() {
        bytes.extend(varint((bucket.index - before).into()));
        bytes.extend(varint(bucket.count.into()));
        before = bucket.index;
    }
    bytes
}

#[test]
fn names_are_at_most_256_bytes() {
    let named = |len: usize| {
        let name = [&varint(len as u64), &vec![b'n'; len][..]].concat();
        with(b"\x04cart", &name)
    };
    assert_eq!(kind(&named(MAX_TEXT_BYTES)), "ok");
    assert_eq!(kind(&named(MAX_TEXT_BYTES + 1)), "malformed");
}

#[test]
fn long_names_are_cut_between_characters() {
    assert_eq!(Text::truncated("n".repeat(300)).as_str(), "n".repeat(256));
    assert_eq!(Text::truncated("\u{20ac}".repeat(300)).as_str(), "\u{20ac}".repeat(85));
}

#[test]
fn names_must_be_utf8_and_directions_known() {
    assert_eq!(kind(&with(b"cart", b"c\xffrt")), "malformed");
    let bytes = Writer::frame(&samples::example());
    let series = bytes.lengths.iter().find(|length| length.limit == MAX_SERIES).unwrap();
    let mut bytes = bytes.bytes.clone();
    bytes[series.at + 1] = 2;
    assert_eq!(kind(&bytes), "malformed");
}
