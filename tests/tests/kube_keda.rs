//! KEDA's own client asks our external scaler: every method, and every way to fail. What is not
//! known is an error, never a zero.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking"
)]
#![expect(clippy::print_stdout, reason = "how soon a stream tells is printed, not asserted")]

#[path = "support/fake_server.rs"]
mod fake_server;
#[path = "support/proxies.rs"]
mod proxies;

use std::net::SocketAddr;
use std::process::Stdio;
use std::time::Duration;

use fake_server::FakeServer;
use foresail_tests::{Aggregator, WorkDir, clock, paths, ports};
use http_body_util::Full;
use hyper::Response;
use proxies::Proxies;
use rcgen::{CertificateParams, CertifiedIssuer, DnType, KeyPair};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::{Instant, sleep};

/// Until something that must happen has happened; long, for a busy machine.
const LIMIT: Duration = Duration::from_mins(1);
/// Replicas that the webhook tells, each with a proxy that is heard.
const REPLICAS: u32 = 2;
/// Requests per second that a replica may have.
const TARGET_RPS: u32 = 10;

/// A webhook that tells replica counts; in shadow mode nothing is written.
async fn webhook() -> FakeServer {
    FakeServer::start(|_| async {
        let counts = json!({"current_replicas": REPLICAS, "ready_replicas": REPLICAS});
        Ok(Response::new(Full::new(counts.to_string().into())))
    })
    .await
}

fn workload(name: &str, actuator: &Value) -> Value {
    json!({
        "namespace": "shop",
        "name": name,
        "max_replicas": 50,
        "objective": {"latency": "250ms"},
        "target_rps_per_replica": TARGET_RPS,
        "decision_interval": "1s",
        "staleness": {"hold_after": "2s", "fallback_after": "2s"},
        "actuator": actuator,
    })
}

/// An aggregator that KEDA may ask at a port, of a workload `web` and one, `blind`, whose replicas
/// nobody tells.
async fn aggregator(directory: &WorkDir, webhook: SocketAddr, keda: &Value) -> Aggregator {
    let told = json!({"webhook": {"url": format!("http://{webhook}/")}});
    let workloads = [workload("web", &told), workload("blind", &json!("none"))];
    Aggregator::start(directory, json!({"workloads": workloads, "keda": keda})).await.unwrap()
}

/// KEDA's client for one address.
struct Keda {
    port: u16,
    flags: Vec<String>,
}

impl Keda {
    const fn plain(port: u16) -> Self {
        Self { port, flags: Vec::new() }
    }

    fn command(&self, method: &str, request: &Value, lasting: &str) -> Command {
        let mut command = Command::new(paths::keda_client().unwrap());
        command
            .args(&self.flags)
            .args(["-for", lasting, &format!("127.0.0.1:{}", self.port), method])
            .arg(request.to_string())
            .stdin(Stdio::null())
            .kill_on_drop(true);
        command
    }

    /// Calls a method; the answer, or the code and text of the error.
    async fn ask(&self, method: &str, request: &Value) -> Result<Value, (String, String)> {
        let output = self.command(method, request, "5s").output().await.unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let line: Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
        let part = |name: &str| line["error"][name].as_str().unwrap_or_default().to_owned();
        if line["error"].is_null() {
            Ok(line["answer"].clone())
        } else {
            Err((part("code"), part("message")))
        }
    }

    /// The code of the error that a call must end with.
    async fn code(&self, method: &str, request: &Value) -> String {
        match self.ask(method, request).await {
            Ok(answer) => panic!("{method} {request} answered {answer}"),
            Err((code, _)) => code,
        }
    }

    /// Asks again and again until `is_it` says yes.
    async fn until(
        &self,
        method: &str,
        request: &Value,
        is_it: impl Fn(&Result<Value, (String, String)>) -> bool,
    ) -> Result<Value, (String, String)> {
        let deadline = Instant::now() + LIMIT;
        loop {
            let answer = self.ask(method, request).await;
            if is_it(&answer) {
                return answer;
            }
            assert!(Instant::now() < deadline, "{method} still answers {answer:?}");
            sleep(Duration::from_millis(100)).await;
        }
    }

