//! How the policies beside the one in charge fare.

use axum::Json;
use axum::extract::{Path, State};

use super::{ApiError, Shared, decided};
use crate::shadow::Scoreboard;

/// `GET …/shadows`; without windows before the first decision, 404 for a workload without an
/// objective.
pub(super) async fn shadows(
    State(app): Shared,
    path: Path<(String, String)>,
) -> Result<Json<Scoreboard>, ApiError> {
    let (_, control) = decided(&app, path)?;
    Ok(Json(control.read(|status| status.shadows.clone()).unwrap_or_default()))
}
