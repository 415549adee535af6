//! What a `kill -9` in the middle of a run leaves: history, sequence numbers and the last
//! recommendation are back, and nothing is scaled down until a stabilization window has passed.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

#[path = "support/fake_server.rs"]
mod fake_server;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use fake_server::FakeServer;
use foresail_tests::load::{Protocol, Target};
use foresail_tests::{
    Aggregator, Cluster, Envoy, Listener, Load, Node, Route, Service, ServiceConfig, Shot,
    WasmFilter, WorkDir, clock, paths,
};
use http_body_util::Full;
use hyper::{Method, Response};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

const PATH: &str = "/v1/workloads/shop/checkout";
const PODS: usize = 3;
const TARGET_RPS: u32 = 20;
const DECISION_INTERVAL: Duration = Duration::from_secs(5);
const STABILIZATION: Duration = Duration::from_secs(20);

/// Requests per second and pod while all pods are needed, and for how long.
const BUSY: (u32, Duration) = (18, Duration::from_secs(15));
/// The same while one pod would do.
const QUIET: (u32, Duration) = (2, Duration::from_secs(18));
/// The aggregator is killed after the next decision: so late that without the restart a scale-down
/// would be due well before a stabilization window has passed from there.
const KILLED_AFTER: Duration = Duration::from_secs(20);
/// Longer than a report interval: frames get lost on the way, and wait.
const OUTAGE: Duration = Duration::from_millis(1_500);
/// From the end of the stabilization window to the first scale-down.
const FALL_LIMIT: Duration = Duration::from_secs(20);

fn config(webhook: SocketAddr) -> Value {
    json!({"workloads": [{
        "namespace": "shop",
        "name": "checkout",
        "mode": "active",
        "max_replicas": PODS,
        "objective": {"latency": "250ms"},
        "target_rps_per_replica": TARGET_RPS,
        "startup_time": "5s",
        "decision_interval": format!("{}s", DECISION_INTERVAL.as_secs()),
        "behavior": {"scale_down": {
            "stabilization_window": format!("{}s", STABILIZATION.as_secs()),
        }},
        "burst": {"stable_window": "1s"},
        // No step ends within the test: without a forecast only the guards hold anything.
        "forecast": {"step": "1h"},
        "actuator": {"webhook": {"url": format!("http://{webhook}/")}},
    }]})
}

/// Counts replicas as a Deployment would; each is Ready at once.
struct Scaler {
    replicas: Arc<AtomicU64>,
    server: FakeServer,
}

impl Scaler {
    async fn start() -> Self {
        let replicas = Arc::new(AtomicU64::new(1));
        let count = Arc::clone(&replicas);
        let server = FakeServer::start(move |request| {
            let answer = if request.method() == Method::POST {
                let order: Value = serde_json::from_slice(request.body()).unwrap();
                count.store(order["desired_replicas"].as_u64().unwrap(), Ordering::Relaxed);
                order
            } else {
                let replicas = count.load(Ordering::Relaxed);
                json!({"current_replicas": replicas, "ready_replicas": replicas})
            };
            async move { Ok(Response::new(Full::new(answer.to_string().into()))) }
        })
        .await;
        Self { replicas, server }
    }

    fn replicas(&self) -> u64 {
        self.replicas.load(Ordering::Relaxed)
    }
}

/// All replicas that there may be: a Ready one must be heard.
async fn pods(directory: &WorkDir, service: &Service, aggregator: &Aggregator) -> Vec<Envoy> {
    let filter = WasmFilter::new(&paths::wasm().unwrap(), &json!({"cluster": "foresail"}));
    let mut pods = Vec::new();
    for number in 1..=PODS {
        let name = format!("checkout-{number}");
        let pod = Envoy::builder(&name)
            .workers(2)
            .node(&Node::new("shop", "checkout", &name))
            .listener(
                Listener::new("in")
                    .inbound()
                    .route(Route::prefix("/").cluster("service"))
                    .filter(&filter),
            )
            .cluster(Cluster::fixed("service", service.address()))
            .cluster(Cluster::fixed("foresail", ([127, 0, 0, 1], aggregator.port()).into()));
        pods.push(pod.start(directory).await.unwrap());
    }
    pods
}

