//! What pods use of CPU, by `metrics.k8s.io`: the same number as the autoscaler of Kubernetes, and no
//! effect without figures.

use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use kube::api::{Api, DeleteParams, PostParams};
use serde_json::{Value, json};

use foresail_tests::Shop;
use foresail_tests::shop::{NAME, until};

use super::{LIMIT, RPS, Scene, play};

/// In per cent of what a pod requests, 500 thousandths of a core.
const AIM: u32 = 60;

/// Has the pods request CPU.
pub(super) async fn request(shop: &Shop, replicas: u32) {
    let container = json!({"name": "app", "image": "none",
        "resources": {"requests": {"cpu": "500m", "memory": "64Mi"}}});
    let template = json!({"spec": {"template": {"spec": {"containers": [container]}}}});
    shop.patch("test", template).await.unwrap();
    until(LIMIT, "all pods request CPU and are Ready", || async {
        let pods = shop.pods().list(&kube::api::ListParams::default()).await.ok()?.items;
        let requests = pods.iter().filter(|pod| {
            let spec = pod.spec.as_ref().map(|spec| spec.containers.iter());
            spec.into_iter().flatten().all(|it| it.resources.is_some())
        });
        let is_it = pods.len() == replicas as usize && requests.count() == pods.len();
        (is_it && shop.ready_pods().await.ok()?.len() == pods.len()).then_some(())
    })
    .await
    .unwrap();
}

/// An autoscaler of Kubernetes on CPU that does at once what it wants.
pub(super) fn hpa(min: u32) -> HorizontalPodAutoscaler {
    let hpa = json!({
        "metadata": {"name": "of-the-user"},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": NAME},
            "minReplicas": min, "maxReplicas": 20,
            "metrics": [{"type": "Resource", "resource": {
                "name": "cpu", "target": {"type": "Utilization", "averageUtilization": AIM},
            }}],
            "behavior": {"scaleDown": {
                "stabilizationWindowSeconds": 0,
                "policies": [{"type": "Pods", "value": 20, "periodSeconds": 2}],
            }},
        },
    });
    serde_json::from_value(hpa).unwrap()
}

/// What the signal `cpu` of the last decision asks for.
async fn asked(scene: &Scene, shop: &Shop) -> Option<(u64, Value)> {
    let path = format!("/v1/workloads/{}/{NAME}/decisions?limit=1", shop.namespace());
    let decision = scene.actor.foresail.json(&path).await.ok()?.pointer("/decisions/0")?.clone();
    let signals = decision.get("signals")?.as_array()?.clone();
    let cpu = signals.into_iter().find(|signal| signal.get("name") == Some(&json!("cpu")))?;
    Some((cpu.get("desired_replicas")?.as_u64()?, decision))
}

/// Foresail says so many, and the autoscaler of Kubernetes goes there.
async fn both_ask_for(scene: &Scene, shop: &Shop, wanted: i32) {
    let what = format!("the signal cpu asks for {wanted}");
    let said = until(LIMIT, &what, || async {
        asked(scene, shop)
            .await
            .filter(|(replicas, _)| i32::try_from(*replicas) == Ok(wanted))
            .map(drop)
    });
    if let Err(error) = said.await {
        let last = asked(scene, shop).await;
        assert!(last.is_none(), "{error}: {last:?}");
        assert!(last.is_some(), "{error}: {:?}", shop.status().await);
    }
    let hpas: Api<HorizontalPodAutoscaler> =
        Api::namespaced(scene.client.clone(), shop.namespace());
    hpas.create(&PostParams::default(), &hpa(1)).await.unwrap();
    until(LIMIT, "the autoscaler of Kubernetes has decided", || async {
        (hpas.get("of-the-user").await.ok()?.status?.desired_replicas == wanted).then_some(())
    })
    .await
    .unwrap();
    shop.has_replicas(wanted, LIMIT).await.unwrap();
    hpas.delete("of-the-user", &DeleteParams::default()).await.unwrap();
}

async fn set_replicas(shop: &Shop, replicas: u32) {
    shop.patch("a-person", json!({"spec": {"replicas": replicas}})).await.unwrap();
    until(LIMIT, "all pods are Ready", || async {
        (shop.ready_pods().await.ok()?.len() == replicas as usize).then_some(())
    })
    .await
    .unwrap();
}

#[test]
fn the_use_of_cpu_asks_for_as_many_replicas_as_the_autoscaler_of_kubernetes() {
    play(async |scene| {
        let shop = Shop::open(&scene.client, "cpu", 4).await.unwrap();
        request(&shop, 4).await;
        let frames = scene.frames(&shop, NAME, 1);
        scene.metrics.set("cpu", 2_400, None);
        let resources = json!({"cpu": {"averageUtilization": AIM}});
        shop.autoscale(json!({"mode": "Shadow", "tolerance": 0.1, "resources": resources}))
            .await
            .unwrap();
        // 120 % of four.
        both_ask_for(scene, &shop, 8).await;
        shop.says("ResourceMetricsReady", "True", "Fresh", LIMIT).await.unwrap();
        // 130 % of three and nothing of the fourth, of which there are no figures.
        set_replicas(&shop, 4).await;
        let unknown = shop.ready_pods().await.unwrap().pop().unwrap();
        scene.metrics.set("cpu", 1_950, Some(&unknown));
        both_ask_for(scene, &shop, 7).await;
        // 20 % of six.
        set_replicas(&shop, 6).await;
        scene.metrics.set("cpu", 600, None);
        both_ask_for(scene, &shop, 2).await;

        // In mode Active it raises, although hardly anybody asks: 180 % of two.
        scene.metrics.set("cpu", 1_800, None);
        shop.edit(json!({"mode": "Active"})).await.unwrap();
        shop.has_replicas(6, LIMIT).await.unwrap();
        // Without figures nothing comes of it, and that is told.
        scene.metrics.fall_silent("cpu");
        shop.says("ResourceMetricsReady", "False", "NoMetricsApi", LIMIT).await.unwrap();
        shop.event("NoResourceMetrics", LIMIT).await.unwrap();
        frames.set_rps(2 * RPS);
        shop.has_replicas(2, LIMIT).await.unwrap();
        shop.says("AbleToScale", "True", "ReadyToScale", LIMIT).await.unwrap();
    });
}