    fn stream(&self, method: &str, request: &Value) -> Stream {
        let mut child =
            self.command(method, request, "10m").stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Stream { lines, _child: child }
    }
}

/// A stream of answers.
struct Stream {
    lines: Lines<BufReader<ChildStdout>>,
    _child: Child,
}

impl Stream {
    async fn next(&mut self) -> Value {
        let line = tokio::time::timeout(LIMIT, self.lines.next_line()).await;
        serde_json::from_str(&line.unwrap().unwrap().unwrap()).unwrap()
    }
}

/// A `ScaledObject` in the namespace `shop`, with its trigger's metadata.
fn object(name: &str, metadata: &Value) -> Value {
    json!({"name": name, "namespace": "shop", "scalerMetadata": metadata})
}

fn metrics(object: &Value, metric: &str) -> Value {
    json!({"scaledObjectRef": object, "metricName": metric})
}

fn specification(metric: &str, whole: &str, float: &Value) -> Value {
    json!({"metricSpecs": [
        {"metricName": metric, "targetSize": whole, "targetSizeFloat": float}
    ]})
}

/// The desired replicas as the API shows them.
async fn shown(aggregator: &Aggregator) -> u64 {
    let decisions = aggregator.json("/v1/workloads/shop/web/decisions?limit=1").await.unwrap();
    decisions["decisions"][0]["desired_replicas"].as_u64().unwrap()
}

#[tokio::test]
async fn keda_is_told_what_was_decided_while_it_is_fresh_and_an_error_otherwise() {
    let directory = WorkDir::new("keda").unwrap();
    let webhook = webhook().await;
    let port = ports::free().unwrap();
    let listen = json!({"listen": format!("127.0.0.1:{port}")});
    let aggregator = aggregator(&directory, webhook.address(), &listen).await;
    let keda = Keda::plain(port);
    let web = object("web", &json!({"scalerAddress": "foresail:9444"}));
    let desired = metrics(&web, "foresail_desired_replicas");
    let is_known = Result::is_ok;
    let is_old = |answer: &Result<Value, (String, String)>| {
        answer
            .as_ref()
            .is_err_and(|(code, text)| code == "Unavailable" && text.contains("telemetry"))
    };

    // Before any telemetry: the specification is there all the same.
    let specified = specification("foresail_desired_replicas", "1", &json!(1));
    assert_eq!(keda.ask("GetMetricSpec", &web).await, Ok(specified.clone()));
    for (method, request) in [("IsActive", &web), ("GetMetrics", &desired)] {
        assert_eq!(keda.code(method, request).await, "Unavailable");
    }
    let mut active = keda.stream("StreamIsActive", &web);
    let mut specs = keda.stream("StreamMetricSpec", &web);
    assert_eq!(specs.next().await, json!({"answer": specified}));

    // With telemetry: what was decided, in both fields.
    let proxies = Proxies::new(&aggregator, "shop", "web");
    proxies.see(60);
    assert_eq!(active.next().await, json!({"answer": {"result": true}}));
    print_how_soon(&aggregator).await;
    assert_eq!(keda.ask("IsActive", &web).await, Ok(json!({"result": true})));
    says_what_was_decided(&keda, &aggregator, &desired).await;

    // Silent proxies: errors, and on the stream no word at all until they are back.
    proxies.fall_silent();
    keda.until("GetMetrics", &desired, is_old).await.unwrap_err();
    keda.until("IsActive", &web, is_old).await.unwrap_err();
    assert_eq!(keda.ask("GetMetricSpec", &web).await, Ok(specified));
    proxies.see(0);
    assert_eq!(active.next().await, json!({"answer": {"result": true}}));
    // Proven idle is not unknown.
    keda.until("GetMetrics", &desired, is_known).await.unwrap();
    let counted = aggregator.text("/metrics").await.unwrap();
    let counts = |answer: &str| {
        counted.contains(&format!("scaling_questions_total{{from=\"keda\",answer=\"{answer}\"}}"))
    };
    assert!(counts("ok") && counts("stale") && counts("unknown"), "{counted}");
}

