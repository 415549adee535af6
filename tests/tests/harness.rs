//! The harness itself: what the other tests stand on must not be the thing that lies.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use foresail_tests::load::{Payload, Protocol, Target};
use foresail_tests::random::LogNormal;
use foresail_tests::{
    Cluster, Endpoints, Envoy, Listener, Load, Outcome, Program, Results, Route, Service,
    ServiceConfig, Shot, WorkDir,
};
use tokio::time::{Instant, sleep};

const ANSWERED: fn(u16) -> Outcome = |status| Outcome::Answered { status, grpc: None };

/// `count` shots of each path, 5 ms apart.
fn plan(count: u32, paths: &[&str]) -> Arc<[Shot]> {
    let shots = (0..count).flat_map(|_| paths.iter().copied()).zip(0..);
    shots
        .map(|(path, n)| {
            let at = Duration::from_millis(5 * n);
            if path.starts_with("/grpc") { Shot::grpc(at, path) } else { Shot::get(at, path) }
        })
        .collect()
}

async fn play(address: SocketAddr, protocol: Protocol, plan: Arc<[Shot]>) -> Results {
    let target = Target { pools: 2, ..Target::new(address, protocol) };
    Load::start(&target, plan, Instant::now()).unwrap().finish().await.unwrap()
}

async fn proxy(directory: &WorkDir, service: &Service) -> Envoy {
    Envoy::builder("proxy")
        .workers(2)
        .listener(
            Listener::new("in")
                .access_log(&directory.file("access.log"), "%RESPONSE_CODE% %DURATION%")
                .route(Route::prefix("/direct").direct(418, "short"))
                .route(
                    Route::prefix("/delay").cluster("service").timeout(Duration::from_millis(50)),
                )
                .route(Route::prefix("/").cluster("service")),
        )
        .cluster(Cluster::fixed("service", service.address()).same_protocol())
        .start(directory)
        .await
        .unwrap()
}

#[tokio::test]
async fn every_kind_of_request_is_counted_alike_by_client_and_proxy() {
    let directory = WorkDir::new("kinds").unwrap();
    let service = Service::start(ServiceConfig::default()).await.unwrap();
    let mut envoy = proxy(&directory, &service).await;
    let address = envoy.address("in").unwrap();

    let paths = ["/", "/status/404", "/status/503", "/direct", "/delay/500", "/reset"];
    let first = play(address, Protocol::Http1, plan(10, &paths)).await;
    let paths = [&paths[..], &["/grpc/0", "/grpc/14", "/grpc-only/5"]].concat();
    let second = play(address, Protocol::Http2, plan(10, &paths)).await;

    for (results, runs) in [(&first, "HTTP/1"), (&second, "HTTP/2")] {
        for (status, count) in [(404, 10), (418, 10), (503, 20), (504, 10)] {
            assert_eq!(results.with_status(status), count, "{status} in {runs}: {results:?}");
        }
        assert_eq!(results.outcomes[&ANSWERED(200)], 10, "{runs}");
    }
    for grpc in [0, 14, 5] {
        let outcome = Outcome::Answered { status: 200, grpc: Some(grpc) };
        assert_eq!(second.outcomes[&outcome], 10, "gRPC status {grpc}");
    }
    let stats = envoy.admin().stats_matching("^http.in.downstream_rq").await.unwrap();
    assert_eq!(stats["http.in.downstream_rq_5xx"], 60);
    assert_eq!(stats["http.in.downstream_rq_2xx"], 50);
    assert_eq!(envoy.admin().stat("http.in.downstream_rq_4xx").await.unwrap(), 40);

    envoy.stop().await.unwrap();
    let log = std::fs::read_to_string(directory.file("access.log")).unwrap();
    assert_eq!(log.lines().count(), 150);
}

#[tokio::test]
async fn latency_counts_from_the_planned_time() {
    let work = Duration::from_millis(20);
    let config = ServiceConfig { concurrency: 1, ..ServiceConfig::default() };
    let service = Service::start(config).await.unwrap();
    let shots = (0..10).map(|_| Shot::get(Duration::ZERO, "/").with_work(work)).collect();
    let results = play(service.address(), Protocol::Http1, shots).await;
    // The tenth waits for nine others.
    assert!(results.quantile(1.0) >= 10 * work, "{:?}", results.quantile(1.0));
    assert!(results.quantile(0.05) < 5 * work, "{:?}", results.quantile(0.05));
}

