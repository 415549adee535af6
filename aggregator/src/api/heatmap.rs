//! Latency over time as counts of requests, from the histograms that the filters sent.

use axum::Json;
use axum::extract::{Path, Query, State};
use serde::Serialize;

use super::span::Asked;
use super::{ApiError, Shared, find};
use crate::clock;
use crate::store::heat_kept;
use crate::telemetry::{Heat, Tier};
use crate::units::Timestamp;

#[derive(Serialize)]
struct Heatmap {
    step_seconds: u64,
    /// Where each cell but the first begins.
    edges_ms: Vec<f64>,
    columns: Vec<Column>,
}

#[derive(Serialize)]
struct Column {
    /// Begin of the window in Unix seconds.
    t: u64,
    /// Pairs of a cell's number, from 0, and its requests; cells without any are left out.
    cells: Vec<(u8, u64)>,
}

/// `GET …/heatmap?tier=15s|5m&since=…&until=…`, oldest first.
pub(super) async fn heatmap(
    State(app): Shared,
    path: Path<(String, String)>,
    Query(asked): Query<Asked>,
) -> Result<Json<impl Serialize>, ApiError> {
    let workload = find(&app, path)?;
    let tier = asked.tier(Tier::Mid)?;
    if heat_kept(tier) == 0 {
        return Err(ApiError::BadParameter { parameter: "tier", valid: "15s or 5m" });
    }
    let span = asked.span()?;
    let newest = clock::now().step_index(tier.step());
    let windows = newest.saturating_sub(heat_kept(tier))..=newest;
    let store = app.ingest.store().clone();
    // Reading a file may block, and a worker thread must not.
    let read = tokio::task::spawn_blocking(move || store.heat(workload.id, tier, windows));
    let step = tier.step();
    let columns = read.await.map_err(|_| ApiError::Internal)??;
    let columns = columns
        .into_iter()
        .map(|(index, heat)| (Timestamp::of_step(index, step), heat))
        .filter(|(begin, _)| span.holds(*begin))
        .map(|(begin, heat)| Column {
            t: begin.as_micros() / 1_000_000,
            cells: heat.cells().to_vec(),
        })
        .collect();
    let edges_ms = Heat::edges().map(|micros| micros / 1e3).collect();
    Ok(Json(Heatmap { step_seconds: step.as_secs(), edges_ms, columns }))
}
