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
    forecast: { step: 60s, season: 2h }
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
    if let Some(job) = forecaster.refit_job() {
        forecaster.install(job.run());
    }
    forecaster
}

#[test]
fn a_regular_day_is_forecast_within_its_noise() {
    let forecaster = trained(600);
    let curve = forecaster.forecast().unwrap().unwrap();
    // The lead of two steps of start-up and one of waiting is among the horizons.
    let aheads: Vec<usize> = curve.points.iter().map(|point| point.ahead).collect();
    assert_eq!(aheads, [1, 3, 5, 10, 20]);
    assert_eq!(curve.issued_at, Timestamp::of_step(600, STEP));
    for point in &curve.points {
        let step = 599 + point.ahead as u64;
        assert_eq!(point.at, Timestamp::of_step(step + 1, STEP));
        let error = (point.point.get() - load(step)).abs();
        assert!(error < 25.0, "step {step}: {point:?} against {}", load(step));
        assert!(point.lower <= point.point && point.point <= point.upper);
    }
}

#[test]
fn nothing_is_forecast_before_a_step_was_measured() {
    let mut forecaster = Forecaster::new(&config());
    let (seconds, rate) = (|at| Timestamp::from_secs(at), Rps::new(80.0).unwrap());
    // Not half of the first minute was heard.
    assert_eq!(forecaster.observe(seconds(40), seconds(60), rate), 1);
    assert_eq!(forecaster.forecast().unwrap(), None);
    forecaster.observe(seconds(60), seconds(120), rate);
    let curve = forecaster.forecast().unwrap().unwrap();
    assert!((curve.points[0].point.get() - 80.0).abs() < 8.0, "{curve:?}");
}

#[test]
fn the_upper_bound_covers_about_as_often_as_it_says() {
    let mut forecaster = trained(600);
    let mut covered = [0_u32; 5];
    let mut all = 0;
    let mut curves: Vec<Curve> = Vec::new();
    for step in 600..1_800 {
        curves.push(forecaster.forecast().unwrap().unwrap());
        let (from, to) = (Timestamp::of_step(step, STEP), Timestamp::of_step(step + 1, STEP));
        forecaster.observe(from, to, Rps::new(load(step)).unwrap());
        if let Some(job) = forecaster.refit_job() {
            forecaster.install(job.run());
        }
        if step < 620 {
            continue;
        }
        all += 1;
        for (at, covered) in covered.iter_mut().enumerate() {
            let ahead = curves.last().unwrap().points[at].ahead;
            let said = curves[curves.len() - ahead].points[at];
            *covered += u32::from(said.upper.get() >= load(step));
        }
    }
    for covered in covered {
        let share = f64::from(covered) / f64::from(all);
        assert!((0.86..=0.94).contains(&share), "p90 covered {share}");
    }
}

#[test]
fn nothing_known_is_no_forecast_and_no_error() {
    assert_eq!(Forecaster::new(&config()).forecast(), Ok(None));
}

#[test]
fn the_first_steps_have_a_forecast_that_says_how_little_it_knows() {
    let forecaster = trained(4);
    let curve = forecaster.forecast().unwrap().unwrap();
    let lead = curve.points[1];
    assert!(lead.upper.get() > 1.15 * lead.point.get(), "{lead:?}");
}

#[test]
fn a_gap_in_a_recorded_history_stays_a_gap() {
    let mut forecaster = Forecaster::new(&config());
    let samples: Vec<_> = (0..200)
        .filter(|step| !(50..80).contains(step))
        .map(|step| (Timestamp::of_step(step, STEP), Rps::new(load(step)).unwrap()))
        .collect();
    forecaster.load_history(&samples);
    let known = |step| forecaster.track().measured(step).is_some();
    assert!(known(49) && known(50) && known(80));
    assert!(!(51..80).any(known));
}

#[test]
fn a_long_silence_begins_anew() {
    let mut forecaster = trained(600);
    let later = 600 + LONGEST_GAP_STEPS + 10;
    let (from, to) = (Timestamp::of_step(later, STEP), Timestamp::of_step(later + 1, STEP));
    forecaster.observe(from, to, Rps::new(5.0).unwrap());
    assert_eq!(forecaster.track().len(), 1);
    let curve = forecaster.forecast().unwrap().unwrap();
    assert!((curve.points[0].point.get() - 5.0).abs() < 0.1, "{curve:?}");
}

#[test]
fn a_stored_load_without_a_step_is_no_forecast_of_nothing() {
    let nothing = Forecaster::new(&config()).load();
    let again = Forecaster::new(&config()).with_load(&nothing);
    assert!(again.track().is_empty());
    assert_eq!(again.forecast(), Ok(None));
}

#[test]
fn a_stored_load_teaches_the_same_again() {
    let first = trained(300);
    let stored = serde_json::to_string(&first.load()).unwrap();
    let load: Load = serde_json::from_str(&stored).unwrap();
    let again = Forecaster::new(&config()).with_load(&load);
    let points = |forecaster: &Forecaster| forecaster.forecast().unwrap().unwrap().points;
    for (one, other) in points(&first).iter().zip(points(&again)) {
        let ratio = one.upper.get() / other.upper.get();
        assert!((ratio - 1.0).abs() < 1e-3, "{one:?} {other:?}");
    }
}
