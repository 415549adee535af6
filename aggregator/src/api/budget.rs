//! How much of the objective's budget was spent, over several lengths of time.

use std::time::Duration;

use axum::Json;
use axum::extract::{Path, State};
use serde::Serialize;

use super::{ApiError, Shared, decided};
use crate::clock;
use crate::config::Objective;
use crate::telemetry::{Summary, Tier, WorkloadTelemetry};
use crate::units::{Timestamp, micros};

/// What is looked back on: how far, and in windows of which tier.
const LOOKS: [(Duration, Tier); 5] = [
    (Duration::from_hours(1), Tier::Mid),
    (Duration::from_hours(6), Tier::Mid),
    (Duration::from_hours(24), Tier::Mid),
    (Duration::from_hours(7 * 24), Tier::Coarse),
    (Duration::from_hours(28 * 24), Tier::Coarse),
];

#[derive(Serialize)]
struct View {
    /// Share of requests that may be served while the objective is missed.
    budget: f64,
    /// The quantile whose latency is compared: the lowest that windows keep at or above the objective's,
    /// or 0.99 when the objective's is higher, which then finds too few misses.
    judged_quantile: f64,
    windows: Vec<Spent>,
}

/// What became of the budget in a length of time.
#[derive(Debug, PartialEq, Serialize)]
struct Spent {
    seconds: u64,
    /// Seconds of it in which the latency is known.
    known_seconds: u64,
    /// Requests in them.
    requests: f64,
    /// Of those, in windows in which the objective was missed.
    missed: f64,
    /// `missed / requests`; `null` without requests.
    missed_share: Option<f64>,
    /// `missed_share / budget`: at 1 the budget is just spent when all of the time has passed.
    burn_rate: Option<f64>,
}

/// `GET …/budget`; 404 for a workload without an objective.
pub(super) async fn budget(
    State(app): Shared,
    path: Path<(String, String)>,
) -> Result<Json<impl Serialize>, ApiError> {
    let (workload, control) = decided(&app, path)?;
    let objective = control.config.objective;
    let now = clock::now();
    Ok(Json(workload.with(|telemetry| View {
        budget: objective.budget.get(),
        judged_quantile: judge(&objective).0,
        windows: LOOKS.map(|look| spent(telemetry, &objective, look, now)).into(),
    })))
}

/// Reads a quantile of a window, in µs.
type Read = fn(&Summary) -> Option<u32>;

/// The quantile that is compared, and how it is read.
fn judge(objective: &Objective) -> (f64, Read) {
    let wanted = objective.quantile.get();
    let kept: [(f64, Read); 3] = [
        (0.5, |summary| summary.p50_micros),
        (0.95, |summary| summary.p95_micros),
        (0.99, |summary| summary.p99_micros),
    ];
    let last: (f64, Read) = (0.99, |summary| summary.p99_micros);
    kept.into_iter().find(|(q, _)| *q >= wanted - 1e-9).unwrap_or(last)
}

fn spent(
    telemetry: &WorkloadTelemetry,
    objective: &Objective,
    (length, tier): (Duration, Tier),
    now: Timestamp,
) -> Spent {
    let (_, read) = judge(objective);
    let step = tier.step();
    let since = now - length;
    let (mut windows, mut requests, mut missed) = (0, 0.0, 0.0);
    for (_, summary) in telemetry.summaries_in(tier, now, |begin| begin >= since) {
        let Some(rps) = summary.rps else { continue };
        windows += 1;
        let served = f64::from(rps) * step.as_secs_f64();
        requests += served;
        // Without requests there is no latency, and nothing was missed.
        if read(&summary).is_some_and(|reached| u64::from(reached) > micros(objective.latency)) {
            missed += served;
        }
    }
    let missed_share = (requests > 0.0).then(|| missed / requests);
    Spent {
        seconds: length.as_secs(),
        known_seconds: windows * step.as_secs(),
        requests,
        missed,
        missed_share,
        burn_rate: missed_share.map(|share| share / objective.budget.get()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::Ratio;

    fn objective(quantile: f64) -> Objective {
        let ratio = |value| Ratio::new(value).unwrap();
        let latency = Duration::from_millis(250);
        Objective { quantile: ratio(quantile), latency, budget: ratio(0.01) }
    }

    #[test]
    fn the_budget_is_spent_by_requests_in_windows_that_missed() {
        let mut telemetry = WorkloadTelemetry::new();
        let now = Timestamp::from_secs(1_700_000_100);
        let last = now.step_index(Tier::Mid.step());
        for (back, rps, p95) in [(3, 10.0, 100_000), (2, 30.0, 300_000), (1, 60.0, 200_000)] {
            let summary = Summary { rps: Some(rps), p95_micros: Some(p95), ..Summary::default() };
            telemetry.restore(Tier::Mid, last - back, &summary);
        }
        let look = (Duration::from_hours(1), Tier::Mid);
        let spent = spent(&telemetry, &objective(0.95), look, now);
        assert_eq!((spent.seconds, spent.known_seconds), (3_600, 45));
        // 30 of 100 requests a second; kept to within 0.03 %.
        assert!((spent.missed_share.unwrap() - 0.3).abs() < 1e-3, "{spent:?}");
        assert!((spent.burn_rate.unwrap() - 30.0).abs() < 0.1, "{spent:?}");
    }

    #[test]
    fn without_requests_nothing_is_known_to_be_missed() {
        let look = (Duration::from_hours(1), Tier::Mid);
        let telemetry = WorkloadTelemetry::new();
        let spent = spent(&telemetry, &objective(0.95), look, Timestamp::from_secs(9));
        assert_eq!((spent.missed_share, spent.burn_rate), (None, None));
    }

    #[test]
    fn the_next_higher_quantile_that_is_kept_judges() {
        for (wanted, judged) in [(0.5, 0.5), (0.9, 0.95), (0.95, 0.95), (0.97, 0.99), (0.999, 0.99)]
        {
            let (found, _) = judge(&objective(wanted));
            assert!((found - judged).abs() < 1e-9, "{wanted} by {found}");
        }
    }
}
