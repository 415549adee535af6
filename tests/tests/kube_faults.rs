//! An API server that misbehaves: nothing panics, nothing asks in a busy loop, what is wrong is said
//! where people look, and afterwards all goes on.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]
#![expect(clippy::print_stdout, reason = "requests a second are printed")]

use std::time::Duration;

use foresail_tests::audit;
use foresail_tests::shop::{self, NAME, until};
use foresail_tests::stage::set_right;
use foresail_tests::{Actor, Fault, Frames, Shop, Stage, clock};
use kube::Client;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

/// Until something that must happen has happened; a watch may pause for half a minute.
const LIMIT: Duration = Duration::from_secs(90);
/// Until a fault is said: requests fail, and most are tried again within seconds.
const SAID_WITHIN: Duration = Duration::from_secs(40);
/// Requests a second that a replica is given: without a forecast a quarter of 10 stays in reserve.
const RPS: u32 = 8;
/// What no fault may exceed, in any second on the average.
const MAX_REQUESTS_A_SECOND: f64 = 10.0;

struct Scene {
    stage: Stage,
    client: Client,
    actor: Actor,
    shop: Shop,
    frames: Frames,
}

impl Scene {
    async fn open() -> Self {
        let stage = Stage::start("faults", &["-ready-after", "1s"]).await.unwrap();
        let client = stage.client().await.unwrap();
        let actor = stage.actor("it", json!({})).await.unwrap();
        let shop = Shop::open(&client, "shop", 3).await.unwrap();
        shop.autoscale(up_only()).await.unwrap();
        let to = vec![actor.foresail.url()];
        let frames = Frames::start(shop.pods(), "shop", NAME, to, 3 * RPS);
        shop.says("TelemetryReady", "True", "Fresh", LIMIT).await.unwrap();
        Self { stage, client, actor, shop, frames }
    }

    /// What it says of the API server: of each fault the reason and a remedy.
    async fn faults(&self) -> Vec<(String, String)> {
        let said = self.actor.foresail.json("/readyz").await.unwrap_or_default();
        let faults = said.pointer("/kubernetes/faults").and_then(Value::as_array).cloned();
        let text = |fault: &Value, at: &str| {
            fault.get(at).and_then(Value::as_str).unwrap_or_default().to_owned()
        };
        let both = |fault: &Value| (text(fault, "reason"), text(fault, "message"));
        faults.unwrap_or_default().iter().map(both).collect()
    }

    /// Waits until a fault is said in the metric, by `/readyz` and in the overview.
    async fn says_at_once(&self, reason: &str) {
        let foresail = &self.actor.foresail;
        let is_said = || async {
            let remedies = self.faults().await.into_iter().filter(|(it, _)| it == reason);
            let has_remedy = remedies.map(|(_, message)| message).any(|it| it.contains("; "));
            let metrics = foresail.text("/metrics").await.ok()?;
            let overview = foresail.json("/v1/workloads").await.ok()?;
            let is_healthy = overview.pointer("/kubernetes/healthy").and_then(Value::as_bool);
            let is_loud = metrics.contains("\nforesail_kubernetes_healthy 0");
            (has_remedy && is_loud && is_healthy == Some(false)).then_some(())
        };
        if let Err(error) = until(SAID_WITHIN, reason, is_said).await {
            panic!("{error}: {:?}", self.faults().await);
        }
    }

    /// Waits until nothing is wrong.
    async fn says_all_is_well(&self) {
        let is_well = || async {
            let metrics = self.actor.foresail.text("/metrics").await.ok()?;
            metrics.contains("\nforesail_kubernetes_healthy 1").then_some(())
        };
        if let Err(error) = until(LIMIT, "all is well", is_well).await {
            panic!("{error}: {:?}", self.faults().await);
        }
    }

    /// More load while the API server misbehaves; that is said while it lasts, and in the status as
    /// soon as one can be written; afterwards the replicas follow.
    async fn survives(
        &self,
        name: &str,
        fault: Fault,
        time: Duration,
        replicas: u32,
        reason: &str,
    ) {
        let (before, begin) = (self.actor.api.requests(), Instant::now());
        self.actor.api.set(fault);
        if fault == Fault::Gone {
            // What watches must watch anew.
            self.actor.api.close_all();
        }
        self.frames.set_rps(replicas * RPS);
        self.says_at_once(reason).await;
        sleep(time.saturating_sub(begin.elapsed())).await;
        let rate = (self.actor.api.requests() - before) as f64 / begin.elapsed().as_secs_f64();
        self.actor.api.set(Fault::None);
        let healed = Instant::now();
        self.shop.says("AbleToScale", "False", reason, LIMIT).await.unwrap();
        self.shop.has_replicas(replicas.cast_signed(), LIMIT).await.unwrap();
        self.shop.says("AbleToScale", "True", "ReadyToScale", LIMIT).await.unwrap();
        self.says_all_is_well().await;
        println!(
            "{name}: {rate:.1} requests a second; {:.1} s later all is well",
            healed.elapsed().as_secs_f64()
        );
        assert!(rate < MAX_REQUESTS_A_SECOND, "{name}: {rate}");
        self.has_not_panicked(name);
    }

