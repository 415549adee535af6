use foresail_wire::{
    Digits, Direction, Health, Identity, LatencyHistogram, Series, SeriesKey, Text, Window,
};

use super::*;

const T0: u64 = 1_700_000_000;

/// A frame of `pod` for the second that begins `second` after [`T0`].
fn frame(pod: &'static str, sequence: u64, second: u64, requests: u32) -> Frame<'static> {
    let start_micros = (T0 + second) * 1_000_000;
    let mut series = Series {
        key: SeriesKey { direction: Direction::Inbound, ..SeriesKey::default() },
        concurrency_micros: u64::from(requests) * 20_000,
        latency: LatencyHistogram::new(Digits::DEFAULT),
        ..Series::default()
    };
    series.codes.add(200, requests);
    (0..requests).for_each(|_| series.latency.record(20_000));
    Frame {
        identity: Identity {
            namespace: Text::truncated("demo"),
            workload: Text::truncated("web"),
            pod: Text::truncated(pod),
            revision: Text::default(),
        },
        instance: pod.bytes().map(u64::from).sum(),
        sequence,
        window: Window { start_micros, end_micros: start_micros + 1_000_000 },
        sent_at_micros: start_micros + 1_000_000,
        health: Health::default(),
        series: if requests == 0 { vec![] } else { vec![series] },
    }
}

fn at(second: u64) -> Timestamp {
    Timestamp::from_secs(T0 + second)
}

fn replicas(ready: u32) -> ReplicaStatus {
    ReplicaStatus { current_replicas: ready, ready_replicas: ready, ..ReplicaStatus::default() }
}

#[test]
fn frames_of_all_proxies_add_up_in_their_window() {
    let mut telemetry = WorkloadTelemetry::new();
    telemetry.apply(&frame("a", 1, 0, 30), at(1));
    telemetry.apply(&frame("b", 1, 0, 12), at(1));
    let seen = telemetry.observe(at(2), at(0), Some(&replicas(2)));
    assert_eq!(seen.rps.map(Rps::get), Some(42.0));
    assert_eq!(seen.coverage, Some(Ratio::ONE));
    assert_eq!(seen.newest, Some(at(1)));
    assert!(seen.p95_ms.is_some_and(|p95| (p95 - 20.0).abs() < 0.1), "{seen:?}");
    assert!(seen.concurrency.is_some_and(|c| (c - 0.84).abs() < 1e-6), "{seen:?}");
}

#[test]
fn a_frame_seen_before_changes_nothing() {
    let mut telemetry = WorkloadTelemetry::new();
    assert_eq!(telemetry.apply(&frame("a", 1, 0, 30), at(1)), Applied::Accepted { late: 0 });
    assert_eq!(telemetry.apply(&frame("a", 1, 0, 30), at(2)), Applied::Duplicate);
    assert_eq!(telemetry.totals().inbound.requests, 30);
    assert_eq!(telemetry.totals().duplicate_frames, 1);
}

#[test]
fn a_proven_zero_is_zero_and_silence_is_not() {
    let mut telemetry = WorkloadTelemetry::new();
    let silent = telemetry.observe(at(5), at(0), Some(&replicas(1)));
    assert_eq!((silent.rps, silent.newest, silent.coverage), (None, None, None));
    telemetry.apply(&frame("a", 1, 0, 0), at(1));
    let idle = telemetry.observe(at(2), at(0), Some(&replicas(1)));
    assert_eq!(idle.rps, Some(Rps::ZERO));
    assert_eq!(idle.coverage, Some(Ratio::ONE));
    assert_eq!(idle.p95_ms, None);
}

#[test]
fn coverage_is_the_share_of_ready_replicas_that_were_heard() {
    let mut telemetry = WorkloadTelemetry::new();
    telemetry.apply(&frame("a", 1, 0, 10), at(1));
    let seen = telemetry.observe(at(2), at(0), Some(&replicas(4)));
    assert_eq!(seen.coverage, Some(Ratio::new(0.25).unwrap()));
}

#[test]
fn a_late_frame_lands_in_its_window_and_a_later_one_only_in_the_totals() {
    let mut telemetry = WorkloadTelemetry::new();
    telemetry.apply(&frame("a", 1, 20, 5), at(21));
    let resent = |pod, second, requests| Frame {
        sent_at_micros: at(21).as_micros(),
        ..frame(pod, 1, second, requests)
    };
    assert_eq!(telemetry.apply(&resent("b", 12, 7), at(21)), Applied::Accepted { late: 0 });
    let too_late = telemetry.apply(&resent("c", 3, 9), at(21));
    assert_eq!(too_late, Applied::Accepted { late: 9 });
    assert_eq!(telemetry.totals().inbound.requests, 21);
    assert_eq!(telemetry.totals().late_requests, 9);
    let windows = telemetry.summaries(Tier::Fine, at(22));
    assert_eq!(windows.iter().map(|(at, _)| *at).collect::<Vec<_>>(), [at(12), at(20)]);
}

#[test]
fn a_clock_that_is_off_is_measured_and_put_right() {
    let mut telemetry = WorkloadTelemetry::new();
    // This proxy's clock is an hour behind.
    telemetry.apply(&frame("a", 1, 0, 5), at(3_601));
    let seen = telemetry.observe(at(3_602), at(3_590), Some(&replicas(1)));
    assert_eq!(seen.rps.map(Rps::get), Some(5.0));
    assert_eq!(seen.newest, Some(at(3_601)));
}

#[test]
fn a_window_that_ends_after_it_was_sent_is_refused() {
    let mut telemetry = WorkloadTelemetry::new();
    let mut future = frame("a", 1, 0, 5);
    future.sent_at_micros -= 5_000_000;
    assert_eq!(telemetry.apply(&future, at(1)), Applied::FutureDated);
    assert_eq!(telemetry.totals().inbound.requests, 0);
}

#[test]
fn a_merged_frame_is_spread_over_its_windows() {
    let mut telemetry = WorkloadTelemetry::new();
    let mut merged = frame("a", 1, 0, 40);
    merged.window.end_micros += 3_000_000;
    merged.sent_at_micros += 3_000_000;
    telemetry.apply(&merged, at(4));
    let rates: Vec<_> = telemetry.summaries(Tier::Fine, at(9)).iter().map(|(_, s)| s.rps).collect();
    assert_eq!(rates, [Some(10.0); 4]);
}

#[test]
fn windows_close_into_coarser_tiers_and_come_back_after_a_restart() {
    let mut telemetry = WorkloadTelemetry::new();
    let mut closed = Vec::new();
    let first = T0.next_multiple_of(300) - T0;
    for second in first..first + 320 {
        telemetry.apply(&frame("a", second, second, 10), at(second + 1));
        closed.extend(telemetry.advance(at(second + 1)));
    }
    let of = |tier| closed.iter().filter(|window| window.tier == tier).count();
    assert_eq!((of(Tier::Fine), of(Tier::Mid), of(Tier::Coarse)), (310, 20, 1));
    let coarse = closed.iter().find(|window| window.tier == Tier::Coarse).unwrap();
    assert_eq!((coarse.summary.rps, coarse.summary.coverage), (Some(10.0), Some(1.0)));

    let stored = serde_json::to_string(telemetry.volatile()).unwrap();
    let mut restored = WorkloadTelemetry::from_volatile(serde_json::from_str(&stored).unwrap());
    for window in &closed {
        restored.restore(window.tier, window.index, &window.summary);
    }
    for tier in Tier::ALL {
        assert_eq!(restored.summaries(tier, at(900)), telemetry.summaries(tier, at(900)));
    }
    assert_eq!(restored.totals(), telemetry.totals());
    assert!(restored.is_duplicate(u64::from(b'a'), first + 319));
}

#[test]
fn a_window_settles_when_all_are_heard_or_a_moment_has_passed() {
    let mut telemetry = WorkloadTelemetry::new();
    telemetry.apply(&frame("a", 1, 0, 10), at(1));
    let half = telemetry.observe(at(1), at(0), Some(&replicas(2)));
    assert_eq!(half.rps, None);
    telemetry.apply(&frame("b", 1, 0, 10), at(1));
    let whole = telemetry.observe(at(1), at(0), Some(&replicas(2)));
    assert_eq!(whole.rps.map(Rps::get), Some(20.0));
}

#[test]
fn failures_are_server_errors_and_not_clients_that_went_away() {
    let mut telemetry = WorkloadTelemetry::new();
    let mut mixed = frame("a", 1, 0, 5);
    let series = &mut mixed.series[0];
    series.codes.add(503, 1);
    series.codes.add(404, 1);
    series.codes.add(0, 3);
    // Two clients went away, one in HTTP/1 and one in HTTP/2.
    series.flags.add(14, 1);
    series.flags.add(28, 1);
    series.grpc.add(14, 1);
    telemetry.apply(&mixed, at(1));
    // 503, one reset by the server, one gRPC "unavailable" of ten requests.
    let seen = telemetry.observe(at(2), at(0), Some(&replicas(1)));
    assert!(seen.error_ratio.is_some_and(|r| (r.get() - 0.3).abs() < 1e-6), "{seen:?}");
}

#[test]
fn a_replica_that_has_just_become_ready_is_not_missed() {
    let mut telemetry = WorkloadTelemetry::new();
    telemetry.apply(&frame("a", 1, 0, 10), at(1));
    telemetry.set_replicas(Some(1), None);
    let grown = telemetry.observe(at(2), at(0), Some(&replicas(3)));
    assert_eq!(grown.coverage, Some(Ratio::ONE));
    telemetry.set_replicas(Some(3), None);
    let missed = telemetry.observe(at(2), at(0), Some(&replicas(3)));
    assert!(missed.coverage.is_some_and(|coverage| coverage.get() < 0.5), "{missed:?}");
}

#[test]
fn calls_to_other_services_are_known_by_how_many_are_in_flight() {
    let mut telemetry = WorkloadTelemetry::new();
    let mut calling = frame("a", 1, 0, 30);
    let mut calls = calling.series[0].clone();
    calls.key.direction = Direction::Outbound;
    calls.concurrency_micros = 1_500_000;
    calling.series.push(calls);
    telemetry.apply(&calling, at(1));
    let seen = telemetry.observe(at(2), at(0), Some(&replicas(1)));
    assert_eq!((seen.rps.map(Rps::get), seen.outbound_concurrency), (Some(30.0), Some(1.5)));
    telemetry.apply(&frame("a", 2, 1, 30), at(2));
    let later = telemetry.observe(at(3), at(1), Some(&replicas(1)));
    assert_eq!(later.outbound_concurrency, None);
}
