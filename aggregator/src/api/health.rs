//! Whether the process works, and whether it should be sent frames.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde_json::{Value, json};

use super::Shared;
use super::state::App;
use crate::clock;
use crate::units::Timestamp;

/// Without progress for so long the ingest thread is taken for stuck.
const STUCK_AFTER: Duration = Duration::from_secs(10);

fn answer(works: bool, body: Value) -> (StatusCode, Json<Value>) {
    (if works { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }, Json(body))
}

/// `GET /healthz`: 503 when only a restart helps.
pub(super) async fn healthz(State(app): Shared) -> (StatusCode, Json<Value>) {
    let now = clock::now();
    let ingest = now.since(app.ingest.alive_at()) < STUCK_AFTER;
    let stuck: Vec<_> = app
        .controls
        .all()
        .into_iter()
        .filter(|(_, control)| !control.is_alive(now))
        .map(|(key, _)| key.to_string())
        .collect();
    let works = ingest && stuck.is_empty();
    answer(works, json!({"ingest": ingest, "stuck_control_loops": stuck}))
}

/// What of the API server does not work; null where none is asked.
pub(super) fn kubernetes(app: &App, now: Timestamp) -> Value {
    let Some(health) = app.kubernetes() else { return Value::Null };
    let faults: Vec<_> = health
        .faults(now)
        .iter()
        .map(|fault| {
            json!({
                "what": fault.asked.to_string(),
                "reason": fault.reason(),
                "message": fault.to_string(),
                "since": fault.since.as_secs_f64(),
            })
        })
        .collect();
    json!({"healthy": faults.is_empty(), "faults": faults})
}

/// `GET /readyz`: 503 while frames would be refused whoever leads. An aggregator that stands by is
/// ready: it could lead in the next moment, and a rollout or an eviction must not wait for it. So is
/// one whose API server fails: what filters send must not be lost meanwhile. It says so.
pub(super) async fn readyz(State(app): Shared) -> (StatusCode, Json<Value>) {
    let store = app.ingest.store().is_healthy();
    let draining = app.ingest.is_draining();
    let leads = app.leads();
    let kubernetes = kubernetes(&app, clock::now());
    let body = json!({
        "store": store, "draining": draining, "leads": leads, "kubernetes": kubernetes,
    });
    answer(store && !draining, body)
}
