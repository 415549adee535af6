//! Never in the way: whatever the aggregator does or does not do, and whatever stands in the
//! plugin's configuration, requests do not notice.
//!
//! A proxy with a fault and one with a healthy aggregator take the same load at the same time, request
//! by request in turn, so that what the machine does meanwhile meets both alike. That is done in
//! short rounds. What counts are the median of the rounds' ratios of the two p99, and the ratio of the
//! two p99 over all rounds.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

#[path = "support/fake_server.rs"]
mod fake_server;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use fake_server::FakeServer;
use foresail_tests::load::{Protocol, Target};
use foresail_tests::{
    Aggregator, Cluster, Envoy, Listener, Load, Node, Results, Route, Service, ServiceConfig, Shot,
    WasmFilter, WorkDir, paths, ports,
};
use hdrhistogram::Histogram;
use http_body_util::Full;
use hyper::Response;
use hyper::body::Bytes;
use serde_json::json;
use tokio::time::Instant;

/// p99 with the fault over p99 without: median of the rounds, and over all of them.
const MOST: f64 = 1.05;
const ROUNDS: usize = 8;
/// While one of the two is above [`MOST`] there are further rounds: noise goes away, a fault that is in
/// the way does not.
const MAX_ROUNDS: usize = 24;
/// Longer than a report interval, so that every round has reports.
const ROUND: Duration = Duration::from_millis(1_200);
/// Requests at the begin of each round that are not counted.
const WARM_UP: Duration = Duration::from_millis(300);
/// Requests per second for each proxy.
const RATE: u32 = 300;
/// Work of a request: 45 to 50 ms, so that p99 is the work's and hardly the machine's.
const WORK: (Duration, Duration) = (Duration::from_millis(45), Duration::from_millis(5));

const GARBAGE_BYTES: usize = 10 << 20;
/// A mistake for each round.
const MALFORMED: [&str; ROUNDS] = [
    "",
    "{",
    "[]",
    "\u{0}\u{1}\u{2} not JSON at all",
    r#"{"report_interval": "1s"}"#,
    r#"{"cluster": 7, "path": [], "quantile_digits": 9, "identity": "me"}"#,
    r#"{"cluster": "foresail", "nonsense": true, "report_interval": "-1s"}"#,
    r#"{"cluster": "one that does not exist"}"#,
];
const WELL_FORMED: &str = r#"{"cluster": "foresail"}"#;

/// What all proxies share.
struct Stage {
    directory: WorkDir,
    service: Service,
}

impl Stage {
    async fn new(name: &str) -> Self {
        let directory = WorkDir::new(name).unwrap();
        let service = Service::start(ServiceConfig::default()).await.unwrap();
        Self { directory, service }
    }

    async fn proxy(&self, name: &str, aggregator: SocketAddr, config: &str) -> Envoy {
        let filter = WasmFilter::with_text(&paths::wasm().unwrap(), config);
        Envoy::builder(name)
            .workers(2)
            .node(&Node::new("shop", "checkout", name))
            .listener(
                Listener::new("in")
                    .inbound()
                    .route(Route::prefix("/").cluster("service"))
                    .filter(&filter),
            )
            .cluster(Cluster::fixed("service", self.service.address()))
            .cluster(Cluster::fixed("foresail", aggregator))
            .start(&self.directory)
            .await
            .unwrap()
    }

    /// A proxy whose aggregator works.
    async fn healthy(&self) -> (Aggregator, Envoy) {
        let config = json!({"workloads": []});
        let aggregator = Aggregator::start(&self.directory, config).await.unwrap();
        let address = ([127, 0, 0, 1], aggregator.port()).into();
        let envoy = self.proxy("healthy", address, WELL_FORMED).await;
        (aggregator, envoy)
    }
}

/// The same requests in every round; `late` shifts them by half the time between two.
fn plan(late: bool) -> Arc<[Shot]> {
    let count = RATE * u32::try_from((WARM_UP + ROUND).as_millis()).unwrap() / 1_000;
    let shot = |number: u32| {
        // Steps of the golden ratio spread evenly, whichever part of them is looked at.
        let spread = (f64::from(number) * 0.618_034).fract();
        let at = Duration::from_millis(500) * (2 * number + u32::from(late)) / RATE;
        Shot::get(at, "/").with_work(WORK.0 + WORK.1.mul_f64(spread))
    };
    (0..count).map(shot).collect()
}

/// Plays a round; results with the fault and without.
async fn round(faulty: &Envoy, healthy: &Envoy) -> [Results; 2] {
    let start = Instant::now() + Duration::from_millis(20);
    let loads = [(faulty, false), (healthy, true)].map(|(envoy, late)| {
        let address = envoy.address("in").unwrap();
        let target = Target { warm_up: WARM_UP, ..Target::new(address, Protocol::Http1) };
        Load::start(&target, plan(late), start).unwrap()
    });
    let [faulty, healthy] = loads;
    [faulty.finish().await.unwrap(), healthy.finish().await.unwrap()]
}

fn ratio(faulty: &Histogram<u64>, healthy: &Histogram<u64>) -> f64 {
    faulty.value_at_quantile(0.99) as f64 / healthy.value_at_quantile(0.99) as f64
}

/// The rounds of one fault.
struct Comparison {
    name: &'static str,
    /// By the proxies' own counters.
    requests: u64,
    failed: u64,
    ratios: Vec<f64>,
    /// Latencies of all rounds, with the fault and without.
    latencies: [Histogram<u64>; 2],
}

