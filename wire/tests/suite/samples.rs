//! The frames behind the golden files.

use foresail_wire::{
    Counts, Digits, Direction, Frame, Health, Identity, LatencyHistogram, Series, SeriesKey,
    Streams, Text, Window,
};

/// Every golden file with its bytes and the frame that they stand for.
pub(crate) fn goldens() -> [(&'static str, &'static [u8], Frame<'static>); 4] {
    [
        ("v1-heartbeat.bin", include_bytes!("../golden/v1-heartbeat.bin"), heartbeat()),
        ("v1-example.bin", include_bytes!("../golden/v1-example.bin"), example()),
        ("v1-typical.bin", include_bytes!("../golden/v1-typical.bin"), typical()),
        ("v1-full.bin", include_bytes!("../golden/v1-full.bin"), full()),
    ]
}

fn text(name: &'static str) -> Text<'static> {
    Text::truncated(name)
}

fn counts<K: Copy + Ord, const MAX: usize>(entries: &[(K, u32)]) -> Counts<K, MAX> {
    let mut counts = Counts::new();
    for (key, count) in entries {
        counts.add(*key, *count);
    }
    counts
}

fn latency(digits: u8, buckets: impl IntoIterator<Item = (u16, u32)>) -> LatencyHistogram {
    LatencyHistogram::from_buckets(Digits::new(digits).unwrap(), buckets).unwrap()
}

/// A proxy that saw nothing: zero that is known, not missing.
pub(crate) fn heartbeat() -> Frame<'static> {
    Frame {
        identity: Identity {
            namespace: text("shop"),
            workload: text("cart"),
            pod: text("cart-7d9f8b6c5-x2k4q"),
            revision: text("v2"),
        },
        instance: 0x1122_3344_5566_7788,
        sequence: 1,
        window: Window { start_micros: 1_700_000_000_000_000, end_micros: 1_700_000_001_000_000 },
        sent_at_micros: 1_700_000_001_000_250,
        health: Health::default(),
        series: Vec::new(),
    }
}

/// The worked example of the README: four requests, one of them failed.
pub(crate) fn example() -> Frame<'static> {
    Frame {
        identity: Identity {
            namespace: text("shop"),
            workload: text("cart"),
            pod: text("c-1"),
            revision: text(""),
        },
        instance: 7,
        sequence: 300,
        series: vec![Series {
            key: SeriesKey::default(),
            in_flight: 2,
            concurrency_micros: 70_000,
            codes: counts(&[(200, 3), (503, 1)]),
            latency: {
                let mut latency = LatencyHistogram::new(Digits::DEFAULT);
                for micros in [900, 1_000, 1_001, 50_000] {
                    latency.record(micros);
                }
                latency
            },
            ..Series::default()
        }],
        ..heartbeat()
    }
}

/// One workload under load for a second, with 50 occupied buckets.
pub(crate) fn typical() -> Frame<'static> {
    let buckets = (0..50_u16).map(|n| (700 + 3 * n, 1 + 400 / (1 + u32::from(n.abs_diff(12)))));
    let latency = latency(2, buckets);
    let total = u32::try_from(latency.total()).unwrap();
    Frame {
        sequence: 86_400,
        series: vec![Series {
            key: SeriesKey::default(),
            in_flight: 14,
            concurrency_micros: 13_482_911,
            codes: counts(&[(200, total - 40), (404, 28), (503, 12)]),
            latency,
            ..Series::default()
        }],
        ..heartbeat()
    }
}

/// Everything that a frame can carry, and integers of every width.
pub(crate) fn full() -> Frame<'static> {
    let inbound = Series {
        key: SeriesKey { route: text("/cart/{id}"), ..SeriesKey::default() },
        in_flight: 251,
        concurrency_micros: u64::from(u32::MAX) + 1,
        codes: counts(&[(0, 1), (200, 250), (404, 251), (599, 65_536)]),
        grpc: counts(&[(0, 249), (4, 3), (14, 7), (255, 65_535)]),
        flags: counts(&[(1, 2), (26, 300), (251, 1), (255, 70_000)]),
        latency: latency(2, [(0, 1), (1, 250), (252, 251), (2_532, 65_535)]),
        first_byte: latency(3, [(250, 0), (17_190, 1)]),
        streams: Streams { finished: 1, duration_micros: u64::MAX },
    };
    let inbound_overflow = Series {
        key: SeriesKey::overflow(Direction::Inbound),
        codes: counts(&[(200, u32::MAX)]),
        latency: latency(3, [(1_023, u32::MAX)]),
        ..Series::default()
    };
    let outbound = Series {
        key: SeriesKey {
            direction: Direction::Outbound,
            destination: text("prices.shop.svc.cluster.local"),
            route: text("Preis\u{fc}bersicht \u{1f6d2}"),
        },
        in_flight: u32::MAX,
        codes: counts(&[(101, 5), (200, 2)]),
        latency: latency(1, [(0, 1), (342, 1)]),
        first_byte: latency(1, [(7, 5)]),
        streams: Streams { finished: 5, duration_micros: 3_600_000_000 },
        ..Series::default()
    };
    let outbound_overflow = Series {
        key: SeriesKey::overflow(Direction::Outbound),
        codes: counts(&[(204, 1)]),
        latency: latency(2, [(128, 1)]),
        ..Series::default()
    };
    Frame {
        instance: u64::MAX,
        sequence: 65_536,
        health: Health { overflowed: 250, merged: 251, failed_sends: 65_536, unreadable: 1 << 32 },
        series: vec![inbound, inbound_overflow, outbound_overflow, outbound],
        ..heartbeat()
    }
}
