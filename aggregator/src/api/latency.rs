//! Latency of everything that was ever counted, in exact quantiles of one histogram.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::{Path, Query, State};
use serde::{Deserialize, Serialize};

use super::{ApiError, Shared, find};

#[derive(Deserialize)]
pub(super) struct Asked {
    q: Option<String>,
    direction: Option<String>,
}

#[derive(Serialize)]
struct Latency {
    count: u64,
    unit: &'static str,
    quantiles: BTreeMap<String, Option<u64>>,
}

/// The most quantiles in one request.
const MAX_QUANTILES: usize = 32;

/// `GET …/latency?q=0.5,0.99&direction=inbound|outbound`: quantiles in µs over all requests since
/// the state began.
pub(super) async fn latency(
    State(app): Shared,
    path: Path<(String, String)>,
    Query(asked): Query<Asked>,
) -> Result<Json<impl Serialize>, ApiError> {
    let workload = find(&app, path)?;
    let outbound = match asked.direction.as_deref() {
        None | Some("inbound") => false,
        Some("outbound") => true,
        Some(_) => {
            let valid = "inbound or outbound";
            return Err(ApiError::BadParameter { parameter: "direction", valid });
        }
    };
    let q = asked.q.as_deref().unwrap_or("0.5,0.95,0.99,0.999");
    let quantiles = parse(q)
        .ok_or(ApiError::BadParameter { parameter: "q", valid: "up to 32 numbers from 0 to 1" })?;
    Ok(Json(workload.with(|telemetry| {
        let totals = telemetry.totals();
        let totals = if outbound { &totals.outbound } else { &totals.inbound };
        let at = |(text, q): &(String, f64)| (text.clone(), totals.latency.quantile(*q));
        Latency {
            count: totals.latency.total(),
            unit: "us",
            quantiles: quantiles.iter().map(at).collect(),
        }
    })))
}

fn parse(list: &str) -> Option<Vec<(String, f64)>> {
    let quantiles: Vec<_> = list
        .split(',')
        .take(MAX_QUANTILES + 1)
        .map(|text| {
            let q: f64 = text.trim().parse().ok()?;
            (0.0..=1.0).contains(&q).then(|| (text.trim().to_owned(), q))
        })
        .collect::<Option<_>>()?;
    (quantiles.len() <= MAX_QUANTILES).then_some(quantiles)
}
