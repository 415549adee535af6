//! Conservation: what the aggregator has counted is what the proxies have counted, to the request,
//! also when it is killed again and again while they report, and when its answers get lost.
//!
//! A frontend's sidecar takes requests in and sends others out to a checkout's sidecar. Each of the
//! three listeners has two witnesses: Envoy's counters and Envoy's access log.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking"
)]

#[path = "support/closed_loop.rs"]
mod closed_loop;
#[path = "support/fake_server.rs"]
mod fake_server;

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use closed_loop::{Call, Clients, Outcomes};
use fake_server::FakeServer;
use foresail_tests::load::Protocol;
use foresail_tests::{
    Aggregator, Cluster, Envoy, Http, Listener, Node, Route, Service, ServiceConfig, WasmFilter,
    WorkDir, paths,
};
use http_body_util::Full;
use hyper::Response;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

const REQUESTS: u64 = 210_000;
/// Short, so that many frames are on their way when the aggregator is killed.
const REPORT_INTERVAL: &str = "200ms";
/// How far the load is when the aggregator is killed, and how long it is gone then. The second time
/// it is gone for longer than a filter keeps single windows.
const OUTAGES: [(f64, Duration); 2] =
    [(0.25, Duration::from_secs(2)), (0.55, Duration::from_secs(8))];
/// Of so many answers of the aggregator to the checkout's sidecar one is lost.
const LOST_ANSWERS: u64 = 7;
const DRAIN_LIMIT: Duration = Duration::from_secs(40);

/// One line of the access log.
const LOG_FORMAT: &str = "%RESPONSE_CODE% %GRPC_STATUS_NUMBER% %RESPONSE_FLAGS%";
/// Envoy's response flags as the access log and as the filter name them
/// (`StreamInfo::CoreResponseFlag`).
const FLAGS: &[(&str, u8)] = &[
    ("LH", 0),
    ("UH", 1),
    ("UT", 2),
    ("LR", 3),
    ("UR", 4),
    ("UF", 5),
    ("UC", 6),
    ("UO", 7),
    ("NR", 8),
    ("DI", 9),
    ("FI", 10),
    ("RL", 11),
    ("UAEX", 12),
    ("RLSE", 13),
    ("DC", 14),
    ("URX", 15),
    ("SI", 16),
    ("IH", 17),
    ("DPE", 18),
    ("UMSDR", 19),
    ("RFCF", 20),
    ("NFCF", 21),
    ("DT", 22),
    ("UPE", 23),
    ("NC", 24),
    ("OM", 25),
    ("DF", 26),
    ("DO", 27),
    ("DR", 28),
    ("UDO", 29),
];

/// How many requests there were of each kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Ledger {
    /// By status code; 0 where there was none.
    codes: BTreeMap<u16, u64>,
    grpc: BTreeMap<u8, u64>,
    flags: BTreeMap<u8, u64>,
}

impl Ledger {
    fn of_access_log(log: &str) -> Self {
        let mut ledger = Self::default();
        for line in log.lines() {
            let [code, grpc, flags] = line.split(' ').collect::<Vec<_>>()[..] else {
                panic!("not as the format says: {line}");
            };
            *ledger.codes.entry(code.parse().unwrap()).or_default() += 1;
            if let Ok(status) = grpc.parse() {
                *ledger.grpc.entry(status).or_default() += 1;
            }
            for flag in flags.split(',').filter(|flag| *flag != "-") {
                let known = FLAGS.iter().find(|(name, _)| *name == flag);
                let (_, bit) = known.unwrap_or_else(|| panic!("a flag of no known bit: {line}"));
                *ledger.flags.entry(*bit).or_default() += 1;
            }
        }
        ledger
    }

    /// From what the aggregator says of one direction of a workload.
    fn of_totals(totals: &Value) -> Self {
        fn counts<K: Ord + std::str::FromStr>(counts: &Value) -> BTreeMap<K, u64> {
            let counts = counts.as_object().unwrap().iter();
            let pair = |(key, count): (&String, &Value)| (key.parse().ok(), count.as_u64());
            counts.map(pair).map(|(key, count)| (key.unwrap(), count.unwrap())).collect()
        }
        Self {
            codes: counts(&totals["codes"]),
            grpc: counts(&totals["grpc"]),
            flags: counts(&totals["flags"]),
        }
    }

