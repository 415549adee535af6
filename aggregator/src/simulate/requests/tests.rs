use super::*;
use crate::queueing::{sojourn_quantile, sojourn_tail};

const HOUR: f64 = 3_600.0;

fn scenario(workers: u32, service_cv: f64) -> Scenario {
    Scenario { workers, service_cv, ..Scenario::default() }
}

/// An hour and a half of one replica at a utilisation, the last hour of it.
fn hour(scenario: &Scenario, utilisation: f64) -> Served {
    let mut replicas = Replicas::new(scenario);
    let rps = utilisation * f64::from(scenario.workers) / 0.05;
    replicas.step(rps * 4.0, 4, HOUR / 2.0);
    replicas.step(rps * 4.0, 4, HOUR)
}

#[test]
fn its_latencies_are_those_of_the_m_m_c_queue() {
    for (workers, utilisation) in [(1, 0.5), (4, 0.7), (4, 0.8), (16, 0.9)] {
        let served = hour(&scenario(workers, 1.0), utilisation);
        let slow = f64::from(served.slow) / f64::from(served.requests);
        let wanted = sojourn_tail(workers, utilisation, 0.05, 0.35);
        assert!((slow / wanted - 1.0).abs() < 0.08, "{workers}: {slow} for {wanted}");
        for share in [0.5, 0.95, 0.99] {
            let wanted = sojourn_quantile(workers, utilisation, 0.05, share) * 1e3;
            let got = served.quantile_ms(share);
            assert!((got / wanted - 1.0).abs() < 0.03, "{workers}: {got} for {wanted}");
        }
        assert!((served.utilisation - utilisation).abs() < 0.01);
    }
}

#[test]
fn its_mean_wait_is_that_of_pollaczek_and_khinchine() {
    for cv in [0.0, 0.5, 1.0] {
        let served = hour(&scenario(1, cv), 0.5);
        let wanted = 0.05 + 0.5 * 0.05 / (1.0 - 0.5) * f64::midpoint(1.0, cv * cv);
        let got = served.mean_s();
        assert!((got / wanted - 1.0).abs() < 0.03, "{got} for {wanted} at {cv}");
    }
}

#[test]
fn the_less_busy_of_two_replicas_is_quicker_than_any() {
    let slow = |balance: Balance| {
        let served = hour(&Scenario { balance, ..scenario(4, 1.0) }, 0.8);
        f64::from(served.slow) / f64::from(served.requests)
    };
    let (random, least) = (slow(Balance::Random), slow(Balance::LeastRequest));
    assert!(least < random / 2.0, "{least} and {random}");
}

#[test]
fn who_would_wait_too_long_gives_up_and_the_others_wait() {
    let mut replicas = Replicas::new(&scenario(4, 1.0));
    let served = replicas.step(2.0 * 80.0, 1, 60.0);
    assert!(served.waiting > 100 && served.utilisation > 0.95, "{}", served.waiting);
    let dropped = f64::from(served.dropped) / f64::from(served.requests);
    assert!((0.4..0.5).contains(&dropped), "{dropped}");
    assert_eq!(replicas.step(0.0, 1, 60.0).waiting, 0);
    let without = replicas.step(10.0, 0, 60.0);
    assert!(without.requests > 400 && without.dropped == without.requests);
}

/// The mean time of M/G/1 with processor sharing is `s / (1 - utilisation)`, whatever the
/// distribution of the work (Kleinrock, volume 2, section 4.4).
#[test]
fn shared_workers_take_the_mean_time_of_processor_sharing_whatever_the_work() {
    for (cv, utilisation) in [(0.0, 0.5), (1.0, 0.5), (3.0, 0.5), (1.0, 0.8), (2.0, 0.8)] {
        let scenario = Scenario { discipline: Discipline::Sharing, ..scenario(1, cv) };
        let served = hour(&scenario, utilisation);
        let (got, wanted) = (served.mean_s(), 0.05 / (1.0 - utilisation));
        assert!((got / wanted - 1.0).abs() < 0.05, "{got} for {wanted} at {cv}, {utilisation}");
        assert!((served.utilisation - utilisation).abs() < 0.02, "{}", served.utilisation);
        assert!(f64::from(served.dropped) < 0.001 * f64::from(served.requests));
    }
}

#[test]
fn shared_workers_turn_away_what_is_too_much_and_finish_what_they_have() {
    let scenario = Scenario { discipline: Discipline::Sharing, ..scenario(4, 1.0) };
    let mut replicas = Replicas::new(&scenario);
    let served = replicas.step(2.0 * 80.0, 1, 60.0);
    assert!(served.waiting > 100 && served.utilisation > 0.95, "{}", served.waiting);
    let dropped = f64::from(served.dropped) / f64::from(served.requests);
    assert!((0.4..0.5).contains(&dropped), "{dropped}");
    // Every request ends once, also on the replica that is taken away.
    let open = u32::try_from(served.latencies_s.len()).unwrap() + served.dropped;
    let left = replicas.step(0.0, 0, 60.0).latencies_s.len();
    assert_eq!(served.requests - open, u32::try_from(left).unwrap());
}
