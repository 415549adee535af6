//! `external.metrics.k8s.io/v1beta1`: what a `HorizontalPodAutoscaler` asks, through kube-apiserver.
//!
//! Every request must come from kube-apiserver's front proxy, and who asks for values must be
//! allowed to list them. Contract: `k8s.io/metrics/pkg/apis/external_metrics/v1beta1`. A value that
//! is not known is a `Status` with an error, never a zero: a `HorizontalPodAutoscaler` then removes
//! nothing.

mod openapi;
mod selector;
mod status;

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::{Path, Query, Request, State};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Extension, Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::sync::watch;

use super::state::App;
use super::{NoValue, ScalingMetric, ScalingValue, in_full};
use crate::clock;
use crate::kubernetes::{Caller, FrontProxy, Reading, Reviews};
use crate::units::{Timestamp, WorkloadKey};
use status::Failure;

const GROUP: &str = "external.metrics.k8s.io";
const VERSION: &str = "v1beta1";
/// Name of this interface in metrics.
const FROM: &str = "external_metrics";
/// Label of a value: the workload that it is of.
const WORKLOAD: &str = "workload";

/// The certificate, in DER, that a connection's client has proved to have.
#[derive(Clone, Debug)]
pub struct PeerCertificate(pub Vec<u8>);

/// What the handlers share.
struct Server {
    app: Arc<App>,
    /// The front proxy; `None` before it is known.
    front_proxy: watch::Receiver<Option<Arc<FrontProxy>>>,
    reviews: Reviews,
}

/// The routes, for a listener with TLS that leaves [`PeerCertificate`] with each request.
pub fn router(
    app: Arc<App>,
    front_proxy: watch::Receiver<Option<Arc<FrontProxy>>>,
    reviews: Reviews,
) -> Router {
    let server = Arc::new(Server { app, front_proxy, reviews });
    let group = format!("/apis/{GROUP}/{VERSION}");
    Router::new()
        .route(&group, get(discovery))
        .route(&format!("{group}/namespaces/{{namespace}}/{{metric}}"), get(values))
        .route("/openapi/v2", get(openapi::v2))
        .route("/openapi/v3", get(openapi::v3))
        .route(&format!("/openapi/v3/apis/{GROUP}/{VERSION}"), get(openapi::v3_group))
        .fallback(async || Failure::NotFound("there is nothing here".to_owned()))
        .method_not_allowed_fallback(async || Failure::MethodNotAllowed)
        .layer(middleware::from_fn_with_state(Arc::clone(&server), authenticate))
        .with_state(server)
}

/// Lets through who kube-apiserver vouches for.
async fn authenticate(
    State(server): State<Arc<Server>>,
    mut request: Request,
    next: Next,
) -> Result<Response, Failure> {
    let proxy = server.front_proxy.borrow().clone();
    let proxy = proxy.ok_or_else(|| {
        Failure::Unavailable("kube-apiserver's front proxy is not known yet".to_owned())
    })?;
    let peer = request.extensions().get::<PeerCertificate>();
    let caller = proxy.caller(peer.map(|peer| &*peer.0), request.headers()).map_err(|error| {
        server.app.questions.count(FROM, "not_authenticated");
        Failure::Unauthorized(error.to_string())
    })?;
    request.extensions_mut().insert(caller);
    Ok(next.run(request).await)
}

/// `GET /apis/external.metrics.k8s.io/v1beta1`.
async fn discovery() -> Json<Value> {
    Json(json!({
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": format!("{GROUP}/{VERSION}"),
        "resources": [{
            "name": "externalmetrics",
            "singularName": "",
            "namespaced": true,
            "kind": "ExternalMetricValueList",
            "verbs": ["get"],
        }],
    }))
}

#[derive(Deserialize)]
struct Asked {
    #[serde(rename = "labelSelector", default)]
    selector: String,
}

/// `GET …/namespaces/{namespace}/{metric}?labelSelector=workload%3Dweb`.
async fn values(
    State(server): State<Arc<Server>>,
    Extension(caller): Extension<Caller>,
    Path((namespace, name)): Path<(String, String)>,
    Query(asked): Query<Asked>,
) -> Result<Json<Value>, Failure> {
    let answer = list(&server, &caller, namespace, &name, &asked.selector).await;
    let kind = answer.as_ref().map_or_else(|failure| failure.1, |_| "ok");
    server.app.questions.count(FROM, kind);
    answer.map_err(|failure| failure.0)
}

