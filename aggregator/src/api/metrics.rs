//! `GET /metrics`: everything that is counted, for Prometheus.

mod shadows;
mod workloads;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;

use super::state::App;
use super::{ApiError, Shared};
use crate::clock;
use crate::ingest::FrameResult;
use crate::kubernetes::Health;

const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

pub(super) async fn metrics(State(app): Shared) -> Response {
    let mut registry = Registry::with_prefix("foresail");
    registry.register_collector(Box::new(AppCollector(app)));
    let mut text = String::new();
    match encode(&mut text, &registry) {
        Ok(()) => ([(header::CONTENT_TYPE, CONTENT_TYPE)], text).into_response(),
        Err(_) => ApiError::Internal.into_response(),
    }
}

/// Reads the counts where they are kept; nothing is kept twice.
#[derive(Debug)]
struct AppCollector(Arc<App>);

impl Collector for AppCollector {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let mut families = Families(encoder);
        process(&self.0, &mut families)?;
        kubernetes(&self.0, &mut families)?;
        questions(&self.0, &mut families)?;
        workloads::encode(&self.0, &mut families)?;
        shadows::encode(&self.0, &mut families)
    }
}

/// Labels and a value.
type Sample<'a, L, V> = (&'a [(&'static str, L)], V);

/// Writes families of metrics.
struct Families<'a>(DescriptorEncoder<'a>);

impl Families<'_> {
    /// A counter; `_total` is added to its name.
    fn counter<'s, L: AsRef<str> + 's>(
        &mut self,
        name: &str,
        help: &str,
        samples: impl IntoIterator<Item = Sample<'s, L, u64>>,
    ) -> Result<(), fmt::Error> {
        let mut family = self.0.encode_descriptor(name, help, None, MetricType::Counter)?;
        for (labels, value) in samples {
            let labels: Vec<_> = labels.iter().map(|(k, v)| (*k, v.as_ref())).collect();
            if labels.is_empty() {
                family.encode_counter::<NoLabelSet, _, u64>(&value, None)?;
            } else {
                let labels = labels.as_slice();
                family
                    .encode_family(&labels)?
                    .encode_counter::<NoLabelSet, _, u64>(&value, None)?;
            }
        }
        Ok(())
    }

    /// A gauge. Samples without a value are left out: not known is not zero.
    fn gauge<'s, L: AsRef<str> + 's>(
        &mut self,
        name: &str,
        help: &str,
        samples: impl IntoIterator<Item = Sample<'s, L, Option<f64>>>,
    ) -> Result<(), fmt::Error> {
        let mut family = self.0.encode_descriptor(name, help, None, MetricType::Gauge)?;
        for (labels, value) in samples {
            let Some(value) = value else { continue };
            let labels: Vec<_> = labels.iter().map(|(k, v)| (*k, v.as_ref())).collect();
            if labels.is_empty() {
                family.encode_gauge(&value)?;
            } else {
                family.encode_family(&labels.as_slice())?.encode_gauge(&value)?;
            }
        }
        Ok(())
    }
}

/// No labels.
const BARE: &[(&str, &str)] = &[];

/// Metrics of the process as a whole.
fn process(app: &App, families: &mut Families<'_>) -> Result<(), fmt::Error> {
    let ingest = &app.ingest;
    let counters = ingest.counters();
    let labels = FrameResult::ALL.map(|result| (result, [("result", result.name())]));
    families.counter(
        "ingest_frames",
        "Requests to /v1/frames by what became of them",
        labels.iter().map(|(result, labels)| (labels.as_slice(), counters.get(*result))),
    )?;
    for (name, help, value) in [
        ("ingest_bytes", "Bytes of committed frames", counters.bytes()),
        ("ingest_batches", "Commits of frames", counters.batches()),
        ("store_errors", "Commits that failed", counters.store_errors()),
        ("events_dropped", "Events that slow listeners did not get", app.events.dropped()),
        (
            "connections_accepted",
            "Connections accepted",
            app.connections.accepted.load(Ordering::Relaxed),
        ),
        (
            "connections_half_open",
            "Connections closed because no request had come",
            app.connections.half_open.load(Ordering::Relaxed),
        ),
        (
            "connections_refused",
            "Connections closed because too many were open",
            app.connections.refused.load(Ordering::Relaxed),
        ),
    ] {
        families.counter(name, help, [(BARE, value)])?;
    }
    let yes = |flag: bool| f64::from(u8::from(flag));
    for (name, help, value) in [
        ("workloads", "Workloads known", ingest.workloads().len() as f64),
        ("workloads_limit", "The most workloads that are kept", ingest.workloads().limit() as f64),
        ("store_healthy", "1 when the last commit succeeded", yes(ingest.store().is_healthy())),
        ("draining", "1 while shutting down", yes(ingest.is_draining())),
        ("event_listeners", "Listeners to /v1/events", app.events.listeners() as f64),
        (
            "connections_open",
            "Connections open",
            app.connections.open.load(Ordering::Relaxed) as f64,
        ),
    ] {
        families.gauge(name, help, [(BARE, Some(value))])?;
    }
    let help = "1 while this aggregator acts; absent where it is the only one";
    families.gauge("leader", help, [(BARE, app.leads().map(yes))])?;
    let commits = ingest.store().commit_seconds();
    let help = "Time of a durable commit";
    let family =
        families.0.encode_descriptor("store_commit_seconds", help, None, commits.metric_type())?;
    commits.encode(family)
}

/// What became of requests to the API server; there is nothing where none is asked.
fn kubernetes(app: &App, families: &mut Families<'_>) -> Result<(), fmt::Error> {
    let health = app.kubernetes();
    let is_healthy = health.map(|health| health.faults(clock::now()).is_empty());
    let help =
        "0 while something that is asked of the API server fails; absent where none is asked";
    let value = is_healthy.map(|is| f64::from(u8::from(is)));
    families.gauge("kubernetes_healthy", help, [(BARE, value)])?;
    let answers = health.map(Health::answers).unwrap_or_default();
    families.counter(
        "kubernetes_requests",
        "Requests to the API server by verb, resource and answer: ok, a status code, none or unreachable",
        answers.iter().map(|(labels, count)| (labels.as_slice(), *count)),
    )
}

/// What other autoscalers asked.
fn questions(app: &App, families: &mut Families<'_>) -> Result<(), fmt::Error> {
    let labelled = app.questions.all().into_iter();
    let labelled =
        labelled.map(|((from, answer), count)| ([("from", from), ("answer", answer)], count));
    let labelled: Vec<_> = labelled.collect();
    families.counter(
        "scaling_questions",
        "Questions of other autoscalers by who asked and what was answered",
        labelled.iter().map(|(labels, count)| (labels.as_slice(), *count)),
    )
}
