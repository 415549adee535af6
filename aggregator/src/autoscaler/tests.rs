use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::config::Config;
use crate::forecast::{Drift, EXCEEDANCE, Point, Stream, Tail};
use crate::units::Ratio;

fn config() -> WorkloadConfig {
    let text = "
workloads:
  - namespace: demo
    name: web
    mode: active
    min_replicas: 2
    max_replicas: 40
    objective: { latency: 250ms }
    target_rps_per_replica: 10
    startup_time: 30s
    decision_interval: 5s
    forecast: { season: 10m }
    behavior: { scale_down: { stabilization_window: 60s, policies: [] } }
    actuator: none
";
    Config::from_yaml(text).unwrap().workloads.remove(0)
}

fn at(second: u64) -> Timestamp {
    Timestamp::from_secs(1_700_000_400 + second)
}

fn observed(now: Timestamp, rps: f64, replicas: u32) -> Observation {
    Observation {
        newest: Some(now),
        rps: Rps::new(rps).ok(),
        coverage: Some(Ratio::ONE),
        current_replicas: Some(replicas),
        ready_replicas: Some(replicas),
        ..Observation::default()
    }
}

/// A day of ten minutes that jumps from 50 to 250 rps at its middle.
fn load(second: u64) -> f64 {
    if (second / 300).is_multiple_of(2) { 50.0 } else { 250.0 }
}

#[test]
fn capacity_is_ordered_before_the_load_that_it_is_for() {
    let mut autoscaler = Autoscaler::new(&config(), at(0));
    let start = 3_600; // six days are known
    let day: Vec<_> =
        (0..=start / 5).map(|i| (at(i * 5), Rps::new(load(i * 5)).unwrap())).collect();
    autoscaler.load_history(&day);
    let mut replicas = 5;
    let mut first_raise = None;
    for second in (start + 5..start + 320).step_by(5) {
        if let Some(job) = autoscaler.refit_job() {
            autoscaler.install(job.run());
        }
        let now = at(second);
        let step = autoscaler.step(now, &observed(now, load(second - 5), replicas));
        // The day before ended high; what was kept for it is gone after a few windows.
        let settled = second - start >= 180;
        if settled && step.decision.desired_replicas > 10 && first_raise.is_none() {
            first_raise = Some(second - start);
            let decision = &step.decision;
            assert!(decision.reason.starts_with("predictive: forecast p90"), "{decision:?}");
            assert!(decision.without_forecast <= 6, "{decision:?}");
        }
        replicas = step.decision.desired_replicas;
    }
    // The load jumps 300 s in; pods take 30 s.
    let raised = first_raise.unwrap();
    assert!((240..=270).contains(&raised), "raised {raised} s into the day");
}

#[test]
fn a_model_fault_leaves_the_reactive_answer_and_is_said_aloud() {
    let mut autoscaler = Autoscaler::new(&config(), at(0));
    autoscaler.model_failed("it panicked".to_owned());
    let step = autoscaler.step(at(100), &observed(at(100), 76.0, 5));
    assert_eq!(step.decision.desired_replicas, 10, "{:?}", step.decision);
    assert!(step.decision.reason.contains("model_fault (reactive only: it panicked)"));
}

/// A forecast that is certain of this rate.
fn certain(now: Timestamp, rate: f64, drift: Option<Drift>) -> Curve {
    let rps = Rps::new(rate).unwrap();
    let point = |ahead: usize| Point {
        at: now + Duration::from_secs(5) * u32::try_from(ahead).unwrap(),
        ahead,
        point: rps,
        lower: rps,
        upper: rps,
        tail: Tail::new([rate; EXCEEDANCE.len()]).unwrap(),
        boosted_share: 0.0,
    };
    let points = [1, 5, 10, 20].map(point).into();
    Curve { model: "ensemble".into(), issued_at: now, points, drift }
}

