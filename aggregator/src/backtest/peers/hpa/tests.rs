use super::*;
use crate::units::Timestamp;

/// Milli-CPU per pod of 1 CPU requested, as the upstream tests give them.
fn replicas(current: u32, milli: &[f64], unready: u32, target_percent: f64) -> u32 {
    let percent = milli.iter().sum::<f64>() / milli.len() as f64 / 10.0;
    let measured = u32::try_from(milli.len()).unwrap();
    resource_replicas(&Pods { current, measured, unready, percent }, target_percent)
}

#[test]
fn the_examples_of_the_documentation_hold() {
    // Kubernetes documentation, "Horizontal Pod Autoscaling", Algorithm details: a current value
    // of 200m with a desired one of 100m doubles the replicas, 50m halves them.
    assert_eq!(average_value_replicas(4.0 * 0.2, 0.1, 4), 8);
    assert_eq!(average_value_replicas(4.0 * 0.05, 0.1, 4), 2);
    // … and nothing happens while the ratio is within 0.1 of 1.
    assert_eq!(average_value_replicas(4.0 * 0.109, 0.1, 4), 4);
    assert_eq!(average_value_replicas(4.0 * 0.091, 0.1, 4), 4);
    assert_eq!(average_value_replicas(4.0 * 0.111, 0.1, 4), 5);
    assert_eq!(average_value_replicas(4.0 * 0.089, 0.1, 4), 4);
}

#[test]
fn the_upstream_examples_on_cpu_hold() {
    // kubernetes pkg/controller/podautoscaler/replica_calculator_test.go; the name of each above it.
    // TestReplicaCalcScaleUp
    assert_eq!(replicas(3, &[300.0, 500.0, 700.0], 0, 30.0), 5);
    // TestReplicaCalcScaleUpUnreadyLessScale
    assert_eq!(replicas(3, &[500.0, 700.0], 1, 30.0), 4);
    // TestReplicaCalcScaleUpUnreadyNoScale
    assert_eq!(replicas(3, &[400.0], 2, 30.0), 3);
    // TestReplicaCalcScaleDown
    assert_eq!(replicas(5, &[100.0, 300.0, 500.0, 250.0, 250.0], 0, 50.0), 3);
    // TestReplicaCalcScaleDownIgnoresUnreadyPods
    assert_eq!(replicas(5, &[100.0, 300.0, 500.0], 2, 50.0), 2);
}

#[test]
fn utilisation_counts_in_whole_per_cent() {
    // kubernetes pkg/controller/podautoscaler/metrics/utilization.go cuts off: 77.9 % of 70 % is
    // 1.1 and within the tolerance, 78 % is not.
    assert_eq!(replicas(10, &[779.0; 10], 0, 70.0), 10);
    assert_eq!(replicas(10, &[780.0; 10], 0, 70.0), 12);
    assert_eq!(replicas(10, &[290.0; 10], 0, 29.0), 10);
}

/// A workload whose pods each serve 100 requests a second safely.
fn view(step: u64, rps: f64, replicas: u32) -> PeerView {
    PeerView {
        now: Timestamp::from_secs(15 * step),
        step: Duration::from_secs(15),
        rps: Some(rps),
        cpu_utilisation: Some(rps / (100.0 * f64::from(replicas))),
        ready: replicas,
        replicas,
        capacity_rps: 100.0,
        startup: Duration::from_mins(1),
        min: 1,
        max: 1000,
    }
}

#[test]
fn a_fall_waits_until_the_highest_recommendation_is_300_s_old() {
    // Kubernetes documentation, "Stabilization window": the highest recommendation of the window
    // counts on the way down; the default window is 300 s.
    let mut peer = HpaRps::new(1.0);
    assert_eq!(peer.desired(&view(0, 1000.0, 10)), 10);
    let answers: Vec<u32> = (1..=30).map(|step| peer.desired(&view(step, 500.0, 10))).collect();
    // Means of 1000, 750, 667, 625 and then 500 a second recommend 10, 8, 7, 7 and 5; the 10 of
    // step 0 leaves the window of 20 steps at step 20, and the others follow it.
    assert!(answers.iter().take(19).all(|replicas| *replicas == 10), "{answers:?}");
    assert_eq!(answers.get(19..24).unwrap(), [8, 7, 7, 5, 5]);
}

#[test]
fn a_rise_is_limited_to_the_greater_of_double_and_four_more_in_15_s() {
    // Kubernetes documentation, "Default behavior".
    let mut small = HpaRps::new(1.0);
    assert_eq!(small.desired(&view(0, 5000.0, 1)), 5);
    let mut large = HpaRps::new(1.0);
    assert_eq!(large.desired(&view(0, 5000.0, 10)), 20);
    assert_eq!(large.desired(&view(1, 5000.0, 20)), 40);
    assert_eq!(large.desired(&view(2, 5000.0, 40)), 50);
}

#[test]
fn a_missing_metric_scales_nothing() {
    let mut rps = HpaRps::new(1.0);
    let mut cpu = HpaCpu::new(0.7);
    for step in 0..40 {
        let blind = PeerView { rps: None, cpu_utilisation: None, ..view(step, 0.0, 10) };
        assert_eq!((rps.desired(&blind), cpu.desired(&blind)), (10, 10));
    }
}

#[test]
fn the_loop_runs_every_15_s_only() {
    let mut peer = HpaRps::new(1.0);
    let fine = |secs: u64, rps: f64, replicas: u32| PeerView {
        now: Timestamp::from_secs(secs),
        ..view(0, rps, replicas)
    };
    assert_eq!(peer.desired(&fine(0, 1000.0, 10)), 10);
    assert_eq!(peer.desired(&fine(5, 9000.0, 10)), 10);
    assert_eq!(peer.desired(&fine(10, 9000.0, 10)), 10);
    assert_eq!(peer.desired(&fine(15, 9000.0, 10)), 20);
}

#[test]
fn cpu_of_pods_that_just_became_ready_does_not_count_on_the_way_up() {
    // 10 pods at 105 % of a target of 70 % ask for 15 (105 / 70 * 10), 5 are ordered; while those
    // start, and in the step in which they become ready, they count as idle: 1050 / 15 = 70 %.
    let mut peer = HpaCpu::new(0.7);
    let pods = |step: u64, ready: u32| PeerView {
        cpu_utilisation: Some(1.05),
        ready,
        ..view(step, 1050.0, if step == 0 { 10 } else { 15 })
    };
    assert_eq!(peer.desired(&pods(0, 10)), 15);
    for step in 1..5 {
        assert_eq!(peer.desired(&pods(step, 10)), 15);
    }
    assert_eq!(peer.desired(&pods(5, 15)), 15);
    // Still 105 % with all 15 measured: 23 (22.5).
    assert_eq!(peer.desired(&pods(6, 15)), 23);
}

#[test]
fn keda_reads_its_metric_every_30_s() {
    // KEDA documentation, ScaledObject specification: `pollingInterval`, default 30 s.
    let mut hpa = HpaRps::new(1.0);
    let mut keda = HpaRps::keda(1.0);
    let answers = [1000.0, 2000.0, 2000.0].into_iter().zip(0..);
    let answers = answers.map(|(rps, step)| {
        let view = view(step, rps, 10);
        (hpa.desired(&view), keda.desired(&view))
    });
    // Means of a minute: 1000, 1500, 1667.
    assert_eq!(answers.collect::<Vec<_>>(), [(10, 10), (15, 10), (17, 17)]);
}
