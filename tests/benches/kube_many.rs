//! What an aggregator costs that watches many: CPU, memory, and requests a second to the API server at
//! rest, and the time of a round in which everything is decided for.
//!
//!     cargo bench -p foresail-tests --bench kube_many -- [--resources N] [--seconds N] [--every N]
//!
//! A real kube-apiserver holds 1,000 `MeshAutoscaler`s in mode Active and five pods for each. The pods
//! belong to the Deployments themselves, and kube-controller-manager stands still while they are
//! made: it would take a quarter of an hour. First no telemetry comes, so every decision is to hold;
//! then each pod's proxy posts a frame every 5 s, and again each second, as filters do, so that
//! everything is measured, forecast, and played through by the shadow of each workload's settings.
#![expect(clippy::print_stdout, reason = "a bench prints its figures")]

#[path = "support/proxies.rs"]
mod proxies;

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use foresail_tests::control_plane::Part;
use foresail_tests::shop::until;
use foresail_tests::{Actor, Stage, audit, clock};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Namespace, Pod};
use kube::Client;
use kube::api::{Api, DynamicObject, PostParams};
use kube::core::{ApiResource, GroupVersionKind};
use proxies::{Plan, Proxies};
use rustix::process::Signal;
use serde_json::json;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

const PODS: usize = 5;
const NAMESPACES: usize = 10;
/// Requests to the API server at a time while objects are made.
const AT_A_TIME: usize = 32;
/// Until everything is as it should be.
const LIMIT: Duration = Duration::from_mins(10);
/// As the resources say.
const DECISION_INTERVAL: Duration = Duration::from_secs(15);
/// Seconds between the frames of a proxy.
const EVERY: [usize; 2] = [5, 1];
/// Requests a second of each pod: as many as the five serve with the reserve that is kept without a
/// forecast.
const RPS: u32 = 8;

#[tokio::main]
async fn main() -> Result<()> {
    let resources = option("--resources")?.unwrap_or(1_000);
    let seconds = option("--seconds")?.unwrap_or(60);
    let stage = Stage::start("many", &["-ready-after", "0s"]).await?;
    let client = stage.client().await?;
    stage.plane().signal(Part::ControllerManager, Signal::STOP)?;
    let begin = Instant::now();
    furnish(&client, resources).await?;
    println!(
        "{resources} MeshAutoscalers and {} pods, made in {:.0} s",
        resources * PODS,
        begin.elapsed().as_secs_f64()
    );
    let begin = Instant::now();
    let mut actor = stage.actor("many", json!({})).await?;
    until(LIMIT, "everything is decided for", || async {
        (decisions(&actor).await? >= resources as u64).then_some(())
    })
    .await?;
    println!("started and decided for all within {:.0} s", begin.elapsed().as_secs_f64());
    measure(&stage, &mut actor, resources, seconds, "no telemetry").await?;
    for every in option("--every")?.map_or(EVERY.to_vec(), |every| vec![every]) {
        let plan = Plan {
            workloads: resources as u64,
            namespaces: NAMESPACES as u64,
            pods: PODS as u64,
            every: every as u64,
            rps: RPS,
        };
        let proxies = Proxies::start(plan, &actor.foresail.url());
        until(LIMIT, "every shadow is scored", || async {
            (shadows(&actor).await? >= resources).then_some(())
        })
        .await?;
        let (before, begin) = (proxies.counts(), Instant::now());
        let with = format!("a frame every {every} s of each pod");
        measure(&stage, &mut actor, resources, seconds, &with).await?;
        let (after, time) = (proxies.counts(), begin.elapsed().as_secs_f64());
        println!(
            "  {:.0} frames a second taken, {} not; {} shadows scored",
            (after.0 - before.0) as f64 / time,
            after.1 - before.1,
            shadows(&actor).await.context("no metrics")?
        );
    }
    actor.foresail.stop().await
}

/// Waits until the API server is left alone, then measures for some seconds.
async fn measure(
    stage: &Stage,
    actor: &mut Actor,
    resources: usize,
    seconds: usize,
    with: &str,
) -> Result<()> {
    // Until every status is written.
    until(LIMIT, "it rests", || async {
        let since = clock::unix_time();
        sleep(2 * DECISION_INTERVAL).await;
        (rate(stage, since).ok()? < 5.0).then_some(())
    })
    .await?;
    let (since, cpu) = (clock::unix_time(), actor.foresail.process().cpu_seconds()?);
    sleep(Duration::from_secs(seconds as u64)).await;
    let spent = actor.foresail.process().cpu_seconds()? - cpu;
    println!(
        "{with}: {:.2} requests a second to the API server, {:.1} % of a core, {:.0} MiB resident, \
         a round of {resources} decisions in {:.2} s",
        rate(stage, since)?,
        spent * 100.0 / clock::unix_time().saturating_sub(since).as_secs_f64(),
        resident_mib(actor)?,
        round(actor, resources).await?
    );
    Ok(())
}

/// A whole number after a flag.
fn option(flag: &str) -> Result<Option<usize>> {
    let mut arguments = std::env::args().skip_while(|argument| argument != flag).skip(1);
    arguments.next().map(|text| text.parse().with_context(|| format!("{flag} {text}"))).transpose()
}