/// Evenly spaced requests, one in ten of which fails.
fn load(pod: &Envoy, start: Instant) -> Load {
    let evenly = |(rate, length): (u32, Duration), from: Duration| {
        let count = rate * u32::try_from(length.as_secs()).unwrap();
        (0..count).map(move |number| from + Duration::from_secs(1) * number / rate)
    };
    let times = evenly(BUSY, Duration::ZERO).chain(evenly(QUIET, BUSY.1));
    let paths = ["/"; 9].into_iter().chain(["/status/503"]).cycle();
    let plan = times.zip(paths).map(|(at, path)| Shot::get(at, path)).collect();
    let target = Target::new(pod.address("in").unwrap(), Protocol::Http1);
    Load::start(&target, plan, start).unwrap()
}

/// What the aggregator tells of the workload.
struct State {
    detail: Value,
    /// By number, oldest first.
    decisions: BTreeMap<u64, Value>,
    /// By second, without what is not measured but asked for.
    history: BTreeMap<u64, [Option<f64>; 7]>,
}

impl State {
    async fn of(aggregator: &Aggregator) -> Self {
        let history = aggregator.json(&format!("{PATH}/history?tier=1s")).await.unwrap();
        let decisions = aggregator.json(&format!("{PATH}/decisions?limit=1000")).await.unwrap();
        let detail = aggregator.json(PATH).await.unwrap();
        let figures = ["rps", "p50_ms", "p90_ms", "p95_ms", "p99_ms", "p999_ms", "error_ratio"];
        let points = history["points"].as_array().unwrap().iter();
        let decided = decisions["decisions"].as_array().unwrap().iter();
        Self {
            detail,
            decisions: decided
                .map(|decision| (decision["sequence"].as_u64().unwrap(), decision.clone()))
                .collect(),
            history: points
                .map(|point| {
                    (point["t"].as_u64().unwrap(), figures.map(|name| point[name].as_f64()))
                })
                .collect(),
        }
    }

    /// Highest sequence number of each proxy VM.
    fn sequences(&self) -> BTreeMap<String, u64> {
        let proxies = self.detail["proxies"].as_array().unwrap().iter();
        let pair = |proxy: &Value| {
            (proxy["instance"].as_str().unwrap().to_owned(), proxy["sequence"].as_u64().unwrap())
        };
        proxies.map(pair).collect()
    }

    fn requests(&self) -> u64 {
        self.detail["totals"]["inbound"]["requests"].as_u64().unwrap()
    }

    fn last_decision(&self) -> (&u64, &Value) {
        self.decisions.last_key_value().unwrap()
    }
}

fn desired(decision: &Value) -> u64 {
    decision["desired_replicas"].as_u64().unwrap()
}

/// The guard that a decision says held the replicas.
fn guard(decision: &Value) -> Option<&'static str> {
    let reason = decision["reason"].as_str().unwrap();
    // All that keep what there is after a restart; the others say that data is missing as well.
    let guards = ["restart_floor", "coverage", "clean_window", "replicas_unknown"];
    guards.into_iter().find(|guard| reason.contains(&format!("{guard} 1 -> {PODS}")))
}

/// Waits until a decision has just been made, so that there is time for a kill and a restart before
/// the next.
async fn decision() {
    let interval = DECISION_INTERVAL.as_micros();
    let left = interval - clock::unix_time().as_micros() % interval;
    sleep(Duration::from_micros(u64::try_from(left).unwrap()) + Duration::from_millis(300)).await;
}

/// A window that has closed meanwhile is kept to within 0.03 %, and to a µs.
fn is_same(was: Option<f64>, is: Option<f64>) -> bool {
    match (was, is) {
        (Some(was), Some(is)) => (was - is).abs() <= 0.001 * was.abs().max(1e-3),
        (was, is) => was == is,
    }
}

/// Everything that was there before is there afterwards.
fn assert_restored(before: &State, after: &State, killed_at: u64) {
    // The newest second may still have been on its way.
    let settled: Vec<_> = before.history.range(..killed_at - 1).collect();
    assert!(settled.len() >= 10, "{:?}", before.history);
    for (second, figures) in settled {
        let again = after.history.get(second).copied().unwrap_or_default();
        let same = figures.iter().zip(again).all(|(was, is)| is_same(*was, is));
        assert!(same, "the window at {second} was {figures:?}, is {again:?}");
    }
    for (number, decision) in &before.decisions {
        assert_eq!(after.decisions.get(number), Some(decision), "decision {number}");
    }
    for (instance, sequence) in before.sequences() {
        let now = after.sequences().get(&instance).copied();
        assert!(now >= Some(sequence), "proxy {instance} was at {sequence}, is at {now:?}");
    }
    assert!(after.requests() >= before.requests());
    assert_eq!(after.detail["desired_replicas"], PODS as u64, "{}", after.detail);
}

