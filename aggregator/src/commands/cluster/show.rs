//! Resources and decisions as text for a terminal.

use std::fmt::Write;

use serde_json::Value;

use crate::kubernetes::resource::{MeshAutoscaler, condition};

/// One line of the table; absent is `-`.
#[derive(Debug, Default)]
pub(super) struct Row {
    pub(super) namespace: String,
    name: String,
    mode: String,
    objective: String,
    met: Option<bool>,
    current: Option<i64>,
    forecast: Option<f64>,
    desired: Option<i64>,
    health: String,
}

const HEADINGS: [&str; 9] =
    ["NAMESPACE", "NAME", "MODE", "OBJECTIVE", "MET", "CURRENT", "FORECAST", "DESIRED", "HEALTH"];

/// A row of a resource.
pub(super) fn row_of_resource(resource: &MeshAutoscaler) -> Row {
    let status = resource.status.clone().unwrap_or_default();
    let latency = &resource.spec.objectives.latency;
    Row {
        namespace: resource.metadata.namespace.clone().unwrap_or_default(),
        name: resource.metadata.name.clone().unwrap_or_default(),
        mode: format!("{:?}", resource.spec.mode),
        objective: format!(
            "p{} <= {}",
            percent(latency.quantile.unwrap_or(0.95)),
            latency.threshold
        ),
        met: status.objective_met,
        current: status.current_replicas.map(i64::from),
        forecast: status.forecast.as_ref().map(|forecast| forecast.rps),
        desired: status.desired_replicas.map(i64::from),
        health: health(resource),
    }
}

/// What is wrong, the worst first; `ok` when nothing is.
fn health(resource: &MeshAutoscaler) -> String {
    let Some(status) = &resource.status else { return "no status yet".to_owned() };
    let bad = |kind: &str, is: &str| {
        let found = status.conditions.iter().find(|it| it.type_ == kind);
        found.filter(|it| it.status == is).map(|it| it.reason.clone())
    };
    let problems = [
        bad(condition::CONFLICT, "True"),
        bad(condition::ABLE_TO_SCALE, "False"),
        bad(condition::STALE, "True"),
        bad(condition::TELEMETRY_READY, "False"),
    ];
    problems.into_iter().flatten().next().unwrap_or_else(|| "ok".to_owned())
}

/// A row of a workload of an aggregator; `None` for one that is only watched.
pub(super) fn row_of_workload(workload: &Value) -> Option<Row> {
    let text = |key: &str| workload.get(key).and_then(Value::as_str).map(str::to_owned);
    let whole = |key: &str| workload.get(key).and_then(Value::as_i64);
    let objective =
        |key: &str| workload.pointer(&format!("/objective/{key}")).and_then(Value::as_f64);
    let coverage = workload.get("coverage").and_then(Value::as_f64);
    Some(Row {
        namespace: text("namespace")?,
        name: text("name")?,
        mode: text("mode")?,
        objective: format!(
            "p{} <= {}ms",
            percent(objective("quantile")?),
            objective("latency_ms")?
        ),
        met: workload.get("objective_met").and_then(Value::as_bool),
        current: whole("current_replicas"),
        forecast: None,
        desired: whole("desired_replicas"),
        health: match coverage {
            None => "no telemetry".to_owned(),
            Some(coverage) if coverage < 0.8 => "low coverage".to_owned(),
            Some(_) => "ok".to_owned(),
        },
    })
}

fn percent(quantile: f64) -> String {
    let percent = (quantile * 1e6).round() / 1e4;
    percent.to_string()
}

/// Rows in columns.
pub(super) fn table(rows: &[Row]) -> String {
    let dash = || "-".to_owned();
    let cells = |row: &Row| {
        [
            row.namespace.clone(),
            row.name.clone(),
            row.mode.clone(),
            row.objective.clone(),
            row.met.map_or_else(dash, |met| if met { "yes" } else { "no" }.to_owned()),
            row.current.map_or_else(dash, |count| count.to_string()),
            row.forecast.map_or_else(dash, |rps| format!("{rps:.1} rps")),
            row.desired.map_or_else(dash, |count| count.to_string()),
            row.health.clone(),
        ]
    };
    let mut lines = vec![HEADINGS.map(str::to_owned)];
    lines.extend(rows.iter().map(cells));
    let mut widths = [0; HEADINGS.len()];
    for line in &lines {
        for (width, cell) in widths.iter_mut().zip(line) {
            *width = cell.chars().count().max(*width);
        }
    }
    let mut text = String::new();
    for line in &lines {
        let mut row = String::new();
        for (cell, width) in line.iter().zip(widths) {
            _ = write!(row, "{cell:width$}   ");
        }
        text.push_str(row.trim_end());
        text.push('\n');
    }
    text
}

