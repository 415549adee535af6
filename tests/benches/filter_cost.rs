//! What the filter costs: CPU of a proxy's worker for each request, beside no filter, the SDK's empty
//! filter, and a module that asks the proxy the same and keeps nothing (`tests/bare-recorder`); and
//! the memory of a VM with 64 series.
//!
//!     cargo bench -p foresail-tests --bench filter_cost -- [--rounds N] [--calls] [--module NAME=FILE]...
//!
//! `--calls` measures each callback and each question by itself instead, with direct responses.
//!
//! All proxies run at once, each with one worker, and are loaded in turn, round after round, so that
//! a slow moment of the machine is everybody's. What a filter adds is the median over the rounds of
//! its difference to no filter in the same round. CPU is what the scheduler says the worker's thread
//! has run, so that sleeping or waiting for a core is free.
#![expect(clippy::print_stdout, reason = "a bench prints its figures")]

#[path = "support/contenders.rs"]
mod contenders;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use contenders::{BARE, CALLBACKS, EMPTY, FORESAIL, Module, Settings};
use foresail_tests::{Cluster, Envoy, Listener, Route, WasmFilter, WorkDir, paths};
use serde_json::json;
use tokio::runtime::Runtime;

const CONNECTIONS: usize = 8;
const REQUESTS_PER_CONNECTION: usize = 100;
const SERIES: usize = 64;
const MEMORY_GOAL_KIB: u64 = 4 * 1024;
const REQUEST: &[u8] = b"GET /items/1 HTTP/1.1\r\nhost: bench\r\nuser-agent: bench\r\n\r\n";

/// A proxy under load.
struct Variant {
    name: String,
    proxy: Envoy,
    worker: PathBuf,
}

/// A way a request may take.
#[derive(Clone, Copy)]
struct Way {
    listener: &'static str,
    title: &'static str,
}

const WAYS: [Way; 2] = [
    Way { listener: "direct", title: "direct response" },
    Way { listener: "upstream", title: "upstream" },
];

fn main() -> Result<()> {
    let settings = Settings::from_arguments()?;
    let runtime = Runtime::new()?;
    let directory = WorkDir::new("filter-cost")?;
    let aggregator = acknowledging_aggregator()?;
    let backend = runtime.block_on(
        Envoy::builder("backend")
            .listener(Listener::new("backend").route(Route::prefix("/").direct(200, "ok")))
            .start(&directory),
    )?;
    let addresses = (aggregator, backend.address("backend")?);

    let mut variants = Vec::new();
    for module in &settings.modules {
        variants.push(runtime.block_on(start(module, addresses, &directory))?);
    }
    let [direct, upstream] = WAYS;
    if settings.calls {
        let costs = measure(&mut variants, direct, settings.rounds)?;
        print_calls(&costs);
        return Ok(());
    }
    for way in [direct, upstream] {
        let costs = measure(&mut variants, way, settings.rounds)?;
        print_ratios(way, &costs);
    }
    drop(variants);
    memory(&runtime, &directory)
}

async fn start(
    module: &Module,
    (aggregator, backend): (SocketAddr, SocketAddr),
    directory: &WorkDir,
) -> Result<Variant> {
    let filter = module.file.as_deref().map(|file| WasmFilter::new(file, &module.config));
    let with_filter = |listener: Listener| match &filter {
        Some(filter) => listener.filter(filter),
        None => listener,
    };
    let direct = Listener::new("direct").route(Route::prefix("/").direct(200, "ok"));
    let upstream = Listener::new("upstream").route(Route::prefix("/").cluster("backend"));
    let mut proxy = Envoy::builder(&module.name)
        .cluster(Cluster::fixed("aggregator", aggregator))
        .cluster(Cluster::fixed("backend", backend).unlimited())
        .listener(with_filter(direct))
        .listener(with_filter(upstream))
        .start(directory)
        .await?;
    let worker = worker_thread(proxy.process().id())?;
    Ok(Variant { name: module.name.clone(), proxy, worker })
}

/// `schedstat` of the thread that serves requests.
fn worker_thread(process: u32) -> Result<PathBuf> {
    for task in std::fs::read_dir(format!("/proc/{process}/task"))? {
        let task = task?.path();
        if std::fs::read_to_string(task.join("comm"))?.starts_with("wrk:worker_0") {
            return Ok(task.join("schedstat"));
        }
    }
    bail!("process {process} has no thread wrk:worker_0")
}