/// The list, or a failure with its kind for the metric of questions.
async fn list(
    server: &Server,
    caller: &Caller,
    namespace: String,
    name: &str,
    selector: &str,
) -> Result<Json<Value>, (Failure, &'static str)> {
    allowed(server, caller, &namespace, name).await?;
    let metric = ScalingMetric::by_name(name).ok_or_else(|| {
        let text = format!("there is no metric {name:?}; use {}", ScalingMetric::NAMES);
        (Failure::NotFound(text), "invalid")
    })?;
    let selector = selector::parse(selector)
        .map_err(|error| (Failure::Invalid(error.to_string()), "invalid"))?;
    let now = clock::now();
    let mut items = Vec::new();
    for (key, _) in server.app.controls.all() {
        let labels = BTreeMap::from([(WORKLOAD.to_owned(), key.name.clone())]);
        if key.namespace == namespace && selector::matches(&selector, &labels) {
            // One that is not known makes the whole unknown: a sum without it would be too low.
            let value = server.app.scaling_value(&key, metric, now);
            let value = value.map_err(|error| (failure(&error), error.kind()))?;
            items.push(item(&key, metric, value));
        }
    }
    if items.is_empty() {
        let text = format!(
            "nothing is decided for a workload in {namespace} with the labels asked for; \
             label `{WORKLOAD}` is its name"
        );
        return Err((Failure::NotFound(text), "not_managed"));
    }
    Ok(Json(json!({
        "kind": "ExternalMetricValueList",
        "apiVersion": format!("{GROUP}/{VERSION}"),
        "metadata": {},
        "items": items,
    })))
}

/// Asks kube-apiserver whether the caller may.
async fn allowed(
    server: &Server,
    caller: &Caller,
    namespace: &str,
    name: &str,
) -> Result<(), (Failure, &'static str)> {
    let reading = Reading {
        namespace: namespace.to_owned(),
        group: GROUP,
        version: VERSION,
        resource: name.to_owned(),
    };
    match server.reviews.may(caller, &reading).await {
        Ok(true) => Ok(()),
        Ok(false) => {
            let text = format!(
                "{} may not list {name:?} of {GROUP} in the namespace {namespace:?}",
                caller.user
            );
            Err((Failure::Forbidden(text), "forbidden"))
        }
        Err(error) => {
            let cause = &error as &dyn std::error::Error;
            tracing::warn!(cause, "whether a caller may read metrics is not known");
            let text = format!("who may read is not known: {}", in_full(&error));
            Err((Failure::Unavailable(text), "not_reviewed"))
        }
    }
}

fn failure(error: &NoValue) -> Failure {
    let text = error.to_string();
    match error {
        NoValue::NotManaged(_) => Failure::NotFound(text),
        NoValue::Unknown(_)
        | NoValue::Stale { .. }
        | NoValue::ReplicasUnknown(_)
        | NoValue::NoForecast(_) => Failure::Unavailable(text),
    }
}

fn item(key: &WorkloadKey, metric: ScalingMetric, value: ScalingValue) -> Value {
    json!({
        "metricName": metric.name(),
        "metricLabels": {WORKLOAD: key.name},
        "timestamp": rfc3339(value.at),
        "window": value.window.as_secs(),
        "value": quantity(value.milli),
    })
}

/// Whole seconds, as `metav1.Time` has them.
fn rfc3339(at: Timestamp) -> Option<String> {
    let secs = i64::try_from(at.as_micros() / 1_000_000).ok()?;
    OffsetDateTime::from_unix_timestamp(secs).ok()?.format(&Rfc3339).ok()
}

/// Thousandths as a `resource.Quantity` in its canonical form.
fn quantity(milli: u64) -> String {
    if milli.is_multiple_of(1000) { (milli / 1000).to_string() } else { format!("{milli}m") }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        (self.code(), Json(self.to_json())).into_response()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_canonical_and_never_rounded_down() {
        assert_eq!(quantity(0), "0");
        assert_eq!(quantity(7_000), "7");
        assert_eq!(quantity(31_250), "31250m");
    }

    #[test]
    fn a_time_is_in_utc_and_whole_seconds() {
        let at = Timestamp::from_micros(1_700_000_000_900_000);
        assert_eq!(rfc3339(at).as_deref(), Some("2023-11-14T22:13:20Z"));
    }
}
