//! What must not be done, with real objects: each scenario has a namespace of its own, and all share
//! a control plane and one aggregator.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "kube_safety/accounts.rs"]
mod accounts;
#[path = "support/manifests.rs"]
mod manifests;
#[path = "support/mtls.rs"]
mod mtls;
#[path = "support/pod_metrics.rs"]
mod pod_metrics;
#[path = "kube_safety/resources.rs"]
mod resources;
#[path = "kube_safety/turns.rs"]
mod turns;

use std::future::Future;
use std::sync::LazyLock;
use std::time::Duration;

use foresail_tests::shop::{NAME, until};
use foresail_tests::stage::NAMESPACE;
use foresail_tests::{Actor, Frames, Shop, Stage};
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::core::v1::Pod;
use kube::Client;
use kube::api::{Api, DeleteParams, Patch, PatchParams, PostParams};
use pod_metrics::PodMetrics;
use serde_json::{Value, json};
use tokio::runtime::Runtime;
use tokio::sync::OnceCell;
use tokio::time::sleep;

/// Until something that must happen has happened; long, for a busy machine.
const LIMIT: Duration = Duration::from_secs(90);
/// Longer than the stabilization window, and several decisions.
const A_WHILE: Duration = Duration::from_secs(7);
/// As the aggregator counts: longer without a node is unschedulable.
const UNSCHEDULABLE_FOR: Duration = Duration::from_mins(1);
/// Requests a second that a replica is given: without a forecast a quarter of 10 stays in reserve.
const RPS: u32 = 8;
/// Annotations that the nodes of the control plane obey.
const UNREADY: &str = "control-plane.foresail.dev/unready";
const UNSCHEDULABLE: &str = "control-plane.foresail.dev/unschedulable";

struct Scene {
    client: Client,
    stage: Stage,
    actor: Actor,
    /// What pods use of CPU.
    metrics: PodMetrics,
}

/// Plays a scenario on the scene that all share.
fn play<F: Future<Output = ()>>(scenario: impl FnOnce(&'static Scene) -> F) {
    static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().unwrap());
    static SCENE: OnceCell<Scene> = OnceCell::const_new();
    RUNTIME.block_on(async {
        let scene = SCENE.get_or_init(|| async {
            let flags = ["-ready-after", "1s", "-hpa-sync-period", "2s"];
            let stage = Stage::start("safety", &flags).await.unwrap();
            // Pods of one scenario do not count against another's.
            let blast = json!({"blast_radius": {"pods": 1000}});
            let actor = stage.actor("safety", blast).await.unwrap();
            until(LIMIT, "it leads", || async { actor.leads().await.then_some(()) }).await.unwrap();
            let client = stage.client().await.unwrap();
            let metrics = PodMetrics::start(&client, NAMESPACE).await;
            Scene { client, stage, actor, metrics }
        });
        scenario(scene.await).await;
    });
}

impl Scene {
    /// A Deployment of so many replicas with the load of so many, and its resource.
    async fn shop(&self, name: &str, replicas: u32, spec: Value) -> (Shop, Frames) {
        let shop = Shop::open(&self.client, name, replicas).await.unwrap();
        shop.autoscale(spec).await.unwrap();
        let frames = self.frames(&shop, NAME, replicas);
        until(LIMIT, "all pods are Ready", || async {
            (shop.ready_pods().await.ok()?.len() == replicas as usize).then_some(())
        })
        .await
        .unwrap();
        shop.says("ScalingActive", "True", "Scaling", LIMIT).await.unwrap();
        (shop, frames)
    }

    fn frames(&self, shop: &Shop, workload: &str, replicas: u32) -> Frames {
        let to = vec![self.actor.foresail.url()];
        Frames::start(shop.pods(), shop.namespace(), workload, to, replicas * RPS)
    }
}

/// Stays at so many replicas.
async fn stays(shop: &Shop, replicas: i32) {
    sleep(A_WHILE).await;
    assert_eq!(shop.replicas().await.unwrap(), replicas, "{:?}", shop.events().await);
}

fn template(annotation: &str, value: Option<&str>) -> Value {
    json!({"spec": {"template": {"metadata": {"annotations": {annotation: value}}}}})
}

