use super::*;

const MINUTES: Sampling = Sampling { seconds: 60.0, per_day: 1440 };

fn wave(minute: usize, period: f64) -> f64 {
    (std::f64::consts::TAU * minute as f64 / period).sin()
}

/// Noise without correlation, in -0.5..0.5.
fn noise(n: usize) -> Vec<f64> {
    let mut state = 7_u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        f64::from(state >> 8) / f64::from(1 << 24) - 0.5
    };
    (0..n).map(|_| next()).collect()
}

#[test]
fn a_daily_wave_goes_on_with_the_least_margin() {
    let signal: Vec<f64> = (0..5 * 1440).map(|i| 100.0 + 50.0 * wave(i, 1440.0)).collect();
    let day = forecast(&signal, &MINUTES).unwrap();
    assert_eq!(day.len(), 1440);
    for (i, value) in day.iter().enumerate() {
        let expected = (100.0 + 50.0 * wave(i, 1440.0)) * 1.01;
        // The outlier filter takes the highest and lowest 0.1 %.
        assert!((value - expected).abs() < 0.2, "minute {i}: {value} is not {expected}");
    }
}

#[test]
fn a_week_is_found_where_days_differ() {
    // One day in seven is high.
    let high = |i: usize| if i / 1440 % 7 == 3 { 100.0 } else { 10.0 };
    let signal: Vec<f64> = (0..14 * 1440).map(high).collect();
    assert!(!is_periodic(&signal, 1440, &MINUTES));
    assert!(is_periodic(&signal, 7 * 1440, &MINUTES));
    assert_eq!(forecast(&signal, &MINUTES).map(|week| week.len()), Some(7 * 1440));
}

#[test]
fn noise_has_no_period() {
    let signal: Vec<f64> = noise(6 * 1440).iter().map(|value| 100.0 + value).collect();
    assert_eq!(forecast(&signal, &MINUTES), None);
}

#[test]
fn two_days_are_needed() {
    let signal: Vec<f64> = (0..2 * 1440).map(|i| 100.0 + 50.0 * wave(i, 1440.0)).collect();
    assert!(forecast(&signal, &MINUTES).is_some());
    assert_eq!(forecast(&signal[1..], &MINUTES), None);
    assert_eq!(forecast(&[], &MINUTES), None);
}

#[test]
fn weak_fast_waves_are_taken_out_and_strong_ones_stay() {
    // estimators.go: below the amplitude threshold *and* above 1/3600 Hz. An amplitude is half a
    // sine's, so 0.4 is below the threshold of 1 and 4 above it. 90 min is slower than an hour and
    // stays, but its mirror image above the middle goes there as here: half of it is left.
    let signal: Vec<f64> = (0..2 * 1440)
        .map(|i| {
            let slow = 50.0 * wave(i, 1440.0) + 30.0 * wave(i, 720.0) + 20.0 * wave(i, 480.0);
            100.0 + slow + 0.4 * wave(i, 20.0) + 4.0 * wave(i, 30.0) + 0.4 * wave(i, 90.0)
        })
        .collect();
    let day = filtered_period(&signal, 1440, (3, 1.0), &MINUTES);
    for (i, value) in day.iter().enumerate() {
        let slow = 50.0 * wave(i, 1440.0) + 30.0 * wave(i, 720.0) + 20.0 * wave(i, 480.0);
        let kept = 100.0 + slow + 4.0 * wave(i, 30.0) + 0.2 * wave(i, 90.0);
        assert!((value - kept.max(LEAST_VALUE)).abs() < 1e-6, "minute {i}: {value} is not {kept}");
    }
}

#[test]
fn shortfall_costs_more_than_excess() {
    // 10 % too much is 0.1; a fifth too little is ln(100 / 80) / ln 1.25 = 1.
    assert!((asymmetric_error(&[100.0], &[110.0], 0.0) - 0.1).abs() < 1e-12);
    assert!((asymmetric_error(&[100.0], &[80.0], 0.0) - 1.0).abs() < 1e-12);
    assert!((asymmetric_error(&[100.0], &[80.0], 0.25) - 0.0).abs() < 1e-12);
    // Where an actual value is next to nothing, the absolute error counts.
    assert!((asymmetric_error(&[0.0, 100.0], &[1.0, 97.0], 0.0) - 2.0).abs() < 1e-12);
}

#[test]
fn outliers_become_the_value_before() {
    let mut samples: Vec<f64> = (0..2000).map(|i| 100.0 + f64::from(i % 10)).collect();
    samples[500] = 1e6;
    samples[1500] = -1e6;
    let clean = without_outliers(&samples);
    assert_eq!((clean[500], clean[1500]), (samples[499], samples[1499]));
    let changed = clean.iter().zip(&samples).filter(|(a, b)| (**a - **b).abs() > 0.5);
    assert_eq!(changed.count(), 2);
}
