//! What the filter costs: CPU of a proxy's worker for each request, beside no filter and beside the
//! SDK's empty filter, and the memory of a VM with 64 series.
//!
//!     cargo bench -p foresail-tests --bench filter_cost [-- --rounds N] [-- --module NAME=FILE]...
//!
//! All proxies run at once, each with one worker, and are loaded in turn, round after round, so that
//! a slow minute of the machine is everybody's. A figure is the median over the rounds. CPU is what
//! the scheduler says the worker's thread has run, so that sleeping or waiting for a core is free.
#![expect(clippy::print_stdout, reason = "a bench prints its figures")]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use foresail_tests::{Cluster, Envoy, Listener, Route, WasmFilter, WorkDir, paths};
use serde_json::json;
use tokio::runtime::Runtime;

const CONNECTIONS: usize = 8;
const REQUESTS_PER_CONNECTION: usize = 500;
const DEFAULT_ROUNDS: usize = 25;
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
    let backend_address = backend.address("backend")?;

    let mut variants = Vec::new();
    for (name, module) in &settings.modules {
        let start = start(name, module.as_deref(), aggregator, backend_address, &directory);
        variants.push(runtime.block_on(start)?);
    }
    for way in WAYS {
        measure(&mut variants, way, settings.rounds)?;
    }
    drop(variants);
    memory(&runtime, &directory)
}

struct Settings {
    rounds: usize,
    modules: Vec<(String, Option<PathBuf>)>,
}

impl Settings {
    fn from_arguments() -> Result<Self> {
        let empty = paths::root().join("target/wasm/empty_filter.wasm");
        if !empty.is_file() {
            bail!("missing {}; run `make wasm`", empty.display());
        }
        let mut modules = vec![
            ("none".to_owned(), None),
            ("empty".to_owned(), Some(empty)),
            ("foresail".to_owned(), Some(paths::wasm()?)),
        ];
        let mut rounds = DEFAULT_ROUNDS;
        let mut arguments = std::env::args().skip(1);
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--rounds" => rounds = arguments.next().context("--rounds N")?.parse()?,
                "--module" => {
                    let given = arguments.next().context("--module NAME=FILE")?;
                    let (name, file) = given.split_once('=').context("--module NAME=FILE")?;
                    modules.push((name.to_owned(), Some(PathBuf::from(file))));
                }
                // cargo says this to every bench.
                "--bench" => {}
                other => bail!("no argument {other}; there are --rounds and --module"),
            }
        }
        Ok(Self { rounds, modules })
    }
}

async fn start(
    name: &str,
    module: Option<&Path>,
    aggregator: SocketAddr,
    backend: SocketAddr,
    directory: &WorkDir,
) -> Result<Variant> {
    let config = json!({
        "cluster": "aggregator",
        "direction": "inbound",
        "identity": {"namespace": "bench", "workload": name, "pod": "bench-0"},
    });
    let filter = module.map(|module| WasmFilter::new(module, &config));
    let with_filter = |listener: Listener| match &filter {
        Some(filter) => listener.filter(filter),
        None => listener,
    };
    let direct = Listener::new("direct").route(Route::prefix("/").direct(200, "ok"));
    let upstream = Listener::new("upstream").route(Route::prefix("/").cluster("backend"));
    let mut proxy = Envoy::builder(name)
        .cluster(Cluster::fixed("aggregator", aggregator))
        .cluster(Cluster::fixed("backend", backend).unlimited())
        .listener(with_filter(direct))
        .listener(with_filter(upstream))
        .start(directory)
        .await?;
    let worker = worker_thread(proxy.process().id())?;
    Ok(Variant { name: name.to_owned(), proxy, worker })
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

/// Loads all proxies in turn and prints what a request cost in each.
fn measure(variants: &mut [Variant], way: Way, rounds: usize) -> Result<()> {
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
    let medians: Vec<f64> = costs.iter_mut().map(|costs| median(costs)).collect();
    let of = |name: &str| {
        let found = variants.iter().zip(&medians).find(|(variant, _)| variant.name == name);
        found.map_or(f64::NAN, |(_, median)| *median)
    };
    let added = of("empty") - of("none");
    let figures: Vec<_> = variants
        .iter()
        .zip(&medians)
        .map(|(variant, median)| format!("{} {median:.2} us", variant.name))
        .collect();
    println!(
        "filter cost: {}: {}; added ratio {:.2} (goal <= 1.0)",
        way.title,
        figures.join(", "),
        (of("foresail") - of("none")) / added,
    );
    for (variant, median) in variants.iter().zip(&medians).skip(3) {
        println!("  {}: added ratio {:.2}", variant.name, (median - of("none")) / added);
    }
    for variant in variants.iter_mut() {
        let log = variant.proxy.process().log_tail();
        if log.contains("foresail: configuration") {
            bail!("the filter of {} does not record:\n{log}", variant.name);
        }
    }
    Ok(())
}

fn median(values: &mut [f64]) -> f64 {
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