    fn total(&self) -> u64 {
        self.codes.values().sum()
    }

    fn of_class(&self, class: u16) -> u64 {
        self.codes.iter().filter(|(code, _)| **code / 100 == class).map(|(_, n)| n).sum()
    }

    fn statuses(&self) -> usize {
        self.codes.len() + self.grpc.len()
    }
}

/// A listener of a proxy, and where the aggregator counts its requests.
struct Place<'a> {
    name: &'static str,
    envoy: &'a Envoy,
    workload: &'static str,
    direction: &'static str,
}

const NAMESPACE: &str = "shop";

impl Place<'_> {
    async fn stat(&self, name: &str) -> u64 {
        self.envoy.admin().stat(&format!("http.{}.{name}", self.name)).await.unwrap()
    }

    async fn totals(&self, aggregator: &Aggregator) -> Value {
        let path = format!("/v1/workloads/{NAMESPACE}/{}", self.workload);
        aggregator.json(&path).await.unwrap()["totals"].take()
    }

    async fn counted(&self, aggregator: &Aggregator) -> Ledger {
        Ledger::of_totals(&self.totals(aggregator).await[self.direction])
    }

    /// Compares the aggregator's totals with both witnesses, and says what they are.
    async fn compare(&self, aggregator: &Aggregator, directory: &WorkDir) -> Ledger {
        let counted = self.counted(aggregator).await;
        let log = std::fs::read_to_string(directory.file(&log_name(self.name))).unwrap();
        assert_eq!(counted, Ledger::of_access_log(&log), "{}: access log on the right", self.name);

        let total = self.stat("downstream_rq_total").await;
        let answered = self.stat("downstream_rq_completed").await;
        assert_eq!(counted.total(), total, "{}: downstream_rq_total on the right", self.name);
        let without_code = counted.codes.get(&0).copied().unwrap_or(0);
        assert_eq!(without_code, total - answered, "{}: never answered on the right", self.name);
        for class in 1..=5 {
            let stat = format!("downstream_rq_{class}xx");
            let by_envoy = self.stat(&stat).await;
            assert_eq!(counted.of_class(class), by_envoy, "{}: {stat} on the right", self.name);
        }
        counted
    }
}

fn log_name(listener: &str) -> String {
    format!("{listener}.access.log")
}

/// A listener with all that can become of a request: answered by the service or by the proxy
/// itself, too late, never, or half.
fn listener(directory: &WorkDir, filter: &WasmFilter, name: &str, cluster: &str) -> Listener {
    Listener::new(name)
        .access_log(&directory.file(&log_name(name)), LOG_FORMAT)
        .filter(filter)
        .route(Route::prefix("/direct").direct(418, "short"))
        .route(Route::prefix("/delay").cluster(cluster).timeout(Duration::from_millis(40)))
        .route(Route::prefix("/nowhere").cluster("nowhere"))
        .route(Route::prefix("/").cluster(cluster))
}

/// A cluster without endpoints.
fn nowhere() -> Cluster {
    let nobody = json!({"cluster_name": "nowhere", "endpoints": []});
    Cluster::fixed("nowhere", ([127, 0, 0, 1], 1).into()).set("load_assignment", nobody)
}

fn filter() -> WasmFilter {
    let config = json!({"cluster": "foresail", "report_interval": REPORT_INTERVAL});
    WasmFilter::new(&paths::wasm().unwrap(), &config)
}

async fn checkout(directory: &WorkDir, service: &Service, aggregator: SocketAddr) -> Envoy {
    Envoy::builder("checkout-1")
        .workers(2)
        .node(&Node::new(NAMESPACE, "checkout", "checkout-1"))
        .listener(listener(directory, &filter(), "checkout", "service").inbound())
        .cluster(Cluster::fixed("service", service.address()).same_protocol())
        .cluster(Cluster::fixed("foresail", aggregator))
        .cluster(nowhere())
        .start(directory)
        .await
        .unwrap()
}

