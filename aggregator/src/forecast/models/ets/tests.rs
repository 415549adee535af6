//! Known numbers: statsforecast 2.1, `AutoETS(season_length=12).fit(AirPassengers).predict(6, [90])`,
//! and the same of `AutoARIMA` and `MSTL(12, AutoETS(model="ZZN"))`.

use std::time::Duration;

use super::*;

/// Monthly airline passengers, 1949 to 1960 (Box & Jenkins, "Time series analysis", 1976, series G).
pub(in crate::forecast::models) const AIR_PASSENGERS: [f64; 144] = [
    112.0, 118.0, 132.0, 129.0, 121.0, 135.0, 148.0, 148.0, 136.0, 119.0, 104.0, 118.0, 115.0,
    126.0, 141.0, 135.0, 125.0, 149.0, 170.0, 170.0, 158.0, 133.0, 114.0, 140.0, 145.0, 150.0,
    178.0, 163.0, 172.0, 178.0, 199.0, 199.0, 184.0, 162.0, 146.0, 166.0, 171.0, 180.0, 193.0,
    181.0, 183.0, 218.0, 230.0, 242.0, 209.0, 191.0, 172.0, 194.0, 196.0, 196.0, 236.0, 235.0,
    229.0, 243.0, 264.0, 272.0, 237.0, 211.0, 180.0, 201.0, 204.0, 188.0, 235.0, 227.0, 234.0,
    264.0, 302.0, 293.0, 259.0, 229.0, 203.0, 229.0, 242.0, 233.0, 267.0, 269.0, 270.0, 315.0,
    364.0, 347.0, 312.0, 274.0, 237.0, 278.0, 284.0, 277.0, 317.0, 313.0, 318.0, 374.0, 413.0,
    405.0, 355.0, 306.0, 271.0, 306.0, 315.0, 301.0, 356.0, 348.0, 355.0, 422.0, 465.0, 467.0,
    404.0, 347.0, 305.0, 336.0, 340.0, 318.0, 362.0, 348.0, 363.0, 435.0, 491.0, 505.0, 404.0,
    359.0, 310.0, 337.0, 360.0, 342.0, 406.0, 396.0, 420.0, 472.0, 548.0, 559.0, 463.0, 407.0,
    362.0, 405.0, 417.0, 391.0, 419.0, 461.0, 472.0, 535.0, 622.0, 606.0, 508.0, 461.0, 390.0,
    432.0,
];

fn fit_all(y: &[f64], season: Option<usize>) -> FittedEts {
    let y: Vec<_> = y.iter().copied().map(Some).collect();
    Ets { season }.fit(&Series { y: &y, first: 0, step: Duration::from_mins(1) }).unwrap()
}

#[test]
fn the_passengers_get_a_multiplicative_season_and_the_forecast_of_statsforecast() {
    let fitted = fit_all(&AIR_PASSENGERS, Some(12));
    assert!(fitted.name().starts_with('M') && fitted.name().ends_with('M'), "{}", fitted.name());
    // With ETS(M,N,M); with a damped trend, another starting point of the same search gives 2 % more.
    let known = [442.357, 428.267, 492.975, 477.37, 477.603, 535.858];
    for (step, known) in fitted.predict(6).unwrap().iter().zip(known) {
        assert!((step.point / known - 1.0).abs() < 0.04, "{} {known}", step.point);
    }
}

#[test]
fn a_trend_goes_on_and_a_gap_widens_the_interval() {
    let y: Vec<f64> = (0..200).map(|i| 5.0 + 2.0 * f64::from(i) + f64::from(i * i % 7)).collect();
    let mut fitted = fit_all(&y, None);
    let path = fitted.predict(3).unwrap();
    assert!((path[2].point - (5.0 + 2.0 * 202.0 + 3.0)).abs() < 3.0, "{path:?}");
    let before = path[0].quantiles[5] - path[0].quantiles[1];
    fitted.observe(None);
    let after = fitted.predict(1).unwrap()[0];
    assert!(after.quantiles[5] - after.quantiles[1] >= before);
    assert!((after.point - path[1].point).abs() < 1e-9);
}
