//! Proxies that report a steady load each second, without the proxies.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use foresail_tests::{Aggregator, Http, clock};
use foresail_wire::{
    Digits, Frame, Health, Identity, LatencyHistogram, Series, SeriesKey, Text, Window, encode,
};
use hyper::Method;
use tokio::task::JoinHandle;
use tokio::time::sleep;

/// Two proxies of one workload; they end when this value goes.
#[derive(Debug)]
pub(crate) struct Proxies {
    /// Requests per second of each; none are silent.
    rate: Arc<AtomicU32>,
    sending: JoinHandle<()>,
}

/// No frames at all, which is not the same as no requests.
const SILENT: u32 = u32::MAX;

impl Proxies {
    /// Silent ones of `namespace/workload`.
    pub(crate) fn new(aggregator: &Aggregator, namespace: &str, workload: &str) -> Self {
        let rate = Arc::new(AtomicU32::new(SILENT));
        let url = format!("{}/v1/frames", aggregator.url());
        let identity = Identity {
            namespace: Text::truncated(namespace.to_owned()),
            workload: Text::truncated(workload.to_owned()),
            ..Identity::default()
        };
        let sending = tokio::spawn(send(url, identity, Arc::clone(&rate)));
        Self { rate, sending }
    }

    /// From the next second on each sees so many requests.
    pub(crate) fn see(&self, requests_per_second: u32) {
        self.rate.store(requests_per_second, Ordering::Relaxed);
    }

    /// From the next second on nothing is heard of them.
    pub(crate) fn fall_silent(&self) {
        self.rate.store(SILENT, Ordering::Relaxed);
    }
}

impl Drop for Proxies {
    fn drop(&mut self) {
        self.sending.abort();
    }
}

async fn send(url: String, identity: Identity<'static>, rate: Arc<AtomicU32>) {
    let http = Http::default();
    loop {
        let second = clock::unix_time().as_secs();
        sleep(Duration::from_secs(second + 1).saturating_sub(clock::unix_time())).await;
        let rate = rate.load(Ordering::Relaxed);
        if rate == SILENT {
            continue;
        }
        for instance in [1, 2] {
            let body = frame(&identity, instance, second, rate);
            // An aggregator that was killed hears nothing.
            let _ = http.send(Method::POST, &url, "application/octet-stream", body).await;
        }
    }
}

fn frame(identity: &Identity<'_>, instance: u64, second: u64, requests: u32) -> Vec<u8> {
    let start_micros = second * 1_000_000;
    let mut latency = LatencyHistogram::new(Digits::DEFAULT);
    (0..requests).for_each(|_| latency.record(20_000));
    let mut series = Series { key: SeriesKey::default(), latency, ..Series::default() };
    series.codes.add(200, requests);
    let pod = format!("{}-{instance}", identity.workload.as_str());
    let frame = Frame {
        identity: Identity { pod: Text::truncated(pod), ..identity.clone() },
        instance,
        sequence: second,
        window: Window { start_micros, end_micros: start_micros + 1_000_000 },
        sent_at_micros: start_micros + 1_000_000,
        health: Health::default(),
        series: vec![series],
    };
    encode(&frame).unwrap()
}
