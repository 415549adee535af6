//! More load never gives fewer replicas.

use foresail_aggregator::autoscaler::Autoscaler;
use foresail_aggregator::journal::Observation;
use foresail_aggregator::policy::{Known, Policy};
use foresail_aggregator::units::Rps;
use proptest::prelude::*;

use crate::support::{INTERVAL, at, config, observed, watch};

/// What is decided at 200 s on a load, after the same 200 s; `ready` of `current` replicas serve.
fn decide(is_blind: bool, rps: f64, ready: u32, current: u32, in_flight: f64) -> u32 {
    let mut autoscaler = Autoscaler::new(&config("forecast"), at(0));
    watch(&mut autoscaler, INTERVAL..200, 100.0, current);
    let seen = Observation {
        ready_replicas: Some(ready),
        concurrency: Some(in_flight),
        burst_rps: Rps::new(rps).ok(),
        ..observed(at(200), rps, current)
    };
    // One forecast for both loads: what the models make of a rate is theirs.
    let curve = autoscaler.forecast().cloned().filter(|_| !is_blind);
    assert_eq!(curve.is_some(), !is_blind);
    autoscaler.step_with(at(200), &seen, curve.as_ref()).decision.desired_replicas
}

#[test]
fn replicas_on_their_way_stay_while_those_that_serve_have_too_much() {
    // 5 of 8 serve; without a forecast each is given 8 requests per second.
    let reactive = |rps: f64| {
        let seen = Observation { ready_replicas: Some(5), ..observed(at(200), rps, 8) };
        let config = config("observed");
        let capacity = config.target_rps_per_replica;
        let mut policy = Policy::for_budget(config.objective.budget);
        let known = Known { capacity, startup: config.startup_time, curve: None };
        policy.propose(&config, at(200), &seen, known).reactive
    };
    assert_eq!([38.0, 48.0, 70.0].map(reactive), [Some(8), Some(8), Some(9)]);
    assert_eq!(reactive(20.0), Some(3));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn more_load_never_gives_fewer_replicas(
        is_blind in any::<bool>(),
        rps in (0.0..500.0_f64, 0.0..500.0_f64),
        current in 2..=40_u32,
        starting in 0..=20_u32,
    ) {
        let ready = current.saturating_sub(starting).max(1);
        let (less, more) = (rps.0.min(rps.1), rps.0.max(rps.1));
        let few = decide(is_blind, less, ready, current, 10.0);
        let many = decide(is_blind, more, ready, current, 10.0);
        prop_assert!(few <= many, "{few} for {less} rps and {many} for {more} rps");
    }

    #[test]
    fn more_waiting_requests_never_give_fewer_replicas(
        in_flight in (0.0..2_000.0_f64, 0.0..2_000.0_f64),
        current in 2..=40_u32,
    ) {
        let (less, more) = (in_flight.0.min(in_flight.1), in_flight.0.max(in_flight.1));
        let few = decide(false, 100.0, current, current, less);
        let many = decide(false, 100.0, current, current, more);
        prop_assert!(few <= many, "{few} for {less} in flight and {many} for {more}");
    }

    /// Until it was promoted the forecast only raises.
    #[test]
    fn a_forecast_that_is_not_promoted_only_raises(
        loads in prop::collection::vec(0.0..500.0_f64, 20..60),
    ) {
        let mut autoscaler = Autoscaler::new(&config("observed"), at(0));
        let mut replicas = 10;
        for (number, rps) in (1_u64..).zip(&loads) {
            let now = at(number * INTERVAL);
            let decision = autoscaler.step(now, &observed(now, *rps, replicas)).decision;
            let (with, without) = (decision.desired_replicas, decision.without_forecast);
            prop_assert!(with >= without, "{with} with and {without} without: {decision:?}");
            replicas = with;
        }
    }
}