/// From the first decision that knew of telemetry to now, when the stream has told.
async fn print_how_soon(aggregator: &Aggregator) {
    let now = clock::unix_time().as_secs_f64();
    let path = "/v1/workloads/shop/web/decisions?limit=500";
    let decisions = aggregator.json(path).await.unwrap();
    let first = decisions["decisions"].as_array().unwrap().iter().rev().find_map(|decision| {
        decision["observation"]["newest"].as_u64()?;
        decision["at"].as_f64()
    });
    println!("StreamIsActive told {:.2} s after the decision", now - first.unwrap() / 1e6);
}

/// The figure in both fields, against the decisions before and after it.
async fn says_what_was_decided(keda: &Keda, aggregator: &Aggregator, desired: &Value) {
    // 120 requests per second are 12 replicas of 10, of which 4 may be added to 2 at a time.
    let enough = |answer: &Result<Value, (String, String)>| {
        let value = |answer: &Value| answer["metricValues"][0]["metricValueFloat"].as_f64();
        answer.as_ref().is_ok_and(|answer| value(answer) >= Some(6.0))
    };
    keda.until("GetMetrics", desired, enough).await.unwrap();
    let before = shown(aggregator).await;
    let answer = keda.ask("GetMetrics", desired).await.unwrap();
    let after = shown(aggregator).await;
    let value = &answer["metricValues"][0];
    assert_eq!(value["metricName"], "foresail_desired_replicas");
    let whole: u64 = value["metricValue"].as_str().unwrap().parse().unwrap();
    assert!((before.min(after)..=before.max(after)).contains(&whole), "{before} {whole} {after}");
    assert_eq!(value["metricValueFloat"].as_f64(), Some(whole as f64));
}

#[tokio::test]
async fn every_mistake_has_its_own_code_and_says_what_is_valid() {
    let directory = WorkDir::new("keda-mistakes").unwrap();
    let webhook = webhook().await;
    let port = ports::free().unwrap();
    let listen = json!({"listen": format!("127.0.0.1:{port}")});
    let mut aggregator = aggregator(&directory, webhook.address(), &listen).await;
    let keda = Keda::plain(port);

    let nobody = object("nobody", &json!({}));
    let asked = metrics(&nobody, "foresail_desired_replicas");
    assert_eq!(keda.code("IsActive", &nobody).await, "NotFound");
    assert_eq!(keda.code("StreamIsActive", &nobody).await, "NotFound");
    assert_eq!(keda.code("GetMetrics", &asked).await, "NotFound");
    assert!(keda.ask("GetMetricSpec", &nobody).await.is_ok());

    for (metadata, valid) in [
        (json!({"metric": "rps"}), "foresail_forecast_rps"),
        (json!({"metric": "foresail_forecast_rps"}), "from 0.001 to 1000000"),
        (json!({"metric": "foresail_forecast_rps", "target": "0"}), "from 0.001 to 1000000"),
        (json!({"target": "3"}), "leave it out"),
    ] {
        let web = object("web", &metadata);
        for method in ["IsActive", "StreamIsActive", "GetMetricSpec", "StreamMetricSpec"] {
            let (code, text) = keda.ask(method, &web).await.unwrap_err();
            assert_eq!(code, "InvalidArgument", "{method} {metadata}");
            assert!(text.contains(valid), "{text}");
        }
    }
    let web = object("web", &json!({}));
    let other = metrics(&web, "foresail_forecast_rps");
    assert_eq!(keda.code("GetMetrics", &other).await, "InvalidArgument");
    assert_eq!(keda.code("GetMetrics", &json!({})).await, "InvalidArgument");

    let forecast = json!({"metric": "foresail_forecast_rps_upper", "target": "2.5"});
    let spec = keda.ask("GetMetricSpec", &object("web", &forecast)).await;
    assert_eq!(spec, Ok(specification("foresail_forecast_rps_upper", "3", &json!(2.5))));

    // Load without replica counts: what is wanted cannot be said.
    let unseen = Proxies::new(&aggregator, "shop", "blind");
    unseen.see(60);
    let blind = object("blind", &json!({}));
    let asked = metrics(&blind, "foresail_desired_replicas");
    let says_so = |answer: &Result<Value, (String, String)>| {
        answer.as_ref().is_err_and(|(_, text)| text.contains("present replicas"))
    };
    keda.until("GetMetrics", &asked, says_so).await.unwrap_err();
    let proxies = Proxies::new(&aggregator, "shop", "web");
    proxies.see(60);
    let forecast = metrics(&object("web", &forecast), "foresail_forecast_rps_upper");
    let answer = keda.until("GetMetrics", &forecast, Result::is_ok).await.unwrap();
    let upper = answer["metricValues"][0]["metricValueFloat"].as_f64().unwrap();
    assert!(upper >= 100.0, "of 120 requests per second: {answer}");

    // A process that is gone is an error, and its end is told to who listens.
    let mut active = keda.stream("StreamMetricSpec", &web);
    active.next().await;
    aggregator.stop().await.unwrap();
    assert_eq!(active.next().await["error"]["code"], "Unavailable");
    assert_eq!(keda.code("IsActive", &web).await, "Unavailable");
}