    fn has_not_panicked(&self, name: &str) {
        assert!(!self.actor.log().contains("panicked"), "{name}: {}", self.actor.log());
    }

    /// Requests a second that the audit log has of a time.
    fn audited(&self, name: &str, since: Duration) {
        let until = clock::unix_time();
        let all = audit::requests(self.stage.plane(), "foresail-it").unwrap();
        let count = all.iter().filter(|it| (since..until).contains(&it.received)).count();
        let rate = count as f64 / until.saturating_sub(since).as_secs_f64();
        println!("{name}: {rate:.1} requests a second");
        assert!(rate < MAX_REQUESTS_A_SECOND, "{name}: {rate}");
        self.has_not_panicked(name);
    }
}

/// Nothing scales down within the test.
fn up_only() -> serde_json::Value {
    json!({"behavior": {"scaleUp": {"policies": []}}})
}

#[tokio::test]
async fn an_api_server_that_misbehaves_is_neither_flooded_nor_given_up() {
    let scene = Scene::open().await;
    let short = Duration::from_secs(5);
    scene.survives("429", Fault::Status(429), short, 4, "ApiServerOverloaded").await;
    let conflict = Fault::WriteStatus(409);
    scene.survives("409 to every write", conflict, short, 5, "WritesConflict").await;
    scene.survives("500", Fault::Status(500), short, 6, "ApiServerFails").await;
    scene.survives("connections cut", Fault::Cut, short, 7, "ApiServerUnreachable").await;
    scene.survives("410 to every watch", Fault::Gone, short, 8, "WatchExpires").await;
    let stall = Duration::from_secs(20);
    scene.survives("20 s stall", Fault::Stall(stall), stall, 9, "ApiTimeout").await;
    assert!(scene.actor.log().contains("the lease is neither taken nor renewed"));
    assert!(scene.actor.log().contains("the watch broke"));

    // It may not scale: said in the status, tried again without haste, and done when it may.
    let since = clock::unix_time();
    set_right(&scene.client, "it", "foresail-scale", false).await.unwrap();
    scene.frames.set_rps(10 * RPS);
    scene.shop.says("AbleToScale", "False", "Forbidden", LIMIT).await.unwrap();
    scene.shop.event("Forbidden", LIMIT).await.unwrap();
    scene.says_at_once("Forbidden").await;
    assert_eq!(scene.shop.replicas().await.unwrap(), 9);
    scene.audited("no right to scale", since);
    set_right(&scene.client, "it", "foresail-scale", true).await.unwrap();
    scene.shop.has_replicas(10, LIMIT).await.unwrap();

    // It may not read: what it knows is old, watches are refused when they begin anew.
    let since = clock::unix_time();
    set_right(&scene.client, "it", "foresail-read", false).await.unwrap();
    scene.actor.api.close_all();
    scene.says_at_once("Forbidden").await;
    sleep(short).await;
    scene.audited("no right to read", since);
    set_right(&scene.client, "it", "foresail-read", true).await.unwrap();
    scene.shop.says("AbleToScale", "False", "Forbidden", LIMIT).await.unwrap();
    scene.shop.says("AbleToScale", "True", "ReadyToScale", LIMIT).await.unwrap();
    scene.frames.set_rps(11 * RPS);
    scene.shop.has_replicas(11, LIMIT).await.unwrap();

    // The definition goes, and with it every resource; then it is there again.
    let since = clock::unix_time();
    shop::uninstall(&scene.client).await.unwrap();
    scene.actor.api.close_all();
    scene.says_at_once("NoDefinition").await;
    sleep(short).await;
    scene.audited("no definition", since);
    assert_eq!(scene.shop.replicas().await.unwrap(), 11);
    shop::install(&scene.client).await.unwrap();
    scene.shop.autoscale(up_only()).await.unwrap();
    scene.frames.set_rps(12 * RPS);
    scene.shop.has_replicas(12, LIMIT).await.unwrap();
    until(LIMIT, "it still leads", || async { scene.actor.leads().await.then_some(()) })
        .await
        .unwrap();
    scene.says_all_is_well().await;
    scene.has_not_panicked("in the end");
}