impl Comparison {
    fn new(name: &'static str) -> Self {
        let latencies = [(); 2].map(|()| Histogram::new(3).unwrap());
        Self { name, requests: 0, failed: 0, ratios: Vec::new(), latencies }
    }

    fn is_undecided(&self) -> bool {
        let rounds = self.ratios.len();
        rounds < ROUNDS || (rounds < MAX_ROUNDS && self.median().max(self.overall()) > MOST)
    }

    async fn round(&mut self, faulty: &Envoy, healthy: &Envoy) {
        let [faulty, healthy] = round(faulty, healthy).await;
        self.ratios.push(ratio(&faulty.latency, &healthy.latency));
        for (all, results) in self.latencies.iter_mut().zip([&faulty, &healthy]) {
            all.add(&results.latency).unwrap();
        }
        assert_eq!(healthy.failed(), 0, "with the healthy aggregator: {:?}", healthy.outcomes);
        assert_eq!(faulty.failed(), 0, "{}: {:?}", self.name, faulty.outcomes);
    }

    /// Takes the counters of a proxy with the fault when its rounds are over.
    async fn count(&mut self, faulty: &Envoy) {
        let counter = async |name: &str| {
            faulty.admin().stat(&format!("http.in.downstream_rq_{name}")).await.unwrap()
        };
        let total = counter("total").await;
        self.requests += total;
        self.failed += total - counter("2xx").await;
    }

    fn median(&self) -> f64 {
        let mut sorted = self.ratios.clone();
        sorted.sort_by(f64::total_cmp);
        let middle = sorted.len() / 2;
        f64::midpoint(sorted[middle], sorted[(sorted.len() - 1) / 2])
    }

    fn overall(&self) -> f64 {
        ratio(&self.latencies[0], &self.latencies[1])
    }

    #[expect(clippy::print_stdout, reason = "the figures that these tests are for")]
    fn judge(&self) {
        let ratios: Vec<_> = self.ratios.iter().map(|ratio| format!("{ratio:.3}")).collect();
        println!(
            "in the way: {}: {} of {} requests failed; p99 over that with a healthy aggregator: \
             {:.3} over all rounds, median {:.3} of {}",
            self.name,
            self.failed,
            self.requests,
            self.overall(),
            self.median(),
            ratios.join(" ")
        );
        assert_eq!(self.failed, 0, "{}", self.name);
        let planned = plan(false).len() * self.ratios.len();
        assert_eq!(self.requests, planned as u64, "{}", self.name);
        assert!(self.median() <= MOST, "{}: median {:.3}", self.name, self.median());
        assert!(self.overall() <= MOST, "{}: over all rounds {:.3}", self.name, self.overall());
    }
}

/// Compares a proxy whose aggregator is at `aggregator` with one whose aggregator works.
async fn compare(name: &'static str, aggregator: SocketAddr) {
    let stage = Stage::new("in-the-way").await;
    let (_aggregator, healthy) = stage.healthy().await;
    let faulty = stage.proxy("faulty", aggregator, WELL_FORMED).await;
    let mut comparison = Comparison::new(name);
    while comparison.is_undecided() {
        comparison.round(&faulty, &healthy).await;
    }
    comparison.count(&faulty).await;
    comparison.judge();
}

/// The same with an aggregator that the test makes up. It must have been asked in every round.
async fn compare_with(name: &'static str, answer: Option<(u16, Bytes)>) {
    let asked = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&asked);
    let aggregator = FakeServer::start(move |_| {
        count.fetch_add(1, Ordering::Relaxed);
        let answer = answer.clone();
        async move {
            let Some((status, body)) = answer else { return std::future::pending().await };
            Ok(Response::builder().status(status).body(Full::new(body)).unwrap())
        }
    })
    .await;
    compare(name, aggregator.address()).await;
    // One worker that waits five seconds for each answer asks at least so often.
    let asked = asked.load(Ordering::Relaxed);
    assert!(asked >= 4, "the aggregator was asked {asked} times");
}

fn garbage() -> Bytes {
    let mut random = 1_u64;
    let noise = std::iter::repeat_with(|| {
        // Xorshift (Marsaglia 2003).
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random.to_le_bytes()
    });
    noise.take(GARBAGE_BYTES / 8).flatten().collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_absent_aggregator_is_not_noticed() {
    compare("absent", ([127, 0, 0, 1], ports::free().unwrap()).into()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hanging_aggregator_is_not_noticed() {
    compare_with("hanging", None).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_aggregator_that_answers_500_is_not_noticed() {
    compare_with("answers 500", Some((500, Bytes::from_static(b"broken")))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_aggregator_that_answers_10_mb_of_garbage_is_not_noticed() {
    compare_with("answers 10 MB of garbage", Some((200, garbage()))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_malformed_configuration_is_not_noticed_but_in_the_log() {
    let stage = Stage::new("malformed").await;
    let (aggregator, healthy) = stage.healthy().await;
    let address = ([127, 0, 0, 1], aggregator.port()).into();
    let mut comparison = Comparison::new("malformed configuration");
    for config in MALFORMED.iter().cycle() {
        if !comparison.is_undecided() {
            break;
        }
        let mut faulty = stage.proxy("malformed", address, config).await;
        comparison.round(&faulty, &healthy).await;
        comparison.count(&faulty).await;
        let log = faulty.process().log_tail();
        assert!(log.contains("foresail: "), "nothing is said about {config:?}:\n{log}");
        assert!(!log.contains("panicked"), "{config:?}:\n{log}");
    }
    comparison.judge();
}
