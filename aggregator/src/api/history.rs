//! Closed and open windows as JSON.

use axum::Json;
use axum::extract::{Path, Query, State};
use serde::Serialize;

use super::span::Asked;
use super::{ApiError, Shared, find};
use crate::clock;
use crate::telemetry::{Summary, Tier};
use crate::units::Timestamp;

#[derive(Serialize)]
struct History {
    step_seconds: u64,
    points: Vec<HistoryPoint>,
}

/// One window; what is not known is null, never 0.
#[derive(Serialize)]
struct HistoryPoint {
    t: u64,
    rps: Option<f32>,
    p50_ms: Option<f64>,
    p90_ms: Option<f64>,
    p95_ms: Option<f64>,
    p99_ms: Option<f64>,
    p999_ms: Option<f64>,
    error_ratio: Option<f32>,
    concurrency: Option<f32>,
    coverage: Option<f32>,
    ready_replicas: Option<u32>,
    desired_replicas: Option<u32>,
}

impl HistoryPoint {
    fn new(begin: Timestamp, summary: &Summary) -> Self {
        let millis = |micros: Option<u32>| micros.map(|micros| f64::from(micros) / 1e3);
        Self {
            t: begin.as_micros() / 1_000_000,
            rps: summary.rps,
            p50_ms: millis(summary.p50_micros),
            p90_ms: millis(summary.p90_micros),
            p95_ms: millis(summary.p95_micros),
            p99_ms: millis(summary.p99_micros),
            p999_ms: millis(summary.p999_micros),
            error_ratio: summary.error_ratio,
            concurrency: summary.concurrency,
            coverage: summary.coverage,
            ready_replicas: summary.ready_replicas,
            desired_replicas: summary.desired_replicas,
        }
    }
}

/// `GET …/history?tier=1s|15s|5m&since=…&until=…`, times in Unix seconds, oldest first.
pub(super) async fn history(
    State(app): Shared,
    path: Path<(String, String)>,
    Query(asked): Query<Asked>,
) -> Result<Json<impl Serialize>, ApiError> {
    let workload = find(&app, path)?;
    let tier = asked.tier(Tier::Fine)?;
    let span = asked.span()?;
    let now = clock::now();
    let windows =
        workload.with(|telemetry| telemetry.summaries_in(tier, now, |begin| span.holds(begin)));
    let points =
        windows.iter().map(|(begin, summary)| HistoryPoint::new(*begin, summary)).collect();
    Ok(Json(History { step_seconds: tier.step().as_secs(), points }))
}
