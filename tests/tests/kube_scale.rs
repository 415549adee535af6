//! From telemetry to a changed Deployment on a real API server, with pods of the real
//! controller-manager: what is written, by whom, and how soon.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]
#![expect(clippy::print_stdout, reason = "how long scaling takes is printed, not asserted")]

use std::sync::Arc;
use std::time::Duration;

use foresail_tests::audit::{self, Answered};
use foresail_tests::load::{Protocol, Target};
use foresail_tests::shop::{NAME, until};
use foresail_tests::stage::Stage;
use foresail_tests::{
    Actor, Cluster, Envoy, Frames, Listener, Load, Node, Route, Service, ServiceConfig, Shop, Shot,
    WasmFilter, clock, paths,
};
use serde_json::{Value, json};
use tokio::sync::OnceCell;
use tokio::time::{Instant, sleep};

/// Until something that must happen has happened; long, for a busy machine.
const LIMIT: Duration = Duration::from_mins(1);
/// Requests a second that a replica is given: without a forecast a quarter of 5 stays in reserve.
const RPS: u32 = 4;
/// Scale-ups of each of the two workloads behind an Envoy, one a second.
const STEPS: u32 = 28;

async fn stage() -> Stage {
    static STAGE: OnceCell<Stage> = OnceCell::const_new();
    let start = || async { Stage::start("scale", &["-ready-after", "1s"]).await.unwrap() };
    STAGE.get_or_init(start).await.clone()
}

/// The replicas that were written in a namespace, oldest first.
fn scaled(stage: &Stage, namespace: &str) -> Vec<Answered> {
    let all = audit::requests(stage.plane(), "foresail-").unwrap();
    let is_scale = |it: &Answered| it.resource == "deployments/scale" && it.namespace == namespace;
    all.into_iter().filter(|it| is_scale(it) && it.is_write()).collect()
}

#[tokio::test]
async fn a_deployment_follows_its_load_and_one_in_shadow_mode_is_left_alone() {
    let stage = stage().await;
    let client = stage.client().await.unwrap();
    let mut actor = stage.actor("a", json!({})).await.unwrap();
    let to = vec![actor.foresail.url()];
    let mut shops = Vec::new();
    for (namespace, mode) in [("active", "Active"), ("shadow", "Shadow")] {
        // So many that the load is no burst, after which nothing scales down for a minute.
        let shop = Shop::open(&client, namespace, 4).await.unwrap();
        let spec = json!({"mode": mode, "targetRpsPerReplica": 5});
        shop.autoscale(spec).await.unwrap();
        let frames = Frames::start(shop.pods(), namespace, NAME, to.clone(), 7 * RPS);
        shops.push((shop, frames));
    }
    let ((active, load), (shadow, _)) = (&shops[0], &shops[1]);
    active.has_replicas(7, LIMIT).await.unwrap();
    until(LIMIT, "the pods are Ready", || async {
        (active.ready_pods().await.ok()?.len() == 7).then_some(())
    })
    .await
    .unwrap();
    let told = active.event("ScaledUp", LIMIT).await.unwrap();
    assert!(told.starts_with("replicas 4 -> "), "{told}");
    active.says("ScalingActive", "True", "Scaling", LIMIT).await.unwrap();
    shadow.says("ScalingActive", "False", "Shadow", LIMIT).await.unwrap();

    load.set_rps(3 * RPS);
    active.has_replicas(3, LIMIT).await.unwrap();
    active.event("ScaledDown", LIMIT).await.unwrap();

    let status = shadow.status().await.unwrap();
    assert_eq!(status.pointer("/desiredReplicas"), Some(&json!(7)), "{status}");
    assert_eq!(shadow.replicas().await.unwrap(), 4);
    assert!(scaled(&stage, "active").len() >= 2);
    assert_eq!(scaled(&stage, "shadow").len(), 0);
    actor.foresail.stop().await.unwrap();
}

/// A workload whose first pod has an Envoy with the filter, which gets all of its load.
struct Stall {
    shop: Shop,
    envoy: Envoy,
    /// Of the other pods, which are idle.
    _others: Frames,
}

impl Stall {
    async fn open(actor: &Actor, shop: Shop, service: &Service) -> Self {
        let behavior = json!({"scaleUp": {"policies": []}});
        let spec =
            json!({"targetRpsPerReplica": 5, "maxReplicas": 2 * STEPS, "behavior": behavior});
        shop.autoscale(spec).await.unwrap();
        let pod = until(LIMIT, "a pod is Ready", || async { shop.ready_pods().await.ok()?.pop() });
        let pod = pod.await.unwrap();
        let namespace = shop.namespace();
        let to = actor.foresail.url();
        let others = Frames::beside(shop.pods(), namespace, NAME, vec![to.clone()], 0, &pod);
        let filter = json!({"cluster": "aggregator", "report_interval": "1s"});
        let aggregator = to.trim_start_matches("http://").parse().unwrap();
        let envoy = Envoy::builder(&format!("{namespace}-sidecar"))
            .node(&Node::new(namespace, NAME, &pod))
            .listener(
                Listener::new("in")
                    .inbound()
                    .filter(&WasmFilter::new(&paths::wasm().unwrap(), &filter))
                    .route(Route::prefix("/").cluster("service")),
            )
            .cluster(Cluster::fixed("service", service.address()))
            .cluster(Cluster::fixed("aggregator", aggregator))
            .start(&actor.work)
            .await
            .unwrap();
        Self { shop, envoy, _others: others }
    }
}