/// Nanoseconds that a thread has run.
fn cpu_nanos(schedstat: &Path) -> Result<u64> {
    let text = std::fs::read_to_string(schedstat)?;
    Ok(text.split_whitespace().next().context("empty schedstat")?.parse()?)
}

/// What a request cost in a proxy, µs of CPU.
struct Cost {
    name: String,
    whole: f64,
    /// More than in the first proxy, which has no filter.
    added: f64,
}

/// Loads all proxies in turn.
fn measure(variants: &mut [Variant], way: Way, rounds: usize) -> Result<Vec<Cost>> {
    let mut clients = Vec::new();
    for variant in variants.iter() {
        clients.push(Client::connect(variant.proxy.address(way.listener)?)?);
    }
    let mut costs = vec![Vec::new(); variants.len()];
    for round in 0..=rounds {
        for ((variant, client), costs) in variants.iter().zip(&mut clients).zip(&mut costs) {
            let before = cpu_nanos(&variant.worker)?;
            client.load(REQUESTS_PER_CONNECTION)?;
            let nanos = cpu_nanos(&variant.worker)? - before;
            // The first round warms up.
            if round > 0 {
                let requests = CONNECTIONS * REQUESTS_PER_CONNECTION;
                costs.push(nanos as f64 / requests as f64 / 1_000.0);
            }
        }
    }
    for variant in variants.iter_mut() {
        let log = variant.proxy.process().log_tail();
        if log.contains("foresail: configuration") {
            bail!("the filter of {} does not record:\n{log}", variant.name);
        }
    }
    let without = costs.first().cloned().unwrap_or_default();
    let of = |(variant, costs): (&Variant, Vec<f64>)| {
        let differences = costs.iter().zip(&without).map(|(cost, without)| cost - without);
        let added = median(differences.collect());
        Cost { name: variant.name.clone(), whole: median(costs), added }
    };
    Ok(variants.iter().zip(costs).map(of).collect())
}

fn print_ratios(way: Way, costs: &[Cost]) {
    let added = |name: &str| {
        costs.iter().find(|cost| cost.name == name).map_or(f64::NAN, |cost| cost.added)
    };
    let none = costs.first().map_or(f64::NAN, |cost| cost.whole);
    println!("filter cost: {}: no filter {none:.1} us of CPU a request", way.title);
    for Cost { name, added: micros, .. } in costs.iter().skip(1) {
        let ratio = micros / added(EMPTY);
        println!("filter cost: {}: {name} adds {micros:.2} us, ratio {ratio:.2}", way.title);
    }
    println!(
        "filter cost: {}: {FORESAIL} / {EMPTY} {:.2} (goal <= 1.0), {FORESAIL} / {BARE} {:.2}",
        way.title,
        added(FORESAIL) / added(EMPTY),
        added(FORESAIL) / added(BARE),
    );
}