async fn frontend(
    directory: &WorkDir,
    service: &Service,
    checkout: &Envoy,
    aggregator: SocketAddr,
) -> Envoy {
    let checkout = checkout.address("checkout").unwrap();
    Envoy::builder("frontend-1")
        .workers(2)
        .node(&Node::new(NAMESPACE, "frontend", "frontend-1"))
        .listener(listener(directory, &filter(), "frontend_in", "service").inbound())
        .listener(listener(directory, &filter(), "frontend_out", "checkout").outbound())
        .cluster(Cluster::fixed("service", service.address()).same_protocol())
        .cluster(Cluster::fixed("checkout", checkout).same_protocol())
        .cluster(Cluster::fixed("foresail", aggregator))
        .cluster(nowhere())
        .start(directory)
        .await
        .unwrap()
}

/// Passes frames on to the aggregator, and loses every so-manieth answer: the frame is counted, and
/// its sender cannot know.
async fn lossy_link(aggregator: &Aggregator) -> FakeServer {
    let (http, url) = (Http::default(), aggregator.url());
    let answers = Arc::new(AtomicU64::new(0));
    FakeServer::start(move |request| {
        let (http, answers) = (http.clone(), Arc::clone(&answers));
        let url = format!("{url}{}", request.uri().path());
        async move {
            let content = request.headers()["content-type"].to_str().unwrap().to_owned();
            let (method, body) = (request.method().clone(), request.into_body());
            let answer = http.send(method, &url, &content, body).await;
            let (status, body) = answer.map_err(io::Error::other)?;
            if answers.fetch_add(1, Ordering::Relaxed) % LOST_ANSWERS == 0 {
                return Err(io::ErrorKind::ConnectionReset.into());
            }
            Ok(Response::builder().status(status).body(Full::new(body)).unwrap())
        }
    })
    .await
}

/// 100 requests of HTTP/1 or HTTP/2.
fn web_calls() -> Vec<Call> {
    let mut calls = vec![Call::Get("/"); 72];
    calls.extend(["/direct"; 6].map(Call::Get));
    for status in ["201", "204", "301", "304", "400", "401", "403", "404", "409", "429"] {
        calls.push(Call::Get(["/status/", status].concat().leak()));
    }
    for status in ["500", "502", "503", "504", "599"] {
        calls.push(Call::Get(["/status/", status].concat().leak()));
    }
    calls.extend(["/delay/400", "/reset", "/cut", "/nowhere"].map(Call::Get));
    calls.push(Call::Get("/echo"));
    calls.extend([Call::Abandoned("/"), Call::Abandoned("/")]);
    calls
}

/// 100 gRPC calls.
fn grpc_calls() -> Vec<Call> {
    let mut calls = vec![Call::Grpc("/grpc/0"); 77];
    for status in 1..=16 {
        calls.push(Call::Grpc(format!("/grpc/{status}").leak()));
    }
    let others = ["/grpc-only/5", "/grpc-only/14", "/delay/400", "/reset", "/nowhere"];
    calls.extend(others.map(Call::Grpc));
    calls.extend([Call::AbandonedGrpc("/grpc/0"), Call::AbandonedGrpc("/grpc/0")]);
    calls
}

fn clients(envoy: &Envoy, listener: &str) -> [Clients; 3] {
    let address = envoy.address(listener).unwrap();
    let of = |protocol, (pools, tasks), calls: Vec<Call>| Clients {
        address,
        protocol,
        pools,
        tasks,
        calls: calls.into(),
    };
    [
        of(Protocol::Http1, (8, 1), web_calls()),
        of(Protocol::Http2, (4, 2), web_calls()),
        of(Protocol::Http2, (4, 2), grpc_calls()),
    ]
}

/// Sends all requests, and kills and restarts the aggregator meanwhile.
async fn load_with_outages(clients: &[Clients], aggregator: &mut Aggregator) -> Outcomes {
    let sent = Arc::new(AtomicU64::new(0));
    let outages = async {
        for (progress, gone) in OUTAGES {
            while (sent.load(Ordering::Relaxed) as f64) < progress * REQUESTS as f64 {
                sleep(Duration::from_millis(5)).await;
            }
            aggregator.kill();
            sleep(gone).await;
            aggregator.restart().await.unwrap();
        }
    };
    tokio::join!(closed_loop::send(clients, &sent, REQUESTS), outages).0
}

