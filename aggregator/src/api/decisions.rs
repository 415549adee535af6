//! Decisions and the forecast behind the next one, as JSON.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::Json;
use axum::extract::{Path, Query, State};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::state::ControlStatus;
use super::{ApiError, Shared, find};
use crate::forecast::Stream;
use crate::forecast::online::{EXPERT_NAMES, Score};
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

#[derive(Default, Serialize)]
struct ForecastView {
    model: Option<String>,
    issued_at: Option<f64>,
    points: Vec<PointView>,
    /// What has changed of late.
    drift: Option<DriftView>,
    /// How well it has been doing, by horizon.
    scores: Vec<ScoreView>,
}

/// A change of the load.
#[derive(Serialize)]
struct DriftView {
    /// `errors` of the forecast, or the `load` itself.
    stream: Stream,
    since: f64,
}

/// How well the forecast of one horizon has been doing lately.
#[derive(Serialize)]
struct ScoreView {
    /// How far ahead.
    seconds: f64,
    /// Steps compared.
    steps: u64,
    boosted_share: f64,
    /// Mean pinball losses at p90, p98 and p99.5 of the rate's logarithm.
    loss: Option<f64>,
    linear_loss: Option<f64>,
    boosted_loss: Option<f64>,
    /// Share of the steps that were not above what was said, by quantile.
    covered: Option<Covered>,
    /// Weights of the point experts, by name.
    experts: BTreeMap<&'static str, f64>,
}

#[derive(Serialize)]
struct Covered {
    p50: f64,
    p90: f64,
    p99: f64,
}

impl ScoreView {
    fn new(score: &Score, step: Duration) -> Self {
        Self {
            seconds: step.as_secs_f64() * score.ahead as f64,
            steps: score.steps,
            boosted_share: score.boosted_share,
            loss: score.loss,
            linear_loss: score.linear_loss,
            boosted_loss: score.boosted_loss,
            covered: score.covered.map(|[p50, p90, p99]| Covered { p50, p90, p99 }),
            experts: EXPERT_NAMES.into_iter().zip(score.weights).collect(),
        }
    }
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
    let Some(control) = app.controls.get(&workload.key) else {
        return Ok(Json(ForecastView::default()));
    };
    let ControlStatus { forecast, scores, .. } = control.status();
    let step = control.config.forecast.step;
    let scores = scores.iter().map(|score| ScoreView::new(score, step)).collect();
    Ok(Json(match forecast {
        None => ForecastView { scores, ..ForecastView::default() },
        Some(curve) => ForecastView {
            scores,
            issued_at: Some(curve.issued_at.as_secs_f64()),
            drift: curve
                .drift
                .map(|drift| DriftView { stream: drift.stream, since: drift.since.as_secs_f64() }),
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
