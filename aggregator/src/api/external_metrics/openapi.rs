//! The interface in `OpenAPI`, which kube-apiserver asks of every server behind it and merges with its
//! own.

use axum::Json;
use serde_json::{Value, json};

use super::{GROUP, VERSION};

/// `GET /openapi/v2`.
pub(super) async fn v2() -> Json<Value> {
    Json(json!({
        "swagger": "2.0",
        "info": {"title": "Foresail external metrics", "version": env!("CARGO_PKG_VERSION")},
        "paths": paths(),
    }))
}

/// `GET /openapi/v3`: where the groups are described.
pub(super) async fn v3() -> Json<Value> {
    let group = format!("apis/{GROUP}/{VERSION}");
    let version = env!("CARGO_PKG_VERSION");
    let address = format!("/openapi/v3/{group}?hash={version}");
    Json(json!({"paths": {group: {"serverRelativeURL": address}}}))
}

/// `GET /openapi/v3/apis/external.metrics.k8s.io/v1beta1`.
pub(super) async fn v3_group() -> Json<Value> {
    Json(json!({
        "openapi": "3.0.0",
        "info": {"title": "Foresail external metrics", "version": env!("CARGO_PKG_VERSION")},
        "paths": paths(),
    }))
}

/// What discovery answers; metrics come and go and are listed nowhere.
fn paths() -> Value {
    let get = json!({
        "description": "get available resources",
        "operationId": "getExternalMetricsV1beta1APIResources",
        "responses": {"200": {"description": "OK"}},
    });
    json!({format!("/apis/{GROUP}/{VERSION}/"): {"get": get}})
}
