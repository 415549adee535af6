//! Nothing is scaled down in a state that forbids it, and everything is in the state beside it.

use foresail_aggregator::autoscaler::Autoscaler;
use foresail_aggregator::journal::Observation;
use foresail_aggregator::units::{Ratio, Rps};
use proptest::prelude::*;

use crate::support::{INTERVAL, WINDOW, at, config, observed, watch};

/// Replicas there are: many more than the load of 50 requests per second needs.
const REPLICAS: u32 = 30;
/// All is well from here on.
const SETTLED: u64 = 150;

/// A state in which nothing may be scaled down.
#[derive(Clone, Copy, Debug)]
enum Forbidden {
    /// The newest data is so many seconds old.
    Old(u64),
    /// So small a share of the replicas is heard.
    Thin(f64),
    /// Nobody tells how many replicas there are.
    Unknown,
    /// No data at all.
    Silent,
    /// The same data once more.
    Repeated,
    /// Data from before what was decided on.
    Reordered(u64),
    /// Data dated ahead by so many seconds.
    Ahead(u64),
    /// The objective is missed.
    Missed,
    /// A burst: twice the capacity within six seconds.
    Burst,
}

fn any_forbidden() -> impl Strategy<Value = Forbidden> {
    prop_oneof![
        (31..4_000_u64).prop_map(Forbidden::Old),
        (0.0..0.799_f64).prop_map(Forbidden::Thin),
        Just(Forbidden::Unknown),
        Just(Forbidden::Silent),
        Just(Forbidden::Repeated),
        (1..29_u64).prop_map(Forbidden::Reordered),
        (3..100_000_u64).prop_map(Forbidden::Ahead),
        Just(Forbidden::Missed),
        Just(Forbidden::Burst),
    ]
}

impl Forbidden {
    /// The observation at `second`; the one before was of `second - INTERVAL`.
    fn observation(self, second: u64) -> Observation {
        let (now, before) = (at(second), at(second - INTERVAL));
        let mut seen = observed(now, 50.0, REPLICAS);
        match self {
            Self::Old(age) => seen.newest = Some(at(0).max(at(second.saturating_sub(age)))),
            Self::Thin(share) => seen.coverage = Ratio::new(share).ok(),
            Self::Unknown => (seen.current_replicas, seen.ready_replicas) = (None, None),
            Self::Silent => {
                seen = Observation {
                    current_replicas: Some(REPLICAS),
                    ready_replicas: Some(REPLICAS),
                    ..Observation::default()
                };
            }
            Self::Repeated => seen.newest = Some(before),
            Self::Reordered(age) => seen.newest = Some(at(second - INTERVAL - age)),
            Self::Ahead(by) => seen.newest = Some(at(second + by)),
            Self::Missed => (seen.p95_ms, seen.p99_ms) = (Some(251.0), Some(300.0)),
            Self::Burst => seen.burst_rps = Rps::new(700.0).ok(),
        }
        seen
    }

    /// How long after it nothing is scaled down either, in seconds.
    const fn lasts(self) -> u64 {
        match self {
            Self::Old(_) | Self::Thin(_) | Self::Unknown | Self::Silent | Self::Ahead(_) => WINDOW,
            // Eight decision intervals.
            Self::Missed => 8 * INTERVAL,
            // `burst.stable_window`.
            Self::Burst => 60,
            Self::Repeated | Self::Reordered(_) => INTERVAL,
        }
    }
}

#[test]
fn without_a_forbidden_state_the_surplus_goes() {
    for scale_in in ["observed", "forecast"] {
        let mut autoscaler = Autoscaler::new(&config(scale_in), at(0));
        let steps = watch(&mut autoscaler, INTERVAL..SETTLED + INTERVAL, 50.0, REPLICAS);
        let desired = steps.last().unwrap().decision.desired_replicas;
        assert!(desired < REPLICAS / 2, "{scale_in}: {desired}");
    }
}

#[test]
fn nothing_goes_before_a_window_has_filled() {
    for scale_in in ["observed", "forecast"] {
        let mut autoscaler = Autoscaler::new(&config(scale_in), at(0));
        for step in watch(&mut autoscaler, INTERVAL..WINDOW, 50.0, REPLICAS) {
            assert_eq!(step.decision.desired_replicas, REPLICAS, "{scale_in}: {step:?}");
        }
    }
}

#[test]
fn nothing_goes_for_a_window_after_a_restart() {
    let config = config("forecast");
    let mut autoscaler = Autoscaler::new(&config, at(0));
    watch(&mut autoscaler, INTERVAL..SETTLED, 50.0, REPLICAS);
    let load = autoscaler.learned_load();
    let mut again = Autoscaler::restore(&config, autoscaler.snapshot(), Some(&load), at(SETTLED));
    let window = SETTLED + INTERVAL..SETTLED + WINDOW;
    for step in watch(&mut again, window, 50.0, REPLICAS) {
        assert_eq!(step.decision.desired_replicas, REPLICAS, "{step:?}");
    }
    let after = SETTLED + WINDOW + INTERVAL;
    let steps = watch(&mut again, after..after + INTERVAL, 50.0, REPLICAS);
    assert!(steps[0].decision.desired_replicas < REPLICAS, "{:?}", steps[0]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn nothing_is_scaled_down_in_a_state_that_forbids_it(
        forbidden in any_forbidden(),
        promoted in any::<bool>(),
    ) {
        let config = config(if promoted { "forecast" } else { "observed" });
        let mut autoscaler = Autoscaler::new(&config, at(0));
        watch(&mut autoscaler, INTERVAL..SETTLED, 50.0, REPLICAS);
        let bad = autoscaler.step(at(SETTLED), &forbidden.observation(SETTLED));
        prop_assert!(bad.decision.desired_replicas >= REPLICAS, "{:?}", bad.decision);
        // And until what it stands for is over.
        let after = SETTLED + INTERVAL..SETTLED + forbidden.lasts();
        for step in watch(&mut autoscaler, after, 50.0, REPLICAS) {
            prop_assert!(step.decision.desired_replicas >= REPLICAS, "{:?}", step.decision);
        }
        let over = SETTLED + forbidden.lasts() + 2 * INTERVAL;
        let steps = watch(&mut autoscaler, over..over + WINDOW + 1, 50.0, REPLICAS);
        let last = steps.last().unwrap().decision.desired_replicas;
        prop_assert!(last < REPLICAS, "{last} long after it");
    }
}