#[tokio::test]
async fn a_slow_answer_and_no_answer_are_over_the_objective() {
    let service = Service::start(ServiceConfig::default()).await.unwrap();
    let target = Target {
        timeout: Duration::from_millis(500),
        objective: Duration::from_millis(100),
        warm_up: Duration::from_millis(1),
        ..Target::new(service.address(), Protocol::Http1)
    };
    let paths = ["/uncounted", "/", "/delay/200", "/delay/5000", "/status/500"];
    let load = Load::start(&target, plan(1, &paths), Instant::now()).unwrap();
    let results = load.finish().await.unwrap();
    assert_eq!((results.total(), results.within, results.over(), results.failed()), (4, 1, 3, 2));
    assert_eq!(results.outcomes[&Outcome::Failed("timeout")], 1);
    assert_eq!(service.requests(), 5);
}

#[tokio::test]
async fn streams_and_bodies_come_back_whole() {
    let service = Service::start(ServiceConfig::default()).await.unwrap();
    let mut shots = vec![Shot::get(Duration::ZERO, "/sse/3")];
    let payload = Payload::Post(vec![7; 100_000].into());
    shots.push(Shot { payload, ..Shot::get(Duration::ZERO, "/echo") });
    let results = play(service.address(), Protocol::Http2, shots.into()).await;
    assert_eq!(results.outcomes[&ANSWERED(200)], 2);
    assert!(results.quantile(1.0) >= Duration::from_millis(300));
}

#[tokio::test]
async fn a_proxy_follows_its_endpoints_file() {
    let directory = WorkDir::new("endpoints").unwrap();
    let work = Some(LogNormal::new(Duration::from_millis(1), 0.1));
    let config = ServiceConfig { work, ..ServiceConfig::default() };
    let (one, two) = (Service::start(config).await.unwrap(), Service::start(config).await.unwrap());
    let mut endpoints = Endpoints::new(&directory, "web").unwrap();
    endpoints.set(&[one.address()]).unwrap();
    let envoy = Envoy::builder("gateway")
        .listener(Listener::new("in").route(Route::prefix("/").cluster("web")))
        .cluster(Cluster::eds("web", &endpoints))
        .start(&directory)
        .await
        .unwrap();
    let address = envoy.address("in").unwrap();
    play(address, Protocol::Http1, plan(10, &["/"])).await;
    assert_eq!((one.requests(), two.requests()), (10, 0));

    endpoints.set(&[two.address()]).unwrap();
    let moved = "cluster.web.membership_change";
    while envoy.admin().stat(moved).await.unwrap() < 2 {
        sleep(Duration::from_millis(10)).await;
    }
    let results = play(address, Protocol::Http1, plan(10, &["/"])).await;
    assert_eq!((one.requests(), two.requests(), results.failed()), (10, 10, 0));
}

#[tokio::test]
async fn a_missing_program_says_which() {
    let directory = WorkDir::new("missing").unwrap();
    let log = directory.file("log");
    let error = Program::new("ghost", &directory.file("ghost"), &log).spawn().unwrap_err();
    assert!(error.to_string().contains("cannot start ghost"), "{error}");

    let mut early = Program::new("early", "/bin/sh".as_ref(), &log)
        .args(["-c", "echo no such option; exit 3"])
        .spawn()
        .unwrap();
    let never = || async { None::<()> };
    let error = early.wait_until(Duration::from_secs(5), never).await.unwrap_err().to_string();
    assert!(error.contains("early ended") && error.contains("no such option"), "{error}");
}

/// Not a test of its own: what the next test runs in a process that it kills.
#[tokio::test]
#[ignore = "sleeps until it is killed"]
async fn owner_of_a_process_and_a_directory() {
    let directory = WorkDir::new("owner").unwrap();
    let log = directory.file("log");
    let child = Program::new("child", "/bin/sleep".as_ref(), &log).arg("600").spawn().unwrap();
    let note = std::env::var("FORESAIL_TEST_NOTE").unwrap();
    std::fs::write(note, format!("{} {}", child.id(), directory.path().display())).unwrap();
    sleep(Duration::from_mins(10)).await;
}

#[tokio::test]
async fn a_killed_owner_leaves_neither_process_nor_directory() {
    let directory = WorkDir::new("killed").unwrap();
    let note = directory.file("note");
    let myself = std::env::current_exe().unwrap();
    let mut owner = Program::new("owner", &myself, &directory.file("owner.log"))
        .args(["--ignored", "--exact", "owner_of_a_process_and_a_directory"])
        .env("FORESAIL_TEST_NOTE", &note)
        .spawn()
        .unwrap();
    let read = || async {
        let text = std::fs::read_to_string(&note).ok()?;
        let (pid, path) = text.split_once(' ')?;
        Some((format!("/proc/{pid}/exe"), path.to_owned()))
    };
    let (child, path) = owner.wait_until(Duration::from_secs(10), read).await.unwrap();
    let exist = || [&child, &path].map(|path| std::fs::symlink_metadata(path).is_ok());
    assert_eq!(exist(), [true, true]);
    owner.kill();
    let deadline = Instant::now() + Duration::from_secs(10);
    while exist() != [false, false] && Instant::now() < deadline {
        sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(exist(), [false, false]);
}
