//! The filter in a real proxy: each kind of request is counted as what it is.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use foresail_tests::load::{Protocol, Target};
use foresail_tests::{
    Cluster, Envoy, Listener, Load, Node, Route, Service, ServiceConfig, Shot, WasmFilter, WorkDir,
    paths,
};
use foresail_wire::{Direction, Frame, Series, decode};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

/// Takes every frame and keeps its bytes.
#[derive(Clone)]
struct Sink {
    address: SocketAddr,
    frames: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl Sink {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let sink = Self { address: listener.local_addr().unwrap(), frames: Arc::default() };
        let frames = Arc::clone(&sink.frames);
        std::thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                let frames = Arc::clone(&frames);
                std::thread::spawn(move || take_frames(connection, &frames));
            }
        });
        sink
    }

    /// All that was counted, by series.
    fn series(&self) -> Vec<Series<'static>> {
        let mut all: Vec<Series<'static>> = Vec::new();
        for bytes in self.frames.lock().unwrap().iter() {
            let frame: Frame<'static> = decode(Vec::leak(bytes.clone())).unwrap();
            assert_eq!(frame.identity.namespace.as_str(), "shop");
            assert_eq!(frame.identity.workload.as_str(), "cart");
            assert_eq!(frame.identity.pod.as_str(), "cart-0");
            assert_eq!(frame.identity.revision.as_str(), "v1");
            assert_eq!(frame.health.unreadable, 0);
            for series in frame.series {
                match all.iter_mut().find(|known| known.key == series.key) {
                    Some(known) => known.merge(&series),
                    None => all.push(series),
                }
            }
        }
        all
    }
}

fn take_frames(mut connection: TcpStream, frames: &Mutex<Vec<Vec<u8>>>) -> Option<()> {
    let mut bytes = Vec::new();
    let mut buffer = vec![0; 65_536];
    loop {
        let read = connection.read(&mut buffer).ok().filter(|read| *read > 0)?;
        bytes.extend_from_slice(buffer.get(..read)?);
        while let Some((body, end)) = first_body(&bytes) {
            frames.lock().unwrap().push(body);
            bytes.drain(..end);
            connection.write_all(b"HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n").ok()?;
        }
    }
}

fn first_body(bytes: &[u8]) -> Option<(Vec<u8>, usize)> {
    let head = bytes.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
    let text = std::str::from_utf8(bytes.get(..head)?).ok()?.to_ascii_lowercase();
    assert!(text.starts_with("post /v1/frames "), "{text}");
    let length = text.split("content-length:").nth(1)?.lines().next()?.trim().parse::<usize>();
    let end = head + length.ok()?;
    Some((bytes.get(head..end)?.to_vec(), end))
}

struct Bench {
    sink: Sink,
    proxy: Envoy,
    _service: Service,
    _directory: WorkDir,
}

impl Bench {
    /// A sidecar with the filter on listener `in` in front of a service.
    async fn start(name: &str, listener: Listener, config: Value) -> Self {
        let directory = WorkDir::new(name).unwrap();
        let service = Service::start(ServiceConfig::default()).await.unwrap();
        let sink = Sink::start();
        let filter = WasmFilter::new(&paths::wasm().unwrap(), &config);
        let proxy = Envoy::builder("sidecar")
            .workers(2)
            .node(&Node::new("shop", "cart", "cart-0"))
            .listener(
                listener
                    .filter(&filter)
                    .route(
                        Route::prefix("/delay")
                            .cluster("service")
                            .timeout(Duration::from_millis(50)),
                    )
                    .route(Route::prefix("/").cluster("service").name("everything")),
            )
            .cluster(Cluster::fixed("service", service.address()).same_protocol())
            .cluster(Cluster::fixed("aggregator", sink.address))
            .start(&directory)
            .await
            .unwrap();
        Self { sink, proxy, _service: service, _directory: directory }
    }

    async fn play(&self, protocol: Protocol, shots: &[(&str, u32)]) {
        let list = shots.iter().flat_map(|(path, count)| (0..*count).map(|_| *path));
        let plan: Arc<[Shot]> = list
            .zip(0..)
            .map(|(path, n)| {
                let at = Duration::from_millis(5 * n);
                if path.contains("grpc") { Shot::grpc(at, path) } else { Shot::get(at, path) }
            })
            .collect();
        let target =
            Target { pools: 2, ..Target::new(self.proxy.address("in").unwrap(), protocol) };
        Load::start(&target, plan, Instant::now()).unwrap().finish().await.unwrap();
    }

    /// What was counted, once the last window has come in.
    async fn counted(self) -> Vec<Series<'static>> {
        sleep(Duration::from_millis(2_500)).await;
        self.sink.series()
    }

    async fn counted_one(self) -> Series<'static> {
        let mut series = self.counted().await;
        assert_eq!(series.len(), 1, "{series:?}");
        series.remove(0)
    }
}

