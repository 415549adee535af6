//! Merging: in any order, and nothing lost.

use foresail_wire::{
    Counts, Direction, Frame, LatencyHistogram, MAX_KEYED_SERIES, MAX_SERIES, Series, SeriesKey,
    Text, decode, encode,
};
use proptest::prelude::*;

use crate::{arbitrary, samples};

fn merged(mut left: Frame<'static>, right: Frame<'static>) -> Frame<'static> {
    left.merge(right).unwrap();
    left
}

/// What merging may not change: per direction, requests by outcome, latencies, concurrency.
fn totals(frames: &[Frame<'_>]) -> [[u128; 6]; 2] {
    [Direction::Inbound, Direction::Outbound].map(|direction| {
        let mut sums = [0; 6];
        let series = frames.iter().flat_map(|frame| &frame.series);
        for series in series.filter(|series| series.key.direction == direction) {
            let parts = [
                series.codes.total(),
                series.grpc.total(),
                series.flags.total(),
                series.latency.total(),
                series.first_byte.total(),
                u64::from(series.streams.finished),
            ];
            sums.iter_mut().zip(parts).for_each(|(sum, part)| *sum += u128::from(part));
        }
        sums
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(80))]

    #[test]
    fn merging_commutes([a, b, _] in arbitrary::three_of_one_instance()) {
        prop_assert_eq!(merged(a.clone(), b.clone()), merged(b, a));
    }

    #[test]
    fn merging_associates([a, b, c] in arbitrary::three_of_one_instance()) {
        let left = merged(merged(a.clone(), b.clone()), c.clone());
        prop_assert_eq!(left, merged(a, merged(b, c)));
    }

    #[test]
    fn merging_conserves_totals([a, b, c] in arbitrary::three_of_one_instance()) {
        let before = totals(&[a.clone(), b.clone(), c.clone()]);
        let all = merged(merged(a, b), c);
        prop_assert_eq!(totals(std::slice::from_ref(&all)), before);
        prop_assert!(all.series.len() <= MAX_SERIES);
        let bytes = encode(&all).unwrap();
        prop_assert_eq!(decode(&bytes).unwrap(), all);
    }

    #[test]
    fn counts_do_not_depend_on_the_order(
        mut entries in prop::collection::vec((0_u16..40, 1_u32..=u32::MAX), 0..60),
    ) {
        let count = |entries: &[(u16, u32)]| {
            let mut counts = Counts::<u16, 8>::new();
            for (key, count) in entries {
                counts.add(*key, *count);
            }
            counts
        };
        let forwards = count(&entries);
        entries.reverse();
        prop_assert_eq!(&forwards, &count(&entries));
        prop_assert!(forwards.iter().count() <= 8);
    }
}

#[test]
fn the_frame_with_the_higher_sequence_says_what_is_in_flight() {
    let mut older = samples::example();
    older.window.end_micros += 5_000_000;
    let mut newer = samples::example();
    newer.sequence += 1;
    newer.series[0].in_flight = 1;
    assert_eq!(merged(older, newer).series[0].in_flight, 1, "even when its clock was set back");
}

#[test]
fn without_numbers_the_later_window_says_what_is_in_flight() {
    let mut older = samples::example();
    older.sequence = 0;
    let mut newer = older.clone();
    newer.window.end_micros += 1_000_000;
    newer.series[0].in_flight = 1;
    assert_eq!(merged(older.clone(), newer.clone()).series[0].in_flight, 1);
    assert_eq!(merged(newer.clone(), older.clone()).series[0].in_flight, 1);
    newer.series.clear();
    assert_eq!(merged(older, newer).series[0].in_flight, 0);
}

#[test]
fn a_merge_covers_both_windows_and_keeps_running_totals() {
    let older = samples::full();
    let mut newer = Frame { sequence: older.sequence + 1, ..older.clone() };
    newer.window.start_micros += 1_000_000;
    newer.window.end_micros += 1_000_000;
    newer.health.overflowed += 9;
    let all = merged(newer.clone(), older.clone());
    assert_eq!(all.sequence, newer.sequence);
    assert_eq!(all.window.start_micros, older.window.start_micros);
    assert_eq!(all.window.end_micros, newer.window.end_micros);
    assert_eq!(all.health, newer.health);
}

#[test]
fn another_instance_is_refused_and_nothing_changes() {
    let mut frame = samples::example();
    assert!(frame.merge(samples::full()).is_err());
    assert_eq!(frame, samples::example());
}

#[test]
fn keys_beyond_the_limit_go_to_the_overflow_of_their_direction() {
    let one = |direction, n: usize| {
        let route = Text::truncated(format!("/{n:03}"));
        let mut series = Series {
            key: SeriesKey { direction, route, ..SeriesKey::default() },
            in_flight: 1,
            ..Series::default()
        };
        series.codes.add(200, 1);
        series.latency.record(1_000);
        series
    };
    let half = |direction| Frame {
        series: (0..MAX_KEYED_SERIES).map(|n| one(direction, n)).collect(),
        ..samples::heartbeat()
    };
    let all = merged(half(Direction::Outbound), half(Direction::Inbound));
    assert_eq!(all.series.len(), MAX_KEYED_SERIES + 1);
    let (overflow, kept) = all.series.split_last().unwrap();
    assert!(kept.iter().all(|series| series.key.direction == Direction::Inbound));
    assert_eq!(overflow.key, SeriesKey::overflow(Direction::Outbound));
    assert_eq!(overflow.codes.get(200), 64);
    assert_eq!(overflow.latency.total(), 64);
    assert_eq!(overflow.in_flight, 64);
}

/// A count at its limit stays there; totals then no longer add up, and the frame is still valid.
#[test]
fn saturated_frames_are_still_read() {
    let mut frame = samples::full();
    for sequence in 1..4 {
        let other = Frame { sequence: samples::full().sequence + sequence, ..samples::full() };
        frame.merge(other).unwrap();
    }
    let overflow = &frame.series[1];
    assert_eq!(overflow.codes.get(200), u32::MAX);
    assert_eq!(overflow.latency.total(), u64::from(u32::MAX));
    assert_eq!(frame.series[0].streams.duration_micros, u64::MAX);
    assert_eq!(decode(&encode(&frame).unwrap()).unwrap(), frame);
}

#[test]
fn a_saturated_latency_does_not_contradict_codes_that_are_not() {
    let mut series = Series::default();
    series.codes.add(200, u32::MAX - 1);
    series.codes.add(503, 10);
    let index = 128;
    series.latency =
        LatencyHistogram::from_buckets(series.latency.digits(), [(index, u32::MAX)]).unwrap();
    let frame = Frame { series: vec![series], ..samples::heartbeat() };
    assert_eq!(decode(&encode(&frame).unwrap()).unwrap(), frame);
}
