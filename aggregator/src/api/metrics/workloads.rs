//! Metrics of each workload.

use std::fmt;
use std::sync::atomic::Ordering;

use super::Families;
use crate::api::state::{App, Control, ControlCounters, ControlStatus};
use crate::api::view::{WorkloadView, live_views};
use crate::clock;
use crate::units::{Timestamp, WorkloadKey};

type Labels<'a> = [(&'static str, &'a str); 2];

fn labels<'a>(namespace: &'a str, workload: &'a str) -> Labels<'a> {
    [("namespace", namespace), ("workload", workload)]
}

/// Live figures of all workloads, then what is only known of those that are decided for.
pub(super) fn encode(app: &App, families: &mut Families<'_>) -> Result<(), fmt::Error> {
    let now = clock::now();
    live(&live_views(app, now), now, families)?;
    let known = app.controls.all();
    let controls: Vec<_> =
        known.iter().map(|(key, control)| (key, control.as_ref(), control.status())).collect();
    forecasts(&controls, families)?;
    let budgets: Vec<_> = controls
        .iter()
        .map(|(key, control, _)| (key_labels(key), control.config.objective))
        .collect();
    families.gauge(
        "objective_budget_ratio",
        "Share of requests that may be served while the objective is missed",
        budgets.iter().map(|(labels, it)| (&labels[..], Some(it.budget.get()))),
    )?;
    counts(&controls, families)
}

/// Name, help, and how to read the value.
type Gauge<T> = (&'static str, &'static str, fn(&T) -> Option<f64>);

const LIVE: [Gauge<WorkloadView>; 7] = [
    ("workload_rps", "Requests per second", |view| view.rps),
    ("workload_error_ratio", "Share of requests that failed", |view| view.error_ratio),
    ("workload_concurrency", "Mean requests in flight", |view| view.concurrency),
    ("workload_coverage", "Share of expected replicas heard", |view| view.coverage),
    ("current_replicas", "Replicas that exist", |view| view.current_replicas.map(f64::from)),
    ("ready_replicas", "Replicas that serve", |view| view.ready_replicas.map(f64::from)),
    ("desired_replicas", "Replicas to have", |view| view.desired_replicas.map(f64::from)),
];

fn live(
    views: &[WorkloadView],
    now: Timestamp,
    families: &mut Families<'_>,
) -> Result<(), fmt::Error> {
    let rows: Vec<_> =
        views.iter().map(|view| (labels(&view.namespace, &view.name), view)).collect();
    for (name, help, read) in LIVE {
        families.gauge(name, help, rows.iter().map(|(labels, view)| (&labels[..], read(view))))?;
    }
    let age = |view: &WorkloadView| view.newest.map(|newest| (now.as_secs_f64() - newest).max(0.0));
    families.gauge(
        "workload_staleness_seconds",
        "Age of the newest telemetry",
        rows.iter().map(|(labels, view)| (&labels[..], age(view))),
    )?;
    let latencies: Vec<_> = views
        .iter()
        .flat_map(|view| {
            [("0.5", view.p50_ms), ("0.95", view.p95_ms), ("0.99", view.p99_ms)].map(|(q, ms)| {
                let [namespace, workload] = labels(&view.namespace, &view.name);
                ([namespace, workload, ("quantile", q)], ms.map(|ms| ms / 1e3))
            })
        })
        .collect();
    families.gauge(
        "workload_latency_seconds",
        "Latency of the newest seconds by quantile",
        latencies.iter().map(|(labels, seconds)| (&labels[..], *seconds)),
    )
}

type Managed<'a> = (&'a WorkloadKey, &'a Control, ControlStatus);

fn key_labels(key: &WorkloadKey) -> Labels<'_> {
    labels(&key.namespace, &key.name)
}

