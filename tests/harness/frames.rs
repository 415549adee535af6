//! Telemetry without a mesh: what the filters beside a workload's Ready pods would send.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use foresail_wire::{
    Digits, Frame, Health, Identity, LatencyHistogram, Series, SeriesKey, Text, Window, encode,
};
use hyper::Method;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, ListParams};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::sleep;

use crate::{Http, clock};

/// Sends one frame a second for each Ready pod of a workload, until this value goes.
#[derive(Debug)]
pub struct Frames {
    plan: Arc<Plan>,
    silent: Arc<AtomicBool>,
    sending: JoinHandle<()>,
}

/// Requests a second over all pods, by the second from which on there are so many.
#[derive(Debug)]
struct Plan(Mutex<BTreeMap<u64, u32>>);

impl Plan {
    fn set(&self, second: u64, rps: u32) {
        let mut plan = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        plan.split_off(&second);
        plan.insert(second, rps);
    }

    fn at(&self, second: u64) -> u32 {
        let plan = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        plan.range(..=second).next_back().map_or(0, |(_, rps)| *rps)
    }
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
        Self::beside(pods, namespace, workload, to, rps, "")
    }

    /// The same without one pod, which has a proxy of its own.
    pub fn beside(
        pods: Api<Pod>,
        namespace: &str,
        workload: &str,
        to: Vec<String>,
        rps: u32,
        but: &str,
    ) -> Self {
        let plan = Arc::new(Plan(Mutex::new(BTreeMap::from([(0, rps)]))));
        let silent = Arc::new(AtomicBool::new(false));
        let sender = Sender {
            pods,
            namespace: namespace.to_owned(),
            workload: workload.to_owned(),
            but: but.to_owned(),
            to,
            plan: Arc::clone(&plan),
            silent: Arc::clone(&silent),
            http: Http::default(),
        };
        Self { plan, silent, sending: tokio::spawn(sender.run()) }
    }

    /// Requests a second over all pods, from the next second on.
    pub fn set_rps(&self, rps: u32) {
        self.plan.set(clock::unix_time().as_secs() + 1, rps);
    }

    /// The same from a second since 1970 on, which is not over; what was planned for later is not.
    pub fn set_rps_from(&self, second: u64, rps: u32) {
        self.plan.set(second, rps);
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

#[derive(Clone)]
struct Sender {
    pods: Api<Pod>,
    namespace: String,
    workload: String,
    but: String,
    to: Vec<String>,
    plan: Arc<Plan>,
    silent: Arc<AtomicBool>,
    http: Http,
}

impl Sender {
    async fn run(self) {
        let mut names = Vec::new();
        let mut on_their_way = JoinSet::new();
        loop {
            let second = clock::unix_time().as_secs();
            let labels = ListParams::default().labels(&format!("app={}", self.workload));
            if let Ok(pods) = self.pods.list(&labels).await {
                names = pods.items.iter().filter(|pod| is_ready(pod)).filter_map(name).collect();
                names.retain(|name| *name != self.but);
            }
            let left = Duration::from_secs(second + 1).saturating_sub(clock::unix_time());
            sleep(left).await;
            if !self.silent.load(Ordering::Relaxed) {
                self.send(&names, second, &mut on_their_way);
            }
            while on_their_way.try_join_next().is_some() {}
        }
    }

    fn send(&self, names: &[String], second: u64, on_their_way: &mut JoinSet<()>) {
        let rps = self.plan.at(second);
        let count = u32::try_from(names.len()).unwrap_or(u32::MAX);
        for (number, pod) in (0..).zip(names) {
            let share = rps / count + u32::from(number < rps % count);
            let Some(frame) = self.frame(pod, second, share) else { continue };
            for url in &self.to {
                let (http, url) = (self.http.clone(), format!("{url}/v1/frames"));
                let frame = frame.clone();
                on_their_way.spawn(async move {
                    // An aggregator that was killed does not answer.
                    let _ = http.send(Method::POST, &url, "application/octet-stream", frame).await;
                });
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

/// Whether a pod serves.
pub fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_deref());
    let mut conditions = conditions.unwrap_or_default().iter();
    pod.metadata.deletion_timestamp.is_none()
        && conditions.any(|it| it.type_ == "Ready" && it.status == "True")
}