async fn furnish(client: &Client, resources: usize) -> Result<()> {
    let namespaces: Api<Namespace> = Api::all(client.clone());
    for number in 0..NAMESPACES {
        let namespace =
            serde_json::from_value(json!({"metadata": {"name": format!("team-{number}")}}))?;
        namespaces.create(&PostParams::default(), &namespace).await?;
    }
    let places = Arc::new(Semaphore::new(AT_A_TIME));
    let mut making = JoinSet::new();
    for number in 0..resources {
        let (client, places) = (client.clone(), Arc::clone(&places));
        making.spawn(async move {
            let _place = places.acquire().await?;
            make(&client, number).await
        });
    }
    while let Some(made) = making.join_next().await {
        made??;
    }
    let pods: Api<Pod> = Api::all(client.clone());
    until(LIMIT, "all pods are Ready", || async {
        let unbound = kube::api::ListParams::default().fields("status.phase!=Running");
        pods.list_metadata(&unbound).await.ok()?.items.is_empty().then_some(())
    })
    .await
}

/// One Deployment with its pods and its resource.
async fn make(client: &Client, number: usize) -> Result<()> {
    let namespace = format!("team-{}", number % NAMESPACES);
    let name = format!("service-{number}");
    let template = json!({
        "metadata": {"labels": {"app": name}},
        "spec": {"containers": [{"name": "app", "image": "none"}]},
    });
    let deployment = json!({
        "metadata": {"name": name},
        "spec": {
            "replicas": PODS, "template": template,
            "selector": {"matchLabels": {"app": name}},
        },
    });
    let by = PostParams::default();
    let deployments: Api<Deployment> = Api::namespaced(client.clone(), &namespace);
    let deployment = deployments.create(&by, &serde_json::from_value(deployment)?).await?;
    let uid = deployment.metadata.uid.context("no uid")?;
    let pods: Api<Pod> = Api::namespaced(client.clone(), &namespace);
    for pod in 0..PODS {
        let pod = json!({
            "metadata": {
                "name": format!("{name}-{pod}"), "labels": {"app": name},
                "ownerReferences": [{"apiVersion": "apps/v1", "kind": "Deployment",
                    "name": name, "uid": uid, "controller": true}],
            },
            "spec": template.get("spec"),
        });
        pods.create(&by, &serde_json::from_value(pod)?).await?;
    }
    let gvk = GroupVersionKind::gvk("foresail.dev", "v1alpha1", "MeshAutoscaler");
    let resource = ApiResource::from_gvk_with_plural(&gvk, "meshautoscalers");
    let all: Api<DynamicObject> = Api::namespaced_with(client.clone(), &namespace, &resource);
    let autoscaler = json!({
        "apiVersion": "foresail.dev/v1alpha1", "kind": "MeshAutoscaler",
        "metadata": {"name": name},
        "spec": {
            "scaleTargetRef": {"name": name}, "maxReplicas": 20, "mode": "Active",
            "objectives": {"latency": {"threshold": "250ms"}}, "targetRpsPerReplica": 10,
            "decisionInterval": format!("{}s", DECISION_INTERVAL.as_secs()),
        },
    });
    all.create(&by, &serde_json::from_value(autoscaler)?).await?;
    Ok(())
}

/// Decisions so far, of all workloads.
async fn decisions(actor: &Actor) -> Option<u64> {
    let text = actor.foresail.text("/metrics").await.ok()?;
    let lines = text.lines().filter(|line| line.starts_with("foresail_decisions_total"));
    lines.map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum()
}

/// Workloads of which the shadow of their own settings has scores.
async fn shadows(actor: &Actor) -> Option<usize> {
    let text = actor.foresail.text("/metrics").await.ok()?;
    let scored = |line: &&str| {
        line.starts_with("foresail_shadow_pod_hours{") && line.contains("policy=\"configured\"")
    };
    Some(text.lines().filter(scored).count())
}

/// Seconds from a boundary of the decision interval until all have decided.
async fn round(actor: &Actor, resources: usize) -> Result<f64> {
    let interval = DECISION_INTERVAL.as_secs();
    let boundary = Duration::from_secs((clock::unix_time().as_secs() / interval + 2) * interval);
    sleep(boundary.saturating_sub(clock::unix_time() + Duration::from_secs(3))).await;
    let before = decisions(actor).await.context("no metrics")?;
    sleep(boundary.saturating_sub(clock::unix_time())).await;
    // Seldom, for it is a long page.
    while decisions(actor).await.context("no metrics")? < before + resources as u64 {
        sleep(Duration::from_millis(200)).await;
    }
    Ok(clock::unix_time().saturating_sub(boundary).as_secs_f64())
}

/// Requests a second that the API server answered since a time.
fn rate(stage: &Stage, since: Duration) -> Result<f64> {
    let until = clock::unix_time();
    let all = audit::requests(stage.plane(), "foresail-many")?;
    let count = all.iter().filter(|it| (since..until).contains(&it.received)).count();
    Ok(count as f64 / until.saturating_sub(since).as_secs_f64())
}

/// CPU that the aggregator has used.
fn resident_mib(actor: &mut Actor) -> Result<f64> {
    let id = actor.foresail.process().id();
    let status = std::fs::read_to_string(format!("/proc/{id}/status"))?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).context("no VmRSS")?;
    let kib = line.split_whitespace().nth(1).context("no VmRSS")?.parse::<f64>()?;
    Ok(kib / 1024.0)
}