fn forecasts(controls: &[Managed<'_>], families: &mut Families<'_>) -> Result<(), fmt::Error> {
    let rows: Vec<_> = controls.iter().map(|(key, _, status)| (key_labels(key), status)).collect();
    let gauges: [Gauge<ControlStatus>; 3] = [
        ("forecast_point_rps", "Expected rate at the horizon of the last decision", |status| {
            Some(status.decision.as_ref()?.forecast.as_ref()?.point.get())
        }),
        ("forecast_upper_rps", "Upper quantile of the rate there", |status| {
            Some(status.decision.as_ref()?.forecast.as_ref()?.upper.get())
        }),
        ("forecast_horizon_seconds", "How far ahead that is", |status| {
            Some(status.decision.as_ref()?.forecast.as_ref()?.horizon.as_secs_f64())
        }),
    ];
    for (name, help, read) in gauges {
        let samples = rows.iter().map(|(labels, status)| (&labels[..], read(status)));
        families.gauge(name, help, samples)?;
    }
    Ok(())
}

/// Name, help, and how to read the count.
type Count = (&'static str, &'static str, fn(&ControlCounters) -> u64);

fn counts(controls: &[Managed<'_>], families: &mut Families<'_>) -> Result<(), fmt::Error> {
    let rows: Vec<_> =
        controls.iter().map(|(key, control, _)| (key_labels(key), control)).collect();
    let plain: [Count; 6] = [
        ("objective_requests", "Requests in decision intervals with a known latency", |c| {
            c.judged_requests.load(Ordering::Relaxed)
        }),
        ("objective_missed_requests", "Of those, in intervals that missed the objective", |c| {
            c.missed_requests.load(Ordering::Relaxed)
        }),
        ("decisions", "Decisions made", |c| c.decisions.load(Ordering::Relaxed)),
        ("decisions_unrecorded", "Decisions acted on before they were on disk", |c| {
            c.unrecorded.load(Ordering::Relaxed)
        }),
        ("steps_failed", "Decisions that took too long or panicked", |c| {
            c.failed_steps.load(Ordering::Relaxed)
        }),
        ("refits_failed", "Fits that panicked", |c| c.failed_refits.load(Ordering::Relaxed)),
    ];
    for (name, help, read) in plain {
        let samples = rows.iter().map(|(labels, control)| (&labels[..], read(&control.counters)));
        families.counter(name, help, samples)?;
    }
    labelled(controls, families, ("source_polls", "Polls of the replica source", "result"), |c| {
        ControlCounters::read(&c.polls).into_iter().map(|(k, n)| (k.to_owned(), n)).collect()
    })?;
    labelled(controls, families, ("actuations", "Writes of desired replicas", "result"), |c| {
        ControlCounters::read(&c.writes).into_iter().map(|(k, n)| (k.to_owned(), n)).collect()
    })?;
    labelled(
        controls,
        families,
        ("promotions", "Stages that a candidate came to", "stage"),
        |c| {
            ControlCounters::read(&c.promotions)
                .into_iter()
                .map(|(k, n)| (k.to_owned(), n))
                .collect()
        },
    )?;
    labelled(controls, families, ("forecast_drifts", "Changes of the load", "stream"), |c| {
        ControlCounters::read(&c.drifts).into_iter().map(|(k, n)| (k.to_owned(), n)).collect()
    })?;
    labelled(controls, families, ("guards_bound", "Decisions that a guard bound", "guard"), |c| {
        ControlCounters::read(&c.guards).into_iter().collect()
    })
}

fn labelled(
    controls: &[Managed<'_>],
    families: &mut Families<'_>,
    (name, help, label): (&'static str, &'static str, &'static str),
    read: fn(&ControlCounters) -> Vec<(String, u64)>,
) -> Result<(), fmt::Error> {
    let counts: Vec<_> = controls
        .iter()
        .flat_map(|(key, control, _)| {
            read(&control.counters).into_iter().map(move |count| (*key, count))
        })
        .collect();
    let samples: Vec<_> = counts
        .iter()
        .map(|(key, (value, n))| {
            let [namespace, workload] = key_labels(key);
            ([namespace, workload, (label, value.as_str())], *n)
        })
        .collect();
    families.counter(name, help, samples.iter().map(|(labels, n)| (&labels[..], *n)))
}
