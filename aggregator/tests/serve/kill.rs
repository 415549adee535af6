//! The binary, its exit codes, and `kill -9` in the middle of its work.

use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use reqwest::{Client, StatusCode};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{frame, now_secs, workload};

/// Ends with the test, whatever happens.
pub(crate) struct Foresail(pub(crate) Child);

impl Drop for Foresail {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn command(config: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_foresail"));
    command.args(["serve", "--config"]).arg(config).stderr(Stdio::null());
    command
}

pub(crate) fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn write_config(directory: &TempDir, port: u16) -> std::path::PathBuf {
    let path = directory.path().join("foresail.yaml");
    let config = json!({
        "listen": format!("127.0.0.1:{port}"),
        "state": directory.path().join("state.redb"),
        "workloads": [workload(json!({}))],
    });
    std::fs::write(&path, config.to_string()).unwrap();
    path
}

pub(crate) async fn start(
    config: &Path,
    url: &str,
    client: &Client,
    directory: Option<&Path>,
) -> Foresail {
    let mut command = command(config);
    if let Some(directory) = directory {
        command.current_dir(directory);
    }
    let process = Foresail(command.spawn().unwrap());
    for _ in 0..200 {
        let ready = client.get(format!("{url}/readyz")).send().await;
        if ready.is_ok_and(|answer| answer.status() == StatusCode::OK) {
            return process;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("foresail is not ready after 10 s");
}

pub(crate) async fn json_of(client: &Client, url: &str, path: &str) -> Value {
    client.get(format!("{url}{path}")).send().await.unwrap().json().await.unwrap()
}

/// What a sender had acknowledged.
#[derive(Debug, Default, PartialEq, Eq)]
struct Sent {
    frames: u64,
    requests: u64,
}

/// Posts frames, each until it is answered, for as long as `more` says so of the number sent.
async fn report(
    client: Client,
    url: String,
    instance: u64,
    begin: u64,
    more: impl Fn(u64) -> bool,
) -> Sent {
    let mut sent = Sent::default();
    while more(sent.frames) {
        let sequence = sent.frames + 1;
        let requests = u32::try_from(1 + (instance + sequence) % 5).unwrap();
        let body = frame("web", instance, sequence, begin + sequence / 100, requests);
        loop {
            let answer = client.post(format!("{url}/v1/frames")).body(body.clone()).send().await;
            match answer.map(|answer| answer.status()) {
                Ok(StatusCode::ACCEPTED | StatusCode::OK) => break,
                Ok(StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS) | Err(_) => {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                Ok(other) => panic!("{other}"),
            }
        }
        sent.frames += 1;
        sent.requests += u64::from(requests);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    sent
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_in_the_middle_loses_and_doubles_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let port = free_port();
    let config = write_config(&directory, port);
    let url = format!("http://127.0.0.1:{port}");
    let client = Client::new();
    let mut process = start(&config, &url, &client, None).await;
    let begin = now_secs() - 8;
    let stop = Arc::new(AtomicBool::new(false));
    let reports: Vec<_> = (1..=4)
        .map(|instance| {
            let stop = Arc::clone(&stop);
            let more = move |_| !stop.load(Ordering::Relaxed);
            tokio::spawn(report(client.clone(), url.clone(), instance, begin, more))
        })
        .collect();
    let mut decisions_before = 0;
    for _ in 0..3 {
        let deadline = now_secs() + 20;
        decisions_before = loop {
            tokio::time::sleep(Duration::from_millis(300)).await;
            let all = json_of(&client, &url, "/v1/workloads/demo/web/decisions?limit=1").await;
            let sequence = all["decisions"][0]["sequence"].as_u64().unwrap_or(0);
            assert!(sequence >= decisions_before, "decisions go on from {decisions_before}");
            if sequence > decisions_before {
                break sequence;
            }
            assert!(now_secs() < deadline, "no decision after {decisions_before} in 20 s");
        };
        process.0.kill().unwrap();
        process.0.wait().unwrap();
        process = start(&config, &url, &client, None).await;
        // Frames are taken before the loops begin, so it may take a moment.
        let deadline = now_secs() + 20;
        while json_of(&client, &url, "/v1/workloads/demo/web").await["desired_replicas"].is_null() {
            assert!(now_secs() < deadline, "the last decision is back");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    stop.store(true, Ordering::Relaxed);
    let mut sent = Sent::default();
    for report in reports {
        let one = report.await.unwrap();
        sent.frames += one.frames;
        sent.requests += one.requests;
    }
    let detail = json_of(&client, &url, "/v1/workloads/demo/web").await;
    assert_eq!(detail["totals"]["inbound"]["codes"]["200"], sent.requests);
    assert_eq!(detail["totals"]["frames"], sent.frames);
    assert_eq!(detail["totals"]["lost_frames"], 0);
    let latency = json_of(&client, &url, "/v1/workloads/demo/web/latency").await;
    assert_eq!(latency["count"], sent.requests);
    drop(process);
}

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_saves_everything_and_ends_with_0() {
    let directory = tempfile::tempdir().unwrap();
    let port = free_port();
    let config = write_config(&directory, port);
    let url = format!("http://127.0.0.1:{port}");
    let client = Client::new();
    let mut process = start(&config, &url, &client, None).await;
    let listening = client.get(format!("{url}/v1/events")).send().await.unwrap();
    let sent = report(client.clone(), url.clone(), 1, now_secs() - 2, |frames| frames < 3).await;
    assert_eq!(sent, Sent { frames: 3, requests: 3 + 4 + 5 });
    let id = process.0.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
    let status = tokio::task::spawn_blocking(move || process.0.wait().unwrap()).await.unwrap();
    assert_eq!(status.code(), Some(0));
    drop(listening);
    let _process = start(&config, &url, &client, None).await;
    let detail = json_of(&client, &url, "/v1/workloads/demo/web").await;
    assert_eq!(detail["totals"]["inbound"]["requests"], 12);
}

fn check(config: &str) -> Output {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("foresail.yaml");
    std::fs::write(&path, config).unwrap();
    command(&path).arg("--check").stderr(Stdio::piped()).output().unwrap()
}

#[test]
fn a_configuration_is_checked_and_every_problem_said() {
    let good = check(&json!({"workloads": [workload(json!({}))]}).to_string());
    assert_eq!(good.status.code(), Some(0));
    let bad = check("listen: nowhere\nmax_workloads: -1\nlizten: 5\n");
    assert_eq!(bad.status.code(), Some(2));
    let said = String::from_utf8(bad.stderr).unwrap();
    for key in ["listen: ", "max_workloads: ", "lizten: "] {
        assert!(said.contains(key), "{key} is not in {said}");
    }
}