/// Waits until everything the proxies have counted has arrived, and then a little longer, so that
/// what comes twice has come.
async fn drained(places: &[Place<'_>], aggregator: &Aggregator) {
    let deadline = Instant::now() + DRAIN_LIMIT;
    for place in places {
        while place.stat("downstream_rq_active").await > 0 && Instant::now() < deadline {
            sleep(Duration::from_millis(100)).await;
        }
        let expected = place.stat("downstream_rq_total").await;
        while place.counted(aggregator).await.total() < expected && Instant::now() < deadline {
            sleep(Duration::from_millis(100)).await;
        }
    }
    sleep(Duration::from_secs(2)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[expect(clippy::print_stdout, reason = "the figure that this test is for")]
async fn no_request_is_lost_or_counted_twice_when_the_aggregator_is_killed() {
    let directory = WorkDir::new("conservation").unwrap();
    let started = Instant::now();
    let mut aggregator = Aggregator::start(&directory, json!({"workloads": []})).await.unwrap();
    let link = lossy_link(&aggregator).await;
    let service = Service::start(ServiceConfig::default()).await.unwrap();
    let checkout = checkout(&directory, &service, link.address()).await;
    let straight = ([127, 0, 0, 1], aggregator.port()).into();
    let frontend = frontend(&directory, &service, &checkout, straight).await;

    let all = [clients(&frontend, "frontend_in"), clients(&frontend, "frontend_out")].concat();
    let outcomes = load_with_outages(&all, &mut aggregator).await;
    let loaded = started.elapsed();
    let place = |name, envoy, workload, direction| Place { name, envoy, workload, direction };
    let places = [
        place("frontend_in", &frontend, "frontend", "inbound"),
        place("frontend_out", &frontend, "frontend", "outbound"),
        place("checkout", &checkout, "checkout", "inbound"),
    ];
    drained(&places, &aggregator).await;

    let mut sent = 0;
    for place in &places {
        let ledger = place.compare(&aggregator, &directory).await;
        let (requests, statuses) = (ledger.total(), ledger.statuses());
        println!(
            "conservation: {}: {requests} requests, aggregator = Envoy for all {statuses} statuses; \
             HTTP {:?}; gRPC {:?}; flags {:?}",
            place.name, ledger.codes, ledger.grpc, ledger.flags
        );
        assert!(statuses >= 30, "hardly any statuses: {ledger:?}");
        sent += if place.name == "checkout" { 0 } else { requests };
    }
    let [of_frontend, of_checkout] =
        [places[0].totals(&aggregator).await, places[2].totals(&aggregator).await];
    println!(
        "conservation: {sent} requests through two proxies with two workers each, the aggregator \
         killed {} times, {} answers lost, {} windows merged, {} frames; {:.0} s of load, {:.0} s in all",
        OUTAGES.len(),
        of_checkout["duplicate_frames"],
        of_frontend["merged_windows"],
        of_frontend["frames"],
        loaded.as_secs_f64(),
        started.elapsed().as_secs_f64()
    );
    println!("conservation: as the clients saw it: {outcomes:?}");
    assert!(sent >= 200_000, "{sent}");
    for totals in [&of_frontend, &of_checkout] {
        assert_eq!(totals["lost_frames"], 0);
        assert!(totals["merged_windows"].as_u64().unwrap() > 0, "no window was merged: {totals}");
    }
    assert!(of_checkout["duplicate_frames"].as_u64().unwrap() > 0, "no frame came twice");
    for envoy in [&frontend, &checkout] {
        let by_worker = envoy.admin().stats_matching("worker_.*downstream_cx_total").await.unwrap();
        let busy = by_worker.values().filter(|connections| **connections > 0).count();
        assert!(busy >= 2, "a worker had nothing to do: {by_worker:?}");
    }
}
