//! How the policies beside the one in charge fare.

use axum::Json;
use axum::extract::{Path, State};

use super::{ApiError, Shared, find};
use crate::shadow::Scoreboard;

/// `GET …/shadows`; without windows before the first decision, 404 for a workload without an
/// objective.
pub(super) async fn shadows(
    State(app): Shared,
    Path((namespace, name)): Path<(String, String)>,
) -> Result<Json<Scoreboard>, ApiError> {
    let workload = find(&app, Path((namespace.clone(), name.clone())))?;
    let control =
        app.controls.get(&workload.key).ok_or(ApiError::NoObjective { namespace, name })?;
    Ok(Json(control.read(|status| status.shadows.clone()).unwrap_or_default()))
}
