//! An aggregator, frames and a webhook to test with.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::extract::{Json, State};
use axum::routing::get;
use foresail_aggregator::clock;
use foresail_aggregator::config::Config;
use foresail_aggregator::serve::{self, ServeError};
use foresail_wire::{
    Digits, Frame, Health, Identity, LatencyHistogram, Series, SeriesKey, Text, Window, encode,
};
use reqwest::{Client, Response, StatusCode};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// `foresail serve` in this process.
pub(crate) struct Aggregator {
    address: SocketAddr,
    client: Client,
    stop: oneshot::Sender<()>,
    running: JoinHandle<Result<(), ServeError>>,
    _directory: TempDir,
}

impl Aggregator {
    pub(crate) async fn start(mut config: Value) -> Self {
        let directory = tempfile::tempdir().unwrap();
        config["state"] = json!(directory.path().join("state.redb"));
        let config = Config::from_yaml(&config.to_string()).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        let shutdown = Box::pin(async move { drop(stopped.await) });
        let running = tokio::spawn(serve::run(config, listener, shutdown));
        Self { address, client: Client::new(), stop, running, _directory: directory }
    }

    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) async fn get(&self, path: &str) -> Response {
        self.client.get(format!("http://{}{path}", self.address)).send().await.unwrap()
    }

    pub(crate) async fn status(&self, path: &str) -> StatusCode {
        self.get(path).await.status()
    }

    pub(crate) async fn json(&self, path: &str) -> Value {
        let answer = self.get(path).await;
        assert_eq!(answer.status(), StatusCode::OK, "{path}");
        answer.json().await.unwrap()
    }

    pub(crate) async fn text(&self, path: &str) -> String {
        self.get(path).await.text().await.unwrap()
    }

    pub(crate) async fn post_raw(&self, body: &[u8]) -> Response {
        let url = format!("http://{}/v1/frames", self.address);
        self.client.post(url).body(body.to_vec()).send().await.unwrap()
    }

    pub(crate) async fn post(&self, body: &[u8]) -> (StatusCode, Value) {
        let answer = self.post_raw(body).await;
        let status = answer.status();
        let text = answer.text().await.unwrap();
        (status, serde_json::from_str(&text).unwrap_or_default())
    }

    /// Ends it as SIGTERM does.
    pub(crate) async fn stop(self) {
        self.stop.send(()).unwrap();
        self.running.await.unwrap().unwrap();
    }
}

pub(crate) fn now_secs() -> u64 {
    clock::now().as_micros() / 1_000_000
}

/// A frame of a proxy of `demo/<workload>` for one second with so many requests of 20 ms.
pub(crate) fn frame(
    workload: &str,
    instance: u64,
    sequence: u64,
    second: u64,
    requests: u32,
) -> Vec<u8> {
    let start_micros = second * 1_000_000;
    let mut latency = LatencyHistogram::new(Digits::DEFAULT);
    (0..requests).for_each(|_| latency.record(20_000));
    let mut series = Series { key: SeriesKey::default(), latency, ..Series::default() };
    series.codes.add(200, requests);
    let frame = Frame {
        identity: Identity {
            namespace: Text::truncated("demo"),
            workload: Text::truncated(workload.to_owned()),
            pod: Text::truncated(format!("{workload}-{instance}")),
            revision: Text::default(),
        },
        instance,
        sequence,
        window: Window { start_micros, end_micros: start_micros + 1_000_000 },
        sent_at_micros: clock::now().as_micros().max(start_micros + 1_000_000),
        health: Health::default(),
        series: vec![series],
    };
    encode(&frame).unwrap()
}

/// Settings of `demo/web` with a decision each second; `more` replaces what it names.
pub(crate) fn workload(more: Value) -> Value {
    let mut workload = json!({
        "namespace": "demo",
        "name": "web",
        "mode": "active",
        "max_replicas": 20,
        "objective": {"latency": "250ms"},
        "target_rps_per_replica": 10,
        "decision_interval": "1s",
        "actuator": "none",
    });
    if let (Some(workload), Value::Object(more)) = (workload.as_object_mut(), more) {
        workload.extend(more);
    }
    workload
}

/// Two proxies report each second, as they happen.
pub(crate) async fn send_load(aggregator: &Aggregator, time: Duration, rps_per_proxy: u32) {
    let until = clock::now() + time;
    loop {
        let second = now_secs();
        let rest = Duration::from_secs(second + 1)
            .saturating_sub(Duration::from_micros(clock::now().as_micros()));
        tokio::time::sleep(rest).await;
        for instance in [1, 2] {
            let frame = frame("web", instance, second, second, rps_per_proxy);
            assert_eq!(aggregator.post(&frame).await.0, StatusCode::ACCEPTED);
        }
        if clock::now() >= until {
            return;
        }
    }
}

/// What is scaled: takes any number and has it at once.
#[derive(Clone)]
pub(crate) struct Webhook(Arc<Scaled>);

struct Scaled {
    url: String,
    replicas: AtomicU32,
    lies: AtomicBool,
    orders: Mutex<Vec<Value>>,
}

impl Webhook {
    pub(crate) async fn start(replicas: u32) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let webhook = Self(Arc::new(Scaled {
            url: format!("http://{}/scale", listener.local_addr().unwrap()),
            replicas: AtomicU32::new(replicas),
            lies: AtomicBool::new(false),
            orders: Mutex::default(),
        }));
        let router = axum::Router::new()
            .route("/scale", get(Self::status).post(Self::scale))
            .with_state(webhook.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        webhook
    }

    async fn status(State(Self(scaled)): State<Self>) -> Json<Value> {
        let replicas = scaled.replicas.load(Ordering::SeqCst);
        Json(json!({"current_replicas": replicas, "ready_replicas": replicas}))
    }

    async fn scale(State(Self(scaled)): State<Self>, Json(order): Json<Value>) -> Json<Value> {
        let desired = order["desired_replicas"].as_u64().unwrap();
        scaled.orders.lock().unwrap().push(order);
        if scaled.lies.load(Ordering::SeqCst) {
            return Json(json!({"desired_replicas": desired + 1}));
        }
        scaled.replicas.store(u32::try_from(desired).unwrap(), Ordering::SeqCst);
        Json(json!({"desired_replicas": desired}))
    }

    pub(crate) fn url(&self) -> &str {
        &self.0.url
    }

    pub(crate) fn orders(&self) -> Vec<Value> {
        self.0.orders.lock().unwrap().clone()
    }

    pub(crate) fn replicas(&self) -> u32 {
        self.0.replicas.load(Ordering::SeqCst)
    }

    /// From now on it answers another number than was asked for, and changes nothing.
    pub(crate) fn lie(&self) {
        self.0.lies.store(true, Ordering::SeqCst);
    }
}
