use super::*;

fn at(secs: u64) -> Timestamp {
    Timestamp::from_secs(1_580_518_500 + secs)
}

#[test]
fn linear_regression_answers_as_upstream() {
    // algorithms/linear_regression/test_linear_regression.py, the three "Successful prediction":
    // 1, 2, 3, 4 replicas at 00:55:33, :43, :53 and 00:56:03; now is 00:56:12.
    let mut linear = Linear::default();
    for (secs, replicas) in [(33, 1), (43, 2), (53, 3), (63, 4)] {
        linear.push(at(secs), replicas);
    }
    assert_eq!(linear.predict(at(72)), Some(5));
    assert_eq!(linear.predict(at(82)), Some(6));
    assert_eq!(linear.predict(at(87)), Some(7));
}

#[test]
fn linear_regression_sees_the_last_six_only() {
    let mut linear = Linear::default();
    for replicas in [90, 90, 4, 4, 4, 4, 4, 4] {
        linear.push(at(15 * u64::from(replicas)), replicas);
    }
    assert_eq!(linear.predict(at(900)), Some(4));
    assert_eq!(Linear::default().predict(at(0)), None);
}

#[test]
fn the_damped_trend_is_that_of_statsmodels() {
    // statsmodels 0.15.0: Holt(y[1:], damped_trend=True, initialization_method="known",
    // initial_level=10, initial_trend=0).fit(0.5, 0.1, 0.9): level 21.549587770, trend 0.763869895;
    // forecasts 22.24, 22.86, 23.41, 23.91, 24.36.
    let mut holt = Holt::default();
    for replicas in [10, 12, 13, 13, 17, 20, 19, 24] {
        holt.push(replicas);
    }
    let (level, trend) = holt.level_and_trend.unwrap();
    assert!((level - 21.549_587_770).abs() < 1e-9, "{level}");
    assert!((trend - 0.763_869_895).abs() < 1e-9, "{trend}");
    assert_eq!(
        (1..=5).filter_map(|steps| holt.predict(steps)).collect::<Vec<_>>(),
        [23, 23, 24, 24, 25]
    );
}

#[test]
fn the_greatest_of_the_hpa_and_the_model_wins() {
    // Project's README: "the highest evaluation will be used" is the default `decisionType`.
    let mut peer = Phpa::linear(1.0);
    let mut replicas = 10;
    let mut ask = |step: u64, rps: f64| {
        replicas = peer.desired(&PeerView {
            now: at(15 * step),
            step: Duration::from_secs(15),
            rps: Some(rps),
            cpu_utilisation: None,
            ready: replicas,
            replicas,
            capacity_rps: 100.0,
            startup: Duration::from_mins(1),
            min: 1,
            max: 1000,
        });
        replicas
    };
    assert_eq!(ask(0, 1000.0), 10);
    // Mean 1500: the HPA says 15, the line through 10 and 15 says 35 in a minute; at most double.
    assert_eq!(ask(1, 2000.0), 20);
}
