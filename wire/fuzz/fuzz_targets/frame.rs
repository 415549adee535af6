//! Any bytes: decoding neither panics nor asks for more memory than their length allows, and what
//! it accepts can be written, merged and asked.

#![no_main]

// The same counter as in the tests.
#[path = "../../tests/allocation/counting.rs"]
mod counting;

use foresail_wire::{EncodeError, Frame, decode, encode};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    // Without the right first bytes little happens, so they are given; what follows them is free.
    let mut bytes = data.to_vec();
    if let Some(magic) = bytes.first_chunk_mut::<4>() {
        if magic[0] != 0 {
            *magic = foresail_wire::MAGIC;
        }
    }
    let (requested, decoded) = counting::requested_by(|| decode(&bytes));
    assert!(requested <= 64 * bytes.len() + 64 * 1024, "{requested} bytes requested");
    let Ok(frame) = decoded else { return };
    same_after_a_round_trip(&frame);
    ask(&frame);
    merge(frame);
});

/// Writers use the fewest bytes, so what came in as a valid frame is never too large.
fn same_after_a_round_trip(frame: &Frame<'_>) {
    let again = encode(frame).expect("an accepted frame can be written");
    assert_eq!(decode(&again).expect("a written frame can be read"), *frame);
}

fn ask(frame: &Frame<'_>) {
    for histogram in frame.series.iter().flat_map(|series| [&series.latency, &series.first_byte]) {
        for q in [0.0, 0.07, 0.5, 0.99, 1.0] {
            assert_eq!(histogram.quantile(q).is_none(), histogram.is_empty());
        }
        let past_zero = histogram.buckets().iter().filter(|bucket| bucket.index > 0);
        let past_zero: u64 = past_zero.map(|bucket| u64::from(bucket.count)).sum();
        assert_eq!(histogram.count_above(0), past_zero);
    }
}

/// With a later window of itself: the result commutes and is a frame again.
fn merge(frame: Frame<'_>) {
    let later = Frame { sequence: frame.sequence.saturating_add(1), ..frame.clone() };
    let mut left = frame.clone();
    left.merge(later.clone()).expect("the same instance");
    let mut right = later;
    right.merge(frame).expect("the same instance");
    assert_eq!(left, right);
    match encode(&left) {
        Ok(bytes) => assert_eq!(decode(&bytes).expect("a merged frame can be read"), left),
        Err(EncodeError::TooLarge { .. }) => {}
        Err(error) => panic!("a merged frame cannot be written: {error}"),
    }
}
