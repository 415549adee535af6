//! Telemetry without a mesh: what the filters beside a workload's Ready pods would send.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use foresail_wire::{
    Digits, Frame, Health, Identity, LatencyHistogram, Series, SeriesKey, Text, Window, encode,
};
use hyper::Method;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, ListParams};
use tokio::task::JoinHandle;
use tokio::time::sleep;

use crate::{Http, clock};

/// Sends one frame a second for each Ready pod of a workload, until this value goes.
#[derive(Debug)]
pub struct Frames {
    rps: Arc<AtomicU32>,
    silent: Arc<AtomicBool>,
    sending: JoinHandle<()>,
}

impl Frames {
    /// For the pods of a namespace with the label `app: workload`, to each of several aggregators.
    /// Each request takes 20 ms.
    pub fn start(
        pods: Api<Pod>,
        namespace: &str,
        workload: &str,
        to: Vec<String>,
        rps: u32,
    ) -> Self {
        let rps = Arc::new(AtomicU32::new(rps));
        let silent = Arc::new(AtomicBool::new(false));
        let sender = Sender {
            pods,
            namespace: namespace.to_owned(),
            workload: workload.to_owned(),
            to,
            rps: Arc::clone(&rps),
            silent: Arc::clone(&silent),
            http: Http::default(),
        };
        Self { rps, silent, sending: tokio::spawn(sender.run()) }
    }

    /// Requests a second over all pods, from the next second on.
    pub fn set_rps(&self, rps: u32) {
        self.rps.store(rps, Ordering::Relaxed);
    }

    /// Sends nothing more, or goes on.
    pub fn set_silent(&self, silent: bool) {
        self.silent.store(silent, Ordering::Relaxed);
    }
}

impl Drop for Frames {
    fn drop(&mut self) {
        self.sending.abort();
    }
}

struct Sender {
    pods: Api<Pod>,
    namespace: String,
    workload: String,
    to: Vec<String>,
    rps: Arc<AtomicU32>,
    silent: Arc<AtomicBool>,
    http: Http,
}

impl Sender {
    async fn run(self) {
        let mut names = Vec::new();
        loop {
            let second = clock::unix_time().as_secs();
            // The load of a second is known when it is over.
            let rps = self.rps.load(Ordering::Relaxed);
            let labels = ListParams::default().labels(&format!("app={}", self.workload));
            if let Ok(pods) = self.pods.list(&labels).await {
                names = pods.items.iter().filter(|pod| is_ready(pod)).filter_map(name).collect();
            }
            let left = Duration::from_secs(second + 1).saturating_sub(clock::unix_time());
            sleep(left).await;
            if !self.silent.load(Ordering::Relaxed) {
                self.send(&names, second, rps).await;
            }
        }
    }

    async fn send(&self, names: &[String], second: u64, rps: u32) {
        let count = u32::try_from(names.len()).unwrap_or(u32::MAX);
        let mut frames = Vec::new();
        for (number, pod) in (0..).zip(names) {
            let share = rps / count + u32::from(number < rps % count);
            frames.extend(self.frame(pod, second, share));
        }
        for url in &self.to {
            for frame in &frames {
                let url = format!("{url}/v1/frames");
                // An aggregator that was killed does not answer.
                let _ = self
                    .http
                    .send(Method::POST, &url, "application/octet-stream", frame.clone())
                    .await;
            }
        }
    }

    fn frame(&self, pod: &str, second: u64, requests: u32) -> Option<Vec<u8>> {
        let start_micros = second * 1_000_000;
        let mut latency = LatencyHistogram::new(Digits::DEFAULT);
        (0..requests).for_each(|_| latency.record(20_000));
        let mut series = Series { key: SeriesKey::default(), latency, ..Series::default() };
        series.codes.add(200, requests);
        let instance = pod.bytes().fold(17_u64, |sum, byte| {
            sum.wrapping_mul(1_099_511_628_211).wrapping_add(u64::from(byte))
        });
        let frame = Frame {
            identity: Identity {
                namespace: Text::truncated(self.namespace.clone()),
                workload: Text::truncated(self.workload.clone()),
                pod: Text::truncated(pod.to_owned()),
                revision: Text::default(),
            },
            instance,
            sequence: second,
            window: Window { start_micros, end_micros: start_micros + 1_000_000 },
            sent_at_micros: u64::try_from(clock::unix_time().as_micros()).ok()?,
            health: Health::default(),
            series: vec![series],
        };
        encode(&frame).ok()
    }
}

fn name(pod: &Pod) -> Option<String> {
    pod.metadata.name.clone()
}

pub(crate) fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_deref());
    let mut conditions = conditions.unwrap_or_default().iter();
    pod.metadata.deletion_timestamp.is_none()
        && conditions.any(|it| it.type_ == "Ready" && it.status == "True")
}
