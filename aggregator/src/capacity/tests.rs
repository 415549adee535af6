use super::*;
use crate::units::Ratio;

fn objective() -> Objective {
    Objective {
        quantile: Ratio::new(0.99).unwrap(),
        latency: Duration::from_millis(350),
        budget: Ratio::new(0.01).unwrap(),
    }
}

/// Two hours of a service with this capacity at 50 to 95 % of it, a step of 15 s.
fn learn(learner: &mut CapacityLearner, capacity: f64, workers: u32, service_s: f64, steps: u32) {
    let expectation = Expectation::new(&objective());
    let safe = safe_utilisation(workers, service_s, 0.99, 0.35);
    for step in 0..steps {
        let load = 0.725 + 0.225 * (f64::from(step) / 40.0).sin();
        let slow = sojourn_tail(workers, load * safe, service_s, 0.35);
        let evidence = Evidence {
            rps_per_replica: load * capacity,
            requests: load * capacity * 15.0 * 10.0,
            slow_share: slow,
        };
        learner.observe(&expectation, &evidence);
    }
}

#[test]
fn two_hours_of_ordinary_traffic_teach_the_capacity() {
    for (workers, nominal) in [(1, 50.0), (4, 50.0), (4, 100.0), (8, 35.0), (16, 64.0)] {
        let mut learner = CapacityLearner::new(Rps::new(nominal).unwrap());
        learn(&mut learner, 64.0, workers, 0.05, 480);
        let safe = learner.safe_rps().get();
        assert!(
            (0.9..1.1).contains(&(safe / 64.0)),
            "{safe} for 64, {workers} workers from {nominal}"
        );
    }
}

#[test]
fn a_deploy_that_halves_it_is_learned_within_an_hour() {
    let mut learner = CapacityLearner::new(Rps::new(64.0).unwrap());
    learn(&mut learner, 64.0, 4, 0.05, 480);
    learner.deployed();
    learn(&mut learner, 32.0, 4, 0.05, 240);
    let safe = learner.safe_rps().get();
    assert!((safe / 32.0 - 1.0).abs() < 0.1, "{safe}");
}

#[test]
fn a_guess_far_off_is_left_behind() {
    let mut learner = CapacityLearner::new(Rps::new(10.0).unwrap());
    learn(&mut learner, 64.0, 4, 0.05, 960);
    let safe = learner.safe_rps().get();
    assert!((48.0..71.0).contains(&safe), "{safe}");
}

#[test]
fn more_slow_requests_never_raise_it() {
    let expectation = Expectation::new(&objective());
    let learned = |slow_share: f64| {
        let mut learner = CapacityLearner::new(Rps::new(64.0).unwrap());
        let evidence = Evidence { rps_per_replica: 50.0, requests: 700.0, slow_share };
        (0..50).for_each(|_| learner.observe(&expectation, &evidence));
        learner.safe_rps().get()
    };
    let shares: Vec<f64> = [0.5, 0.1, 0.03, 0.01, 0.001, 0.0].map(learned).into();
    assert!(shares.is_sorted(), "{shares:?}");
}

#[test]
fn what_is_no_evidence_teaches_nothing() {
    let expectation = Expectation::new(&objective());
    let before = CapacityLearner::new(Rps::new(64.0).unwrap());
    let mut learner = before.clone();
    for bad in [f64::NAN, f64::INFINITY, -1.0, 0.0] {
        let evidence = Evidence { rps_per_replica: bad, requests: 10.0, slow_share: 0.0 };
        learner.observe(&expectation, &evidence);
    }
    let no_share = Evidence { rps_per_replica: 1.0, requests: 10.0, slow_share: f64::NAN };
    learner.observe(&expectation, &no_share);
    assert_eq!(learner, before);
}

#[test]
fn a_slow_share_lies_between_the_quantiles_that_are_known() {
    let share = |p50, p95, p99, ms| slow_share(p50, p95, p99, Duration::from_millis(ms));
    assert_eq!(share(None, None, None, 100), None);
    let all = (Some(20.0), Some(60.0), Some(100.0));
    assert!((share(all.0, all.1, all.2, 100).unwrap() - 0.01).abs() < 1e-6);
    assert!((share(all.0, all.1, all.2, 60).unwrap() - 0.05).abs() < 1e-6);
    assert!(share(all.0, all.1, all.2, 300).unwrap() < 1e-4);
    assert!(share(all.0, all.1, all.2, 5).unwrap() > 0.5);
    assert!((share(None, Some(100.0), None, 100).unwrap() - 0.05).abs() < 1e-6);
}
