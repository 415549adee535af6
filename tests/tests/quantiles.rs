//! Quantiles: what the aggregator says of latencies against the durations in Envoy's own access log
//! of the same run.
//!
//! `%CEL(request.duration)%` is the very value that the filter reads: from the first byte of the
//! request to the end of the stream. `%COMMON_DURATION(DS_RX_BEG:DS_TX_END:ns)%` ends earlier, with
//! the last byte written, and is some 10 us less.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use foresail_tests::load::{Protocol, Target};
use foresail_tests::random::{LogNormal, arrivals, seeded};
use foresail_tests::{
    Aggregator, Cluster, Envoy, Listener, Load, Node, Route, Service, ServiceConfig, Shot,
    WasmFilter, WorkDir, paths,
};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

const QUANTILES: [(&str, f64); 4] =
    [("0.5", 0.5), ("0.95", 0.95), ("0.99", 0.99), ("0.999", 0.999)];
const WORKLOAD: &str = "/v1/workloads/shop/checkout";

/// Requests per second, half in HTTP/1 and half in HTTP/2, and for how long.
const RATE: f64 = 1_200.0;
const LENGTH: Duration = Duration::from_secs(25);
/// Work from well below 1 ms to seconds: the median is 15 ms, one in a thousand takes over 2 s.
const SIGMA: f64 = 1.6;
const MEDIAN: Duration = Duration::from_millis(15);
const LONGEST: Duration = Duration::from_secs(8);
const DRAIN_LIMIT: Duration = Duration::from_secs(20);

fn plan(seed: u64) -> Arc<[Shot]> {
    let mut random = seeded(seed);
    let work = LogNormal::new(MEDIAN.mul_f64((SIGMA * SIGMA / 2.0).exp()), SIGMA);
    let arrivals = arrivals(&mut random, LENGTH, RATE / 2.0, |_| RATE / 2.0);
    let work = |at| {
        let work = work.sample(&mut random).min(LONGEST);
        // The service's timer ticks in milliseconds; less than one is no wait at all.
        let waits = work >= Duration::from_millis(1);
        Shot::get(at, "/").with_work(if waits { work } else { Duration::ZERO })
    };
    arrivals.into_iter().map(work).collect()
}

async fn sidecar(directory: &WorkDir, service: &Service, aggregator: &Aggregator) -> Envoy {
    let filter = WasmFilter::new(&paths::wasm().unwrap(), &json!({"cluster": "foresail"}));
    let log = directory.file("access.log");
    Envoy::builder("checkout-1")
        .workers(2)
        .node(&Node::new("shop", "checkout", "checkout-1"))
        .listener(
            Listener::new("in")
                .inbound()
                .access_log(&log, "%CEL(request.duration)%")
                .route(Route::prefix("/").cluster("service"))
                .filter(&filter),
        )
        .cluster(Cluster::fixed("service", service.address()).unlimited())
        .cluster(Cluster::fixed("foresail", ([127, 0, 0, 1], aggregator.port()).into()))
        .start(directory)
        .await
        .unwrap()
}

fn load(address: SocketAddr, protocol: Protocol, seed: u64) -> Load {
    let target =
        Target { pools: 8, timeout: Duration::from_mins(1), ..Target::new(address, protocol) };
    Load::start(&target, plan(seed), Instant::now()).unwrap()
}

/// Durations in µs, ascending. They are rounded down, as the filter does.
fn durations(log: &Path) -> Vec<u64> {
    let text = std::fs::read_to_string(log).unwrap();
    let mut micros: Vec<_> = text.lines().map(|line| micros(line).unwrap()).collect();
    micros.sort_unstable();
    micros
}

/// Reads `1m2.5s`, `1.25s`, `12.5ms` or `850.123us`.
fn micros(text: &str) -> Option<u64> {
    let mut seconds = 0.0;
    let mut rest = text;
    while !rest.is_empty() {
        let (number, tail) = rest.split_at(rest.find(|c: char| c.is_ascii_alphabetic())?);
        let (unit, tail) =
            tail.split_at(tail.find(|c: char| c.is_ascii_digit()).unwrap_or(tail.len()));
        let seconds_per_unit = match unit {
            "ns" => 1e-9,
            "us" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "m" => 60.0,
            _ => return None,
        };
        seconds += number.parse::<f64>().ok()? * seconds_per_unit;
        rest = tail;
    }
    u64::try_from(Duration::from_secs_f64(seconds).as_micros()).ok()
}

/// The value of rank `ceil(q · n)`.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a rank is from 1 to the number of requests"
)]
fn exact(sorted: &[u64], q: f64) -> u64 {
    sorted[(q * sorted.len() as f64).ceil() as usize - 1]
}

/// What the aggregator says when it has counted as many requests as there were.
async fn measured(aggregator: &Aggregator, requests: u64) -> Value {
    let names = QUANTILES.map(|(name, _)| name).join(",");
    let deadline = Instant::now() + DRAIN_LIMIT;
    loop {
        let latency = aggregator.json(&format!("{WORKLOAD}/latency?q={names}")).await;
        // The workload is not known before the first frame.
        let latency = latency.unwrap_or_default();
        if latency["count"].as_u64() >= Some(requests) || Instant::now() > deadline {
            return latency;
        }
        sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[expect(clippy::print_stdout, reason = "the figures that this test is for")]
async fn quantiles_are_within_one_percent_of_the_proxys_own_durations() {
    let directory = WorkDir::new("quantiles").unwrap();
    let aggregator = Aggregator::start(&directory, json!({"workloads": []})).await.unwrap();
    let service = Service::start(ServiceConfig::default()).await.unwrap();
    let mut sidecar = sidecar(&directory, &service, &aggregator).await;
    let address = sidecar.address("in").unwrap();

    let loads = [load(address, Protocol::Http1, 1), load(address, Protocol::Http2, 2)];
    for load in loads {
        let results = load.finish().await.unwrap();
        assert_eq!(results.failed(), 0, "{:?}", results.outcomes);
    }
    let requests = sidecar.admin().stat("http.in.downstream_rq_total").await.unwrap();
    let measured = measured(&aggregator, requests).await;
    sidecar.stop().await.unwrap();
    let durations = durations(&directory.file("access.log"));

    assert!(requests >= 25_000, "{requests}");
    assert_eq!(durations.len() as u64, requests);
    assert_eq!(measured["count"], requests, "{measured}");
    assert!(durations[0] < 1_000, "the shortest took {} us", durations[0]);
    println!(
        "quantiles: {requests} requests of {} us to {} us",
        durations[0],
        durations.last().unwrap()
    );
    for (name, q) in QUANTILES {
        let (exact, measured) =
            (exact(&durations, q), measured["quantiles"][name].as_u64().unwrap());
        let off = measured as f64 / exact as f64 - 1.0;
        println!(
            "quantiles: q {name}: aggregator {measured} us, access log {exact} us, {:+.2} %",
            100.0 * off
        );
        let within = off.abs() <= 0.01 || measured.abs_diff(exact) <= 1;
        assert!(within, "q {name}: aggregator {measured} us, access log {exact} us");
    }
}

#[test]
fn durations_are_read_as_envoy_writes_them() {
    let written = ["185.326us", "12.5ms", "1.25s", "1m2.5s", "900ns", "0"];
    let read = [Some(185), Some(12_500), Some(1_250_000), Some(62_500_000), Some(0), None];
    assert_eq!(written.map(micros), read);
}
