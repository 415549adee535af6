use std::f64::consts::TAU;
use std::time::Duration;

use super::*;
use crate::forecast::models::ets::tests::AIR_PASSENGERS;
use crate::forecast::models::tests::Chance;

fn fit(y: &[f64], seasons: &[usize]) -> FittedMstl {
    let y: Vec<_> = y.iter().copied().map(Some).collect();
    let series = Series { y: &y, first: 0, step: Duration::from_mins(1) };
    Mstl { seasons: seasons.to_vec() }.fit(&series).unwrap()
}

#[test]
fn two_seasons_and_a_trend_come_apart_and_go_on() {
    let mut chance = Chance::new(1);
    let truth = |at: u32| {
        let (short, long) = (TAU * f64::from(at) / 12.0, TAU * f64::from(at) / 168.0);
        100.0 + 0.05 * f64::from(at) + 10.0 * short.sin() + 20.0 * long.cos()
    };
    let y: Vec<f64> = (0..1_344).map(|at| truth(at) + chance.normal()).collect();
    let path = fit(&y, &[12, 168]).predict(168).unwrap();
    let error: f64 =
        path.iter().zip(1_344..).map(|(step, at)| (step.point - truth(at)).abs()).sum();
    assert!(error / 168.0 < 1.5, "mean error {}", error / 168.0);
}

#[test]
fn the_passengers_are_forecast_as_by_statsforecast() {
    let known = [446.539, 430.123, 473.191, 472.87, 482.094, 536.326];
    for (step, known) in fit(&AIR_PASSENGERS, &[12]).predict(6).unwrap().iter().zip(known) {
        // Amplitudes grow: how much the newest year weighs in the season moves the peaks by 6 %.
        assert!((step.point / known - 1.0).abs() < 0.06, "{} {known}", step.point);
    }
}
