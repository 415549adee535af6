//! What was decided over time, in brief: for charts, where whole records would be too much.

use axum::Json;
use axum::extract::{Path, Query, State};
use serde::Serialize;

use super::span::Asked;
use super::{ApiError, Shared, find};
use crate::journal::Decision;
use crate::store::DECISIONS_KEPT;

/// A decision in brief.
#[derive(Serialize)]
struct Decided {
    sequence: u64,
    /// When, in Unix seconds.
    t: f64,
    current_replicas: Option<u32>,
    ready_replicas: Option<u32>,
    desired_replicas: u32,
    /// What the reactive answer alone, under the same guards, would have been.
    without_forecast: u32,
    /// The forecast that was looked at; `null` while there is none.
    forecast: Option<Then>,
}

/// What was forecast then.
#[derive(Serialize)]
struct Then {
    /// For when, in Unix seconds.
    t: f64,
    point: f64,
    upper: f64,
}

impl Decided {
    fn new(decision: &Decision) -> Self {
        Self {
            sequence: decision.sequence,
            t: decision.at.as_secs_f64(),
            current_replicas: decision.observation.current_replicas,
            ready_replicas: decision.observation.ready_replicas,
            desired_replicas: decision.desired_replicas,
            without_forecast: decision.without_forecast,
            forecast: decision.forecast.as_ref().map(|used| Then {
                t: (decision.at + used.horizon).as_secs_f64(),
                point: used.point.get(),
                upper: used.upper.get(),
            }),
        }
    }
}

#[derive(Serialize)]
struct Track {
    decided: Vec<Decided>,
}

/// `GET …/track?since=…&until=…`, oldest first, of the decisions that are kept.
pub(super) async fn track(
    State(app): Shared,
    path: Path<(String, String)>,
    Query(asked): Query<Asked>,
) -> Result<Json<impl Serialize>, ApiError> {
    let workload = find(&app, path)?;
    let span = asked.span()?;
    let store = app.ingest.store().clone();
    let limit = usize::try_from(DECISIONS_KEPT).unwrap_or(usize::MAX);
    // Reading a file may block, and a worker thread must not.
    let read = tokio::task::spawn_blocking(move || store.decisions(workload.id, limit));
    let decisions = read.await.map_err(|_| ApiError::Internal)??;
    let wanted = decisions.iter().rev().filter(|decision| span.holds(decision.at));
    Ok(Json(Track { decided: wanted.map(Decided::new).collect() }))
}
