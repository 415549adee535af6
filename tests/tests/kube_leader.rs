//! Two aggregators, of which one acts: the leader is killed, and another is cut off while it still
//! believes that it leads. Who wrote when is read from the API server's audit log.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]
#![expect(clippy::print_stdout, reason = "how long a takeover takes is printed")]

#[path = "support/manifests.rs"]
mod manifests;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use foresail_tests::audit::{self, Answered};
use foresail_tests::load::{Protocol, Target};
use foresail_tests::shop::{NAME, until};
use foresail_tests::stage::{self, NAMESPACE, Stage};
use foresail_tests::{
    Actor, Cluster, Endpoints, Envoy, Fault, Frames, Http, Listener, Load, Node, Route, Service,
    ServiceConfig, Shop, Shot, WasmFilter, clock, paths,
};
use hyper::Method;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::api::{Api, ListParams};
use kube::{Client, ResourceExt};
use serde_json::json;
use tokio::sync::OnceCell;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

/// Until something that must happen has happened; long, for a busy machine.
const LIMIT: Duration = Duration::from_mins(1);
/// What the lease promises.
const TAKEOVER: Duration = Duration::from_secs(15);
/// Longer than any takeover with the first decision after it.
const LATE: Duration = Duration::from_secs(22);

async fn stage() -> Stage {
    static STAGE: OnceCell<Stage> = OnceCell::const_new();
    let start = || async { Stage::start("leader", &["-ready-after", "1s"]).await.unwrap() };
    STAGE.get_or_init(start).await.clone()
}

/// Everything that was written on behalf of an aggregator that only a leader may write.
fn writes(stage: &Stage) -> Vec<Answered> {
    let all = audit::requests(stage.plane(), "foresail-").unwrap();
    let counts = |it: &Answered| it.is_write() && it.resource != "events";
    all.into_iter().filter(counts).collect()
}

/// Whoever writes holds the lease at that moment; says when each holder took it.
fn one_writes_at_a_time(stage: &Stage) -> Vec<(String, Duration)> {
    let mut holders: Vec<(String, Duration)> = Vec::new();
    for write in writes(stage) {
        let holder = holders.last().map(|(holder, _)| holder.clone());
        if write.resource != "leases" {
            assert_eq!(holder.as_ref(), Some(&write.user), "{write:?} after {holders:?}");
        } else if holder.as_ref() != Some(&write.user) {
            holders.push((write.user, write.answered));
        }
    }
    holders
}

/// Each change that was told goes on from the one before: none is missing and none was made twice.
async fn changes_follow_each_other(stage: &Stage, shop: &Shop) {
    let writes = writes(stage)
        .into_iter()
        .filter(|it| it.resource == "deployments/scale" && it.namespace == shop.namespace());
    let mut told = Vec::new();
    for (reason, note) in shop.events().await {
        if reason != "ScaledUp" && reason != "ScaledDown" {
            continue;
        }
        let numbers = note.split(':').next().unwrap().trim_start_matches("replicas ");
        let (from, to) = numbers.split_once(" -> ").unwrap();
        told.push((from.parse::<i32>().unwrap(), to.parse::<i32>().unwrap()));
    }
    assert!(told.windows(2).all(|pair| pair[0].1 == pair[1].0), "{told:?}");
    assert_eq!(told.last().unwrap().1, shop.replicas().await.unwrap());
    assert_eq!(told.len(), writes.count(), "{told:?}");
}

/// Foresail's own Deployment, Service and budget, from the manifests, with pods that pretend.
async fn deploy_foresail(client: &Client) -> Vec<String> {
    for document in stage::manifests().unwrap() {
        let kind = document["kind"].as_str().unwrap();
        if ["ServiceAccount", "ConfigMap", "Service", "PodDisruptionBudget", "Deployment"]
            .contains(&kind)
        {
            manifests::apply(client, &document).await.unwrap();
        }
    }
    let pods: Api<Pod> = Api::namespaced(client.clone(), NAMESPACE);
    until(LIMIT, "two pods of Foresail", || async {
        let pods = pods.list(&ListParams::default()).await.ok()?;
        let names: Vec<_> = pods.items.iter().map(ResourceExt::name_any).collect();
        (names.len() == 2).then_some(names)
    })
    .await
    .unwrap()
}

/// The pods that the Service of the manifests leads to.
async fn led_to(client: &Client) -> Vec<String> {
    let services: Api<k8s_openapi::api::core::v1::Service> =
        Api::namespaced(client.clone(), NAMESPACE);
    let service = services.get("foresail").await.unwrap();
    let selector = service.spec.unwrap().selector.unwrap();
    let selector: Vec<_> = selector.iter().map(|(key, value)| format!("{key}={value}")).collect();
    let pods: Api<Pod> = Api::namespaced(client.clone(), NAMESPACE);
    let pods = pods.list(&ListParams::default().labels(&selector.join(","))).await.unwrap();
    pods.items.iter().map(ResourceExt::name_any).collect()
}

