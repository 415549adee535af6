//! Whatever comes, nothing panics, every answer is within bounds, and what is no measurement lowers
//! nothing.

use foresail_aggregator::autoscaler::Autoscaler;
use foresail_aggregator::journal::Observation;
use foresail_aggregator::units::{Ratio, Rps, Timestamp};
use proptest::prelude::*;

use crate::support::{BOUNDS, INTERVAL, at, config, observed, watch};

/// Numbers that no measurement has.
const ABSURD: [f64; 5] = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -1.0, -f64::MAX];

fn any_number() -> impl Strategy<Value = Option<f64>> {
    prop_oneof![
        Just(None),
        prop::sample::select(ABSURD.to_vec()).prop_map(Some),
        prop::sample::select(vec![0.0, f64::MIN_POSITIVE, 1e-9, 1e12, f64::MAX]).prop_map(Some),
        (0.0..5_000.0_f64).prop_map(Some),
    ]
}

fn any_time() -> impl Strategy<Value = Timestamp> {
    prop_oneof![
        8 => (0..2_000_u64).prop_map(at),
        1 => prop::sample::select(vec![0, 1, u64::MAX - 1, u64::MAX]).prop_map(Timestamp::from_micros),
    ]
}

fn any_replicas() -> impl Strategy<Value = Option<u32>> {
    prop_oneof![
        Just(None),
        (0..100_u32).prop_map(Some),
        prop::sample::select(vec![u32::MAX, u32::MAX - 1, 100_000]).prop_map(Some),
    ]
}

prop_compose! {
    fn any_observation()(
        newest in prop::option::of(any_time()),
        rates in (any_number(), any_number()),
        latencies in (any_number(), any_number(), any_number()),
        ratios in (any_number(), any_number()),
        concurrency in (any_number(), any_number()),
        replicas in (any_replicas(), any_replicas()),
    ) -> Observation {
        Observation {
            newest,
            rps: rates.0.and_then(|rate| Rps::new(rate).ok()),
            burst_rps: rates.1.and_then(|rate| Rps::new(rate).ok()),
            p50_ms: latencies.0,
            p95_ms: latencies.1,
            p99_ms: latencies.2,
            error_ratio: ratios.0.and_then(|ratio| Ratio::new(ratio).ok()),
            coverage: ratios.1.and_then(|ratio| Ratio::new(ratio).ok()),
            concurrency: concurrency.0,
            outbound_concurrency: concurrency.1,
            current_replicas: replicas.0,
            ready_replicas: replicas.1,
            cluster: None,
        }
    }
}

#[test]
fn of_a_measurement_that_is_dated_ahead_only_the_replicas_count() {
    let ahead = Observation { newest: Some(at(203)), ..observed(at(200), 300.0, 12) };
    let left = Observation {
        current_replicas: Some(12),
        ready_replicas: Some(12),
        ..Observation::default()
    };
    assert_eq!(ahead.believed(at(200)), left);
    assert_eq!(ahead.believed(at(201)), ahead);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// Times come in any order, twice, from long ago and from far ahead.
    #[test]
    fn nothing_panics_and_every_answer_is_within_bounds(
        steps in prop::collection::vec((any_time(), any_observation()), 1..40),
        promoted in any::<bool>(),
        learned in any::<bool>(),
    ) {
        let mut config = config(if promoted { "forecast" } else { "observed" });
        if learned {
            config.capacity = foresail_aggregator::config::CapacitySource::Learned;
        }
        let mut autoscaler = Autoscaler::new(&config, at(0));
        for (now, observation) in &steps {
            let step = autoscaler.step(*now, observation);
            let decision = &step.decision;
            prop_assert!((BOUNDS.0..=BOUNDS.1).contains(&decision.desired_replicas), "{decision:?}");
            prop_assert!((BOUNDS.0..=BOUNDS.1).contains(&decision.without_forecast), "{decision:?}");
            if let Some(approved) = &step.approved {
                prop_assert_eq!(approved.desired_replicas(), decision.desired_replicas);
            }
            prop_assert!(autoscaler.safe_rps().get() > 0.0);
            prop_assert!(autoscaler.risk_price().is_finite());
        }
    }

    /// A figure that cannot be is as good as one that is missing: what is decided is the same, then
    /// and afterwards.
    #[test]
    fn an_absurd_figure_is_a_missing_one(
        absurd in prop::sample::select(ABSURD.to_vec()),
        which in 0..4_usize,
        rps in 0.0..400.0_f64,
    ) {
        let mut config = config("forecast");
        config.capacity = foresail_aggregator::config::CapacitySource::Learned;
        let with = |value: Option<f64>| {
            let mut autoscaler = Autoscaler::new(&config, at(0));
            watch(&mut autoscaler, INTERVAL..120, 100.0, 12);
            let mut seen = observed(at(120), rps, 12);
            let fields =
                [&mut seen.p50_ms, &mut seen.p95_ms, &mut seen.p99_ms, &mut seen.concurrency];
            *fields.into_iter().nth(which).unwrap() = value;
            let mut steps = vec![autoscaler.step(at(120), &seen)];
            steps.extend(watch(&mut autoscaler, 125..200, 90.0, 12));
            steps
        };
        prop_assert_eq!(with(Some(absurd)), with(None));
    }

    /// A measurement that came twice, late, dated ahead or without its rate gives no fewer replicas
    /// than there are.
    #[test]
    fn what_is_no_new_measurement_lowers_nothing(
        age in prop_oneof![Just(0_i64), -29..0_i64, 8..10_000_i64],
        rps in prop::option::of(0.0..400.0_f64),
        current in 2..=40_u32,
    ) {
        let mut autoscaler = Autoscaler::new(&config("forecast"), at(0));
        watch(&mut autoscaler, INTERVAL..200, 100.0, current);
        // The one before was of 195.
        let newest = 195_u64.saturating_add_signed(age);
        let seen = Observation {
            newest: Some(at(newest)),
            rps: rps.and_then(|rps| Rps::new(rps).ok()),
            ..observed(at(200), 0.0, current)
        };
        let decision = autoscaler.step(at(200), &seen).decision;
        prop_assert!(decision.desired_replicas >= current, "{decision:?}");
    }
}