#[test]
fn while_a_change_counts_a_promoted_forecast_does_not_scale_in_by_itself() {
    let mut config = config();
    config.scale_in = ScaleIn::Forecast;
    let fewest = |drift: Option<Drift>| {
        let mut autoscaler = Autoscaler::new(&config, at(0));
        let mut decide = |second: u64, rate: f64| {
            let curve = certain(at(second), rate, drift);
            autoscaler.step_with(at(second), &observed(at(second), rate, 20), Some(&curve)).decision
        };
        (5..=400).step_by(5).for_each(|second| _ = decide(second, 200.0));
        let after: Vec<Decision> =
            (405..=450).step_by(5).map(|second| decide(second, 100.0)).collect();
        assert!(after.iter().all(|it| it.reason.contains("drift (") == drift.is_some()));
        after.iter().map(|decision| decision.desired_replicas).min().unwrap()
    };
    let drift = Drift { stream: Stream::Load, since: at(390) };
    assert!(fewest(None) <= 11, "{}", fewest(None));
    assert_eq!(fewest(Some(drift)), 20, "the stabilization window is the floor again");
}

#[test]
fn within_the_tolerance_nothing_changes() {
    // Without a forecast a quarter is kept in reserve: 8 rps per replica.
    let mut autoscaler = Autoscaler::new(&config(), at(0));
    autoscaler.model_failed("it panicked".to_owned());
    let step = autoscaler.step(at(100), &observed(at(100), 86.0, 10));
    assert_eq!(step.decision.desired_replicas, 10);
    let step = autoscaler.step(at(105), &observed(at(105), 90.0, 10));
    assert_eq!(step.decision.desired_replicas, 12);
}

#[test]
fn nothing_known_changes_nothing() {
    let mut autoscaler = Autoscaler::new(&config(), at(0));
    let nothing = Observation { current_replicas: Some(7), ..Observation::default() };
    let step = autoscaler.step(at(5), &nothing);
    assert_eq!(step.decision.desired_replicas, 7);
    assert!(step.decision.reason.starts_with("nothing is known of the load"));
}

#[test]
fn a_restart_goes_on_where_it_was() {
    let mut autoscaler = Autoscaler::new(&config(), at(0));
    for second in (5..200).step_by(5) {
        autoscaler.step(at(second), &observed(at(second), 80.0, 8));
    }
    let stored = serde_json::to_string(&autoscaler.snapshot()).unwrap();
    let snapshot: Snapshot = serde_json::from_str(&stored).unwrap();
    let load = autoscaler.learned_load();
    let mut restored = Autoscaler::restore(&config(), snapshot, Some(&load), at(200));
    assert_eq!(restored.last_decision(), autoscaler.last_decision());
    assert_eq!(restored.load().last(), autoscaler.load().last());
    let step = restored.step(at(205), &observed(at(205), 10.0, 8));
    assert_eq!(step.decision.desired_replicas, 8, "{:?}", step.decision);
    assert_eq!(step.decision.sequence, autoscaler.last_decision().unwrap().sequence + 1);
}