/// Response flags by the bits of Envoy's `CoreResponseFlag`.
const UPSTREAM_REQUEST_TIMEOUT: u8 = 2;
const UPSTREAM_REMOTE_RESET: u8 = 4;
const UPSTREAM_CONNECTION_TERMINATION: u8 = 6;
const DOWNSTREAM_CONNECTION_TERMINATION: u8 = 14;
const UPSTREAM_PROTOCOL_ERROR: u8 = 23;

#[tokio::test]
async fn http1_statuses_resets_timeouts_and_streams_are_told_apart() {
    let bench = Bench::start(
        "filter-http1",
        Listener::new("in").inbound(),
        json!({"cluster": "aggregator"}),
    )
    .await;
    let shots = [
        ("/", 20),
        ("/status/404", 7),
        ("/delay/500", 5),
        ("/reset", 4),
        ("/cut", 3),
        ("/sse/3", 6),
    ];
    bench.play(Protocol::Http1, &shots).await;
    let series = bench.counted_one().await;

    assert_eq!(series.key.direction, Direction::Inbound);
    assert_eq!(series.codes.iter().collect::<Vec<_>>(), [(200, 29), (404, 7), (503, 4), (504, 5)]);
    assert_eq!(series.flags.get(UPSTREAM_REQUEST_TIMEOUT), 5);
    assert_eq!(series.flags.get(UPSTREAM_CONNECTION_TERMINATION), 4);
    // A body that ends too early, after a status of 200.
    assert_eq!(series.flags.get(UPSTREAM_PROTOCOL_ERROR), 3);
    assert_eq!(series.streams.finished, 6);
    assert!(series.streams.duration_micros >= 6 * 200_000);
    assert_eq!(series.first_byte.total(), 6);
    assert_eq!(series.latency.total(), 39);
    assert!(series.grpc.is_empty());
}

#[tokio::test]
async fn grpc_statuses_come_from_trailers_and_headers() {
    let config = json!({"cluster": "aggregator", "report_interval": "500ms"});
    let bench = Bench::start("filter-grpc", Listener::new("in").inbound(), config).await;
    let shots = [("/grpc/0", 11), ("/grpc/14", 5), ("/grpc-only/7", 3), ("/reset", 2), ("/", 4)];
    bench.play(Protocol::Http2, &shots).await;
    let series = bench.counted_one().await;

    assert_eq!(series.grpc.iter().collect::<Vec<_>>(), [(0, 11), (7, 3), (14, 5)]);
    assert_eq!(series.codes.iter().collect::<Vec<_>>(), [(200, 23), (503, 2)]);
    assert_eq!(series.flags.get(UPSTREAM_REMOTE_RESET), 2, "{:?}", series.flags);
    assert_eq!(series.latency.total(), 25);
}

#[tokio::test]
async fn outbound_requests_carry_service_and_template() {
    let config = json!({
        "cluster": "aggregator",
        "route_labels": "path",
        "path_templates": ["/users/{id}", "/users/{id}/orders"],
    });
    let bench = Bench::start("filter-outbound", Listener::new("in").outbound(), config).await;
    let shots = [("/users/1?tab=2", 3), ("/users/2", 2), ("/users/2/orders", 4), ("/", 1)];
    bench.play(Protocol::Http1, &shots).await;
    let found: Vec<_> = bench
        .counted()
        .await
        .iter()
        .map(|s| {
            (
                s.key.direction,
                s.key.destination.to_string(),
                s.key.route.to_string(),
                s.codes.total(),
            )
        })
        .collect();
    let expected =
        |route: &str, count| (Direction::Outbound, "service".to_owned(), route.to_owned(), count);
    for each in
        [expected("/users/{id}", 5), expected("/users/{id}/orders", 4), expected("other", 1)]
    {
        assert!(found.contains(&each), "{each:?} in {found:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_goes_away_is_flagged() {
    let config = json!({"cluster": "aggregator"});
    let bench = Bench::start("filter-abort", Listener::new("in").inbound(), config).await;
    let mut client = TcpStream::connect(bench.proxy.address("in").unwrap()).unwrap();
    client.write_all(b"GET /sse/50 HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
    let mut some = [0; 64];
    assert!(client.read(&mut some).unwrap() > 0);
    drop(client);
    let series = bench.counted_one().await;

    assert_eq!(series.codes.get(200), 1);
    assert_eq!(series.streams.finished, 1);
    assert_eq!(series.flags.iter().collect::<Vec<_>>(), [(DOWNSTREAM_CONNECTION_TERMINATION, 1)]);
}
