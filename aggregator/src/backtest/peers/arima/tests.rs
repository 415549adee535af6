use super::*;

fn view(step: u64, rps: Option<f64>) -> PeerView {
    PeerView {
        now: Timestamp::from_secs(15 * (step + 1)),
        step: Duration::from_secs(15),
        rps,
        cpu_utilisation: None,
        ready: 7,
        replicas: 7,
        capacity_rps: 10.0,
        startup: Duration::from_mins(1),
        min: 1,
        max: 1000,
    }
}

#[test]
fn a_ramp_is_met_where_a_pod_ordered_now_serves() {
    let mut peer = Arima::ceil(1.0);
    let ramp = |step: u64| 100.0 + 4.0 * step as f64;
    let answers: Vec<u32> =
        (0..40).map(|step| peer.desired(&view(step, Some(ramp(step))))).collect();
    // Step 39 has 256 a second; one minute and a step later, at step 44, it is 276: 28 pods.
    assert_eq!(answers.last(), Some(&28));
    // Before there are 30 points: the load itself, 100 + 4 * 10.
    assert_eq!(answers.get(10), Some(&14));
}

#[test]
fn stabilisation_keeps_the_highest_answer_for_300_s() {
    let mut plain = Arima::ceil(1.0);
    let mut stable = Arima::stab(1.0);
    let rps = |step: u64| Some(if step < 35 { 200.0 } else { 50.0 });
    let both = (0..80).map(|step| {
        let view = view(step, rps(step));
        (plain.desired(&view), stable.desired(&view))
    });
    let both: Vec<(u32, u32)> = both.collect();
    assert_eq!(both.get(34), Some(&(20, 20)));
    assert_eq!(both.get(79), Some(&(5, 5)));
    // The answer of step 34 is 20 steps old at step 54.
    assert!(both.iter().take(54).skip(35).all(|(_, stable)| *stable >= 20), "{both:?}");
    assert!(both.iter().take(54).skip(40).all(|(plain, _)| *plain < 20), "{both:?}");
}

#[test]
fn a_missing_step_scales_nothing() {
    let mut peer = Arima::ceil(1.0);
    assert_eq!(peer.desired(&view(0, None)), 7);
    assert_eq!(peer.desired(&view(1, Some(30.0))), 3);
    assert_eq!(peer.desired(&view(2, Some(f64::INFINITY))), 7);
}