async fn annotate(pods: &Api<Pod>, pod: &str, annotation: &str, value: Value) {
    let patch = json!({"metadata": {"annotations": {annotation: value}}});
    pods.patch(pod, &PatchParams::default(), &Patch::Merge(patch)).await.unwrap();
}

#[test]
fn nothing_scales_down_during_a_rollout() {
    play(async |scene| {
        let (shop, frames) = scene.shop("rollout", 4, json!({})).await;
        // The new pods do not become Ready: the rollout stands still, the old ones serve.
        shop.patch("test", template(UNREADY, Some(""))).await.unwrap();
        frames.set_rps(RPS);
        shop.event("RolloutInProgress", LIMIT).await.unwrap();
        shop.says("Limited", "True", "Rollout", LIMIT).await.unwrap();
        stays(&shop, 4).await;
        shop.patch("test", template(UNREADY, None)).await.unwrap();
        shop.has_replicas(1, LIMIT).await.unwrap();
    });
}

#[test]
fn nothing_scales_down_while_a_pod_that_should_serve_does_not() {
    play(async |scene| {
        let (shop, frames) = scene.shop("unready", 3, json!({})).await;
        let pod = shop.ready_pods().await.unwrap().pop().unwrap();
        annotate(&shop.pods(), &pod, UNREADY, "".into()).await;
        until(LIMIT, "it does not serve", || async {
            (shop.ready_pods().await.ok()?.len() == 2).then_some(())
        })
        .await
        .unwrap();
        // Past its start-up time.
        sleep(Duration::from_secs(6)).await;
        frames.set_rps(RPS);
        shop.event("PodsUnready", LIMIT).await.unwrap();
        stays(&shop, 3).await;
        annotate(&shop.pods(), &pod, UNREADY, Value::Null).await;
        shop.has_replicas(1, LIMIT).await.unwrap();
    });
}

#[test]
fn nothing_more_is_asked_for_while_there_is_no_node() {
    play(async |scene| {
        let (shop, frames) = scene.shop("unschedulable", 2, json!({})).await;
        shop.patch("test", template(UNSCHEDULABLE, Some(""))).await.unwrap();
        frames.set_rps(3 * RPS);
        shop.has_replicas(3, LIMIT).await.unwrap();
        sleep(UNSCHEDULABLE_FOR + Duration::from_secs(2)).await;
        frames.set_rps(6 * RPS);
        shop.event("PodsUnschedulable", LIMIT).await.unwrap();
        shop.says("Limited", "True", "Unschedulable", LIMIT).await.unwrap();
        stays(&shop, 3).await;
        shop.patch("test", template(UNSCHEDULABLE, None)).await.unwrap();
        shop.has_replicas(6, LIMIT).await.unwrap();
    });
}

#[test]
fn pods_of_others_under_the_same_labels_are_not_counted() {
    play(async |scene| {
        let (shop, _frames) = scene.shop("foreign", 2, json!({})).await;
        let pod = json!({
            "metadata": {"name": "stranger", "labels": {"app": NAME}},
            "spec": {"containers": [{"name": "app", "image": "none"}]},
        });
        let pod = serde_json::from_value(pod).unwrap();
        shop.pods().create(&PostParams::default(), &pod).await.unwrap();
        until(LIMIT, "the stranger is Ready", || async {
            (shop.ready_pods().await.ok()?.len() == 3).then_some(())
        })
        .await
        .unwrap();
        stays(&shop, 2).await;
        let status = shop.status().await.unwrap();
        assert_eq!(status.pointer("/readyReplicas"), Some(&json!(2)), "{status}");
    });
}

#[test]
fn a_target_that_somebody_switched_off_stays_off() {
    play(async |scene| {
        let (shop, frames) = scene.shop("off", 2, json!({})).await;
        shop.patch("a-person", json!({"spec": {"replicas": 0}})).await.unwrap();
        frames.set_rps(3 * RPS);
        shop.says("ScalingActive", "False", "SwitchedOff", LIMIT).await.unwrap();
        stays(&shop, 0).await;
        shop.patch("a-person", json!({"spec": {"replicas": 2}})).await.unwrap();
        shop.has_replicas(3, LIMIT).await.unwrap();
        shop.says("ScalingActive", "True", "Scaling", LIMIT).await.unwrap();
    });
}

