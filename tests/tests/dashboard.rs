//! The dashboard in a real browser: a real sidecar with the filter reports real requests, and the
//! page must show what the API says.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/browser.rs"]
mod browser;

use std::f64::consts::TAU;
use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use foresail_tests::load::{Protocol, Target};
use foresail_tests::random::{LogNormal, arrivals, seeded};
use foresail_tests::{
    Aggregator, Cluster, Envoy, Listener, Load, Node, Route, Service, ServiceConfig, Shot,
    WasmFilter, WorkDir, clock, paths,
};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

const NAMESPACE: &str = "shop";
const WORKLOAD: &str = "checkout";
const POD: &str = "checkout-1";

/// The load is a wave of this length, so that there is something to forecast.
const SEASON: Duration = Duration::from_secs(40);
const STEP: Duration = Duration::from_secs(2);
/// Recorded seasons before the run.
const RECORDED_SEASONS: u32 = 5;
/// Before the browser looks; the page can draw the settled part only.
const WARM_UP: Duration = Duration::from_secs(30);
/// Long enough for whatever the browser does.
const LOAD: Duration = Duration::from_mins(6);

/// Requests per second, so long after the start.
fn rate(seconds: f64) -> f64 {
    40.0 + 25.0 * (TAU * seconds / SEASON.as_secs_f64()).sin()
}

/// The recorded seasons up to `now`, of the same wave.
fn recorded(now: u64) -> String {
    let length = (SEASON * RECORDED_SEASONS).as_secs();
    let steps = (0..length / STEP.as_secs()).map(|step| step * STEP.as_secs());
    steps.fold("timestamp,rps\n".to_owned(), |mut csv, second| {
        let _ = writeln!(csv, "{},{:.3}", now - length + second, rate(second as f64));
        csv
    })
}

/// One request in a hundred fails, so that the error ratio has something to show.
fn plan() -> Arc<[Shot]> {
    let rate = |at: Duration| rate(at.as_secs_f64());
    let arrivals = arrivals(&mut seeded(6), LOAD, 65.0, rate);
    let paths = ["/"; 99].into_iter().chain(["/status/503"]).cycle();
    arrivals.into_iter().zip(paths).map(|(at, path)| Shot::get(at, path)).collect()
}

fn config(webhook: &str, history: &Path) -> Value {
    let seconds = |duration: Duration| format!("{}s", duration.as_secs());
    json!({"workloads": [{
        "namespace": NAMESPACE,
        "name": WORKLOAD,
        "mode": "shadow",
        "max_replicas": 10,
        "objective": {"quantile": 0.99, "latency": "100ms"},
        "target_rps_per_replica": 20,
        "capacity": "learned",
        "startup_time": "15s",
        "decision_interval": seconds(STEP),
        "forecast": {
            "step": seconds(STEP),
            "season": seconds(SEASON),
            "history": history.to_string_lossy(),
        },
        "actuator": {"webhook": {"url": webhook}},
    }]})
}

/// Says that there is one replica; in shadow mode nobody asks for another number.
async fn replica_counter(directory: &WorkDir) -> Envoy {
    let counts = json!({"current_replicas": 1, "ready_replicas": 1, "ready_pods": [POD]});
    Envoy::webhook(directory, &counts).await.unwrap()
}

async fn sidecar(directory: &WorkDir, service: &Service, aggregator: &Aggregator) -> Envoy {
    let filter = WasmFilter::new(&paths::wasm().unwrap(), &json!({"cluster": "foresail"}));
    Envoy::builder(POD)
        .node(&Node::new(NAMESPACE, WORKLOAD, POD))
        .listener(
            Listener::new("inbound")
                .inbound()
                .route(Route::prefix("/").cluster("service"))
                .filter(&filter),
        )
        .cluster(Cluster::fixed("service", service.address()))
        .cluster(Cluster::fixed("foresail", ([127, 0, 0, 1], aggregator.port()).into()))
        .start(directory)
        .await
        .unwrap()
}

#[tokio::test]
async fn the_page_shows_what_the_api_says() {
    let directory = WorkDir::new("dashboard").unwrap();
    let webhook = replica_counter(&directory).await;
    let webhook_url = format!("http://{}/", webhook.address("webhook").unwrap());
    let now = clock::unix_time().as_secs();
    let history = directory.write("history.csv", &recorded(now)).unwrap();
    let aggregator = Aggregator::start(&directory, config(&webhook_url, &history)).await.unwrap();
    let work = Some(LogNormal::new(Duration::from_millis(12), 0.5));
    let service = Service::start(ServiceConfig { concurrency: 3, work, seed: 7 }).await.unwrap();
    let sidecar = sidecar(&directory, &service, &aggregator).await;
    let target = Target::new(sidecar.address("inbound").unwrap(), Protocol::Http1);
    let load = Load::start(&target, plan(), Instant::now()).unwrap();
    sleep(WARM_UP).await;

    let screenshots = paths::target().join("dashboard");
    let workload = format!("{NAMESPACE}/{WORKLOAD}");
    let arguments = [aggregator.url(), screenshots.to_string_lossy().into_owned(), workload];
    browser::script(&directory, "dashboard.mjs", arguments.each_ref().map(String::as_str)).await;
    assert!(load.so_far().total() > 1_000, "there was hardly any load: {:?}", load.so_far());
}

#[tokio::test]
async fn vendored_libraries_are_as_published() {
    browser::script(&WorkDir::new("vendored").unwrap(), "vendored.mjs", []).await;
}
