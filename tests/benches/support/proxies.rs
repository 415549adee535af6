//! The proxies of many workloads: each posts a real frame now and then, spread over the interval as
//! proxies are that were not started at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use foresail_tests::{Http, clock};
use foresail_wire::{
    Digits, Frame, Health, Identity, LatencyHistogram, Series, SeriesKey, Text, Window, encode,
};
use hyper::Method;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::sleep;

/// Connections, each with its share of the proxies.
const CONNECTIONS: usize = 64;
/// How long a request takes.
const LATENCY_MICROS: u64 = 20_000;

/// Running proxies; they end when this value goes.
#[derive(Debug)]
pub(crate) struct Proxies {
    taken: Arc<AtomicU64>,
    refused: Arc<AtomicU64>,
    posting: JoinHandle<()>,
}

/// Which proxies, and what they see.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    /// How many workloads, called `team-{n % namespaces}/service-{n}`.
    pub(crate) workloads: u64,
    /// Over how many namespaces.
    pub(crate) namespaces: u64,
    /// Pods of each.
    pub(crate) pods: u64,
    /// Seconds between the frames of one.
    pub(crate) every: u64,
    /// Requests a second of each pod.
    pub(crate) rps: u32,
}

impl Proxies {
    /// Begins to post to an aggregator.
    pub(crate) fn start(plan: Plan, url: &str) -> Self {
        let (taken, refused) = (Arc::<AtomicU64>::default(), Arc::<AtomicU64>::default());
        let mut posting = JoinSet::new();
        for connection in 0..CONNECTIONS as u64 {
            let (taken, refused) = (Arc::clone(&taken), Arc::clone(&refused));
            posting.spawn(post(plan, connection, format!("{url}/v1/frames"), taken, refused));
        }
        let posting = tokio::spawn(async move { while posting.join_next().await.is_some() {} });
        Self { taken, refused, posting }
    }

    /// Frames that were taken so far, and those that were not.
    pub(crate) fn counts(&self) -> (u64, u64) {
        (self.taken.load(Ordering::Relaxed), self.refused.load(Ordering::Relaxed))
    }
}

impl Drop for Proxies {
    fn drop(&mut self) {
        self.posting.abort();
    }
}

/// Posts the frames of every [`CONNECTIONS`]th proxy, each at its own time in the interval.
async fn post(
    plan: Plan,
    connection: u64,
    url: String,
    taken: Arc<AtomicU64>,
    refused: Arc<AtomicU64>,
) {
    let http = Http::default();
    let all = plan.workloads * plan.pods;
    let interval = Duration::from_secs(plan.every);
    let mut begin = clock::unix_time().as_secs() / plan.every * plan.every;
    loop {
        begin += plan.every;
        for proxy in (connection..all).step_by(CONNECTIONS) {
            let offset = interval.mul_f64(proxy as f64 / all as f64);
            let due = Duration::from_secs(begin) + offset;
            sleep(due.saturating_sub(clock::unix_time())).await;
            let frame = frame(&plan, proxy).context("no frame").unwrap_or_default();
            let answer = http.send(Method::POST, &url, "application/octet-stream", frame).await;
            let is_taken = answer.is_ok_and(|(status, _)| status == 202);
            (if is_taken { &taken } else { &refused }).fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// What a proxy has seen in the whole seconds of the last interval.
fn frame(plan: &Plan, proxy: u64) -> Result<Vec<u8>> {
    let workload = proxy / plan.pods;
    let end_micros = clock::unix_time().as_secs() * 1_000_000;
    let requests = plan.rps * u32::try_from(plan.every)?;
    let mut latency = LatencyHistogram::new(Digits::DEFAULT);
    (0..requests).for_each(|_| latency.record(LATENCY_MICROS));
    let mut series = Series { key: SeriesKey::default(), latency, ..Series::default() };
    series.codes.add(200, requests);
    let name = format!("service-{workload}");
    Ok(encode(&Frame {
        identity: Identity {
            namespace: Text::truncated(format!("team-{}", workload % plan.namespaces)),
            pod: Text::truncated(format!("{name}-{}", proxy % plan.pods)),
            workload: Text::truncated(name),
            revision: Text::default(),
        },
        instance: proxy + 1,
        sequence: end_micros / 1_000_000,
        window: Window { start_micros: end_micros - plan.every * 1_000_000, end_micros },
        sent_at_micros: u64::try_from(clock::unix_time().as_micros())?,
        health: Health::default(),
        series: vec![series],
    })?)
}
