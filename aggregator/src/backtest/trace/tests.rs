use std::fmt::Write;

use super::*;

fn csv(rows: impl Iterator<Item = (u64, String)>) -> String {
    let mut text = String::from("timestamp,rps\n");
    for (t, rate) in rows {
        writeln!(text, "{t},{rate}").unwrap();
    }
    text
}

#[test]
fn rows_stand_on_their_grid_and_gaps_are_not_known() {
    let text = csv((0..40)
        .filter(|i| *i != 7)
        .map(|i| (1_000 + i * 60, if i == 9 { String::new() } else { format!("{i}") })));
    let trace = Trace::parse("t", &text).unwrap();
    assert_eq!((trace.step, trace.rates.len()), (Duration::from_mins(1), 40));
    assert_eq!(trace.start, Timestamp::from_secs(1_000));
    assert_eq!([trace.rates[6], trace.rates[7], trace.rates[9]], [Some(6.0), None, None]);
}

#[test]
fn another_column_may_hold_the_rate() {
    let mut text = String::from("timestamp,other,rps\n");
    (0..30).for_each(|i| writeln!(text, "{i},99,{i}").unwrap());
    assert_eq!(Trace::parse("t", &text).unwrap().rates[5], Some(5.0));
}

#[test]
fn what_is_wrong_is_named_with_its_line() {
    let good: Vec<(u64, String)> = (0..30).map(|i| (i, "1".to_owned())).collect();
    let with = |at: usize, row: (u64, &str)| {
        let mut rows = good.clone();
        rows[at] = (row.0, row.1.to_owned());
        Trace::parse("t", &csv(rows.into_iter())).unwrap_err()
    };
    let value = || "-1".to_owned();
    assert_eq!(with(3, (3, "-1")), TraceError::Rate { line: 5, value: value() });
    assert!(matches!(with(3, (3, "NaN")), TraceError::Rate { line: 5, .. }));
    assert!(matches!(with(3, (2, "1")), TraceError::Order { line: 5, .. }));
    assert!(matches!(Trace::parse("t", "1,2\n3,4\n"), Err(TraceError::Header { .. })));
    assert!(matches!(Trace::parse("t", ""), Err(TraceError::Header { .. })));
    let bad = "timestamp,rps\nx,1\n";
    assert!(matches!(Trace::parse("t", bad), Err(TraceError::Timestamp { line: 2, .. })));
    assert!(matches!(
        Trace::parse("t", "timestamp,rps\n5\n"),
        Err(TraceError::Short { line: 2, .. })
    ));
    assert!(matches!(
        Trace::parse("t", "timestamp,rps\n5,1\n"),
        Err(TraceError::Size { rows: 1, .. })
    ));
}

#[test]
fn fine_recordings_are_averaged() {
    let text = csv((0..90).map(|i| (1_500 + i, format!("{}", i % 15))));
    let grid = Trace::parse("t", &text).unwrap().resampled(Duration::from_secs(15), 1);
    assert_eq!(grid.first_index, 100);
    assert_eq!(grid.rates, vec![Some(7.0); 6]);
}

#[test]
fn coarse_recordings_are_sampled_at_their_own_rate_and_always_the_same() {
    let text = csv((0..2_000).map(|i| (i * 60, "20".to_owned())));
    let trace = Trace::parse("t", &text).unwrap();
    let grid = trace.resampled(Duration::from_secs(15), 1);
    assert_eq!(grid.rates.len(), 8_000);
    let rates: Vec<f64> = grid.rates.iter().flatten().copied().collect();
    let mean = rates.iter().sum::<f64>() / 8_000.0;
    let variance = rates.iter().map(|rate| (rate - mean).powi(2)).sum::<f64>() / 8_000.0;
    // A Poisson count over 15 s has the variance of its mean.
    assert!((mean - 20.0).abs() < 0.1, "{mean}");
    assert!((variance * 15.0 / 20.0 - 1.0).abs() < 0.1, "{variance}");
    assert_eq!(grid, trace.resampled(Duration::from_secs(15), 1));
    assert_ne!(grid, trace.resampled(Duration::from_secs(15), 2));
}
