//! `foresail decide`: observations in, decisions out, one JSON object a line.
//!
//! Whatever simulates a service, in whatever language, drives the real decision core through two
//! pipes.

use std::io::{self, BufRead, Write};
use std::time::Duration;

use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::autoscaler::{Autoscaler, Step};
use crate::config::WorkloadConfig;
use crate::journal::Observation;
use crate::units::{Ratio, Rps, Timestamp};

/// The longest line that is read.
const MAX_LINE_BYTES: usize = 1 << 20;
/// Fields that are understood.
const FIELDS: [&str; 12] = [
    "t",
    "rps",
    "p50_ms",
    "p95_ms",
    "p99_ms",
    "error_ratio",
    "concurrency",
    "outbound_concurrency",
    "cpu",
    "memory",
    "ready",
    "replicas",
];

/// The settings used without `--config`.
pub const DEFAULT_CONFIG: &str = "
workloads:
  - namespace: default
    name: workload
    mode: active
    min_replicas: 1
    max_replicas: 1000
    objective: { quantile: 0.99, latency: 350ms, budget: 0.01 }
    target_rps_per_replica: 60
    capacity: learned
    startup_time: 60s
    decision_interval: 15s
    scale_in: forecast
    actuator: none
";

/// One decision as a line.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Line {
    /// The observation's time, in Unix seconds.
    pub t: f64,
    /// Replicas to have.
    pub desired: u32,
    /// Why.
    pub reason: String,
    /// The last guard that changed the number; `null` for none.
    pub guard: Option<String>,
    /// The forecast that decided; `null` while there is none.
    pub forecast: Option<ForecastLine>,
}

/// The forecast of a [`Line`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct ForecastLine {
    /// How far ahead, in seconds.
    pub horizon_s: f64,
    /// Expected requests per second.
    pub point: f64,
    /// Their upper quantile.
    pub upper: f64,
}

/// Decides line by line.
#[derive(Debug)]
pub struct Decider {
    config: WorkloadConfig,
    autoscaler: Option<Autoscaler>,
    last: Option<Timestamp>,
}

impl Decider {
    /// With these settings.
    pub const fn new(config: WorkloadConfig) -> Self {
        Self { config, autoscaler: None, last: None }
    }

    /// Answers one line.
    ///
    /// # Errors
    /// What is wrong with the line, naming field, value and remedy.
    pub fn answer(&mut self, line: &str) -> Result<Line, String> {
        let (now, observation) = parse(line)?;
        if self.last.is_some_and(|last| now <= last) {
            let last = self.last.map_or(0.0, Timestamp::as_secs_f64);
            return Err(format!(
                "t: {} is not after {last}; send observations in the order of time, each once",
                now.as_secs_f64()
            ));
        }
        self.last = Some(now);
        let step = self.decide(now, &observation);
        Ok(to_line(now, &step))
    }

    /// Decides, and grows the models when that is due: at once, so that the same lines give the
    /// same answers.
    pub fn decide(&mut self, now: Timestamp, observation: &Observation) -> Step {
        let config = &self.config;
        let autoscaler = self.autoscaler.get_or_insert_with(|| Autoscaler::new(config, now));
        let step = autoscaler.step(now, observation);
        if let Some(job) = autoscaler.refit_job() {
            autoscaler.install(job.run());
        }
        step
    }
}

/// Reads observations until the input ends, answering each line at once.
///
/// # Errors
/// When reading or writing fails.
pub fn run(
    config: WorkloadConfig,
    mut input: impl BufRead,
    mut output: impl Write,
) -> io::Result<()> {
    let mut decider = Decider::new(config);
    let mut line = Vec::new();
    loop {
        line.clear();
        if io::Read::take(&mut input, MAX_LINE_BYTES as u64).read_until(b'\n', &mut line)? == 0 {
            return Ok(());
        }
        let answer = match std::str::from_utf8(&line) {
            _ if line.len() == MAX_LINE_BYTES && !line.ends_with(b"\n") => {
                skip_line(&mut input)?;
                Err(format!(
                    "the line is longer than {MAX_LINE_BYTES} bytes; send one observation a line"
                ))
            }
            Ok(text) => decider.answer(text.trim()),
            Err(error) => Err(format!("the line is not UTF-8: {error}")),
        };
        match answer {
            Ok(answer) => serde_json::to_writer(&mut output, &answer)?,
            Err(problem) => serde_json::to_writer(&mut output, &json!({ "error": problem }))?,
        }
        output.write_all(b"\n")?;
        output.flush()?;
    }
}

