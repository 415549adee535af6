//! Arbitrary valid frames.

use std::collections::BTreeMap;

use foresail_wire::{
    Counts, Digits, Direction, Frame, Health, Identity, LatencyHistogram, MAX_KEYED_SERIES, Series,
    SeriesKey, Streams, Text, Window, bucket_count, bucket_index,
};
use proptest::collection::vec;
use proptest::prelude::*;

pub(crate) fn digits() -> impl Strategy<Value = Digits> {
    (1_u8..=3).prop_map(|digits| Digits::new(digits).unwrap())
}

/// Integers of every encoded width, the ends of each among them.
fn integer() -> impl Strategy<Value = u64> {
    prop_oneof![
        0_u64..=252,
        prop::sample::select(vec![250, 251, 0xffff, 0x1_0000, 0xffff_ffff, 1 << 32, u64::MAX]),
        any::<u64>(),
    ]
}

fn text(at_least: usize) -> impl Strategy<Value = Text<'static>> {
    let ascii = vec(prop::char::range(' ', '~'), at_least..40);
    let any_script = vec(any::<char>(), at_least..70);
    prop_oneof![4 => ascii, 1 => any_script]
        .prop_map(|chars| Text::truncated(chars.into_iter().collect::<String>()))
}

fn key() -> impl Strategy<Value = SeriesKey<'static>> {
    let direction = prop::sample::select(vec![Direction::Inbound, Direction::Outbound]);
    prop_oneof![
        1 => direction.clone().prop_map(SeriesKey::overflow),
        9 => (direction, text(0), text(0)).prop_map(|(direction, destination, route)| SeriesKey {
            direction,
            destination,
            route,
        }),
    ]
}

/// Sums that stay below saturation: `count` is at most a million.
pub(crate) fn histogram(digits: Digits) -> impl Strategy<Value = LatencyHistogram> {
    let last = u16::try_from(bucket_count(digits) - 1).unwrap();
    let index = prop_oneof![0..=last, 0..=300_u16, Just(last)];
    prop::collection::btree_map(index, 1_u32..=1_000_000, 0..60)
        .prop_map(move |buckets| LatencyHistogram::from_buckets(digits, buckets).unwrap())
}

/// A series whose every request is counted in `codes`, and in `latency` or `streams`.
fn series(key: SeriesKey<'static>) -> impl Strategy<Value = Series<'static>> {
    let small = || vec((any::<u8>(), 1_u32..100_000), 0..20);
    let latency = digits().prop_flat_map(histogram);
    let first_byte = digits().prop_flat_map(histogram);
    let streams = (0_u32..1_000_000, integer());
    let codes = vec(0_u16..1_000, 1..80);
    (any::<u32>(), integer(), codes, small(), small(), latency, first_byte, streams).prop_map(
        move |(in_flight, concurrency_micros, seen, grpc, flags, latency, first_byte, streams)| {
            let mut series = Series {
                key: key.clone(),
                in_flight,
                concurrency_micros,
                latency,
                first_byte,
                streams: Streams { finished: streams.0, duration_micros: streams.1 },
                ..Series::default()
            };
            let finished = series.latency.total() + u64::from(series.streams.finished);
            let mut left = u32::try_from(finished).unwrap();
            for code in &seen[1..] {
                series.codes.add(*code, left / 3);
                left -= left / 3;
            }
            series.codes.add(seen[0], left);
            add_all(&mut series.grpc, grpc);
            add_all(&mut series.flags, flags);
            series
        },
    )
}

fn add_all<const MAX: usize>(counts: &mut Counts<u8, MAX>, entries: Vec<(u8, u32)>) {
    for (key, count) in entries {
        counts.add(key, count);
    }
}

fn health() -> impl Strategy<Value = Health> {
    (integer(), integer(), integer(), integer()).prop_map(
        |(overflowed, merged, failed_sends, unreadable)| Health {
            overflowed,
            merged,
            failed_sends,
            unreadable,
        },
    )
}

fn window() -> impl Strategy<Value = Window> {
    (0..u64::MAX, integer()).prop_map(|(start_micros, length)| Window {
        start_micros,
        end_micros: start_micros.saturating_add(length.max(1)),
    })
}

fn frame_with(
    series: impl Strategy<Value = Vec<Series<'static>>>,
) -> impl Strategy<Value = Frame<'static>> {
    let identity =
        (text(1), text(1), text(0), text(0)).prop_map(|(namespace, workload, pod, revision)| {
            Identity { namespace, workload, pod, revision }
        });
    let sequence = integer().prop_map(|sequence| sequence.max(1));
    (identity, integer(), sequence, window(), integer(), health(), series).prop_map(
        |(identity, instance, sequence, window, sent_at_micros, health, series)| Frame {
            identity,
            instance,
            sequence,
            window,
            sent_at_micros,
            health,
            series,
        },
    )
}

/// Ascending, each key once, at most as many as a frame may have.
fn in_order(series: Vec<Series<'static>>) -> Vec<Series<'static>> {
    let by_key: BTreeMap<_, _> = series.into_iter().map(|one| (one.key.clone(), one)).collect();
    let mut keyed = 0;
    by_key
        .into_values()
        .filter(|one| {
            keyed += usize::from(!one.key.is_overflow());
            one.key.is_overflow() || keyed <= MAX_KEYED_SERIES
        })
        .collect()
}

pub(crate) fn frame() -> impl Strategy<Value = Frame<'static>> {
    frame_with(vec(key().prop_flat_map(series), 0..6).prop_map(in_order))
}

/// Three frames of one instance, with so many keys that they do not fit into one.
pub(crate) fn three_of_one_instance() -> impl Strategy<Value = [Frame<'static>; 3]> {
    let one = || frame_with(vec(small_series(), 0..90).prop_map(in_order));
    (one(), one(), one(), any::<u64>(), 0..9_u64).prop_map(|(mut a, mut b, mut c, instance, n)| {
        for (sequence, frame) in [(2, &mut b), (1, &mut a), (3, &mut c)] {
            frame.instance = instance;
            frame.sequence = sequence + n;
        }
        b.identity = a.identity.clone();
        c.identity = a.identity.clone();
        [a, b, c]
    })
}

/// A series of few numbers under one of some 160 keys, now and then with many status codes.
fn small_series() -> impl Strategy<Value = Series<'static>> {
    let direction = prop::sample::select(vec![Direction::Inbound, Direction::Outbound]);
    let route = prop_oneof![1 => Just(None), 40 => (0_u8..80).prop_map(Some)];
    let requests = vec((0_u16..110, 0_u64..90_000_000, 1_u32..1_000), 0..6);
    let many = vec((0_u16..300, 0_u64..10, 1_u32..9), 100);
    let requests = prop_oneof![20 => requests, 1 => many];
    (direction, route, digits(), any::<u16>(), requests).prop_map(
        |(direction, route, digits, in_flight, requests)| {
            let key = match route {
                None => SeriesKey::overflow(direction),
                Some(n) => SeriesKey {
                    direction,
                    route: Text::truncated(format!("/{n}")),
                    ..SeriesKey::default()
                },
            };
            let mut series = Series { key, in_flight: in_flight.into(), ..Series::default() };
            let mut buckets = BTreeMap::new();
            for (code, micros, count) in requests {
                series.codes.add(code, count);
                series.flags.add(u8::try_from(code % 200).unwrap(), count);
                *buckets.entry(bucket_index(digits, micros)).or_default() += count;
            }
            series.latency = LatencyHistogram::from_buckets(digits, buckets).unwrap();
            series
        },
    )
}
