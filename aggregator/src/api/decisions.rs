//! Decisions and the forecast behind the next one, as JSON.

use axum::Json;
use axum::extract::{Path, Query, State};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{ApiError, Shared, find};
use crate::store::DECISIONS_KEPT;

#[derive(Deserialize)]
pub(super) struct Asked {
    limit: Option<u64>,
}

/// `GET …/decisions?limit=50`, newest first.
pub(super) async fn decisions(
    State(app): Shared,
    path: Path<(String, String)>,
    Query(asked): Query<Asked>,
) -> Result<Json<Value>, ApiError> {
    let workload = find(&app, path)?;
    let limit = asked.limit.unwrap_or(50).min(DECISIONS_KEPT);
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let store = app.ingest.store().clone();
    // Reading a file may block, and a worker thread must not.
    let read = tokio::task::spawn_blocking(move || store.decisions(workload.id, limit));
    let decisions = read.await.map_err(|_| ApiError::Internal)??;
    Ok(Json(json!({"decisions": decisions})))
}

#[derive(Serialize)]
struct ForecastView {
    model: Option<String>,
    issued_at: Option<f64>,
    points: Vec<PointView>,
}

#[derive(Serialize)]
struct PointView {
    t: f64,
    point: f64,
    lower: f64,
    upper: f64,
    p50: f64,
    p90: f64,
    p99: f64,
    /// Share of the boosted trees in it, 0 to 1.
    boosted_share: f64,
}

/// `GET …/forecast`; without a forecast `model` is null and there are no points.
pub(super) async fn forecast(
    State(app): Shared,
    path: Path<(String, String)>,
) -> Result<Json<impl Serialize>, ApiError> {
    let workload = find(&app, path)?;
    let control = app.controls.get(&workload.key);
    let curve = control.and_then(|control| control.status().forecast);
    Ok(Json(match curve {
        None => ForecastView { model: None, issued_at: None, points: Vec::new() },
        Some(curve) => ForecastView {
            issued_at: Some(curve.issued_at.as_secs_f64()),
            points: curve
                .points
                .iter()
                .map(|point| PointView {
                    t: point.at.as_secs_f64(),
                    point: point.point.get(),
                    lower: point.lower.get(),
                    upper: point.upper.get(),
                    p50: point.tail.exceeded_with(0.5),
                    p90: point.tail.exceeded_with(0.1),
                    p99: point.tail.exceeded_with(0.01),
                    boosted_share: point.boosted_share,
                })
                .collect(),
            model: Some(curve.model),
        },
    }))
}
