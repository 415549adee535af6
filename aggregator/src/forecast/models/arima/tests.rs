use std::time::Duration;

use super::*;
use crate::forecast::models::ets::tests::AIR_PASSENGERS;
use crate::forecast::models::tests::Chance;

fn fit(y: &[f64], season: Option<usize>) -> FittedArima {
    let y: Vec<_> = y.iter().copied().map(Some).collect();
    Arima { season }.fit(&Series { y: &y, first: 0, step: Duration::from_mins(1) }).unwrap()
}

/// 400 values of a first-order autoregression around 50, as in `ar1` of the command in `ets::tests`.
fn autoregression() -> Vec<f64> {
    let mut chance = Chance::new(11);
    let noise: Vec<f64> = (0..400).map(|_| chance.normal()).collect();
    let mut x = 0.0;
    std::iter::once(50.0)
        .chain(noise.iter().skip(1).map(|e| {
            x = 0.7 * x + e;
            50.0 + x
        }))
        .collect()
}

#[test]
fn an_autoregression_gets_the_order_and_the_numbers_of_statsforecast() {
    // statsforecast 2.1: ARIMA(1,0,0) with mean 50.0854, ar1 0.7380.
    let fitted = fit(&autoregression(), None);
    assert_eq!(fitted.name(), "(1,0,0)");
    assert!((fitted.values[0] - 0.7380).abs() < 2e-3, "{:?}", fitted.values);
    let path = fitted.predict(6).unwrap();
    // Two thousandths of the deviation of the errors, 1.02.
    for (step, known) in path.iter().zip([50.998, 50.759, 50.583, 50.452, 50.356, 50.285]) {
        assert!((step.point - known).abs() < 0.01, "{} {known}", step.point);
    }
    for (step, low) in path.iter().zip([49.33, 48.68, 48.32, 48.09, 47.94, 47.84]) {
        assert!((step.quantiles[1] - low).abs() < 0.02, "{} {low}", step.quantiles[1]);
    }
}

#[test]
fn the_passengers_get_the_differences_of_statsforecast_and_a_forecast_as_good() {
    // statsforecast 2.1: ARIMA(1,1,0)(0,1,0)[12], 444.31 418.21 446.24 488.23 499.24 562.24.
    let fitted = fit(&AIR_PASSENGERS, Some(12));
    assert!(fitted.name().contains(",1,") && fitted.name().contains("[12]"), "{}", fitted.name());
    let known = [444.31, 418.214, 446.243, 488.234, 499.237, 562.236];
    for (step, known) in fitted.predict(6).unwrap().iter().zip(known) {
        // Orders a criterion apart of 2 differ by some percent of the values.
        assert!(
            (step.point / known - 1.0).abs() < 0.03,
            "{} {} {known}",
            fitted.name(),
            step.point
        );
    }
}

#[test]
fn what_is_observed_later_is_as_if_it_had_been_there() {
    let y = autoregression();
    let mut carried = fit(&y[..390], None);
    y[390..].iter().for_each(|y| carried.observe(Some(*y)));
    let fresh = fit(&y, None);
    let (a, b) = (carried.predict(3).unwrap(), fresh.predict(3).unwrap());
    assert!(a.iter().zip(&b).all(|(a, b)| (a.point - b.point).abs() < 0.05), "{a:?} {b:?}");
}
