//! Two weeks through eight policies.

use std::fmt::Write;
use std::time::Duration;

use foresail_aggregator::backtest::choice::Choice;
use foresail_aggregator::backtest::run::{Selection, Stopwatch, run_trace};
use foresail_aggregator::backtest::trace::Trace;
use foresail_aggregator::clock;
use foresail_aggregator::config::{Config, WorkloadConfig};
use foresail_aggregator::simulate::Scenario;

/// Minutes of a day.
const DAY: usize = 1_440;
const POLICIES: [&str; 8] = [
    "foresail",
    "foresail-calm",
    "hpa-cpu",
    "hpa-rps",
    "kpa",
    "phpa-holt",
    "arima-stab",
    "seasonal-reactive",
];

struct Watch(clock::Stopwatch);

impl Stopwatch for Watch {
    fn micros(&self) -> f64 {
        self.0.elapsed().as_secs_f64() * 1e6
    }
}

/// What a replay took.
pub(crate) struct Replay {
    pub(crate) policies: usize,
    pub(crate) took: Duration,
    pub(crate) p50_us: f64,
    pub(crate) p99_us: f64,
}

/// A load with days, hours, a noise that does not repeat, and a burst at every full hour.
pub(crate) fn rate(minute: usize) -> f64 {
    let wave = |period: f64| (std::f64::consts::TAU * (minute as f64 % period) / period).sin();
    let burst = if minute % 60 < 3 { 1.5 } else { 1.0 };
    let noise = (minute.wrapping_mul(2_654_435_761) >> 7) % 97;
    (100.0 + 60.0 * wave(DAY as f64)) * burst * (0.95 + noise as f64 / 970.0)
}

/// The defaults.
pub(crate) fn config() -> WorkloadConfig {
    let text = "workloads: [{namespace: demo, name: web, max_replicas: 500, actuator: none, \
                objective: {latency: 350ms}, target_rps_per_replica: 10, mode: active, \
                scale_in: forecast}]";
    Config::from_yaml(text).unwrap().workloads.pop().unwrap()
}

/// Replays two weeks.
pub(crate) fn run(interval: Duration) -> Replay {
    let mut text = "timestamp,rps\n".to_owned();
    for minute in 0..14 * DAY {
        writeln!(text, "{},{:.3}", 1_700_006_400 + minute * 60, rate(minute)).unwrap();
    }
    let trace = Trace::parse("two weeks", &text).unwrap();
    let scenario = Scenario { decision_interval: interval, ..Scenario::default() };
    let policies = POLICIES.iter().map(|name| Choice::parse(name).unwrap()).collect();
    let selection = Selection { policies, sweep: false, learned: vec![] };
    let watch = Watch(clock::Stopwatch::start());
    let report = run_trace(&trace, &scenario, &config(), &selection, &watch, &mut |_| {}).unwrap();
    let took = watch.0.elapsed();
    let own = report.policies.first().unwrap().default_run().unwrap();
    Replay {
        policies: report.policies.len(),
        took,
        p50_us: own.decision_p50_us.unwrap(),
        p99_us: own.decision_p99_us.unwrap(),
    }
}
