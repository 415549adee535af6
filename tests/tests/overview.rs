//! The overview of a thousand workloads, and every state of the page, in a real browser.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/browser.rs"]
mod browser;
#[path = "support/crowd.rs"]
mod crowd;

use std::time::Duration;

use crowd::{Crowd, Member};
use foresail_tests::{Aggregator, Envoy, WorkDir, paths};
use serde_json::{Value, json};
use tokio::time::sleep;

const NAMESPACE: &str = "crowd";
/// Report all the time; every tenth is too slow.
const WEBS: u32 = 1_000;
/// Stop reporting; the page says stale after 30 s.
const QUIET: u32 = 5;
/// Never report.
const SILENT: u32 = 5;
const QUIET_AFTER: u64 = 8;
const BEFORE_LOOKING: Duration = Duration::from_secs(45);
const OBJECTIVE: Duration = Duration::from_millis(250);

fn configured(webhook: &str) -> Vec<Value> {
    let webs = (1..=WEBS).map(|number| format!("web-{number}"));
    let quiet = (1..=QUIET).map(|number| format!("quiet-{number}"));
    let silent = (1..=SILENT).map(|number| format!("silent-{number}"));
    webs.chain(quiet)
        .chain(silent)
        .map(|name| {
            json!({
                "namespace": NAMESPACE,
                "name": name,
                "max_replicas": 8,
                "objective": {"latency": format!("{}ms", OBJECTIVE.as_millis())},
                "target_rps_per_replica": 20,
                "decision_interval": "30s",
                "actuator": {"webhook": {"url": webhook}},
            })
        })
        .collect()
}

fn members() -> Vec<Member> {
    let member = |name: String, requests, micros| Member {
        namespace: NAMESPACE.to_owned(),
        name,
        pod: 1,
        requests,
        micros,
        falls_silent_after: None,
    };
    let webs = (1..=WEBS).map(|number| {
        let micros = if number % 10 == 0 { 400_000 } else { 20_000 };
        member(format!("web-{number}"), 1 + number % 40, micros)
    });
    let quiet = (1..=QUIET).map(|number| Member {
        falls_silent_after: Some(QUIET_AFTER),
        ..member(format!("quiet-{number}"), 5, 20_000)
    });
    let stray = Member { namespace: "stray".to_owned(), ..member("visitor".to_owned(), 3, 20_000) };
    webs.chain(quiet).chain([stray]).collect()
}

/// Says that there are two replicas of everything.
async fn replica_counter(directory: &WorkDir) -> Envoy {
    let counts = json!({"current_replicas": 2, "ready_replicas": 2});
    Envoy::webhook(directory, &counts).await.unwrap()
}

#[tokio::test]
async fn a_thousand_workloads_are_looked_at_without_stutter_and_no_state_is_left_to_chance() {
    let directory = WorkDir::new("overview").unwrap();
    let webhook = replica_counter(&directory).await;
    let webhook_url = format!("http://{}/", webhook.address("webhook").unwrap());
    let config = json!({"workloads": configured(&webhook_url)});
    let aggregator = Aggregator::start(&directory, config).await.unwrap();
    let alone = WorkDir::new("overview-empty").unwrap();
    let empty = Aggregator::start(&alone, json!({"workloads": []})).await.unwrap();
    let crowd = Crowd::start(&aggregator.url(), members());
    sleep(BEFORE_LOOKING).await;
    assert!(crowd.sent() > 10_000, "only {} frames were taken", crowd.sent());

    let screenshots = paths::target().join("dashboard").to_string_lossy().into_owned();
    let arguments = [aggregator.url(), empty.url(), screenshots];
    let arguments = arguments.each_ref().map(String::as_str);
    browser::script(&directory, "overview.mjs", arguments).await;
}