#[test]
fn a_target_that_is_gone_is_told_and_found_again() {
    play(async |scene| {
        let (shop, frames) = scene.shop("gone", 2, json!({})).await;
        shop.deployments().delete(NAME, &DeleteParams::default()).await.unwrap();
        shop.says("AbleToScale", "False", "TargetNotFound", LIMIT).await.unwrap();
        shop.event("TargetNotFound", LIMIT).await.unwrap();
        shop.deploy(NAME, 2, json!({})).await.unwrap();
        frames.set_rps(3 * RPS);
        shop.has_replicas(3, LIMIT).await.unwrap();
        shop.says("AbleToScale", "True", "ReadyToScale", LIMIT).await.unwrap();
        // Another name is another target.
        shop.deploy("renamed", 2, json!({})).await.unwrap();
        shop.edit(json!({"scaleTargetRef": {"name": "renamed"}})).await.unwrap();
        let _frames = scene.frames(&shop, "renamed", 4);
        until(LIMIT, "the renamed one is scaled", || async {
            let replicas = shop.deployments().get("renamed").await.ok()?.spec?.replicas;
            (replicas == Some(4)).then_some(())
        })
        .await
        .unwrap();
        frames.set_rps(6 * RPS);
        stays(&shop, 3).await;
    });
}

#[test]
fn a_second_autoscaler_on_the_target_stops_us() {
    play(async |scene| {
        let (shop, frames) = scene.shop("rival", 2, json!({})).await;
        let hpas: Api<HorizontalPodAutoscaler> = Api::namespaced(scene.client.clone(), "rival");
        let hpa = json!({
            "metadata": {"name": "rival"},
            "spec": {
                "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": NAME},
                "minReplicas": 1, "maxReplicas": 20,
                "metrics": [{"type": "Resource", "resource": {
                    "name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80},
                }}],
            },
        });
        let hpa = serde_json::from_value(hpa).unwrap();
        hpas.create(&PostParams::default(), &hpa).await.unwrap();
        shop.says("Conflict", "True", "AnotherAutoscaler", LIMIT).await.unwrap();
        frames.set_rps(3 * RPS);
        shop.event("Conflict", LIMIT).await.unwrap();
        stays(&shop, 2).await;
        hpas.delete("rival", &DeleteParams::default()).await.unwrap();
        shop.has_replicas(3, LIMIT).await.unwrap();
        shop.says("Conflict", "False", "NoConflict", LIMIT).await.unwrap();
    });
}

#[test]
fn a_tool_that_writes_the_replicas_back_ends_the_contest() {
    play(async |scene| {
        let (shop, frames) = scene.shop("gitops", 2, json!({})).await;
        frames.set_rps(3 * RPS);
        for _ in 0..3 {
            shop.has_replicas(3, LIMIT).await.unwrap();
            // It is seen to be there before it is undone.
            sleep(Duration::from_secs(2)).await;
            shop.patch("gitops-tool", json!({"spec": {"replicas": 2}})).await.unwrap();
        }
        shop.says("Conflict", "True", "Contested", LIMIT).await.unwrap();
        let told = shop.event("Contested", LIMIT).await.unwrap();
        assert!(told.contains("gitops-tool"), "{told}");
        stays(&shop, 2).await;
        shop.edit(json!({"tolerance": 0.01})).await.unwrap();
        shop.has_replicas(3, LIMIT).await.unwrap();
        shop.says("Conflict", "False", "NoConflict", LIMIT).await.unwrap();
    });
}

#[test]
fn old_telemetry_holds_and_then_raises_to_the_fallback() {
    play(async |scene| {
        let fallback = json!({"holdAfter": "8s", "after": "16s", "replicas": 5});
        let (shop, frames) = scene.shop("stale", 3, json!({"fallback": fallback})).await;
        frames.set_silent(true);
        shop.says("Stale", "True", "TelemetryStale", LIMIT).await.unwrap();
        assert!(shop.replicas().await.unwrap() >= 3);
        shop.has_replicas(5, LIMIT).await.unwrap();
        shop.event("TelemetryStale", LIMIT).await.unwrap();
        stays(&shop, 5).await;
        // Proven low load is another matter.
        frames.set_rps(2 * RPS);
        frames.set_silent(false);
        shop.says("Stale", "False", "Fresh", LIMIT).await.unwrap();
        shop.has_replicas(2, LIMIT).await.unwrap();
    });
}
