//! What a replica can serve: what was seen lately, what was learned from it, and how sure that is.

use axum::Json;
use axum::extract::{Path, State};
use serde::Serialize;

use super::state::Control;
use super::{ApiError, Shared, decided};
use crate::capacity::{CapacityLearner, Expectation, slow_share};
use crate::config::Objective;
use crate::journal::Decision;
use crate::units::{Ratio, Rps};

/// Decisions whose observations are shown.
const OBSERVED: usize = 400;
/// Loads at which the learned curve is given.
const CURVE_POINTS: u32 = 24;
/// The curve goes on so far beyond the highest load of interest.
const BEYOND: f64 = 1.15;
/// Probabilities of the truth being below the ends of the certainty that is told.
const CERTAINTY: (f64, f64) = (0.05, 0.95);

#[derive(Serialize)]
struct View {
    /// `learned` or `given`.
    source: &'static str,
    /// What decisions go by, in requests per second and replica.
    safe_rps: f64,
    /// `target_rps_per_replica`.
    given_rps: f64,
    /// The truth is above it with 95 %.
    lower_rps: Option<f64>,
    /// The truth is below it with 95 %.
    upper_rps: Option<f64>,
    /// The objective: its latency, and the share of requests that may take longer.
    latency_ms: f64,
    allowed_share: f64,
    curve: Vec<Expected>,
    observed: Vec<Observed>,
}

/// What was learned of one load.
#[derive(Serialize)]
struct Expected {
    rps: f64,
    slow_share: f64,
}

/// What one decision interval showed.
#[derive(Serialize)]
struct Observed {
    t: f64,
    /// Requests per second and ready replica.
    rps: f64,
    /// Share of them over the objective's latency.
    slow_share: f64,
}

/// `GET …/capacity`; 404 for a workload without an objective.
pub(super) async fn capacity(
    State(app): Shared,
    path: Path<(String, String)>,
) -> Result<Json<impl Serialize>, ApiError> {
    let (workload, control) = decided(&app, path)?;
    let store = app.ingest.store().clone();
    // Reading a file may block, and a worker thread must not.
    let answer = tokio::task::spawn_blocking(move || {
        let decisions = store.decisions(workload.id, OBSERVED)?;
        Ok::<_, ApiError>(view(&control, &decisions))
    });
    Ok(Json(answer.await.map_err(|_| ApiError::Internal)??))
}

fn view(control: &Control, decisions: &[Decision]) -> View {
    let config = &control.config;
    let expectation = Expectation::new(&config.objective);
    let learned = control.read(|status| status.capacity.clone());
    let observed: Vec<_> =
        decisions.iter().rev().filter_map(|it| observed(it, &config.objective)).collect();
    let safe = control.safe_rps();
    let certain = |probability: f64| -> Option<f64> {
        let probability = Ratio::new(probability).ok()?;
        Some(learned.as_ref()?.credible_rps(probability).get())
    };
    let (lower, upper) = (certain(CERTAINTY.0), certain(CERTAINTY.1));
    let highest = observed.iter().map(|it| it.rps).fold(upper.unwrap_or(safe.get()), f64::max);
    let curve = learned.as_ref().map(|learner| curve(learner, &expectation, highest * BEYOND));
    View {
        source: if learned.is_some() { "learned" } else { "given" },
        safe_rps: safe.get(),
        given_rps: config.target_rps_per_replica.get(),
        lower_rps: lower,
        upper_rps: upper,
        latency_ms: config.objective.latency.as_secs_f64() * 1e3,
        allowed_share: expectation.allowed(),
        curve: curve.unwrap_or_default(),
        observed,
    }
}

fn observed(decision: &Decision, objective: &Objective) -> Option<Observed> {
    let seen = &decision.observation;
    let ready = seen.ready_replicas.filter(|ready| *ready > 0)?;
    let slow_share = slow_share(seen.p50_ms, seen.p95_ms, seen.p99_ms, objective.latency)?;
    let rps = seen.rps?.get() / f64::from(ready);
    Some(Observed { t: decision.at.as_secs_f64(), rps, slow_share })
}

fn curve(learner: &CapacityLearner, expectation: &Expectation, highest: f64) -> Vec<Expected> {
    let load = |at: u32| Rps::new(highest * f64::from(at) / f64::from(CURVE_POINTS)).ok();
    let expected = |load: Rps| Expected {
        rps: load.get(),
        slow_share: learner.expected_slow_share(expectation, load),
    };
    (0..=CURVE_POINTS).filter_map(load).map(expected).collect()
}
