//! Mode Canary: in our turns we scale, in the others whoever did before has the target for himself.

use foresail_tests::Shop;
use foresail_tests::shop::{NAME, until};
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use kube::api::{Api, PostParams};
use serde_json::{Value, json};

use super::resources::{hpa, request};
use super::{LIMIT, Scene, play, stays};

fn canary(more: Value) -> Value {
    let mut spec = json!({"mode": "Canary", "canary": {"turn": "20s", "carryOver": "6s"}});
    if let (Some(spec), Value::Object(more)) = (spec.as_object_mut(), more) {
        spec.extend(more);
    }
    spec
}

async fn our_turn(shop: &Shop) {
    shop.says("ScalingActive", "True", "CanaryTurn", LIMIT).await.unwrap();
}

async fn incumbents_turn(shop: &Shop) {
    shop.says("ScalingActive", "False", "IncumbentsTurn", LIMIT).await.unwrap();
}

/// Pods an hour in the turns of one, from the comparison.
async fn pods(scene: &Scene, shop: &Shop, whose: &str) -> Option<f64> {
    let path = format!("/v1/workloads/{}/{NAME}/shadows", shop.namespace());
    let board = scene.actor.foresail.json(&path).await.ok()?;
    let figure = |name: &str| board.pointer(&format!("/canary/{whose}/{name}"))?.as_f64();
    Some(figure("pod_hours")? * 3_600.0 / figure("known_seconds")?)
}

#[test]
fn in_its_turns_an_autoscaler_of_kubernetes_has_its_own_minimum() {
    play(async |scene| {
        let shop = Shop::open(&scene.client, "canary", 2).await.unwrap();
        request(&shop, 2).await;
        // By its own metric it would have the fewest that it may.
        scene.metrics.set("canary", 100, None);
        let hpas: Api<HorizontalPodAutoscaler> = Api::namespaced(scene.client.clone(), "canary");
        hpas.create(&PostParams::default(), &hpa(2)).await.unwrap();
        let _frames = scene.frames(&shop, NAME, 5);
        shop.autoscale(canary(json!({"actuation": "HpaFloor"}))).await.unwrap();
        let floor_is = async |min: i32| {
            until(LIMIT, &format!("minReplicas is {min}"), || async {
                let hpa = hpas.get("of-the-user").await.ok()?;
                let kept = hpa.metadata.annotations.unwrap_or_default();
                let is_kept = kept.contains_key("foresail.dev/user-min-replicas");
                (hpa.spec?.min_replicas == Some(min) && is_kept == (min != 2)).then_some(())
            })
            .await
            .unwrap();
        };
        our_turn(&shop).await;
        floor_is(5).await;
        shop.has_replicas(5, LIMIT).await.unwrap();
        incumbents_turn(&shop).await;
        floor_is(2).await;
        shop.has_replicas(2, LIMIT).await.unwrap();
        our_turn(&shop).await;
        floor_is(5).await;
        until(LIMIT, "the turns of both are compared", || async {
            let ours = pods(scene, &shop, "own_turns").await?;
            let theirs = pods(scene, &shop, "incumbents_turns").await?;
            // Replicas, not the floor under them.
            (ours > 4.0 && (1.9..ours).contains(&theirs)).then_some(())
        })
        .await
        .unwrap();
        let status = shop.status().await.unwrap();
        assert!(status.pointer("/canary/foresail/figures").is_some(), "{status}");
        assert!(status.pointer("/canary/until").is_some(), "{status}");
        // Paused, the floor is given back for good.
        shop.edit(json!({"mode": "Paused"})).await.unwrap();
        floor_is(2).await;
    });
}

#[test]
fn a_turn_ends_with_the_replicas_there_were_and_a_burning_budget_ends_all_turns() {
    play(async |scene| {
        let shop = Shop::open(&scene.client, "demoted", 6).await.unwrap();
        let _frames = scene.frames(&shop, NAME, 3);
        let objectives = json!({"latency": {"threshold": "250ms"}, "budget": 0.000_1});
        shop.autoscale(canary(json!({"objectives": objectives}))).await.unwrap();
        our_turn(&shop).await;
        shop.has_replicas(3, LIMIT).await.unwrap();
        incumbents_turn(&shop).await;
        shop.has_replicas(6, LIMIT).await.unwrap();
        // What takes 20 ms is too slow from now on: our next turn is the last.
        let objectives = json!({"latency": {"threshold": "10ms"}, "budget": 0.000_1});
        shop.edit(json!({"objectives": objectives})).await.unwrap();
        shop.says("ScalingActive", "False", "Demoted", LIMIT).await.unwrap();
        let told = shop.event("Demoted", LIMIT).await.unwrap();
        assert!(told.contains("times too fast"), "{told}");
        let status = shop.status().await.unwrap();
        assert_eq!(status.pointer("/canary/demoted"), Some(&json!(told)), "{status}");
        shop.has_replicas(6, LIMIT).await.unwrap();
        stays(&shop, 6).await;
        // What others write is theirs to write.
        shop.patch("a-person", json!({"spec": {"replicas": 4}})).await.unwrap();
        stays(&shop, 4).await;
        // Until somebody says that it is to be tried again.
        let objectives = json!({"latency": {"threshold": "250ms"}});
        shop.edit(json!({"mode": "Shadow", "objectives": objectives})).await.unwrap();
        shop.says("ScalingActive", "False", "Shadow", LIMIT).await.unwrap();
        shop.edit(json!({"mode": "Canary"})).await.unwrap();
        until(LIMIT, "turns are taken again", || async {
            let canary = shop.status().await.ok()?.get("canary")?.clone();
            (canary.get("until").is_some() && canary.get("demoted").is_none()).then_some(())
        })
        .await
        .unwrap();
    });
}
