use super::*;
use crate::config::Objective;
use crate::queueing::{safe_utilisation, sojourn_tail};
use crate::units::Ratio;

fn objective() -> Objective {
    Objective {
        quantile: Ratio::new(0.99).unwrap(),
        latency: Duration::from_millis(350),
        budget: Ratio::new(0.01).unwrap(),
    }
}

/// A service with a known curve under an autoscaler that goes by what is learned: replicas that are
/// ordered serve a minute later, and load swings by 40 % around twelve replicas' worth.
struct Service {
    workers: u32,
    time_s: f64,
    learner: CapacityLearner,
    replicas: Vec<f64>,
    step: u32,
}

impl Service {
    fn new(workers: u32, service_s: f64, nominal: f64) -> Self {
        let learner = CapacityLearner::new(Rps::new(nominal).unwrap());
        let replicas = vec![(12.0 * 64.0 / nominal).floor(); 4];
        Self { workers, time_s: service_s, learner, replicas, step: 0 }
    }

    /// Lets it run with a true capacity, a step of 15 s; what is learned then, against that.
    fn run(&mut self, capacity: f64, steps: u32) -> f64 {
        let expectation = Expectation::new(&objective());
        let safe = safe_utilisation(self.workers, self.time_s, 0.99, 0.35);
        for _ in 0..steps {
            let swing = (f64::from(self.step) / 160.0).sin();
            // Two minutes' worth of noise that repeats.
            let noise = [0.0, 0.05, -0.03, 0.02, -0.06, 0.04, -0.02, 0.0][self.step as usize % 8];
            let demand = 12.0 * 64.0 * (1.0 + 0.4 * swing + noise);
            let ready = self.replicas[self.replicas.len() - 4];
            let utilisation = demand / ready / capacity * safe;
            let slow = sojourn_tail(self.workers, utilisation, self.time_s, 0.35);
            let evidence = Evidence {
                rps_per_replica: utilisation.min(1.0) * capacity / safe,
                requests: demand * 15.0,
                slow_share: slow,
            };
            self.learner.observe(&expectation, &evidence);
            self.replicas.push((demand * 1.05 / self.learner.safe_rps().get()).ceil());
            self.step += 1;
        }
        self.learner.safe_rps().get() / capacity
    }
}

const TWO_HOURS: u32 = 480;
const ONE_HOUR: u32 = 240;

#[test]
fn two_hours_of_ordinary_traffic_teach_the_capacity() {
    for service_s in [0.005, 0.02, 0.05] {
        for workers in [1, 2, 4, 8, 16, 32] {
            for nominal in [30.0, 64.0, 100.0] {
                let learned = Service::new(workers, service_s, nominal).run(64.0, TWO_HOURS);
                assert!(
                    (0.9..1.1).contains(&learned),
                    "{learned}: {workers} workers, {service_s} s, from {nominal}"
                );
            }
        }
    }
}

#[test]
fn a_deploy_that_halves_it_untold_is_learned_within_an_hour() {
    for workers in [1, 4, 16] {
        let mut service = Service::new(workers, 0.05, 64.0);
        service.run(64.0, TWO_HOURS);
        let learned = service.run(32.0, ONE_HOUR);
        assert!((0.9..1.1).contains(&learned), "{learned}: {workers} workers");
        let learned = service.run(64.0, TWO_HOURS);
        assert!((0.9..1.1).contains(&learned), "{learned} back: {workers} workers");
    }
}

#[test]
fn a_noisy_neighbour_now_and_then_does_not_lower_it() {
    let expectation = Expectation::new(&objective());
    let mut service = Service::new(4, 0.05, 64.0);
    let before = service.run(64.0, TWO_HOURS);
    for _ in 0..24 {
        let noise = Evidence { rps_per_replica: 40.0, requests: 6_000.0, slow_share: 0.4 };
        service.learner.observe(&expectation, &noise);
        let after = service.run(64.0, 20);
        assert!((after / before - 1.0).abs() < 0.1, "{before} to {after}");
    }
}

#[test]
fn doubt_shrinks_with_what_is_seen() {
    let width = |service: &Service| {
        let at = |q| service.learner.credible_rps(Ratio::new(q).unwrap()).get();
        at(0.95) / at(0.05)
    };
    let mut service = Service::new(4, 0.05, 64.0);
    let before = width(&service);
    service.run(64.0, TWO_HOURS);
    assert!(before > 2.5 && width(&service) < 1.25, "{before} to {}", width(&service));
}

#[test]
fn the_expected_share_of_slow_requests_is_the_services_own() {
    let mut service = Service::new(4, 0.05, 64.0);
    service.run(64.0, TWO_HOURS);
    let expectation = Expectation::new(&objective());
    let at = |rps| service.learner.expected_slow_share(&expectation, Rps::new(rps).unwrap());
    let safe = at(64.0);
    assert!((0.005..0.02).contains(&safe), "{safe}");
    assert!(at(32.0) < 0.006 && at(75.0) > 0.05, "{} {}", at(32.0), at(75.0));
}

#[test]
fn a_load_that_was_slow_is_not_called_safe_and_one_that_was_fine_is() {
    let expectation = Expectation::new(&objective());
    let learned = |slow_share: f64| {
        let mut learner = CapacityLearner::new(Rps::new(64.0).unwrap());
        let evidence = Evidence { rps_per_replica: 50.0, requests: 700.0, slow_share };
        (0..50).for_each(|_| learner.observe(&expectation, &evidence));
        learner.safe_rps().get()
    };
    for slow in [1.0, 0.5, 0.1, 0.03, 0.012] {
        assert!(learned(slow) < 50.0, "{} at {slow}", learned(slow));
    }
    let fine: Vec<f64> = [0.008, 0.003, 0.0].map(learned).into();
    assert!(fine.is_sorted() && fine[0] > 50.0, "{fine:?}");
}

#[test]
fn what_was_never_seen_to_be_fine_is_not_promised() {
    let expectation = Expectation::new(&objective());
    let mut learner = CapacityLearner::new(Rps::new(20.0).unwrap());
    let evidence = Evidence { rps_per_replica: 10.0, requests: 700.0, slow_share: 0.0 };
    (0..2_000).for_each(|_| learner.observe(&expectation, &evidence));
    assert!(learner.safe_rps().get() <= 20.0, "{:?}", learner.safe_rps());
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
