//! Workloads as JSON.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::{Path, State};
use serde::Serialize;
use serde_json::{Value, json};

use super::health::kubernetes;
use super::state::{App, Control, ControlStatus};
use super::{ApiError, Shared, find};
use crate::clock;
use crate::config::{Mode, Objective};
use crate::ingest::Workload;
use crate::journal::Observation;
use crate::safety::MAX_DATA_AGE;
use crate::telemetry::{DirectionTotals, Totals, WorkloadTelemetry};
use crate::units::{Ratio, Rps, Timestamp, WorkloadKey, micros};

/// Live figures are means over so much of the newest telemetry.
const LIVE_WINDOW: Duration = Duration::from_secs(5);

/// A workload in live figures; absent means not known.
#[derive(Clone, Debug, Serialize)]
pub struct WorkloadView {
    /// Kubernetes namespace, or what stands for it.
    pub namespace: String,
    /// Name of the Deployment or other scaled object.
    pub name: String,
    /// `shadow` or `active`; absent when it is only watched.
    pub mode: Option<&'static str>,
    /// Never fewer.
    pub min_replicas: Option<u32>,
    /// Never more.
    pub max_replicas: Option<u32>,
    /// Requests per second.
    pub rps: Option<f64>,
    /// Median latency.
    pub p50_ms: Option<f64>,
    /// 95th percentile of latency.
    pub p95_ms: Option<f64>,
    /// 99th percentile of latency.
    pub p99_ms: Option<f64>,
    /// Share of requests that failed.
    pub error_ratio: Option<f64>,
    /// Mean number of requests in flight.
    pub concurrency: Option<f64>,
    /// Share of the expected replicas that were heard.
    pub coverage: Option<f64>,
    /// End of the newest telemetry in Unix seconds.
    pub newest: Option<f64>,
    /// Replicas that exist.
    pub current_replicas: Option<u32>,
    /// Replicas that serve.
    pub ready_replicas: Option<u32>,
    /// Replicas to have.
    pub desired_replicas: Option<u32>,
    /// Expected request rate at the horizon of the last decision.
    pub forecast_rps: Option<f64>,
    /// Upper quantile of the rate there.
    pub forecast_upper_rps: Option<f64>,
    /// How far ahead that is.
    pub forecast_horizon_s: Option<f64>,
    /// Why.
    pub last_reason: Option<String>,
    /// What users are promised.
    pub objective: Option<ObjectiveView>,
    /// Whether it holds in the live figures.
    pub objective_met: Option<bool>,
    /// Share of the requests since the start of the process that were served in decision intervals
    /// in which it was missed.
    pub missed_share: Option<f64>,
}

/// The promise to users.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct ObjectiveView {
    /// Share of requests that must be within the latency.
    pub quantile: f64,
    /// How long they may take.
    pub latency_ms: f64,
    /// Share of requests that may be served while that is missed.
    pub budget: f64,
}

impl WorkloadView {
    fn new(
        workload: &Workload,
        telemetry: &WorkloadTelemetry,
        control: Option<(&Control, &ControlStatus)>,
        now: Timestamp,
    ) -> Self {
        let config = control.map(|(control, _)| &control.config);
        let status = control.map(|(_, status)| status);
        let replicas = status.and_then(|status| status.replicas.as_ref());
        let decision = status.and_then(|status| status.decision.as_ref());
        let used = decision.and_then(|decision| decision.forecast.as_ref());
        let since = now - LIVE_WINDOW;
        let seen = telemetry.observe(now, since, replicas);
        let objective_met =
            config.and_then(|config| is_met(&config.objective, &seen, telemetry, since));
        Self {
            namespace: workload.key.namespace.clone(),
            name: workload.key.name.clone(),
            mode: config.map(|config| match config.mode {
                Mode::Shadow => "shadow",
                Mode::Canary => "canary",
                Mode::Active => "active",
            }),
            min_replicas: config.map(|config| config.min_replicas),
            max_replicas: config.map(|config| config.max_replicas),
            rps: seen.rps.map(Rps::get),
            p50_ms: seen.p50_ms,
            p95_ms: seen.p95_ms,
            p99_ms: seen.p99_ms,
            error_ratio: seen.error_ratio.map(Ratio::get),
            concurrency: seen.concurrency,
            coverage: seen.coverage.map(Ratio::get),
            newest: seen.newest.or_else(|| last_heard(telemetry)).map(Timestamp::as_secs_f64),
            current_replicas: seen.current_replicas,
            ready_replicas: seen.ready_replicas,
            desired_replicas: decision.map(|decision| decision.desired_replicas),
            forecast_rps: used.map(|used| used.point.get()),
            forecast_upper_rps: used.map(|used| used.upper.get()),
            forecast_horizon_s: used.map(|used| used.horizon.as_secs_f64()),
            last_reason: decision.map(|decision| decision.reason.clone()),
            objective: config.map(|config| ObjectiveView {
                quantile: config.objective.quantile.get(),
                latency_ms: config.objective.latency.as_secs_f64() * 1e3,
                budget: config.objective.budget.get(),
            }),
            objective_met,
            missed_share: control.and_then(|(control, _)| control.counters.missed_share()),
        }
    }
}

