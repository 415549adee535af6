use std::time::Duration;

use super::*;
use crate::units::Timestamp;

/// A day of 96 steps of 15 min, so that a lead of 60 s is one step and one more.
fn view(step: u64, rps: Option<f64>, replicas: u32) -> PeerView {
    PeerView::at(Timestamp::from_secs(900 * (step + 1)), Duration::from_mins(15), rps, replicas)
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
fn the_profile_moves_to_the_level_of_today() {
    // Yesterday 100, 101, …; today twice that so far, up to step 50.
    let yesterday = (0..96).map(|i| Some(100.0 + f64::from(i)));
    let rates: VecDeque<_> =
        yesterday.chain((0..=50).map(|i| Some(2.0 * (100.0 + f64::from(i))))).collect();
    // Yesterday it was 150 now and 152 in two steps; a twentieth of that is added to all three.
    let expected = (300.0 + 7.6) / (150.0 + 7.6) * (152.0 + 7.6) - 7.6;
    assert!((usual(&rates, 96, 2).unwrap() - expected).abs() < 1e-9);
    // After a silent night, as usual.
    let silent: VecDeque<_> = (0..=96).map(|i| Some(if i % 96 < 8 { 0.0 } else { 9.0 })).collect();
    assert_eq!(usual(&silent, 96, 20), Some(9.0));
}

#[test]
fn the_usual_rise_is_met_before_it_comes() {
    let mut peer = SeasonalReactive::new(1.0, 96);
    // 10 a second, from step 40 to 60 of each day 10 more each step, and down again.
    let rps = |step: u64| match step % 96 {
        up @ 40..60 => 10.0 * (up - 39) as f64,
        down @ 60..80 => 10.0 * (80 - down) as f64,
        _ => 10.0,
    };
    let mut replicas = 1;
    let mut answer = |step: u64| {
        replicas = peer.desired(&view(step, Some(rps(step)), replicas));
        replicas
    };
    let answers: Vec<u32> = (0..3 * 96).map(&mut answer).collect();
    // At step 45 there are 60 a second, and 80 two steps later.
    assert_eq!((answers.get(45), answers.get(96 + 45)), (Some(&6), Some(&8)));
    assert_eq!((answers.get(2 * 96 + 45), answers.get(2 * 96 + 90)), (Some(&8), Some(&1)));
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