/// In its first second 2 replicas' load, then that of another replica each second. In the middle
/// between two numbers of replicas, because a request counts in the second in which it ends.
fn ramp() -> Arc<[Shot]> {
    let mut shots = Vec::new();
    for second in 0..STEPS {
        let count = RPS * (second + 1) + RPS / 2;
        for number in 0..count {
            let at = f64::from(second) + (f64::from(number) + 0.5) / f64::from(count);
            shots.push(Shot::get(Duration::from_secs_f64(at), "/"));
        }
    }
    shots.into()
}

#[tokio::test]
async fn fifty_scale_ups_from_a_real_envoy_take_seconds() {
    let stage = stage().await;
    let client = stage.client().await.unwrap();
    let mut actor = stage.actor("a", json!({})).await.unwrap();
    until(LIMIT, "it leads", || async { actor.leads().await.then_some(()) }).await.unwrap();
    let service = Service::start(ServiceConfig::default()).await.unwrap();
    let mut stalls = Vec::new();
    for namespace in ["east", "west"] {
        let shop = Shop::open(&client, namespace, 1).await.unwrap();
        stalls.push(Stall::open(&actor, shop, &service).await);
    }
    // Begins with a second of everybody's clock, once the first frames have come.
    let begin = clock::unix_time().as_secs() + 4;
    let start = Instant::now() + Duration::from_secs(begin).saturating_sub(clock::unix_time());
    let mut loads = Vec::new();
    for stall in &stalls {
        let target = Target::new(stall.envoy.address("in").unwrap(), Protocol::Http1);
        loads.push(Load::start(&target, ramp(), start).unwrap());
    }
    for load in loads {
        let results = load.finish().await.unwrap();
        assert_eq!(results.failed(), 0);
    }
    // The last window must end and be acted on.
    sleep(Duration::from_secs(3)).await;
    let mut delays = Vec::new();
    for stall in &stalls {
        delays.extend(delays_of(&stage, &actor, &stall.shop, begin).await);
    }
    delays.sort_unstable();
    // The delay that so many in a hundred do not exceed.
    let at = |percent: usize| {
        let rank = (delays.len() * percent).div_ceil(100).max(1);
        delays.get(rank - 1).unwrap().as_secs_f64()
    };
    println!(
        "{} scale-ups, from the end of the window to the accepted patch: p50 {:.2} s, p99 {:.2} s, \
         longest {:.2} s",
        delays.len(),
        at(50),
        at(99),
        at(100)
    );
    assert!(delays.len() >= 50, "{delays:?}");
    actor.foresail.stop().await.unwrap();
}

/// For each number of replicas that was written, the time from the end of the first window that
/// needed them.
async fn delays_of(stage: &Stage, actor: &Actor, shop: &Shop, begin: u64) -> Vec<Duration> {
    let of = format!("/v1/workloads/{}/{NAME}", shop.namespace());
    let decisions = actor.foresail.json(&format!("{of}/decisions?limit=1000")).await.unwrap();
    let windows =
        actor.foresail.json(&format!("{of}/history?tier=1s&since={begin}")).await.unwrap();
    let list = |answer: &Value, name| answer.pointer(name).and_then(Value::as_array).cloned();
    let number = |it: &Value, name: &str| it.get(name).and_then(Value::as_f64);
    let decided = |it: &Value| Some((number(it, "at")? / 1e6, number(it, "desired_replicas")?));
    let needed = |it: &Value| Some((number(it, "t")? + 1.0, number(it, "rps")? / f64::from(RPS)));
    let mut decisions: Vec<_> =
        list(&decisions, "/decisions").unwrap().iter().filter_map(decided).collect();
    decisions.sort_by(|a, b| a.0.total_cmp(&b.0));
    let windows: Vec<_> = list(&windows, "/points").unwrap().iter().filter_map(needed).collect();
    assert!(shop.replicas().await.unwrap() > STEPS.cast_signed(), "{windows:?}");
    let mut delays = Vec::new();
    for write in scaled(stage, shop.namespace()) {
        let written = write.answered.as_secs_f64();
        let before = decisions.iter().rev().find(|(at, _)| *at <= written);
        let (_, replicas) = before.unwrap();
        let first = windows.iter().find(|(_, needed)| needed.ceil() >= *replicas);
        let (end, _) = first.unwrap_or_else(|| panic!("nothing needed {replicas}: {windows:?}"));
        delays.push(Duration::try_from_secs_f64(written - end).unwrap());
    }
    delays
}

#[tokio::test]
async fn a_restart_in_the_middle_of_a_scale_up_goes_on_where_it_was() {
    let stage = stage().await;
    let client = stage.client().await.unwrap();
    let mut actor = stage.actor("r", json!({})).await.unwrap();
    let shop = Shop::open(&client, "restarted", 4).await.unwrap();
    let slowly = json!({"policies": [{"type": "Pods", "value": 1, "periodSeconds": 2}]});
    let behavior = json!({"scaleUp": slowly});
    shop.autoscale(json!({"targetRpsPerReplica": 5, "behavior": behavior})).await.unwrap();
    let to = vec![actor.foresail.url()];
    let _frames = Frames::start(shop.pods(), "restarted", NAME, to, 7 * RPS);
    shop.has_replicas(5, LIMIT).await.unwrap();
    actor.foresail.kill();
    actor.foresail.restart().await.unwrap();
    shop.has_replicas(7, LIMIT).await.unwrap();
    let up = |(reason, _): &(String, String)| reason == "ScaledUp";
    let told = shop.events().await;
    assert!(told.iter().all(|it| up(it) || it.0 != "ScaledDown"), "{told:?}");
    // 4 -> 5 -> 6 -> 7, each once.
    assert_eq!(scaled(&stage, "restarted").len(), 3, "{told:?}");
    actor.foresail.stop().await.unwrap();
}
