//! No input makes the decoder ask for more memory than its length allows.
//!
//! Counted is every byte that is requested while decoding, whether or not it is given back: a bound
//! on the total, and so on the peak.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(clippy::print_stdout, reason = "the figures are shown with --nocapture")]
#![expect(clippy::indexing_slicing, reason = "a test fails by panicking")]

mod counting;
// Each module below is shared with the other tests, which use all of it.
#[path = "../suite/samples.rs"]
mod samples;
#[path = "../suite/written.rs"]
mod written;

use foresail_wire::{Digits, MAX_FRAME_BYTES, MAX_SERIES, bucket_count, decode};
use proptest::prelude::*;

use samples::goldens;
use written::{Writer, varint};

const PER_BYTE: usize = 64;
const BESIDE: usize = 64 * 1024;

/// Bytes requested to decode these, and whether they are a frame.
fn requested(bytes: &[u8]) -> (usize, bool) {
    counting::requested_by(|| decode(bytes).is_ok())
}

#[track_caller]
fn check(bytes: &[u8]) -> (usize, bool) {
    let (requested, accepted) = requested(bytes);
    let allowed = PER_BYTE * bytes.len() + BESIDE;
    assert!(requested <= allowed, "{requested} bytes for an input of {}", bytes.len());
    (requested, accepted)
}

/// A golden frame's bytes before its series, then `series` that claim to be `claimed`.
fn with_series(claimed: usize, series: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = Writer::frame(&samples::heartbeat()).bytes;
    bytes.pop();
    bytes.extend(varint(claimed as u64));
    bytes.extend(series.concat());
    bytes
}

/// The n-th series with these codes and histograms; empty lists for the rest.
fn series(n: usize, codes: &[u8], latency: &[u8], first_byte: &[u8]) -> Vec<u8> {
    let key = [0, 0, 1, u8::try_from(n + 32).unwrap()];
    [&key[..], &[0, 0], codes, &[0, 0], latency, first_byte, &[0, 0]].concat()
}

/// A histogram in the fewest bytes: two a bucket, from bucket 0 on.
fn packed(digits: u8, buckets: usize) -> Vec<u8> {
    let mut bytes = vec![digits];
    bytes.extend(varint(buckets as u64));
    (0..buckets).for_each(|n| bytes.extend([u8::from(n > 0), 1]));
    bytes
}

#[test]
fn the_counter_counts() {
    let make = || drop(std::hint::black_box(Vec::<u8>::with_capacity(12_345)));
    assert_eq!(counting::requested_by(make).0, 12_345);
}

#[test]
fn goldens_and_their_lies_stay_within_the_bound() {
    for (name, bytes, frame) in goldens() {
        let (requested, accepted) = check(bytes);
        println!("{name}: {} bytes, {requested} requested", bytes.len());
        assert!(accepted);
        let written = Writer::frame(&frame);
        for length in &written.lengths {
            for value in [length.limit as u64 - 1, length.limit as u64, 1 << 20, u64::MAX] {
                check(&written.with_length(length, value));
            }
        }
        for end in 0..bytes.len() {
            check(&bytes[..end]);
        }
    }
}

#[test]
fn adversarial_frames_stay_within_the_bound() {
    let none = [2, 0];
    let all_buckets = |digits| bucket_count(Digits::new(digits).unwrap());
    let many = |codes: &[u8], latency: &[u8], first_byte: &[u8]| -> Vec<Vec<u8>> {
        (0..MAX_SERIES).map(|n| series(n, codes, latency, first_byte)).collect()
    };
    // A length just above a power of two makes a growing vector the most wasteful.
    let odd = (0..12).map(|bits| packed(3, (1 << bits) + 1));
    let mut cases = vec![
        ("the most series, each the least", with_series(MAX_SERIES, &many(&[0], &none, &none))),
        ("claims the most series, has none", with_series(MAX_SERIES, &[])),
        (
            "claims all buckets in the last series",
            [
                with_series(MAX_SERIES, &many(&[0], &none, &none)[1..]),
                vec![0, 0, 0, 0, 0, 0, 0, 0, 3, 251, 0x27, 0x43],
            ]
            .concat(),
        ),
        ("claims all codes in each", with_series(MAX_SERIES, &many(&[64, 200, 1], &none, &none))),
        (
            "one bucket in each histogram",
            with_series(MAX_SERIES, &many(&[1, 200, 1], &packed(1, 1), &packed(1, 1))),
        ),
        (
            "all buckets of two digits",
            with_series(MAX_SERIES, &many(&[0], &packed(2, all_buckets(2)), &packed(1, 1))),
        ),
    ];
    for histogram in odd {
        let all = with_series(MAX_SERIES, &many(&[0], &histogram, &histogram));
        if all.len() <= MAX_FRAME_BYTES {
            cases.push(("one bucket more than a power of two", all));
        }
    }
    for (what, bytes) in &cases {
        let (requested, accepted) = check(bytes);
        let above = requested.saturating_sub(BESIDE) as f64 / bytes.len() as f64;
        println!(
            "{what}: {} bytes, {requested} requested ({:.1} a byte, {above:.1} beside 64 KiB){}",
            bytes.len(),
            requested as f64 / bytes.len() as f64,
            if accepted { ", accepted" } else { "" },
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn changed_goldens_stay_within_the_bound(
        which in 0_usize..4,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
    ) {
        let mut bytes = goldens()[which].1.to_vec();
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        check(&bytes);
    }

    #[test]
    fn random_bytes_stay_within_the_bound(
        body in prop::collection::vec(prop_oneof![0_u8..4, any::<u8>()], 0..600),
    ) {
        check(&[b"FSL1", &body[..]].concat());
        check(&with_series(MAX_SERIES, &[body]));
    }
}