fn skip_line(input: &mut impl BufRead) -> io::Result<()> {
    loop {
        let (used, done) = {
            let bytes = input.fill_buf()?;
            match bytes.iter().position(|byte| *byte == b'\n') {
                Some(at) => (at + 1, true),
                None => (bytes.len(), bytes.is_empty()),
            }
        };
        input.consume(used);
        if done {
            return Ok(());
        }
    }
}

/// Reads one observation.
fn parse(line: &str) -> Result<(Timestamp, Observation), String> {
    let value: Value = serde_json::from_str(line).map_err(|error| {
        format!("the line is not JSON ({error}); send an object such as {{\"t\":0,\"rps\":1}}")
    })?;
    let Value::Object(fields) = value else {
        return Err(format!("{value} is not an object; send one such as {{\"t\":0,\"rps\":1}}"));
    };
    if let Some(unknown) = fields.keys().find(|key| !FIELDS.contains(&key.as_str())) {
        return Err(format!("{unknown}: no such field; known are {}", FIELDS.join(", ")));
    }
    let seconds = number(&fields, "t", 0.0, 1e11)?
        .ok_or_else(|| "t: missing; give the time in Unix seconds".to_owned())?;
    let now = Timestamp::default() + Duration::from_secs_f64(seconds);
    let rps = number(&fields, "rps", 0.0, 1e12)?;
    let error_ratio = number(&fields, "error_ratio", 0.0, 1.0)?;
    // Checked, though no decision uses them yet.
    number(&fields, "cpu", 0.0, 1e6)?;
    number(&fields, "memory", 0.0, 1e15)?;
    let latency = |name| number(&fields, name, 0.0, 1e9);
    let replicas = whole(&fields, "replicas")?;
    let observation = Observation {
        newest: rps.map(|_| now),
        rps: rps.and_then(|rps| Rps::new(rps).ok()),
        p50_ms: latency("p50_ms")?,
        p95_ms: latency("p95_ms")?,
        p99_ms: latency("p99_ms")?,
        error_ratio: error_ratio.and_then(|ratio| Ratio::new(ratio).ok()),
        concurrency: number(&fields, "concurrency", 0.0, 1e12)?,
        outbound_concurrency: number(&fields, "outbound_concurrency", 0.0, 1e12)?,
        coverage: rps.map(|_| Ratio::ONE),
        current_replicas: replicas,
        ready_replicas: whole(&fields, "ready")?.or(replicas),
        ..Observation::default()
    };
    Ok((now, observation))
}

/// A number of a field; absent and `null` are not known.
fn number(
    fields: &Map<String, Value>,
    name: &str,
    least: f64,
    most: f64,
) -> Result<Option<f64>, String> {
    match fields.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => {
            let number = value.as_f64().filter(|number| (least..=most).contains(number));
            let number = number.ok_or_else(|| {
                format!("{name}: {value} is not a number from {least} to {most}; leave it out when it is not known")
            })?;
            Ok(Some(number))
        }
    }
}

fn whole(fields: &Map<String, Value>, name: &str) -> Result<Option<u32>, String> {
    match fields.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => {
            let whole = value.as_u64().and_then(|whole| u32::try_from(whole).ok());
            let whole = whole.ok_or_else(|| {
                format!("{name}: {value} is not a whole number from 0; leave it out when it is not known")
            })?;
            Ok(Some(whole))
        }
    }
}

fn to_line(now: Timestamp, step: &Step) -> Line {
    let decision = &step.decision;
    Line {
        t: now.as_secs_f64(),
        desired: decision.desired_replicas,
        reason: decision.reason.clone(),
        guard: decision.guards.last().map(|guard| guard.guard.clone()),
        forecast: decision.forecast.as_ref().map(|forecast| ForecastLine {
            horizon_s: forecast.horizon.as_secs_f64(),
            point: forecast.point.get(),
            upper: forecast.upper.get(),
        }),
    }
}

#[cfg(test)]
mod tests;
