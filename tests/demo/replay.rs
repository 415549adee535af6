//! The same day without a mesh: what a clairvoyant oracle would have paid for it, and what the
//! simulator makes of it.
//!
//! Today's arrivals go to `foresail backtest`, request by request, with the recorded days before
//! them and Foresail's own settings.

use std::fmt::Write;
use std::path::Path;
use std::process::Stdio;

use anyhow::{Context, Result, bail};
use foresail_tests::{Shot, WorkDir, paths};
use serde_json::Value;
use tokio::process::Command;

use crate::day::{self, LEAD_IN};
use crate::rules::{
    DECISION_INTERVAL, OBJECTIVE, OBJECTIVE_BUDGET, OBJECTIVE_QUANTILE, REPLICA_CONCURRENCY,
    SAFE_RPS, WORK_MEAN, WORK_SIGMA,
};
use crate::settings::Settings;

/// Foresail with the demo's profile.
const POLICY: &str = "foresail-responsive";

/// What the replay came to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Replay {
    /// The least replica-seconds with which the objective can be kept at every step.
    pub(crate) oracle_replica_seconds: f64,
    /// Foresail's, simulated.
    pub(crate) replica_seconds: f64,
    /// Share of the requests over the objective, simulated.
    pub(crate) over_share: f64,
}

/// Replays the day that `plan` is of, after the recorded days of `history`, with the configuration
/// in `config`.
pub(crate) async fn replay(
    settings: Settings,
    plan: &[Shot],
    history: &str,
    config: &Path,
) -> Result<Replay> {
    let directory = WorkDir::new("demo-replay")?;
    let recorded = history.lines().count() as u64 - 1;
    let trace = directory.write("day.csv", &with_today(history, plan, settings)?)?;
    let json = directory.file("report.json");
    let warm_up = recorded * DECISION_INTERVAL.as_secs() + LEAD_IN.as_secs();
    let sigma = WORK_SIGMA * WORK_SIGMA;
    let output = Command::new(paths::foresail()?)
        .arg("backtest")
        .arg("--trace")
        .arg(trace)
        .arg("--config")
        .arg(config)
        .arg("--json")
        .arg(&json)
        .args(["--policies", POLICY, "--requests", "--least-request"])
        .args(["--service-cv", &sigma.exp_m1().sqrt().to_string()])
        .args(["--startup", &settings.startup.as_secs().to_string()])
        .args(["--interval", &DECISION_INTERVAL.as_secs().to_string()])
        .args(["--capacity", &SAFE_RPS.to_string()])
        .args(["--workers", &REPLICA_CONCURRENCY.to_string()])
        .args(["--service", &format!("{}ms", WORK_MEAN.as_millis())])
        .args(["--latency", &format!("{}ms", OBJECTIVE.as_millis())])
        .args(["--quantile", &OBJECTIVE_QUANTILE.to_string()])
        .args(["--budget", &OBJECTIVE_BUDGET.to_string()])
        .args(["--warm-up", &format!("{warm_up}s")])
        .stdin(Stdio::null())
        .output()
        .await?;
    if !output.status.success() {
        bail!("foresail backtest: {}", String::from_utf8_lossy(&output.stderr));
    }
    let report: Value = serde_json::from_slice(&std::fs::read(json)?)?;
    read(&report).context("the report of foresail backtest misses a figure")
}

fn read(report: &Value) -> Option<Replay> {
    let trace = report.pointer("/traces/0")?;
    let run = trace.pointer("/policies/0/runs/0")?;
    let seconds = |hours: &Value| Some(hours.as_f64()? * 3_600.0);
    Some(Replay {
        oracle_replica_seconds: seconds(trace.get("oracle_pod_hours")?)?,
        replica_seconds: seconds(run.get("pod_hours")?)?,
        over_share: run.get("slow_share")?.as_f64()?,
    })
}

/// The recorded days and today, one row a step.
fn with_today(history: &str, plan: &[Shot], settings: Settings) -> Result<String> {
    let last = history.lines().next_back().context("no recorded days")?;
    let last: u64 = last.split(',').next().unwrap_or_default().parse()?;
    let mut text = history.to_owned();
    let today = day::rates(plan.iter().map(|shot| shot.at), settings.day + LEAD_IN);
    for (step, rate) in (1..).zip(today) {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{},{rate}", last + step * DECISION_INTERVAL.as_secs());
    }
    Ok(text)
}
