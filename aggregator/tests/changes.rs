//! Changes of a load: when they are found, what the answer to them earns, and what is found where
//! nothing changes. `FORESAIL_DRIFT_STEP=60` has a decision a minute, as the figures of
//! `docs/forecast.md`, and takes a while; `FORESAIL_DRIFT_TRACES="a.csv b.csv"` names recordings in
//! which nothing changes, which are read with the default step of 15 s.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(clippy::print_stdout, reason = "the figures are printed")]

use std::f64::consts::TAU;
use std::path::Path;
use std::time::Duration;

use foresail_aggregator::backtest::choice::Choice;
use foresail_aggregator::backtest::run::{Selection, Stopwatch, run_trace};
use foresail_aggregator::backtest::trace::Trace;
use foresail_aggregator::config::{Config, ScaleIn, WorkloadConfig};
use foresail_aggregator::forecast::{Forecaster, Stream};
use foresail_aggregator::simulate::Scenario;
use foresail_aggregator::units::{Rps, Timestamp};

const MINUTE: Duration = Duration::from_mins(1);
const DAY: usize = 1_440;
/// 2026-01-05, a Monday.
const FIRST: u64 = 1_767_571_200;
/// The change comes on the eleventh day, at half past ten.
const CHANGE: usize = 10 * DAY + 10 * 60 + 30;
const DAYS: usize = 15;

/// Time between decisions.
fn step() -> Duration {
    let seconds = std::env::var("FORESAIL_DRIFT_STEP").ok().map(|text| text.parse().unwrap());
    Duration::from_secs(seconds.unwrap_or(300))
}

fn config(step: Duration) -> WorkloadConfig {
    let text = format!(
        "
workloads:
  - namespace: shop
    name: web
    max_replicas: 200
    objective: {{ latency: 350ms, quantile: 0.99 }}
    target_rps_per_replica: 10
    decision_interval: {}s
    startup_time: 2m
    actuator: none
",
        step.as_secs()
    );
    let mut config = Config::from_yaml(&text).unwrap().workloads.remove(0);
    config.scale_in = ScaleIn::Forecast;
    config
}

/// What changes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Nothing,
    /// 1.6 times the load from one minute to the next, for good.
    Level,
    /// The day begins six hours earlier, for good.
    Season,
}

/// Working days and quieter weekends, with noise that lasts for half an hour.
fn load(kind: Kind, seed: u64) -> Vec<Option<f64>> {
    let mut state = seed;
    let mut noise = move || {
        let mut sum = -6.0;
        for _ in 0..12 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            sum += (state >> 33) as f64 / f64::from(1_u32 << 31);
        }
        sum
    };
    let mut slow = 0.0;
    let of = |minute: usize| {
        let has_changed = minute >= CHANGE;
        let ahead = if has_changed && kind == Kind::Season { 360 } else { 0 };
        let level = if has_changed && kind == Kind::Level { 1.6 } else { 1.0 };
        let hour = ((minute + ahead) % DAY) as f64 / 60.0;
        let week = if (minute / DAY) % 7 < 5 { 1.0 } else { 0.7 };
        let phase = TAU * (hour - 9.0) / 24.0;
        slow = 0.97 * slow + 0.02 * noise();
        let day = 1.0 + 0.5 * phase.sin() + 0.15 * (2.0 * phase).sin();
        Some(100.0 * level * week * day * f64::exp(slow) * (1.0 + 0.03 * noise()))
    };
    (0..DAYS * DAY).map(of).collect()
}

fn trace(kind: Kind, seed: u64) -> Trace {
    let rates = load(kind, seed);
    Trace { name: "invented".into(), start: Timestamp::from_secs(FIRST), step: MINUTE, rates }
}

