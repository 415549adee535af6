use std::cell::Cell;
use std::f64::consts::TAU;
use std::time::Duration;

use super::*;

/// A clock that advances by 1 ms whenever it is read.
struct Ticks(Cell<f64>);

impl Stopwatch for Ticks {
    fn micros(&self) -> f64 {
        self.0.set(self.0.get() + 1e3);
        self.0.get()
    }
}

fn grid(rates: Vec<Option<f64>>) -> Grid {
    Grid { first_index: 28_333_440, step: Duration::from_mins(1), rates }
}

fn setup(models: &[ModelKind], windows: usize) -> Setup {
    Setup { models: models.to_vec(), horizon: 3, train: 400, windows, holidays: Vec::new() }
}

fn run(rates: Vec<Option<f64>>, setup: &Setup) -> Result<TraceScores, AccuracyError> {
    score("t", &grid(rates), setup, &Ticks(Cell::new(0.0)), &mut |_| {})
}

#[test]
fn a_ramp_costs_the_last_value_one_two_and_three_steps_and_drift_nothing() {
    let models = [ModelKind::LastValue, ModelKind::Drift];
    let scores = run((0..1_000).map(|i| Some(f64::from(i))).collect(), &setup(&models, 4)).unwrap();
    let mase = |model: usize, at: usize| scores.models[model].horizons[at].unwrap().mase;
    for (at, wanted) in [(0, 1.0), (1, 2.0), (2, 3.0)] {
        assert!((mase(0, at) - wanted).abs() < 1e-9 && mase(1, at) < 1e-9);
    }
    assert_eq!(scores.cutoffs.len(), 4);
    let first = scores.cutoffs[0];
    let said = scores.models[0].at_cutoffs[0].as_ref().unwrap();
    assert_eq!(said, &vec![first as f64 - 1.0; 3], "the first value is not known at its cut-off");
    assert!((scores.models[0].fit_s.unwrap() - 1e-3).abs() < 1e-12);
}

#[test]
fn a_season_is_found_and_used_and_gaps_are_not_compared() {
    let wave = |i: u32| 100.0 + 50.0 * (TAU * f64::from(i) / 60.0).sin() + f64::from(i * i % 17);
    let rates = (0..1_500).map(|i| (i % 10 != 3).then(|| wave(i))).collect();
    let models = [ModelKind::LastValue, ModelKind::SeasonalNaive, ModelKind::Ensemble];
    let scores = run(rates, &setup(&models, 2)).unwrap();
    assert_eq!(scores.seasons, [[60], [60]]);
    let [last, seasonal, ensemble] = [0, 1, 2].map(|model| scores.models[model].all.unwrap());
    assert!(ensemble.pinball_loss < last.pinball_loss);
    assert!(ensemble.pinball_loss < 1.05 * seasonal.pinball_loss);
    assert_eq!(last.count, seasonal.count);
    assert!(last.count < scores.origins * 3 * 95 / 100);
}

#[test]
fn a_recording_that_is_too_short_is_refused_with_its_length() {
    let error = run(vec![Some(1.0); 12], &setup(&[ModelKind::Drift], 8)).unwrap_err();
    assert_eq!(error, AccuracyError::TooShort { steps: 12, windows: 8, horizon: 3 });
}

#[test]
fn a_constant_load_has_no_scale_and_no_scores() {
    let scores = run(vec![Some(5.0); 900], &setup(&[ModelKind::LastValue], 2)).unwrap();
    assert_eq!(scores.models[0].all, None);
    assert!(table(&[scores]).contains("no forecast"));
}
