//! Foresail in the demo: its configuration, and what it says while it runs.

use std::net::SocketAddr;
use std::path::Path;

use anyhow::Result;
use foresail_tests::{Aggregator, WasmFilter, WorkDir, paths};
use serde_json::{Value, json};

use crate::fleet::{NAMESPACE, WORKLOAD};
use crate::rules::{
    DECISION_INTERVAL, DOWN_PERCENT, DOWN_WINDOW, MAX_REPLICAS, MIN_REPLICAS, OBJECTIVE,
    OBJECTIVE_BUDGET, OBJECTIVE_QUANTILE, POLICY_PERIOD, SAFE_RPS, TOLERANCE, UP_PERCENT, UP_PODS,
};
use crate::settings::Settings;

/// Foresail's mode for the demo's workload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// It scales.
    Active,
    /// It only looks.
    Shadow,
}

/// Foresail, serving.
#[derive(Debug)]
pub(crate) struct Foresail {
    aggregator: Aggregator,
    directory: WorkDir,
    settings: Settings,
    webhook: String,
}

/// What Foresail says of the workload at the moment.
#[derive(Clone, Debug, Default)]
pub(crate) struct View {
    /// Expected and upper requests per second at the end of the horizon.
    pub(crate) forecast: Option<(f64, f64)>,
    /// The last decision and why.
    pub(crate) decision: Option<String>,
}

impl Foresail {
    /// Starts it in [`Mode::Active`], with `history` as the recorded days.
    pub(crate) async fn start(
        settings: Settings,
        port: u16,
        webhook: String,
        history: &str,
    ) -> Result<Self> {
        let directory = WorkDir::new("demo-aggregator")?;
        let history = directory.write("recorded-days.csv", history)?;
        let config = config(settings, Mode::Active, &webhook, &history);
        let aggregator = Aggregator::start_on(&directory, port, config).await?;
        Ok(Self { aggregator, directory, settings, webhook })
    }

    /// Starts it again with what it has learned, in another mode.
    pub(crate) async fn switch(&mut self, mode: Mode) -> Result<()> {
        self.aggregator.stop().await?;
        let history = self.directory.file("recorded-days.csv");
        let config = config(self.settings, mode, &self.webhook, &history);
        self.aggregator.restart_with(&self.directory, config).await
    }

    /// Its configuration file.
    pub(crate) fn config_file(&self) -> &Path {
        self.aggregator.config()
    }

    /// The dashboard's address.
    pub(crate) fn url(&self) -> String {
        self.aggregator.url()
    }

    /// What it says; empty where it does not answer, for the screen must go on.
    pub(crate) async fn view(&self) -> View {
        let base = format!("/v1/workloads/{NAMESPACE}/{WORKLOAD}");
        let decisions = self.aggregator.json(&format!("{base}/decisions?limit=1")).await;
        decisions.ok().and_then(|answer| read_decision(&answer)).unwrap_or_default()
    }
}

fn read_decision(answer: &Value) -> Option<View> {
    let last = answer.get("decisions")?.as_array()?.first()?;
    let forecast = last.get("forecast").and_then(|forecast| {
        Some((forecast.get("point")?.as_f64()?, forecast.get("upper")?.as_f64()?))
    });
    let desired = last.get("desired_replicas")?.as_u64()?;
    let reason = last.get("reason")?.as_str()?;
    Some(View { forecast, decision: Some(format!("{desired}: {reason}")) })
}

/// The filter as a sidecar loads it.
pub(crate) fn filter() -> Result<WasmFilter> {
    Ok(WasmFilter::new(&paths::wasm()?, &json!({"cluster": "foresail"})))
}

/// Where the aggregator will listen.
pub(crate) fn address(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

fn config(settings: Settings, mode: Mode, webhook: &str, history: &Path) -> Value {
    let seconds = |duration: std::time::Duration| format!("{}s", duration.as_secs());
    let period = seconds(POLICY_PERIOD);
    json!({"workloads": [{
        "namespace": NAMESPACE,
        "name": WORKLOAD,
        "mode": match mode { Mode::Active => "active", Mode::Shadow => "shadow" },
        "min_replicas": MIN_REPLICAS,
        "max_replicas": MAX_REPLICAS,
        "objective": {
            "quantile": OBJECTIVE_QUANTILE,
            "latency": format!("{}ms", OBJECTIVE.as_millis()),
            "budget": OBJECTIVE_BUDGET,
        },
        // The days that were recorded are the watching that a promotion asks for, and a day of a
        // few minutes leaves no time for patience.
        "scale_in": "forecast",
        "profile": "responsive",
        "target_rps_per_replica": SAFE_RPS,
        "startup_time": seconds(settings.startup),
        "decision_interval": seconds(DECISION_INTERVAL),
        "tolerance": TOLERANCE,
        "forecast": {
            "step": seconds(DECISION_INTERVAL),
            "season": seconds(settings.day),
            "quantile": 0.9,
            "history": history.to_string_lossy(),
        },
        // Compressed like the day: the defaults of 60 s would be six hours of it.
        "burst": {"stable_window": seconds(DOWN_WINDOW)},
        "behavior": {
            "scale_up": {
                "stabilization_window": "0s",
                "policies": [
                    {"type": "percent", "value": UP_PERCENT, "period": period},
                    {"type": "pods", "value": UP_PODS, "period": period},
                ],
            },
            "scale_down": {
                "stabilization_window": seconds(DOWN_WINDOW),
                "policies": [{"type": "percent", "value": DOWN_PERCENT, "period": period}],
            },
        },
        "actuator": {"webhook": {"url": webhook, "timeout": "2s", "retries": 3}},
    }]})
}
