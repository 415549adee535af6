use std::time::Duration;

use super::*;
use crate::units::Timestamp;

/// A day of 96 steps of 15 min, so that a lead of 60 s is one step and one more.
fn view(step: u64, rps: Option<f64>, replicas: u32) -> PeerView {
    PeerView {
        now: Timestamp::from_secs(900 * (step + 1)),
        step: Duration::from_mins(15),
        rps,
        cpu_utilisation: None,
        ready: replicas,
        replicas,
        capacity_rps: 10.0,
        startup: Duration::from_mins(1),
        min: 1,
        max: 1000,
    }
}

#[test]
fn the_profile_weighs_the_days() {
    // Days of one constant rate each: yesterday 800, the day before 700, seven days ago 200.
    let rates = (0..8 * 96).map(|i| Some(f64::from(i / 96 + 1) * 100.0)).collect();
    let expected = 0.5 * 800.0 + 0.3 * 700.0 + 0.2 * 200.0;
    assert!((profile(&rates, 96, 20).unwrap() - expected).abs() < 1e-9);
    let first_day = (0..50).map(|_| Some(1.0)).collect();
    assert_eq!(profile(&first_day, 96, 2), None);
}

#[test]
fn the_usual_rise_is_met_before_it_comes() {
    let mut peer = SeasonalReactive::new(1.0, 96);
    // 10 a second, but 200 from noon (step 48) to 18:00 each day.
    let rps = |step: u64| if (48..72).contains(&(step % 96)) { 200.0 } else { 10.0 };
    let mut replicas = 1;
    let answers: Vec<u32> = (0..3 * 96)
        .map(|step| {
            replicas = peer.desired(&view(step, Some(rps(step)), replicas));
            replicas
        })
        .collect();
    let day = |day: usize, step: usize| answers.get(96 * day + step).copied();
    // The first day only reacts, at most four more or double at a time.
    assert_eq!((day(0, 47), day(0, 48)), (Some(1), Some(5)));
    // On the third the smoothed profile (nine steps) has begun to rise, and is there in time: seven
    // of the nine steps round step 50 are high, (7 * 200 + 2 * 10) / 9 = 157.8.
    assert_eq!(day(2, 48), Some(16));
    assert_eq!(day(2, 51), Some(20));
    assert_eq!(day(2, 40), Some(1));
}

#[test]
fn a_fixed_number_covers_the_peak_of_two_days() {
    let run = |share: f64| {
        let mut peer = Static::new(share, 96);
        let mut last = 0;
        for step in 0..300 {
            // 95 in the first two days, once 300 later.
            let rps = if step == 50 {
                95.0
            } else if step == 250 {
                300.0
            } else {
                20.0
            };
            last = peer.desired(&view(step, Some(rps), 3));
        }
        last
    };
    assert_eq!(run(1.0), 10);
    assert_eq!(run(0.5), 5);
    assert_eq!(Static::new(1.0, 96).desired(&view(0, None, 3)), 3);
}