/// After the restart: no replica less for a stabilization window, because of the restart.
async fn watch_the_floor(scaler: &Scaler, aggregator: &Aggregator, restarted: Instant) {
    while restarted.elapsed() < STABILIZATION {
        let last = aggregator.json(&format!("{PATH}/decisions?limit=1")).await.unwrap();
        let last = &last["decisions"][0];
        assert_eq!(
            desired(last),
            PODS as u64,
            "{:?} after the restart: {last}",
            restarted.elapsed()
        );
        assert_eq!(scaler.replicas(), PODS as u64, "{last}");
        sleep(Duration::from_millis(250)).await;
    }
}

/// Compares the totals with the proxies' own counters and returns how many requests there were.
async fn assert_conserved(pods: &[Envoy], state: &State) -> u64 {
    let (mut requests, mut failed) = (0, 0);
    for pod in pods {
        requests += pod.admin().stat("http.in.downstream_rq_total").await.unwrap();
        failed += pod.admin().stat("http.in.downstream_rq_5xx").await.unwrap();
    }
    let inbound = &state.detail["totals"]["inbound"];
    assert_eq!(inbound["requests"], requests, "{}", state.detail);
    assert_eq!(inbound["codes"], json!({"200": requests - failed, "503": failed}));
    assert_eq!(state.detail["totals"]["lost_frames"], 0, "{}", state.detail);
    requests
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[expect(clippy::print_stdout, reason = "the figures that this test is for")]
async fn after_a_kill_everything_is_back_and_nothing_scales_down_for_a_stabilization_window() {
    let directory = WorkDir::new("crash").unwrap();
    let scaler = Scaler::start().await;
    let config = config(scaler.server.address());
    let mut aggregator = Aggregator::start(&directory, config).await.unwrap();
    let service = Service::start(ServiceConfig::default()).await.unwrap();
    let pods = pods(&directory, &service, &aggregator).await;
    let start = Instant::now();
    let loads: Vec<_> = pods.iter().map(|pod| load(pod, start)).collect();

    sleep(KILLED_AFTER).await;
    decision().await;
    assert_eq!(scaler.replicas(), PODS as u64, "the load did not scale it up");
    let before = State::of(&aggregator).await;
    aggregator.kill();
    let killed_at = clock::unix_time().as_secs();
    sleep(OUTAGE).await;
    aggregator.restart().await.unwrap();
    let (restarted, restarted_at) = (Instant::now(), clock::unix_time().as_secs());
    let after = State::of(&aggregator).await;
    assert_restored(&before, &after, killed_at);
    watch_the_floor(&scaler, &aggregator, restarted).await;
    for load in loads {
        assert!(load.finish().await.unwrap().total() > 0);
    }
    while scaler.replicas() == PODS as u64 {
        assert!(restarted.elapsed() < STABILIZATION + FALL_LIMIT, "it never scales down");
        sleep(Duration::from_millis(250)).await;
    }
    let fell_after = restarted.elapsed();
    let end = State::of(&aggregator).await;
    let requests = assert_conserved(&pods, &end).await;

    let (last_before, _) = before.last_decision();
    let (last, _) = end.last_decision();
    assert!(end.decisions.keys().copied().eq(1..=*last), "decisions are numbered without a gap");
    let floor = restarted_at..restarted_at + STABILIZATION.as_secs();
    let mut held = BTreeMap::<_, u32>::new();
    for decision in end.decisions.range(last_before + 1..).map(|(_, decision)| decision) {
        println!("crash: decision {}: {}", decision["sequence"], decision["reason"]);
        let at = decision["at"].as_u64().unwrap() / 1_000_000;
        if floor.contains(&at) {
            assert!(decision["proposed_replicas"].as_u64() < Some(PODS as u64), "{decision}");
            let guard = guard(decision).unwrap_or_else(|| panic!("no guard held: {decision}"));
            *held.entry(guard).or_default() += 1;
        }
    }
    println!(
        "crash: {requests} requests = Envoy's, {} of them before the kill; {} seconds of history, \
         {} decisions and the numbers of {} proxy VMs are back; first scale-down {:.1} s after the \
         restart (window {} s), until then held by {held:?}",
        before.requests(),
        before.history.len(),
        before.decisions.len(),
        before.sequences().len(),
        fell_after.as_secs_f64(),
        STABILIZATION.as_secs(),
    );
    assert!(held.contains_key("restart_floor"), "{held:?}");
}
