use super::*;

fn world(rates: &[f64], scenario: &Scenario) -> World {
    let rates = rates.iter().map(|rate| Some(*rate)).collect();
    World::new(Grid { first_index: 0, step: scenario.decision_interval, rates }, scenario)
}

#[test]
fn a_replica_serves_from_the_step_after_its_start() {
    let scenario = Scenario::default();
    let world = world(&[100.0; 40], &scenario);
    let mut cluster = Cluster::new(&scenario, 3);
    cluster.step(&world, 0);
    cluster.order(5);
    let ready: Vec<u32> = (1..8).map(|at| cluster.step(&world, at).ready).collect();
    // Four steps of start-up: the first step that it serves is the fifth after the order.
    assert_eq!(ready, [3, 3, 3, 3, 5, 5, 5]);
}

#[test]
fn starting_replicas_are_billed_and_end_first() {
    let scenario = Scenario::default();
    let world = world(&[100.0; 40], &scenario);
    let mut cluster = Cluster::new(&scenario, 3);
    cluster.order(7);
    assert_eq!((cluster.step(&world, 0).replicas, cluster.ready()), (7, 3));
    cluster.order(4);
    assert_eq!((cluster.replicas(), cluster.ready()), (4, 3));
    cluster.order(2);
    assert_eq!((cluster.replicas(), cluster.ready()), (2, 2));
}

#[test]
fn the_scored_load_requires_the_mean_that_was_asked_for() {
    let rates: Vec<f64> =
        (0..5_000).map(|i| 200.0 + 150.0 * (f64::from(i) / 300.0).sin()).collect();
    for mean in [4.0, 12.0, 60.0] {
        let scenario = Scenario { mean_replicas: mean, ..Scenario::default() };
        let world = world(&rates, &scenario);
        let scored = world.warm_up_steps..rates.len();
        let sum: u32 = scored.clone().map(|at| world.required(at)).sum();
        let got = f64::from(sum) / scored.len() as f64;
        assert!((got / mean - 1.0).abs() < 0.01, "{got} for {mean}");
    }
}

#[test]
fn the_objective_holds_up_to_the_capacity_and_not_above() {
    let scenario = Scenario::default();
    let mut world = world(&[100.0; 40], &scenario);
    let full = 5.0 * world.replica.capacity_rps;
    world.filled = vec![full * 0.999, full * 1.001];
    let at = |at: usize| Cluster::new(&scenario, 5).step(&world, at);
    let (below, above) = (at(0), at(1));
    assert!(!below.violated && above.violated);
    // The closed form says the same: the latency at the objective's quantile is the objective.
    assert!((below.p99_ms - 350.0).abs() < 3.0, "{}", below.p99_ms);
    assert!((below.slow_share - 0.01).abs() < 0.001, "{}", below.slow_share);
}

#[test]
fn what_cannot_be_served_waits_and_what_waits_too_long_is_dropped() {
    let scenario = Scenario::default();
    let mut world = world(&[100.0; 40], &scenario);
    let most = 5.0 * world.replica.capacity_rps / scenario.safe_utilisation();
    world.filled = vec![most * 1.05, most * 2.0, most * 0.5, most * 0.5];
    let mut cluster = Cluster::new(&scenario, 5);
    let outcomes: Vec<Outcome> = (0..4).map(|at| cluster.step(&world, at)).collect();
    assert!((outcomes[0].backlog - most * 0.75).abs() < 1e-6 && outcomes[0].dropped_share == 0.0);
    assert!((outcomes[1].backlog - most * 2.0).abs() < 1e-6 && outcomes[1].dropped_share > 0.3);
    // Worked off within the step, but whoever came in it waited.
    assert!(outcomes[2].backlog == 0.0 && outcomes[2].violated && !outcomes[3].violated);
}

#[test]
fn lost_telemetry_is_not_zero_and_the_same_seed_loses_the_same() {
    let scenario = Scenario { telemetry_loss: 0.3, ..Scenario::default() };
    let world = world(&[100.0; 200], &scenario);
    let run = || {
        let mut cluster = Cluster::new(&scenario, 5);
        let observe = |at: usize| {
            let outcome = cluster.step(&world, at);
            let now = crate::units::Timestamp::from_secs(15 * (at as u64 + 1));
            cluster.observation(&world, at, &outcome, now)
        };
        (0..200).map(observe).collect::<Vec<_>>()
    };
    let observations = run();
    let lost = observations.iter().filter(|observation| observation.rps.is_none()).count();
    assert!((40..80).contains(&lost), "{lost}");
    assert_eq!(observations, run());
}

#[test]
fn start_up_times_spread_and_failed_replicas_come_back() {
    let scenario = Scenario { startup_jitter: 0.4, crashes_per_hour: 2.0, ..Scenario::default() };
    let world = world(&[100.0; 2_000], &scenario);
    let mut cluster = Cluster::new(&scenario, 50);
    let ready: Vec<u32> = (0..2_000).map(|at| cluster.step(&world, at).ready).collect();
    assert_eq!(cluster.replicas(), 50);
    assert!(ready.iter().any(|ready| *ready < 50));
    // 50 replicas that fail twice an hour and take a minute: about 1.7 are starting.
    let mean = f64::from(ready.iter().sum::<u32>()) / 2_000.0;
    assert!((47.0..49.5).contains(&mean), "{mean}");
}

#[test]
fn one_by_one_and_as_a_fluid_replicas_do_the_same() {
    // An hour of swings through half, full and too much load of 12 replicas.
    let scenario = Scenario::default();
    let mut world = world(&[100.0; 40], &scenario);
    let capacity = world.replica.capacity_rps;
    world.filled = (0..240)
        .map(|step| 12.0 * capacity * (0.8 + 0.24 * (f64::from(step) / 20.0).sin()))
        .collect();
    let run = |service: Service| {
        let scenario = Scenario { service, ..scenario.clone() };
        let mut cluster = Cluster::new(&scenario, 12);
        let outcomes: Vec<Outcome> = (0..240).map(|at| cluster.step(&world, at)).collect();
        let mean = |part: fn(&Outcome) -> f64| outcomes.iter().map(part).sum::<f64>() / 240.0;
        [
            mean(|outcome| outcome.slow_share),
            mean(|outcome| f64::from(u8::from(outcome.violated))),
            mean(|outcome| outcome.utilisation),
            mean(|outcome| outcome.p95_ms),
        ]
    };
    let (fluid, requests) = (run(Service::Fluid), run(Service::Requests));
    for (fluid, requests) in fluid.into_iter().zip(requests) {
        assert!((requests / fluid - 1.0).abs() < 0.15, "{requests} for {fluid}");
    }
}
