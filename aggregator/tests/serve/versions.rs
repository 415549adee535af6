//! `kill -9` of a real process in the middle of a promotion, and while another version of a model is
//! put in use: it comes back to a consistent state.

use std::path::Path;
use std::process::{Command, Output};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use reqwest::Client;
use serde_json::{Value, json};

use crate::kill::{Foresail, free_port, json_of, start};
use crate::support::{Webhook, frame, now_secs, workload};

/// What the settings call the model.
const POLICY: &str = "learned:models";
/// From a change to its being seen, on a busy machine.
const PATIENCE: u64 = 40;

fn foresail(directory: &Path, line: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_foresail"));
    command.current_dir(directory).args(line.split_whitespace());
    let output = command.output().unwrap();
    assert!(output.status.success(), "{line}: {output:?}");
    output
}

/// Two days with a wave; a version of a model is learned from them in a moment.
fn write_recording(directory: &Path) {
    let rows = (0..2 * 1_440_u32).map(|minute| {
        let rate = 100.0 + 50.0 * (f64::from(minute % 1_440) / 229.0).sin();
        format!("{},{rate:.3}\n", 1_700_006_400 + minute * 60)
    });
    let text = String::from("timestamp,rps\n") + &rows.collect::<String>();
    std::fs::write(directory.join("days.csv"), text).unwrap();
}

fn train(directory: &Path, seed: u32) {
    let line = "train --policy q --trace days.csv --variants 0 --steps 1000 --threads 1";
    foresail(directory, &format!("{line} --seed {seed} --out models/"));
}

fn config(directory: &Path, port: u16, webhook: &Webhook) -> Value {
    let shop = workload(json!({
        "min_replicas": 2,
        "max_replicas": 2,
        "target_rps_per_replica": 50,
        "startup_time": "1s",
        "actuator": {"webhook": {"url": webhook.url()}},
        "shadows": [POLICY],
        "promotion": {
            "candidate": POLICY,
            "approval": "automatic",
            "least_time": "1m",
            "least_gain": 0,
            "turn": "1h",
            "carry_over": "0s",
        },
    }));
    json!({
        "listen": format!("127.0.0.1:{port}"),
        "state": directory.join("state.redb"),
        "workloads": [shop],
    })
}

/// Two proxies report each second, whether or not somebody takes it.
async fn report(client: Client, url: String, stop: Arc<AtomicBool>) {
    while !stop.load(Ordering::Relaxed) {
        let second = now_secs();
        while now_secs() == second {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        for instance in [1, 2] {
            let body = frame("web", instance, second, second, 10);
            let _ = client.post(format!("{url}/v1/frames")).body(body).send().await;
        }
    }
}

/// A server that is killed and started again.
struct Server {
    process: Option<Foresail>,
    config: std::path::PathBuf,
    directory: std::path::PathBuf,
    url: String,
    client: Client,
}

impl Server {
    async fn restart(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.0.kill().unwrap();
            process.0.wait().unwrap();
        }
        let process = start(&self.config, &self.url, &self.client, Some(&self.directory)).await;
        self.process = Some(process);
    }

    /// Candidate and stage, once there are any.
    async fn promotion(&self) -> Option<(String, String)> {
        let board = json_of(&self.client, &self.url, "/v1/workloads/demo/web/shadows").await;
        let word = |key: &str| board["promotion"][key].as_str().map(str::to_owned);
        Some((word("candidate")?, word("stage")?))
    }

    /// Waits until candidate and stage are these.
    async fn until(&self, candidate: &str, stage: &str, seconds: u64) {
        let deadline = now_secs() + seconds;
        let wanted = (format!("{POLICY}@{candidate}"), stage.to_owned());
        loop {
            let found = self.promotion().await;
            if found.as_ref() == Some(&wanted) {
                return;
            }
            assert!(now_secs() < deadline, "{found:?} is not {wanted:?} after {seconds} s");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// The first that is said of the candidate after a start.
    async fn first(&self) -> (String, String) {
        let deadline = now_secs() + PATIENCE;
        loop {
            if let Some(found) = self.promotion().await {
                return found;
            }
            assert!(now_secs() < deadline, "nothing is said of the candidate");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_in_a_promotion_or_a_change_of_versions_comes_back_to_one_of_both_sides() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().to_owned();
    write_recording(&root);
    train(&root, 1);
    let port = free_port();
    let webhook = Webhook::start(2).await;
    let config_path = root.join("foresail.yaml");
    std::fs::write(&config_path, config(&root, port, &webhook).to_string()).unwrap();
    let (url, client) = (format!("http://127.0.0.1:{port}"), Client::new());
    let stop = Arc::new(AtomicBool::new(false));
    let load = tokio::spawn(report(client.clone(), url.clone(), Arc::clone(&stop)));
    let mut server =
        Server { process: None, config: config_path, directory: root.clone(), url, client };
    server.restart().await;

    // A promotion that is seen may not be on disk yet; one that is on disk is back.
    server.until("1", "canary", 60 + PATIENCE).await;
    server.restart().await;
    let (candidate, stage) = server.first().await;
    assert_eq!(candidate, format!("{POLICY}@1"));
    assert!(stage == "shadow" || stage == "canary", "{stage}");
    server.until("1", "canary", 60 + PATIENCE).await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    server.restart().await;
    assert_eq!(server.first().await, (format!("{POLICY}@1"), "canary".to_owned()));

    // Another version takes its place without a restart, as a shadow.
    train(&root, 2);
    server.until("2", "shadow", PATIENCE).await;
    server.restart().await;
    assert_eq!(server.first().await, (format!("{POLICY}@2"), "shadow".to_owned()));
    let board = json_of(&server.client, &server.url, "/v1/workloads/demo/web/shadows").await;
    let old = board["windows"][0]["policies"].get(format!("{POLICY}@1"));
    assert_eq!(old, None, "{board}");

    // Killed at any time around a change, it comes back with what is in use.
    for (pause, version) in [(0, 1), (4, 2), (9, 1), (12, 2)] {
        foresail(&root, &format!("models rollback models --to {version}"));
        tokio::time::sleep(Duration::from_secs(pause)).await;
        server.restart().await;
        assert_eq!(server.first().await, (format!("{POLICY}@{version}"), "shadow".to_owned()));
    }
    // One command puts the former version back.
    foresail(&root, "models rollback models");
    server.until("1", "shadow", PATIENCE).await;
    stop.store(true, Ordering::Relaxed);
    load.await.unwrap();
}