/// Whether an objective holds in what is seen, by the figure that is shown where it is one of them.
fn is_met(
    objective: &Objective,
    seen: &Observation,
    telemetry: &WorkloadTelemetry,
    since: Timestamp,
) -> Option<bool> {
    let quantile = objective.quantile.get();
    let shown = [(0.5, seen.p50_ms), (0.95, seen.p95_ms), (0.99, seen.p99_ms)];
    if let Some((_, ms)) = shown.into_iter().find(|(shown, _)| (shown - quantile).abs() < 1e-9) {
        return Some(ms? <= objective.latency.as_secs_f64() * 1e3);
    }
    let reached = telemetry.recent_latency(since).quantile(quantile)?;
    Some(reached <= micros(objective.latency))
}

/// When any proxy was last heard, for a workload whose newest windows have closed.
fn last_heard(telemetry: &WorkloadTelemetry) -> Option<Timestamp> {
    telemetry.proxies().map(|(_, proxy)| proxy.last_seen).max()
}

/// All workloads in live figures, by name.
pub fn live_views(app: &App, now: Timestamp) -> Vec<WorkloadView> {
    let view = |workload: &Arc<Workload>| {
        let Some(control) = app.controls.get(&workload.key) else {
            return workload.with(|telemetry| WorkloadView::new(workload, telemetry, None, now));
        };
        // A copy of the status would copy the whole forecast, each second and for each workload.
        control.read(|status| {
            let control = Some((&*control, status));
            workload.with(|telemetry| WorkloadView::new(workload, telemetry, control, now))
        })
    };
    app.ingest.workloads().all().iter().map(view).collect()
}

/// Workloads as they are told, all of them or some.
#[derive(Debug, Serialize)]
pub(super) struct Live<W = Vec<WorkloadView>> {
    /// Of all, whichever are told.
    summary: Summary,
    workloads: W,
    /// What of the API server does not work; null where none is asked.
    kubernetes: Value,
}

/// How all workloads are.
#[derive(Clone, Copy, Debug, Default, Serialize)]
struct Summary {
    workloads: usize,
    /// Of those with fresh data: the objective holds.
    met: usize,
    /// The objective does not hold.
    missed: usize,
    /// The newest data is so old that nothing is scaled down on it.
    stale: usize,
}

impl Live {
    /// In the figures of now.
    pub(super) fn of(app: &App, now: Timestamp) -> Self {
        let workloads = live_views(app, now);
        let oldest = (now - MAX_DATA_AGE).as_secs_f64();
        let mut summary = Summary { workloads: workloads.len(), ..Summary::default() };
        for view in &workloads {
            match (view.newest, view.objective_met) {
                (Some(newest), _) if newest < oldest => summary.stale += 1,
                (Some(_), Some(true)) => summary.met += 1,
                (Some(_), Some(false)) => summary.missed += 1,
                _ => {}
            }
        }
        Self { summary, workloads, kubernetes: kubernetes(app, now) }
    }