/// Does what a mesh does: the endpoints of the proxies follow the Service.
fn follow(
    client: Client,
    mut endpoints: Endpoints,
    addresses: BTreeMap<String, SocketAddr>,
) -> JoinHandle<()> {
    tokio::spawn(async move {
        let mut before = Vec::new();
        loop {
            let pods = led_to(&client).await;
            if pods != before {
                let to: Vec<_> = pods.iter().map(|pod| addresses[pod]).collect();
                endpoints.set(&to).unwrap();
                before = pods;
            }
            sleep(Duration::from_millis(200)).await;
        }
    })
}

fn address(actor: &Actor) -> SocketAddr {
    actor.foresail.url().trim_start_matches("http://").parse().unwrap()
}

/// An Envoy with the filter beside the only pod, which sends its frames where `endpoints` say.
async fn sidecar(actor: &Actor, shop: &Shop, service: &Service, endpoints: &Endpoints) -> Envoy {
    let pod = until(LIMIT, "a pod is Ready", || async { shop.ready_pods().await.ok()?.pop() });
    let filter = WasmFilter::new(&paths::wasm().unwrap(), &json!({"cluster": "aggregator"}));
    let listener = Listener::new("in").inbound().filter(&filter);
    Envoy::builder("sidecar")
        .node(&Node::new(shop.namespace(), NAME, &pod.await.unwrap()))
        .listener(listener.route(Route::prefix("/").cluster("service")))
        .cluster(Cluster::fixed("service", service.address()))
        .cluster(Cluster::eds("aggregator", endpoints))
        .start(&actor.work)
        .await
        .unwrap()
}

/// So many requests a second, evenly.
fn steady(rps: u32, from: Duration, length: u32) -> Vec<Shot> {
    let at = |number: u32| from + Duration::from_secs(1) * (2 * number + 1) / (2 * rps);
    (0..rps * length).map(|number| Shot::get(at(number), "/")).collect()
}

async fn counted(actor: &Actor, shop: &Shop) -> u64 {
    let path = format!("/v1/workloads/{}/{NAME}", shop.namespace());
    let workload = actor.foresail.json(&path).await.unwrap();
    assert_eq!(workload["totals"]["lost_frames"], 0);
    workload["totals"]["inbound"]["requests"].as_u64().unwrap()
}

#[tokio::test]
async fn when_the_leader_is_killed_another_goes_on_and_no_request_is_forgotten() {
    let stage = stage().await;
    let client = stage.client().await.unwrap();
    let pods = deploy_foresail(&client).await;
    let mut a = stage.actor_in(Some(&pods[0]), "a", json!({})).await.unwrap();
    until(LIMIT, "a leads", || async { a.leads().await.then_some(()) }).await.unwrap();
    let b = stage.actor_in(Some(&pods[1]), "b", json!({})).await.unwrap();
    until(LIMIT, "the Service leads to a", || async {
        (led_to(&client).await == [pods[0].clone()]).then_some(())
    })
    .await
    .unwrap();

    let shop = Shop::open(&client, "killed", 1).await.unwrap();
    let behavior = json!({"scaleUp": {"policies": []}});
    shop.autoscale(json!({"targetRpsPerReplica": 5, "behavior": behavior})).await.unwrap();
    let endpoints = Endpoints::new(&a.work, "aggregator").unwrap();
    let service = Service::start(ServiceConfig::default()).await.unwrap();
    let envoy = sidecar(&a, &shop, &service, &endpoints).await;
    let addresses =
        BTreeMap::from([(pods[0].clone(), address(&a)), (pods[1].clone(), address(&b))]);
    let following = follow(client.clone(), endpoints, addresses);

    // 10 requests a second need 3 replicas; from the kill on 22 need 6.
    let begin = Duration::from_secs(clock::unix_time().as_secs() + 2);
    let start = Instant::now() + begin.saturating_sub(clock::unix_time());
    let target = Target::new(envoy.address("in").unwrap(), Protocol::Http1);
    let calm = Load::start(&target, steady(10, Duration::ZERO, 8).into(), start).unwrap();
    shop.has_replicas(3, LIMIT).await.unwrap();
    let calm = calm.finish().await.unwrap();
    // The last window is on disk; nothing is on its way.
    sleep(Duration::from_millis(1_700)).await;
    let killed = clock::unix_time();
    a.foresail.kill();
    let busy = Load::start(&target, steady(22, Duration::ZERO, 25).into(), Instant::now()).unwrap();
    until(LIMIT, "b leads", || async { b.leads().await.then_some(()) }).await.unwrap();
    shop.has_replicas(6, LIMIT).await.unwrap();
    let holders = one_writes_at_a_time(&stage);
    let scaled = writes(&stage).pop().unwrap().answered.saturating_sub(killed);
    let (holder, took) = holders.last().unwrap().clone();
    let took = took.saturating_sub(killed);
    println!(
        "killed: lease taken over after {:.1} s, replicas written after {:.1} s",
        took.as_secs_f64(),
        scaled.as_secs_f64()
    );
    assert_eq!(holder, "foresail-b");
    assert!(took < TAKEOVER);
    until(LIMIT, "the Service leads to b", || async {
        (led_to(&client).await == [pods[1].clone()]).then_some(())
    })
    .await
    .unwrap();

    // The one that was killed comes back, stands by, and takes no frames.
    a.foresail.restart().await.unwrap();
    assert!(!a.leads().await);
    let frames = format!("{}/v1/frames", a.foresail.url());
    let answer = Http::default().send(Method::POST, &frames, "application/octet-stream", "x").await;
    let (status, body) = answer.unwrap();
    assert_eq!(status, 503);
    assert_eq!(
        serde_json::from_slice::<serde_json::Value>(&body).unwrap(),
        json!({"error": "another aggregator leads", "kind": "standby"})
    );
    let metrics = a.foresail.text("/metrics").await.unwrap();
    assert!(metrics.contains("foresail_ingest_frames_total{result=\"standby\"} 1\n"), "{metrics}");
    let busy = busy.finish().await.unwrap();
    until(LIMIT, "every request is counted once", || async {
        let sum = counted(&a, &shop).await + counted(&b, &shop).await;
        (sum == calm.total() + busy.total()).then_some(())
    })
    .await
    .unwrap();
    changes_follow_each_other(&stage, &shop).await;
    nobody_waits_for_a_standby(&client).await;
    following.abort();
    for mut actor in [a, b] {
        actor.foresail.stop().await.unwrap();
    }
}

