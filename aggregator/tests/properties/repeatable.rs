//! The same seed gives the same journal, bit for bit.

use foresail_aggregator::autoscaler::Autoscaler;
use foresail_aggregator::simulate::{Cluster, Grid, Scenario, World};
use foresail_aggregator::units::Timestamp;
use proptest::prelude::*;

use crate::support::config;

/// The decisions of two hours as they are stored.
fn journal(seed: u64) -> String {
    let scenario = Scenario {
        startup_jitter: 0.4,
        telemetry_loss: 0.05,
        crashes_per_hour: 1.0,
        seed,
        ..Scenario::default()
    };
    let rate = |at: i32| 300.0 + 200.0 * (f64::from(at) / 40.0).sin();
    let rates: Vec<_> = (0..480).map(|at| Some(rate(at))).collect();
    let world =
        World::new(Grid { first_index: 0, step: scenario.decision_interval, rates }, &scenario);
    let mut workload = config("forecast");
    workload.decision_interval = scenario.decision_interval;
    workload.forecast.step = scenario.decision_interval;
    let mut autoscaler = Autoscaler::new(&workload, Timestamp::default());
    let mut cluster = Cluster::new(&scenario, 10);
    let mut journal = String::new();
    for at in 0..480 {
        let outcome = cluster.step(&world, at);
        let now = Timestamp::of_step(at as u64 + 1, world.grid.step);
        let observation = cluster.observation(&world, at, &outcome, now);
        let step = autoscaler.step(now, &observation);
        cluster.order(step.decision.desired_replicas);
        journal.push_str(&serde_json::to_string(&step.decision).unwrap());
        journal.push('\n');
        if let Some(job) = autoscaler.refit_job() {
            autoscaler.install(job.run());
        }
    }
    journal
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4))]

    #[test]
    fn the_same_seed_gives_the_same_journal_and_another_gives_another(seed in 0..1_000_u64) {
        let first = journal(seed);
        prop_assert!(first == journal(seed));
        prop_assert!(first != journal(seed + 1));
    }
}