    /// One of them alone; none when there is no such workload.
    pub(super) fn only(&self, key: &WorkloadKey) -> Live<Vec<&WorkloadView>> {
        let is_it = |view: &&WorkloadView| view.name == key.name && view.namespace == key.namespace;
        Live {
            summary: self.summary,
            workloads: self.workloads.iter().filter(is_it).collect(),
            kubernetes: self.kubernetes.clone(),
        }
    }
}

/// `GET /v1/workloads`.
pub(super) async fn list(State(app): Shared) -> Json<Live> {
    Json(Live::of(&app, clock::now()))
}

/// One workload with everything that is counted of it.
#[derive(Serialize)]
struct Detail {
    #[serde(flatten)]
    live: WorkloadView,
    totals: TotalsView,
    proxies: Vec<ProxyView>,
    last_actuation: Option<Value>,
}

#[derive(Serialize)]
struct TotalsView {
    inbound: DirectionView,
    outbound: DirectionView,
    frames: u64,
    duplicate_frames: u64,
    future_frames: u64,
    lost_frames: u64,
    late_requests: u64,
    overflowed: u64,
    merged_windows: u64,
    failed_sends: u64,
    unreadable: u64,
}

#[derive(Serialize)]
struct DirectionView {
    requests: u64,
    streams: u64,
    codes: BTreeMap<u16, u64>,
    grpc: BTreeMap<u8, u64>,
    flags: BTreeMap<u8, u64>,
}

#[derive(Serialize)]
struct ProxyView {
    instance: String,
    pod: String,
    last_seen: f64,
    clock_offset_ms: f64,
    sequence: u64,
}

impl From<&Totals> for TotalsView {
    fn from(totals: &Totals) -> Self {
        Self {
            inbound: (&totals.inbound).into(),
            outbound: (&totals.outbound).into(),
            frames: totals.frames,
            duplicate_frames: totals.duplicate_frames,
            future_frames: totals.future_frames,
            lost_frames: totals.lost_frames,
            late_requests: totals.late_requests,
            overflowed: totals.overflowed,
            merged_windows: totals.merged_windows,
            failed_sends: totals.failed_sends,
            unreadable: totals.unreadable,
        }
    }
}

impl From<&DirectionTotals> for DirectionView {
    fn from(totals: &DirectionTotals) -> Self {
        Self {
            requests: totals.requests,
            streams: totals.streams,
            codes: totals.codes.clone(),
            grpc: totals.grpc.clone(),
            flags: totals.flags.clone(),
        }
    }
}

fn proxies(telemetry: &WorkloadTelemetry) -> Vec<ProxyView> {
    let mut proxies: Vec<_> = telemetry
        .proxies()
        .map(|(instance, proxy)| ProxyView {
            // Beyond 2^53, so not a number in JSON.
            instance: format!("{instance:016x}"),
            pod: proxy.pod.clone(),
            last_seen: proxy.last_seen.as_secs_f64(),
            clock_offset_ms: proxy.delay_micros as f64 / 1e3,
            sequence: proxy.sequence,
        })
        .collect();
    proxies.sort_by(|a, b| (&a.pod, &a.instance).cmp(&(&b.pod, &b.instance)));
    proxies
}

/// `GET /v1/workloads/{namespace}/{name}`.
pub(super) async fn detail(
    State(app): Shared,
    path: Path<(String, String)>,
) -> Result<Json<impl Serialize>, ApiError> {
    let workload = find(&app, path)?;
    let now = clock::now();
    let control = app.controls.get(&workload.key);
    let status = control.as_ref().map(|control| control.status());
    let actuation = status.as_ref().and_then(|status| status.actuation.as_ref());
    let last_actuation = actuation.map(|last| {
        json!({
            "at": last.at.as_secs_f64(),
            "desired_replicas": last.desired_replicas,
            "result": last.result,
            "error": last.error,
        })
    });
    let control = control.as_deref().zip(status.as_ref());
    Ok(Json(workload.with(|telemetry| Detail {
        live: WorkloadView::new(&workload, telemetry, control, now),
        totals: telemetry.totals().into(),
        proxies: proxies(telemetry),
        last_actuation,
    })))
}