/// A standby is as Ready as the leader: rollouts end, and nodes drain.
async fn nobody_waits_for_a_standby(client: &Client) {
    let deployments: Api<Deployment> = Api::namespaced(client.clone(), NAMESPACE);
    let status = deployments.get("foresail").await.unwrap().status.unwrap();
    assert_eq!(status.available_replicas, Some(2));
    let budgets: Api<PodDisruptionBudget> = Api::namespaced(client.clone(), NAMESPACE);
    until(LIMIT, "one may be evicted", || async {
        let status = budgets.get("foresail").await.unwrap().status?;
        (status.disruptions_allowed == 1).then_some(())
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn a_leader_that_is_cut_off_stops_before_another_begins_and_its_late_writes_are_refused() {
    let stage = stage().await;
    let client = stage.client().await.unwrap();
    let mut c = stage.actor("c", json!({})).await.unwrap();
    until(LIMIT, "c leads", || async { c.leads().await.then_some(()) }).await.unwrap();
    let mut d = stage.actor("d", json!({})).await.unwrap();
    let shop = Shop::open(&client, "late", 2).await.unwrap();
    shop.autoscale(json!({})).await.unwrap();
    let to = vec![c.foresail.url(), d.foresail.url()];
    let frames = Frames::start(shop.pods(), "late", NAME, to, 24);
    shop.has_replicas(3, LIMIT).await.unwrap();

    // It believes that it leads, decides and writes; nothing arrives before others have acted.
    let cut = clock::unix_time();
    c.api.set(Fault::Late(LATE));
    frames.set_rps(56);
    until(LIMIT, "d leads", || async { d.leads().await.then_some(()) }).await.unwrap();
    assert!(!c.leads().await);
    shop.has_replicas(7, LIMIT).await.unwrap();
    let holders = one_writes_at_a_time(&stage);
    let (holder, took) = holders.last().unwrap().clone();
    println!("cut off: lease taken over after {:.1} s", took.saturating_sub(cut).as_secs_f64());
    assert_eq!(holder, "foresail-d");
    assert!(took.saturating_sub(cut) < TAKEOVER);

    // What it wrote arrives now, and finds that the world has gone on.
    let late = |it: &Answered| {
        it.user == "foresail-c" && it.resource == "deployments/scale" && it.answered > took
    };
    let refused = until(LIMIT, "the late writes arrive", || async {
        let all = audit::requests(stage.plane(), "foresail-c").ok()?;
        let late: Vec<_> = all.into_iter().filter(|it| late(it)).collect();
        (!late.is_empty()).then_some(late)
    });
    assert!(refused.await.unwrap().iter().all(|it| it.code == 409));
    c.api.set(Fault::None);
    sleep(Duration::from_secs(3)).await;
    assert!(d.leads().await && !c.leads().await);
    assert_eq!(shop.replicas().await.unwrap(), 7);
    one_writes_at_a_time(&stage);
    changes_follow_each_other(&stage, &shop).await;
    assert!(c.log().contains("acts no more"), "{}", c.log());
    for actor in [&mut c, &mut d] {
        actor.foresail.stop().await.unwrap();
    }
}