/// The last decision of a resource, as its status has it.
pub(super) fn resource_in_words(resource: &MeshAutoscaler) -> String {
    let row = row_of_resource(resource);
    let spec = &resource.spec;
    let mut text = format!(
        "{}/{} scales {} {}, mode {}, actuation {:?}\nobjective {}\n",
        row.namespace,
        row.name,
        spec.scale_target_ref.kind,
        spec.scale_target_ref.name,
        row.mode,
        spec.actuation,
        row.objective
    );
    let Some(status) = &resource.status else {
        text.push_str(
            "no status yet: is an aggregator running with `kubernetes: { watch: true }`?\n",
        );
        return text;
    };
    match &status.last_decision {
        None => text.push_str("nothing is decided yet\n"),
        Some(decision) => {
            _ = writeln!(text, "\nThe decision of {}:", decision.time.0);
            for proposal in &decision.proposals {
                let (signal, replicas) = (&proposal.signal, proposal.replicas);
                _ = writeln!(text, "  {signal} asks for {replicas}: {}", proposal.reason);
            }
            for guard in &decision.guards {
                let (name, from, to) = (&guard.guard, guard.from, guard.to);
                _ = writeln!(text, "  guard {name}, {from} -> {to}: {}", guard.reason);
            }
            let desired = status.desired_replicas.unwrap_or_default();
            let without = decision.without_forecast;
            _ = writeln!(text, "  so {desired}; without the forecast it would have been {without}");
        }
    }
    if let Some(last) = &status.last_scale {
        let (from, to, time) = (last.from, last.to, last.time.0);
        _ = writeln!(text, "\nLast scaled {from} -> {to} at {time}: {}", last.reason);
    }
    text.push('\n');
    for it in &status.conditions {
        _ = writeln!(text, "{}: {} ({}) {}", it.type_, it.status, it.reason, it.message);
    }
    text
}

/// The last decision of a workload, as an aggregator has it.
pub(super) fn workload_in_words(workload: &Value, decisions: &Value) -> String {
    let text_of = |value: &Value, path: &str| match value.pointer(path) {
        None | Some(Value::Null) => "-".to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    };
    let mut text = format!(
        "{}/{}, mode {}\nobjective p{} <= {}ms\n",
        text_of(workload, "/namespace"),
        text_of(workload, "/name"),
        text_of(workload, "/mode"),
        workload
            .pointer("/objective/quantile")
            .and_then(Value::as_f64)
            .map_or_else(String::new, percent),
        text_of(workload, "/objective/latency_ms"),
    );
    let Some(decision) = decisions.pointer("/decisions/0") else {
        text.push_str("nothing is decided yet\n");
        return text;
    };
    _ = writeln!(text, "\nDecision {}:", text_of(decision, "/sequence"));
    let list = |key: &str| decision.get(key).and_then(Value::as_array).into_iter().flatten();
    for signal in list("signals") {
        _ = writeln!(
            text,
            "  {} asks for {}: {}",
            text_of(signal, "/name"),
            text_of(signal, "/desired_replicas"),
            text_of(signal, "/reason")
        );
    }
    for guard in list("guards") {
        _ = writeln!(
            text,
            "  guard {}, {} -> {}: {}",
            text_of(guard, "/guard"),
            text_of(guard, "/from_replicas"),
            text_of(guard, "/to_replicas"),
            text_of(guard, "/reason")
        );
    }
    _ = writeln!(
        text,
        "  so {}; without the forecast it would have been {}",
        text_of(decision, "/desired_replicas"),
        text_of(decision, "/without_forecast")
    );
    _ = writeln!(
        text,
        "\nLast write: {} replicas, {}",
        text_of(workload, "/last_actuation/desired_replicas"),
        text_of(workload, "/last_actuation/result")
    );
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{from_value, json};

    fn resource() -> MeshAutoscaler {
        let condition = |kind: &str, status: &str, reason: &str| {
            json!({"type": kind, "status": status, "reason": reason, "message": "why",
                "lastTransitionTime": "2026-01-01T00:00:00Z"})
        };
        from_value(json!({
            "apiVersion": "foresail.dev/v1alpha1",
            "kind": "MeshAutoscaler",
            "metadata": {"namespace": "shop", "name": "web"},
            "spec": {
                "scaleTargetRef": {"name": "web"}, "maxReplicas": 20, "mode": "Active",
                "objectives": {"latency": {"threshold": "250ms", "quantile": 0.99}},
                "targetRpsPerReplica": 10.0,
            },
            "status": {
                "currentReplicas": 3, "desiredReplicas": 7, "objectiveMet": true,
                "forecast": {"rps": 61.25, "upper": 70.0, "horizonSeconds": 75, "model": "online"},
                "conditions": [
                    condition("AbleToScale", "True", "ReadyToScale"),
                    condition("Conflict", "False", "NoConflict"),
                    condition("Stale", "True", "TelemetryStale"),
                ],
                "lastDecision": {
                    "time": "2026-01-01T00:00:00Z", "reason": "r", "withoutForecast": 5,
                    "proposals": [{"signal": "reactive", "replicas": 5, "reason": "50 rps"}],
                    "guards": [{"guard": "bounds", "from": 9, "to": 7, "reason": "max"}],
                },
            },
        }))
        .unwrap()
    }

    #[test]
    fn the_table_says_what_is_wrong() {
        let table = table(&[row_of_resource(&resource())]);
        let line = table.lines().nth(1).unwrap();
        let cells: Vec<_> = line.split("   ").map(str::trim).filter(|it| !it.is_empty()).collect();
        let expected = [
            "shop",
            "web",
            "Active",
            "p99 <= 250ms",
            "yes",
            "3",
            "61.2 rps",
            "7",
            "TelemetryStale",
        ];
        assert_eq!(cells, expected);
    }

    #[test]
    fn a_decision_is_told_in_words() {
        let words = resource_in_words(&resource());
        for part in [
            "shop/web scales Deployment web, mode Active, actuation Scale",
            "reactive asks for 5: 50 rps",
            "guard bounds, 9 -> 7: max",
            "so 7; without the forecast it would have been 5",
        ] {
            assert!(words.contains(part), "{words}");
        }
    }

    #[test]
    fn a_workload_that_is_only_watched_has_no_row() {
        assert!(row_of_workload(&json!({"namespace": "a", "name": "b", "mode": null})).is_none());
    }
}
