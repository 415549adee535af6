//! Metrics of the policies beside the one in charge.

use std::fmt;

use super::Families;
use crate::api::state::App;
use crate::shadow::{Score, Scoreboard};

/// Name, help, and how to read the value.
type Gauge = (&'static str, &'static str, fn(&Score) -> f64);

const GAUGES: [Gauge; 3] = [
    (
        "shadow_violation_ratio",
        "Share of the last day's requests in decision intervals that missed the objective",
        |score| score.violation,
    ),
    ("shadow_pod_hours", "Replica hours of the last day", |score| score.pod_hours),
    (
        "shadow_cost_over_oracle_ratio",
        "The same over a plan made with the load known in advance",
        |score| score.cost_over_oracle,
    ),
];

/// Everybody's scores by name: `measured` and `modelled` are whoever is in charge.
fn scores(board: &Scoreboard) -> Vec<(String, Score)> {
    let Some(window) = board.day() else { return Vec::new() };
    let actual = [("measured", window.measured), ("modelled", window.modelled)];
    let actual = actual.into_iter().filter_map(|(name, score)| Some((name.to_owned(), score?)));
    actual.chain(window.policies.iter().map(|(name, score)| (name.clone(), *score))).collect()
}

/// The scores of all workloads that are decided for.
pub(super) fn encode(app: &App, families: &mut Families<'_>) -> Result<(), fmt::Error> {
    let known = app.controls.all();
    let rows: Vec<_> = known
        .iter()
        .flat_map(|(key, control)| {
            let scores = control.read(|status| status.shadows.as_ref().map(scores));
            scores.unwrap_or_default().into_iter().map(move |(policy, score)| (key, policy, score))
        })
        .collect();
    for (name, help, read) in GAUGES {
        let samples: Vec<_> = rows
            .iter()
            .map(|(key, policy, score)| {
                let labels = [
                    ("namespace", key.namespace.as_str()),
                    ("workload", key.name.as_str()),
                    ("policy", policy.as_str()),
                ];
                (labels, Some(read(score)))
            })
            .collect();
        families.gauge(name, help, samples.iter().map(|(labels, value)| (&labels[..], *value)))?;
    }
    Ok(())
}
