//! Scenarios of knative/serving `pkg/autoscaler/scaling/autoscaler_test.go`, named as there.

use super::*;

fn at(secs: u64) -> Timestamp {
    Timestamp::from_secs(1_000 + secs)
}

#[test]
fn stable_mode_increase_with_rps() {
    let mut decider = Decider::default();
    assert_eq!(decider.scale(at(0), 1, 50.0, 50.0, 10.0), 5);
    assert_eq!(decider.scale(at(0), 1, 100.0, 99.0, 10.0), 10);
}

#[test]
fn stable_mode_decrease() {
    let mut decider = Decider::default();
    assert_eq!(decider.scale(at(0), 8, 100.0, 100.0, 10.0), 10);
    assert_eq!(decider.scale(at(0), 8, 50.0, 50.0, 10.0), 5);
}

#[test]
fn unpanic_after_slow_increase() {
    let mut decider = Decider::default();
    assert_eq!(decider.scale(at(0), 10, 11.0, 25.0, 1.0), 25);
    assert_eq!(decider.panicking_since, Some(at(0)));
    // Half a stable window later, with 15 more pods: not over the threshold, not over yet.
    assert_eq!(decider.scale(at(30), 40, 30.0, 41.0, 1.0), 41);
    assert_eq!(decider.panicking_since, Some(at(0)));
    // A stable window and a tick later: no longer in panic.
    assert_eq!(decider.scale(at(62), 55, 50.0, 56.0, 1.0), 50);
    assert_eq!(decider.panicking_since, None);
}

#[test]
fn extend_panic_window() {
    let mut decider = Decider::default();
    assert_eq!(decider.scale(at(0), 10, 11.0, 25.0, 1.0), 25);
    assert_eq!(decider.scale(at(30), 40, 30.0, 80.0, 1.0), 80);
    assert_eq!(decider.panicking_since, Some(at(30)));
}

#[test]
fn panic_stable_larger_than_panic() {
    let mut decider = Decider { panicking_since: Some(at(0)), max_panic_pods: 5 };
    assert_eq!(decider.scale(at(5), 5, 50.0, 30.0, 1.0), 50);
    let mut decider = Decider { panicking_since: Some(at(0)), max_panic_pods: 5 };
    assert_eq!(decider.scale(at(5), 5, 20.0, 30.0, 1.0), 30);
}

#[test]
fn panic_then_unpanic_scale_down() {
    let mut decider = Decider::default();
    assert_eq!(decider.scale(at(0), 1, 100.0, 100.0, 10.0), 10);
    assert_eq!(decider.scale(at(0), 10, 100.0, 1000.0, 10.0), 100);
    // The load is gone, but the panic is not.
    assert_eq!(decider.scale(at(30), 10, 1.0, 1.0, 10.0), 100);
    // Over after the stable window; at most half is taken at once (10 times less there).
    assert_eq!(decider.scale(at(61), 10, 1.0, 1.0, 10.0), 5);
}

#[test]
fn use_one_pod_as_minimum_if_endpoints_not_found() {
    // With no pod ready the limits count from one: `max-scale-up-rate` 1000 allows 100 here.
    assert_eq!(Decider::default().scale(at(0), 0, 1000.0, 888.0, 10.0), 100);
}

#[test]
fn start_in_panic_mode() {
    for ready in 0..2 {
        assert_eq!(Decider::starting(at(0), ready).panicking_since, None);
    }
    let decider = Decider::starting(at(0), 2);
    assert_eq!(decider, Decider { panicking_since: Some(at(0)), max_panic_pods: 2 });
}

#[test]
fn no_data_no_autoscale() {
    let mut peer = Kpa::new(1.0);
    let view = |step: u64, rps: Option<f64>| PeerView {
        now: at(15 * step),
        step: Duration::from_secs(15),
        rps,
        cpu_utilisation: None,
        ready: 10,
        replicas: 10,
        capacity_rps: 100.0,
        startup: Duration::from_mins(1),
        min: 1,
        max: 1000,
    };
    assert_eq!(peer.desired(&view(0, None)), 10);
    assert_eq!(peer.desired(&view(1, Some(1450.0))), 15);
    assert_eq!(peer.desired(&view(2, Some(f64::NAN))), 15);
}

#[test]
fn ten_steps_of_one_story() {
    let mut peer = Kpa::new(0.7);
    let mut ask = |step: u64, rps: f64, ready: u32| {
        peer.desired(&PeerView {
            now: at(15 * step),
            step: Duration::from_secs(15),
            rps: Some(rps),
            cpu_utilisation: None,
            ready,
            replicas: ready,
            capacity_rps: 100.0,
            startup: Duration::from_mins(1),
            min: 1,
            max: 1000,
        })
    };
    assert_eq!(ask(0, 140.0, 4), 4); // starts in panic: 4 are kept though 2 would do
    assert_eq!(ask(4, 140.0, 4), 4); // 60 s later still
    assert_eq!(ask(5, 140.0, 4), 2); // a stable window has passed
    assert_eq!(ask(6, 280.0, 2), 4); // 280 / 70 = 4 pods, twice the 2 there are: panic
    assert_eq!(ask(7, 140.0, 4), 4); // up only
    assert_eq!(ask(10, 140.0, 4), 4); // the 60th second is still panic
    assert_eq!(ask(11, 140.0, 4), 2); // over
}
