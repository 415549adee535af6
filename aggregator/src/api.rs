//! Everything that is answered over HTTP: frames in, figures out.

mod budget;
mod capacity;
mod dashboard;
mod decisions;
mod events;
mod external_metrics;
mod frames;
mod health;
mod heatmap;
mod history;
mod keda;
mod latency;
mod metrics;
mod scaling;
mod sender;
mod shadows;
mod span;
mod state;
mod track;
mod view;

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::{StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::json;

pub use events::{Events, MAX_SUBSCRIBERS};
pub use external_metrics::{PeerCertificate, router as external_metrics_router};
pub use frames::BODY_TIMEOUT;
pub use keda::router as keda_router;
pub use scaling::{NoValue, Questions, ScalingMetric, ScalingValue};
pub use state::{App, ConnectionCounters, Control, ControlCounters, ControlStatus, Controls};
pub use view::{WorkloadView, live_views};

use crate::ingest::Workload;

/// The routes.
pub fn router(app: Arc<App>) -> Router {
    let workload = Router::new()
        .route("/", get(view::detail))
        .route("/history", get(history::history))
        .route("/latency", get(latency::latency))
        .route("/forecast", get(decisions::forecast))
        .route("/decisions", get(decisions::decisions))
        .route("/heatmap", get(heatmap::heatmap))
        .route("/budget", get(budget::budget))
        .route("/shadows", get(shadows::shadows))
        .route("/capacity", get(capacity::capacity))
        .route("/track", get(track::track));
    Router::new()
        .route("/", get(dashboard::page))
        .route("/assets/{*path}", get(dashboard::asset))
        .route("/v1/frames", post(frames::post))
        .route("/v1/workloads", get(view::list))
        .nest("/v1/workloads/{namespace}/{name}", workload)
        .route("/v1/events", get(events::subscribe))
        .route("/metrics", get(metrics::metrics))
        .route("/healthz", get(health::healthz))
        .route("/readyz", get(health::readyz))
        .fallback(|uri: Uri| async move { ApiError::NoSuchPath(uri.path().to_owned()) })
        .method_not_allowed_fallback(|| async { ApiError::NoSuchMethod })
        .with_state(app)
}

/// Why a request has no other answer; shown as `{"error": …}`.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// No such resource.
    #[error("there is nothing at {0}")]
    NoSuchPath(String),
    /// The resource exists and takes another method.
    #[error("this address takes another method")]
    NoSuchMethod,
    /// No frame of this workload was ever seen, and it is not configured.
    #[error("no workload {namespace}/{name} is known")]
    NoSuchWorkload {
        /// As asked for.
        namespace: String,
        /// As asked for.
        name: String,
    },
    /// The workload is only watched: it is not configured, so nothing is promised to its users.
    #[error("{namespace}/{name} is not configured, so it has no objective")]
    NoObjective {
        /// As asked for.
        namespace: String,
        /// As asked for.
        name: String,
    },
    /// A query parameter cannot be read.
    #[error("`{parameter}` must be {valid}")]
    BadParameter {
        /// Its name.
        parameter: &'static str,
        /// What is valid.
        valid: &'static str,
    },
    /// The store cannot be read now.
    #[error("the state cannot be read")]
    Store(#[from] crate::store::StoreError),
    /// As many listeners as are served listen already.
    #[error("{MAX_SUBSCRIBERS} listeners are connected already")]
    TooManyListeners,
    /// The answer could not be put together; this is a bug.
    #[error("the answer could not be put together")]
    Internal,
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let status = match &self {
            Self::NoSuchPath(_) | Self::NoSuchWorkload { .. } | Self::NoObjective { .. } => {
                StatusCode::NOT_FOUND
            }
            Self::NoSuchMethod => StatusCode::METHOD_NOT_ALLOWED,
            Self::BadParameter { .. } => StatusCode::BAD_REQUEST,
            Self::Store(_) | Self::TooManyListeners => StatusCode::SERVICE_UNAVAILABLE,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        };
        if let Self::Store(error) = &self {
            let cause = error as &dyn std::error::Error;
            tracing::warn!(cause, "a request needs the store, which cannot be read");
        }
        let headers = [(header::CACHE_CONTROL, "no-store")];
        (status, headers, Json(json!({"error": self.to_string()}))).into_response()
    }
}

/// The workload that a path names.
fn find(
    app: &App,
    Path((namespace, name)): Path<(String, String)>,
) -> Result<Arc<Workload>, ApiError> {
    app.ingest
        .workloads()
        .get(&namespace, &name)
        .ok_or(ApiError::NoSuchWorkload { namespace, name })
}

/// The workload that a path names, and what is decided for it.
fn decided(
    app: &App,
    Path((namespace, name)): Path<(String, String)>,
) -> Result<(Arc<Workload>, Arc<Control>), ApiError> {
    let workload = find(app, Path((namespace.clone(), name.clone())))?;
    let control = app.controls.get(&workload.key);
    Ok((workload, control.ok_or(ApiError::NoObjective { namespace, name })?))
}

/// What every handler is given.
type Shared = State<Arc<App>>;

/// An error with its causes.
pub(crate) fn in_full(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