/// What each question adds to a module with the two callbacks and none.
fn print_calls(costs: &[Cost]) {
    let callbacks = costs.iter().find(|cost| cost.name == CALLBACKS);
    let callbacks = callbacks.map_or(f64::NAN, |cost| cost.added);
    for Cost { name, added, .. } in costs.iter().skip(1) {
        let more = added - callbacks;
        println!("filter calls: {name}: {added:.2} us, {more:+.2} us to the callbacks alone");
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Some HTTP/1 connections that ask for the same again and again.
struct Client {
    connections: Vec<TcpStream>,
}

impl Client {
    fn connect(address: SocketAddr) -> Result<Self> {
        let connect = || {
            let connection = TcpStream::connect(address)?;
            connection.set_nodelay(true)?;
            connection.set_read_timeout(Some(Duration::from_secs(10)))?;
            Ok(connection)
        };
        let connections = (0..CONNECTIONS).map(|_| connect()).collect::<Result<_>>()?;
        Ok(Self { connections })
    }

    /// Sends so many requests on each connection, one at a time.
    fn load(&mut self, requests: usize) -> Result<()> {
        let mut buffer = [0; 4096];
        for _ in 0..requests {
            for connection in &mut self.connections {
                connection.write_all(REQUEST)?;
            }
            for connection in &mut self.connections {
                read_answer(connection, &mut buffer)?;
            }
        }
        Ok(())
    }
}

/// Reads one answer of status 200 with a `content-length` of 2.
fn read_answer(connection: &mut TcpStream, buffer: &mut [u8]) -> Result<()> {
    let mut filled = 0;
    loop {
        let free = buffer.get_mut(filled..).context("the answer is too long")?;
        let read = connection.read(free)?;
        if read == 0 {
            bail!("the proxy closed a connection");
        }
        filled += read;
        let answer = buffer.get(..filled).unwrap_or_default();
        if answer.ends_with(b"\r\n\r\nok") {
            if !answer.starts_with(b"HTTP/1.1 200 ") {
                bail!("the proxy answered {}", String::from_utf8_lossy(answer));
            }
            return Ok(());
        }
    }
}

/// Answers 202 to every frame, on a thread for each connection, until the bench ends.
fn acknowledging_aggregator() -> Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    std::thread::spawn(move || {
        for connection in listener.incoming().flatten() {
            std::thread::spawn(move || acknowledge(connection));
        }
    });
    Ok(address)
}

fn acknowledge(mut connection: TcpStream) -> Option<()> {
    let mut bytes = Vec::new();
    let mut buffer = vec![0; 65_536];
    loop {
        let read = connection.read(&mut buffer).ok().filter(|read| *read > 0)?;
        bytes.extend_from_slice(buffer.get(..read)?);
        while let Some(end) = request_end(&bytes) {
            bytes.drain(..end);
            connection.write_all(b"HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n").ok()?;
        }
    }
}

/// Length of the first request in `bytes` if it is whole.
fn request_end(bytes: &[u8]) -> Option<usize> {
    let head = bytes.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
    let text = std::str::from_utf8(bytes.get(..head)?).ok()?.to_ascii_lowercase();
    let length = text.split("content-length:").nth(1)?.lines().next()?.trim();
    let end = head + length.parse::<usize>().ok()?;
    (end <= bytes.len()).then_some(end)
}

/// Fills 64 series, window after window, while no aggregator answers, and prints the memory that
/// the filter says it has.
fn memory(runtime: &Runtime, directory: &WorkDir) -> Result<()> {
    let templates: Vec<_> = (0..SERIES - 1).map(|n| format!("/service-{n}/{{id}}")).collect();
    let config = json!({
        "cluster": "aggregator",
        "direction": "inbound",
        "identity": {"namespace": "bench", "workload": "memory", "pod": "bench-0"},
        "report_interval": "200ms",
        "route_labels": "path",
        "path_templates": templates,
    });
    let nowhere = SocketAddr::from(([127, 0, 0, 1], 9));
    let filter = WasmFilter::new(&paths::wasm()?, &config);
    let listener =
        Listener::new("memory").route(Route::prefix("/").direct(200, "ok")).filter(&filter);
    let mut proxy = runtime.block_on(
        Envoy::builder("memory")
            .log_level("debug")
            .cluster(Cluster::fixed("aggregator", nowhere))
            .listener(listener)
            .start(directory),
    )?;
    let mut client = TcpStream::connect(proxy.address("memory")?)?;
    let mut buffer = [0; 4096];
    for _ in 0..60 {
        for n in 0..SERIES {
            let request = format!("GET /service-{n}/1?q=2 HTTP/1.1\r\nhost: bench\r\n\r\n");
            client.write_all(request.as_bytes())?;
            read_answer(&mut client, &mut buffer)?;
        }
        std::thread::sleep(Duration::from_millis(150));
    }
    let log = std::fs::read_to_string(proxy.process().log())?;
    let kib = log
        .lines()
        .filter_map(|line| line.split_once("foresail: memory is "))
        .filter_map(|(_, rest)| rest.split(' ').next()?.parse::<u64>().ok())
        .max()
        .context("the filter did not say how much memory it has")?;
    println!(
        "filter memory: {SERIES} series, 30 windows waiting: {kib} KiB a VM (goal < {MEMORY_GOAL_KIB})"
    );
    Ok(())
}
