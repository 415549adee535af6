use super::*;

/// A step of a minute that ends `minute` minutes after 1970.
fn view(minute: u64, rps: f64, replicas: u32) -> PeerView {
    PeerView::at(Timestamp::from_secs(60 * minute), DATA_POINT, Some(rps), replicas)
}

/// Each day 100 a second, but 400 from 10:00 to 12:00.
fn daily(minute: u64) -> f64 {
    if (600..720).contains(&((minute - 1) % 1440)) { 400.0 } else { 100.0 }
}

/// Answers at the end of each minute, the answer being obeyed at once.
fn run(minutes: u64, max: u32, rps: impl Fn(u64) -> f64) -> Vec<u32> {
    let mut peer = AwsPredictive::new(1.0);
    let mut replicas = 10;
    let answer = |minute: u64| {
        replicas = peer.desired(&PeerView { max, ..view(minute, rps(minute), replicas) });
        replicas
    };
    (1..=minutes).map(answer).collect()
}

#[test]
fn capacity_for_ten_o_clock_is_there_five_minutes_before() {
    // API reference, `SchedulingBufferTime`: capacity that the forecast adds at 10:00 is launched
    // at 9:55 when the buffer is 5 minutes.
    let answers = run(2 * 1440, 1000, daily);
    let at = |day: usize, minute: usize| answers.get(1440 * day + minute - 1).copied();
    assert_eq!(at(1, 594), Some(10));
    assert_eq!(at(1, 595), Some(40));
    // On the first day there is no forecast (24 h of data are needed): three minutes of alarm.
    assert_eq!((at(0, 602), at(0, 603)), (Some(10), Some(40)));
}

#[test]
fn a_lower_forecast_never_scales_in() {
    // User guide: capacity is not removed because the forecast falls, only when demand has.
    let answers =
        run(2 * 1440, 1000, |minute| if minute > 1440 + 600 { 400.0 } else { daily(minute) });
    let evening = answers.get(1440 + 720..).unwrap();
    assert!(evening.iter().all(|replicas| *replicas == 40), "{evening:?}");
}

#[test]
fn the_maximum_is_honoured() {
    // API reference, `MaxCapacityBreachBehavior`: HonorMaxCapacity is the default.
    let answers = run(2 * 1440, 30, daily);
    assert_eq!(answers.get(1440 + 594), Some(&30));
    assert_eq!(answers.iter().max(), Some(&30));
}

#[test]
fn target_tracking_scales_out_after_three_points_and_in_after_fifteen() {
    let answers = run(60, 1000, |minute| match minute {
        6..=20 => 130.0,
        _ => 100.0,
    });
    let at = |minute: usize| answers.get(minute - 1).copied();
    assert_eq!((at(7), at(8)), (Some(10), Some(13)));
    // 100 / 13 pods is below 90 % of the target from minute 21 on.
    assert_eq!((at(34), at(35)), (Some(13), Some(10)));
    // 92.5 % of the target is no reason to scale in, though 19 pods would do.
    let close = run(60, 1000, |minute| if minute < 5 { 200.0 } else { 185.0 });
    assert_eq!(close.last(), Some(&20));
}

#[test]
fn a_day_without_data_leaves_a_hole_and_no_zero() {
    let mut hourly = Hourly::default();
    for hour in 0..72_u32 {
        let rps = (!(24..48).contains(&hour)).then_some(f64::from(hour % 24));
        let now = Timestamp::from_secs(3600 * (u64::from(hour) + 1));
        hourly.push(now, HOUR, rps);
    }
    hourly.push(Timestamp::from_secs(3600 * 73), HOUR, Some(0.0));
    let expected: Vec<Option<f64>> = (0..3).map(|ahead| hourly.expected(ahead)).collect();
    assert_eq!(expected, [Some(0.0), Some(1.0), Some(2.0)]);
    assert_eq!(hourly.expected(47), Some(23.0));
}
