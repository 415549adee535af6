use std::time::Duration;

use super::*;
use crate::units::Timestamp;

fn view(minute: u64, rps: Option<f64>, replicas: u32) -> PeerView {
    PeerView::at(Timestamp::from_secs(60 * (minute + 1)), Duration::from_mins(1), rps, replicas)
}

#[test]
fn steps_become_minutes_and_short_gaps_straight_lines() {
    let mut history = History::new(5760);
    let steps = [Some(1.0), Some(2.0), None, Some(3.0), None, None, None, None];
    let completed: Vec<bool> = steps.into_iter().map(|rps| history.push(rps)).collect();
    assert_eq!(completed, [false, false, false, true, false, false, false, true]);
    (0..4).for_each(|_| _ = history.push(Some(6.0)));
    assert_eq!(history.samples, [2.0, 4.0, 6.0]);
    // prediction.go: a gap of more than one hour drops all that was before.
    (0..4 * 61).for_each(|_| _ = history.push(None));
    (0..4).for_each(|_| _ = history.push(Some(7.0)));
    assert_eq!(history.samples, [7.0]);
}

#[test]
fn the_metric_is_the_greatest_value_of_the_coming_hour() {
    // QueryRealtimePredictedValues: both ends of [now, now + 1 h] count.
    let mut peer = CraneEhpa::new(1.0, 1440);
    let mut values = vec![1.0; 1440];
    for (index, value) in [(100, 9.0), (161, 7.0), (300, 5.0)] {
        if let Some(slot) = values.get_mut(index) {
            *slot = value;
        }
    }
    peer.forecast = Some(values);
    for (since, expected) in [(40, 9.0), (100, 9.0), (101, 7.0), (162, 1.0), (240, 5.0)] {
        peer.samples_since_fit = since;
        assert_eq!(peer.peak(), Some(expected), "{since} minutes after the fit");
    }
    peer.samples_since_fit = 1440;
    assert_eq!(peer.peak(), None);
}

#[test]
fn from_the_third_day_on_it_is_up_an_hour_before() {
    let mut peer = CraneEhpa::new(1.0, 1440);
    // 100 a second, 200 from 12:00 to 16:00.
    let rps = |minute: u64| if (720..960).contains(&(minute % 1440)) { 200.0 } else { 100.0 };
    let mut replicas = 10;
    let answer = |minute: u64| {
        replicas = peer.desired(&view(minute, Some(rps(minute)), replicas));
        replicas
    };
    let answers: Vec<u32> = (0..5 * 1440).map(answer).collect();
    let at = |day: usize, minute: usize| answers.get(1440 * day + minute).copied().unwrap();
    assert_eq!(at(1, 700), 10);
    assert!(at(4, 670) >= 20, "an hour before noon there are {}", at(4, 670));
    assert!(at(4, 630) <= 12, "well before there are {}", at(4, 630));
}
