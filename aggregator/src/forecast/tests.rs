use super::*;
use crate::config::Config;

const STEP: Duration = Duration::from_mins(1);

fn config() -> WorkloadConfig {
    let text = "
workloads:
  - namespace: demo
    name: web
    max_replicas: 50
    objective: { latency: 250ms }
    target_rps_per_replica: 30
    startup_time: 120s
    forecast: { season: 2h }
    actuator: none
";
    Config::from_yaml(text).unwrap().workloads.remove(0)
}

/// Load of a day of two hours: a wave around 200 rps with deterministic noise.
fn load(step: u64) -> f64 {
    let phase = (step % 120) as f64 / 120.0 * std::f64::consts::TAU;
    let noise = ((step * 2_654_435_761) % 1_000) as f64 / 1_000.0 - 0.5;
    200.0 + 120.0 * phase.sin() + 20.0 * noise
}

fn trained(steps: u64) -> Forecaster {
    let mut forecaster = Forecaster::new(&config());
    let samples: Vec<_> = (0..=steps)
        .map(|step| (Timestamp::of_step(step, STEP), Rps::new(load(step)).unwrap()))
        .collect();
    forecaster.load_history(&samples);
    let job = forecaster.refit_job().unwrap();
    forecaster.install(job.run());
    forecaster
}

#[test]
fn a_regular_day_is_forecast_within_its_noise() {
    let forecaster = trained(300);
    let curve = forecaster.forecast().unwrap().unwrap();
    assert_eq!(curve.points.len(), 4);
    assert_eq!(curve.issued_at, Timestamp::of_step(300, STEP));
    for (step, point) in (300..).zip(&curve.points) {
        let error = (point.point.get() - load(step)).abs();
        assert!(error < 25.0, "step {step}: {point:?} against {}", load(step));
        assert!(point.lower <= point.point && point.point <= point.upper);
    }
    assert_eq!(curve.scores.len(), 2, "{:?}", curve.scores);
}

#[test]
fn the_upper_bound_covers_about_as_often_as_it_says() {
    let mut forecaster = trained(300);
    let (mut covered, mut all) = (0, 0);
    for step in 300..700 {
        let curve = forecaster.forecast().unwrap().unwrap();
        let (from, to) = (Timestamp::of_step(step, STEP), Timestamp::of_step(step + 1, STEP));
        forecaster.observe(from, to, Rps::new(load(step)).unwrap());
        covered += u32::from(curve.points[0].upper.get() >= load(step));
        all += 1;
        if let Some(job) = forecaster.refit_job() {
            forecaster.install(job.run());
        }
    }
    let share = f64::from(covered) / f64::from(all);
    assert!((0.85..=0.96).contains(&share), "p90 covered {share}");
}

#[test]
fn the_regression_beats_the_naive_season_on_noise() {
    let curve = trained(359).forecast().unwrap().unwrap();
    assert_eq!(curve.model, "ridge", "{:?}", curve.scores);
}

#[test]
fn without_a_season_of_load_there_is_no_forecast_and_no_error() {
    let forecaster = trained(100);
    assert_eq!(forecaster.forecast(), Ok(None));
    assert_eq!(Forecaster::new(&config()).forecast(), Ok(None));
}

#[test]
fn a_gap_in_a_recorded_history_stays_a_gap() {
    let mut forecaster = Forecaster::new(&config());
    let samples: Vec<_> = (0..200)
        .filter(|step| !(50..80).contains(step))
        .map(|step| (Timestamp::of_step(step, STEP), Rps::new(load(step)).unwrap()))
        .collect();
    forecaster.load_history(&samples);
    let known = |step| forecaster.series().get(step).is_some();
    assert!(known(49) && known(50) && known(80));
    assert!(!(51..80).any(known));
}

#[test]
fn a_gap_in_the_newest_steps_leaves_the_naive_season() {
    let mut forecaster = trained(359);
    let (from, to) = (Timestamp::of_step(365, STEP), Timestamp::of_step(366, STEP));
    forecaster.observe(from, to, Rps::new(200.0).unwrap());
    let curve = forecaster.forecast().unwrap();
    assert!(curve.is_none_or(|curve| curve.model == "seasonal_naive"));
}

#[test]
fn a_model_that_gives_nonsense_is_an_error_and_no_zero() {
    #[derive(Debug)]
    struct Broken;
    impl Predict for Broken {
        fn name(&self) -> &'static str {
            "broken"
        }
        fn predict(&self, _: &LoadSeries, _: u64, horizon: u64) -> Option<Vec<f64>> {
            Some(vec![f64::NAN; usize::try_from(horizon).unwrap()])
        }
    }
    let mut forecaster = trained(300);
    for candidate in &mut forecaster.candidates {
        candidate.model = Box::new(Broken);
    }
    assert_eq!(forecaster.forecast(), Err(ForecastError::NotFinite { model: "broken" }));
}