fn any_observation() -> impl Strategy<Value = (i64, Observation)> {
    let rps = prop_oneof![Just(None), (0.0..2_000.0_f64).prop_map(|v| Rps::new(v).ok())];
    let replicas = prop_oneof![Just(None), (0..100_u32).prop_map(Some)];
    let coverage = prop_oneof![Just(None), (0.0..=1.0_f64).prop_map(|v| Ratio::new(v).ok())];
    (-20..40_i64, prop_oneof![Just(None), (-300..100_i64).prop_map(Some)], rps, coverage, replicas)
        .prop_map(|(advance, age, rps, coverage, replicas)| {
            let newest = age.map(|age| {
                Timestamp::from_micros(1_700_000_400_000_000_u64.saturating_add_signed(age))
            });
            let observation = Observation {
                newest,
                rps,
                burst_rps: rps,
                coverage,
                current_replicas: replicas,
                ready_replicas: replicas,
                ..Observation::default()
            };
            (advance, observation)
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn whatever_comes_the_answer_is_in_bounds_repeatable_and_not_lower_on_bad_data(
        inputs in prop::collection::vec(any_observation(), 1..60),
    ) {
        let config = config();
        let run = || {
            let mut autoscaler = Autoscaler::new(&config, at(0));
            let mut now = 1_700_000_400_i64;
            let mut decisions = Vec::new();
            for (advance, observation) in &inputs {
                // Clocks jump back, too.
                now = (now + advance).max(1_700_000_000);
                let seconds = u64::try_from(now).unwrap_or(0);
                let mut observation = observation.clone();
                // Ages are relative to the step's own time.
                observation.newest = observation.newest.map(|newest| {
                    let age = newest.as_micros() - 1_700_000_000_000_000;
                    Timestamp::from_secs(seconds) - Duration::from_secs(400) + Duration::from_micros(age)
                });
                decisions.push(autoscaler.step(Timestamp::from_secs(seconds), &observation));
            }
            decisions
        };
        let decisions = run();
        prop_assert_eq!(&decisions, &run());
        for step in &decisions {
            let decision = &step.decision;
            let seen = &decision.observation;
            prop_assert!((2..=40).contains(&decision.desired_replicas));
            let good = seen.coverage.is_some_and(|c| c.get() >= 0.8) && seen.newest.is_some();
            if let (Some(current @ 2..=40), false) = (seen.current_replicas, good) {
                prop_assert!(decision.desired_replicas >= current, "{:?}", decision);
            }
        }
    }
}

/// Learns the capacity from 8 requests per second and replica for ten minutes, all of it well within
/// the objective, and then from `second` for ten minutes more; the replicas asked for at the end.
fn after_ten_minutes_of(second: &Observation) -> u32 {
    let config = WorkloadConfig { capacity: CapacitySource::Learned, ..config() };
    let mut autoscaler = Autoscaler::new(&config, at(0));
    let usual = Observation {
        p50_ms: Some(40.0),
        p95_ms: Some(90.0),
        p99_ms: Some(140.0),
        concurrency: Some(4.0),
        outbound_concurrency: Some(2.0),
        ..observed(at(0), 80.0, 10)
    };
    let mut desired = 10;
    for step in 1..=240 {
        let now = at(step * 5);
        let seen = if step <= 120 { &usual } else { second };
        let seen = Observation { newest: Some(now), ..seen.clone() };
        desired = autoscaler.step(now, &seen).decision.desired_replicas;
    }
    desired
}

#[test]
fn a_slow_dependency_is_not_answered_with_replicas() {
    // Every request takes 400 ms longer: 80 a second are 32 more in flight.
    let slow = Observation {
        p50_ms: Some(440.0),
        p95_ms: Some(490.0),
        p99_ms: Some(540.0),
        concurrency: Some(36.0),
        outbound_concurrency: Some(34.0),
        ..observed(at(0), 80.0, 10)
    };
    let own = Observation { outbound_concurrency: Some(2.0), ..slow.clone() };
    let (dependency, own) = (after_ten_minutes_of(&slow), after_ten_minutes_of(&own));
    assert!(dependency <= 10 && own > 15, "{dependency} and {own} replicas");
}

#[test]
fn a_start_up_time_that_is_longer_than_was_said_is_learned() {
    let mut autoscaler = Autoscaler::new(&config(), at(0));
    for round in 0..10 {
        let begin = round * 600;
        for (second, ready) in [(0, 4), (5, 4), (60, 4), (95, 6), (100, 6)] {
            let current = if second == 0 || second == 100 { 4 } else { 6 };
            let counts = Observation {
                current_replicas: Some(current),
                ready_replicas: Some(ready.min(current)),
                ..observed(at(begin + second), 20.0, current)
            };
            autoscaler.step(at(begin + second), &counts);
        }
    }
    assert_eq!(autoscaler.startup(), Duration::from_secs(95));
}