/// An authority, and what it vouches for, as PEM files.
fn credentials(directory: &WorkDir) {
    let authority = |name: &str| {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
    };
    let (ca, stranger) = (authority("ca"), authority("stranger"));
    directory.write("ca.crt", &ca.pem()).unwrap();
    directory.write("clients.crt", &ca.pem()).unwrap();
    directory.write("stranger-ca.crt", &stranger.pem()).unwrap();
    for (name, issuer) in [("server", &ca), ("keda", &ca), ("stranger", &stranger)] {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
        let cert = params.signed_by(&key, issuer).unwrap();
        directory.write(&format!("{name}.crt"), &cert.pem()).unwrap();
        directory.write(&format!("{name}.key"), &key.serialize_pem()).unwrap();
    }
}

#[tokio::test]
async fn with_a_client_authority_only_its_clients_are_answered_also_when_the_files_change() {
    let directory = WorkDir::new("keda-tls").unwrap();
    credentials(&directory);
    let webhook = webhook().await;
    let port = ports::free().unwrap();
    let file = |name: &str| directory.file(name).to_string_lossy().into_owned();
    let tls = json!({
        "cert": file("server.crt"), "key": file("server.key"), "client_ca": file("clients.crt"),
    });
    let config = json!({"listen": format!("127.0.0.1:{port}"), "tls": tls});
    let _aggregator = aggregator(&directory, webhook.address(), &config).await;
    let web = object("web", &json!({}));

    let trusting = |ca: &str, name: &str| Keda {
        port,
        flags: vec![
            format!("-ca={}", file(ca)),
            format!("-cert={}", file(&format!("{name}.crt"))),
            format!("-key={}", file(&format!("{name}.key"))),
        ],
    };
    let with = |name: &str| trusting("ca.crt", name);
    assert!(with("keda").ask("GetMetricSpec", &web).await.is_ok());
    assert_eq!(with("stranger").code("GetMetricSpec", &web).await, "Unavailable");
    let without = Keda { port, flags: vec![format!("-ca={}", file("ca.crt"))] };
    assert_eq!(without.code("GetMetricSpec", &web).await, "Unavailable");
    assert_eq!(Keda::plain(port).code("GetMetricSpec", &web).await, "Unavailable");

    // The files change under it.
    for (from, to) in [
        ("stranger.crt", "server.crt"),
        ("stranger.key", "server.key"),
        ("stranger-ca.crt", "clients.crt"),
    ] {
        std::fs::copy(file(from), file(to)).unwrap();
    }
    let stranger = trusting("stranger-ca.crt", "stranger");
    stranger.until("GetMetricSpec", &web, Result::is_ok).await.unwrap();
    let before = trusting("stranger-ca.crt", "keda");
    assert_eq!(before.code("GetMetricSpec", &web).await, "Unavailable");
}
