//! The aggregator over real sockets, with a real store in a temporary directory.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]
#![expect(clippy::unused_async, reason = "axum takes asynchronous handlers only")]

mod kill;
mod support;
mod versions;

use std::time::Duration;

use foresail_wire::MAX_FRAME_BYTES;
use reqwest::StatusCode;
use serde_json::{Value, json};
use support::{Aggregator, Webhook, frame, now_secs};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

#[tokio::test(flavor = "multi_thread")]
async fn each_kind_of_request_has_its_answer_and_is_counted() {
    let aggregator = Aggregator::start(json!({"max_workloads": 1})).await;
    let good = frame("web", 1, 1, now_secs(), 3);
    assert_eq!(aggregator.post(&good).await.0, StatusCode::ACCEPTED);
    assert_eq!(aggregator.post(&good).await.0, StatusCode::OK);
    let (status, body) = aggregator.post(b"hello").await;
    assert_eq!((status, body["kind"].as_str()), (StatusCode::BAD_REQUEST, Some("bad_magic")));
    let (status, body) = aggregator.post(&good[..good.len() - 1]).await;
    assert_eq!((status, body["kind"].as_str()), (StatusCode::BAD_REQUEST, Some("malformed")));
    let (status, _) = aggregator.post(&vec![0; MAX_FRAME_BYTES + 1]).await;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE);
    let stranger = frame("other", 1, 1, now_secs(), 3);
    let answer = aggregator.post_raw(&stranger).await;
    assert_eq!(answer.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(answer.headers()["retry-after"], "1");

    assert_eq!(aggregator.status("/nothing").await, StatusCode::NOT_FOUND);
    assert_eq!(aggregator.status("/v1/workloads/demo/none").await, StatusCode::NOT_FOUND);
    assert_eq!(aggregator.status("/v1/frames").await, StatusCode::METHOD_NOT_ALLOWED);
    let bad_tier = aggregator.status("/v1/workloads/demo/web/history?tier=2s").await;
    assert_eq!(bad_tier, StatusCode::BAD_REQUEST);

    let metrics = aggregator.text("/metrics").await;
    for (result, times) in [
        ("accepted", 1),
        ("duplicate", 1),
        ("bad_magic", 1),
        ("malformed", 1),
        ("too_large", 1),
        ("too_many_workloads", 1),
    ] {
        let line = format!("foresail_ingest_frames_total{{result=\"{result}\"}} {times}\n");
        assert!(metrics.contains(&line), "{line} is not in\n{metrics}");
    }
    assert!(metrics.ends_with("# EOF\n"));
    aggregator.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_does_not_come_is_answered_408() {
    let aggregator = Aggregator::start(json!({})).await;
    let mut stream = TcpStream::connect(aggregator.address()).await.unwrap();
    let head = b"POST /v1/frames HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\nFSL1";
    stream.write_all(head).await.unwrap();
    let mut answer = vec![0; 64];
    let limit = foresail_aggregator::api::BODY_TIMEOUT + Duration::from_secs(3);
    let read = tokio::time::timeout(limit, stream.read(&mut answer)).await.unwrap().unwrap();
    let answer = String::from_utf8_lossy(&answer[..read]).into_owned();
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    aggregator.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hundreds_of_half_open_connections_disturb_nobody() {
    let aggregator = Aggregator::start(json!({})).await;
    // Files are scarce where the limit is 1,024, and both ends are in this process.
    let mut silent = Vec::new();
    for _ in 0..300 {
        let mut stream = TcpStream::connect(aggregator.address()).await.unwrap();
        stream.write_all(b"POST /v1/frames HTTP/1.1\r\nhos").await.unwrap();
        silent.push(stream);
    }
    let posting = async { aggregator.post(&frame("web", 1, 1, now_secs(), 3)).await };
    let (status, _) = tokio::time::timeout(Duration::from_secs(2), posting).await.unwrap();
    assert_eq!(status, StatusCode::ACCEPTED);
    let first = silent.first_mut().unwrap();
    let closed = tokio::time::timeout(Duration::from_secs(8), first.read(&mut [0; 8])).await;
    assert!(matches!(closed, Ok(Ok(0) | Err(_))), "a half-open connection is closed: {closed:?}");
    aggregator.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn figures_are_those_of_the_frames_and_missing_is_null() {
    let aggregator = Aggregator::start(json!({"workloads": [support::workload(json!({}))]})).await;
    let begin = now_secs() - 5;
    for second in 0..5 {
        let frame = frame("web", 7, second + 1, begin + second, 20);
        assert_eq!(aggregator.post(&frame).await.0, StatusCode::ACCEPTED);
    }
    let detail = aggregator.json("/v1/workloads/demo/web").await;
    assert_eq!(detail["totals"]["inbound"]["codes"], json!({"200": 100}));
    assert_eq!(detail["totals"]["inbound"]["requests"], 100);
    assert_eq!(detail["totals"]["outbound"]["requests"], 0);
    assert_eq!(detail["rps"], 20.0);
    assert_eq!(detail["objective_met"], true);
    assert_eq!(detail["current_replicas"], Value::Null);
    assert_eq!(detail["proxies"][0]["sequence"], 5);
    assert_eq!(detail["proxies"][0]["instance"], "0000000000000007");

    let list = aggregator.json("/v1/workloads").await;
    assert_eq!(list["workloads"][0]["name"], "web");
    let history = aggregator.json("/v1/workloads/demo/web/history?tier=1s").await;
    assert_eq!(history["step_seconds"], 1);
    assert_eq!(history["points"].as_array().unwrap().len(), 5);
    assert_eq!(history["points"][0]["t"], begin);
    assert_eq!(history["points"][0]["rps"], 20.0);
    assert_eq!(history["points"][0]["ready_replicas"], Value::Null);
    let latency = aggregator.json("/v1/workloads/demo/web/latency?q=0.5").await;
    assert_eq!(latency["count"], 100);
    let p50 = latency["quantiles"]["0.5"].as_f64().unwrap();
    assert!((p50 / 20_000.0 - 1.0).abs() < 0.005, "{p50}");
    let forecast = aggregator.json("/v1/workloads/demo/web/forecast").await;
    assert_eq!(forecast["model"], Value::Null);
    aggregator.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn load_makes_an_order_to_the_webhook_and_the_counts_come_back() {
    let webhook = Webhook::start(2).await;
    let workload = support::workload(json!({"actuator": {"webhook": {"url": webhook.url()}}}));
    let aggregator = Aggregator::start(json!({"workloads": [workload]})).await;
    support::send_load(&aggregator, Duration::from_secs(4), 50).await;
    let detail = aggregator.json("/v1/workloads/demo/web").await;
    let orders = webhook.orders();
    let order = orders.last().unwrap_or_else(|| panic!("no order: {detail:#}"));
    assert_eq!((&order["namespace"], &order["workload"]), (&json!("demo"), &json!("web")));
    assert!(order["desired_replicas"].as_u64().unwrap() > 2, "{order}");
    assert_eq!(detail["last_actuation"]["result"], "ok", "{detail:#}");
    assert_eq!(detail["ready_replicas"], webhook.replicas());

    let decisions = aggregator.json("/v1/workloads/demo/web/decisions?limit=3").await;
    let decisions = decisions["decisions"].as_array().unwrap().clone();
    assert_eq!(decisions.len(), 3);
    assert!(decisions[0]["sequence"].as_u64() > decisions[1]["sequence"].as_u64());
    assert!(!decisions[0]["reason"].as_str().unwrap().is_empty());
    aggregator.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_not_what_was_asked_for_is_shown_as_an_error() {
    let webhook = Webhook::start(2).await;
    webhook.lie();
    let workload = support::workload(json!({"actuator": {"webhook": {"url": webhook.url()}}}));
    let aggregator = Aggregator::start(json!({"workloads": [workload]})).await;
    support::send_load(&aggregator, Duration::from_secs(4), 50).await;
    let detail = aggregator.json("/v1/workloads/demo/web").await;
    assert_eq!(detail["last_actuation"]["result"], "error", "{detail:#}");
    assert_eq!(detail["current_replicas"], 2);
    aggregator.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn in_shadow_mode_nothing_is_written() {
    let webhook = Webhook::start(2).await;
    let workload = support::workload(
        json!({"mode": "shadow", "actuator": {"webhook": {"url": webhook.url()}}}),
    );
    let aggregator = Aggregator::start(json!({"workloads": [workload]})).await;
    support::send_load(&aggregator, Duration::from_secs(4), 50).await;
    let detail = aggregator.json("/v1/workloads/demo/web").await;
    assert_eq!(detail["last_actuation"]["result"], "shadow", "{detail:#}");
    assert!(detail["desired_replicas"].as_u64().unwrap() > 2, "{detail:#}");
    assert_eq!(webhook.orders(), Vec::<Value>::new());
    aggregator.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listener_gets_a_tick_each_second_and_the_decisions() {
    let aggregator = Aggregator::start(json!({"workloads": [support::workload(json!({}))]})).await;
    let mut answer = aggregator.get("/v1/events").await;
    assert_eq!(answer.headers()["content-type"], "text/event-stream");
    let mut text = String::new();
    let listening = async {
        while text.matches("event: tick").count() < 3 || !text.contains("event: decision") {
            text.push_str(std::str::from_utf8(&answer.chunk().await.unwrap().unwrap()).unwrap());
        }
    };
    tokio::time::timeout(Duration::from_secs(5), listening).await.unwrap();
    let data = text.lines().find_map(|line| line.strip_prefix("data: ")).unwrap();
    let tick: Value = serde_json::from_str(data).unwrap();
    assert_eq!(tick["workloads"][0]["name"], "web");
    aggregator.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listener_is_told_what_it_asks_for_and_how_all_are() {
    let other = support::workload(json!({"name": "api"}));
    let workloads = json!([support::workload(json!({})), other]);
    let aggregator = Aggregator::start(json!({"workloads": workloads})).await;
    let mut answer = aggregator.get("/v1/events?workload=demo/api&decisions=false").await;
    let mut text = String::new();
    let listening = async {
        while text.matches("event: tick").count() < 4 {
            text.push_str(std::str::from_utf8(&answer.chunk().await.unwrap().unwrap()).unwrap());
        }
    };
    tokio::time::timeout(Duration::from_secs(6), listening).await.unwrap();
    assert!(!text.contains("event: decision"), "{text}");
    let ticks = text.lines().filter_map(|line| line.strip_prefix("data: "));
    for tick in ticks.take(3) {
        let tick: Value = serde_json::from_str(tick).unwrap();
        assert_eq!(tick["workloads"].as_array().unwrap().len(), 1, "{tick:#}");
        assert_eq!(tick["workloads"][0]["name"], "api");
        assert_eq!(tick["summary"], json!({"workloads": 2, "met": 0, "missed": 0, "stale": 0}));
    }
    assert_eq!(aggregator.status("/v1/events?workload=api").await, 400);
    aggregator.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_is_served_with_its_policy_and_is_not_sent_twice() {
    let aggregator = Aggregator::start(json!({})).await;
    let page = aggregator.get("/").await;
    assert_eq!(page.headers()["content-type"], "text/html; charset=utf-8");
    let policy = page.headers()["content-security-policy"].to_str().unwrap();
    assert!(policy.starts_with("default-src 'none'; script-src 'self';"), "{policy}");
    let tag = page.headers()["etag"].clone();
    let again = reqwest::Client::new()
        .get(format!("http://{}/", aggregator.address()))
        .header("if-none-match", tag)
        .send()
        .await
        .unwrap();
    assert_eq!(again.status(), StatusCode::NOT_MODIFIED);
    let script = aggregator.get("/assets/js/main.js").await;
    assert_eq!(script.headers()["content-type"], "text/javascript; charset=utf-8");
    let outside = aggregator.status("/assets/../Cargo.toml").await;
    assert_eq!(outside, StatusCode::NOT_FOUND);
    aggregator.stop().await;
}