/// Every change that is found, by its minute.
fn found(trace: &Trace, config: &WorkloadConfig) -> Vec<(f64, Stream)> {
    let step = config.forecast.step;
    let grid = trace.resampled(step, 1);
    let mut forecaster = Forecaster::new(config);
    let (mut last, mut all) = (None, Vec::new());
    for (at, rate) in grid.rates.iter().enumerate() {
        let from = Timestamp::of_step(grid.first_index + at as u64, step);
        if let Some(rate) = rate.and_then(|rate| Rps::new(rate).ok()) {
            forecaster.observe(from, from + step, rate);
        }
        if let Some(job) = forecaster.refit_job() {
            forecaster.install(job.run());
        }
        let drift = forecaster.forecast().unwrap().and_then(|curve| curve.drift);
        if let Some(drift) = drift.filter(|drift| last != Some(*drift)) {
            last = Some(drift);
            let minute = (at + 1) as f64 * step.as_secs_f64() / 60.0;
            all.push((minute, drift.stream));
        }
    }
    all
}

struct NoClock;

impl Stopwatch for NoClock {
    fn micros(&self) -> f64 {
        0.0
    }
}

/// Violations and cost over the oracle's with the answer to changes, and without it.
fn replayed(trace: &Trace, from: usize, to: usize) -> [(f64, f64); 2] {
    let names = ["foresail", "foresail-without-drift"];
    let policies = names.map(|name| Choice::parse(name).unwrap());
    let selection = Selection { policies: policies.into(), learned: Vec::new(), sweep: false };
    let scenario = Scenario {
        decision_interval: step(),
        startup: 2 * MINUTE,
        warm_up: Some(MINUTE * u32::try_from(from).unwrap()),
        ..Scenario::default()
    };
    let mut cut = trace.clone();
    cut.rates.truncate(to);
    let report =
        run_trace(&cut, &scenario, &config(step()), &selection, &NoClock, &mut |_| ()).unwrap();
    names.map(|name| {
        let policy = report.policies.iter().find(|policy| policy.policy == name).unwrap();
        let score = &policy.default_run().unwrap().score;
        (score.violation, score.cost_over_oracle)
    })
}

#[test]
fn changes_are_found_and_the_answer_to_them_costs_no_violations() {
    println!(
        "| change | found after | violations with the answer | without | cost over the oracle's with | without |"
    );
    for (name, kind) in
        [("level 1.6 times", Kind::Level), ("the day six hours earlier", Kind::Season)]
    {
        for seed in 1..=3 {
            let trace = trace(kind, seed);
            let found = found(&trace, &config(step()));
            let change = CHANGE as f64;
            let before = found.iter().filter(|(at, _)| *at < change).count();
            let first = found.iter().find(|(at, _)| *at >= change).copied();
            let (at, stream) = first.unwrap();
            let [with, without] = replayed(&trace, CHANGE, CHANGE + 2 * DAY);
            println!(
                "| {name} | {} min, by the {} | {:.2} % | {:.2} % | {:.3} | {:.3} |",
                at - change,
                stream.name(),
                with.0 * 100.0,
                without.0 * 100.0,
                with.1,
                without.1
            );
            assert_eq!(before, 0, "{name}, {seed}: {found:?}");
            assert!(at - change <= 360.0, "{name}, {seed}: {found:?}");
            assert!(with.0 <= without.0 + 0.001, "{name}, {seed}: {with:?} {without:?}");
        }
    }
}

#[test]
fn where_nothing_changes_at_most_one_change_a_week_is_found() {
    let says = |name: &str, trace: &Trace, config: &WorkloadConfig| {
        let found = found(trace, config);
        let days = trace.rates.len() as f64 * trace.step.as_secs_f64() / 86_400.0;
        println!("{name}: {} found in {days:.1} days: {found:?}", found.len());
        found.len() as f64 / days * 7.0
    };
    for seed in 4..=6 {
        assert!(says("invented", &trace(Kind::Nothing, seed), &config(step())) <= 1.0, "{seed}");
    }
    let config = config(Duration::from_secs(15));
    let paths = std::env::var("FORESAIL_DRIFT_TRACES").unwrap_or_default();
    for path in paths.split_whitespace() {
        let text = std::fs::read_to_string(path).unwrap();
        let name = Path::new(path).file_stem().unwrap().to_str().unwrap();
        assert!(says(name, &Trace::parse(name, &text).unwrap(), &config) <= 1.0, "{name}");
    }
}
