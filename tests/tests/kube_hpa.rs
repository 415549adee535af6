//! A real `HorizontalPodAutoscaler` in the real kube-controller-manager that tracks a metric of its
//! own, over a floor that we raise and lower, and that the chart's `CronJob` gives back when nobody
//! keeps it.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(clippy::print_stdout, reason = "how long it takes is printed")]

#[path = "support/chart.rs"]
mod chart;
#[path = "support/manifests.rs"]
mod manifests;
#[path = "support/release_job.rs"]
mod release_job;

use std::time::Duration;

use foresail_tests::shop::{NAME, until};
use foresail_tests::stage::NAMESPACE;
use foresail_tests::{Aggregator, Frames, Shop, Stage, WorkDir, ports};
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use kube::Client;
use kube::api::{Api, DeleteParams, PostParams};
use release_job::ReleaseJob;
use serde_json::json;
use tokio::time::{Instant, sleep};

/// Until something that must happen has happened; long, for a busy machine.
const LIMIT: Duration = Duration::from_secs(90);
/// Requests a second that a replica is given: without a forecast a quarter of 10 stays in reserve.
const RPS: u32 = 8;
/// The workload whose desired replicas are the metric that the autoscaler tracks.
const SIGNAL: &str = "signal";

/// Serves the metric that the `HorizontalPodAutoscaler` tracks: another aggregator, which writes
/// nothing and outlives those that do.
async fn metrics_server(stage: &Stage, work: &WorkDir, shop: &Shop) -> (Aggregator, Frames) {
    let client = stage.client().await.unwrap();
    let port = ports::free().unwrap();
    // There is no network of pods: the Service leads to this machine.
    let service = json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {"name": "foresail", "namespace": NAMESPACE},
        "spec": {"type": "ExternalName", "externalName": "localhost"},
    });
    manifests::apply(&client, &service).await.unwrap();
    let values = "--set externalMetrics.enabled=true";
    for mut manifest in chart::rendered("external-metrics", values).unwrap() {
        if manifest.get("kind") == Some(&json!("APIService")) {
            if let Some(at) = manifest.pointer_mut("/spec/service/port") {
                *at = port.into();
            }
            manifests::apply(&client, &manifest).await.unwrap();
        }
    }
    let config = json!({
        "kubeconfig": stage.plane().kubeconfig(),
        "external_metrics": {
            "listen": format!("127.0.0.1:{port}"),
            "tls": {"service": "foresail/foresail"},
        },
        "workloads": [{
            "namespace": shop.namespace(), "name": SIGNAL, "max_replicas": 20,
            "objective": {"latency": "250ms"}, "target_rps_per_replica": 10,
            "decision_interval": "1s", "tolerance": 0, "forecast": {"step": "1h"},
            "behavior": {
                "scale_up": {"policies": []},
                "scale_down": {"stabilization_window": "2s", "policies": []},
            },
            "actuator": "kubernetes",
        }],
    });
    // So many that no load of this test is a burst to it.
    shop.deploy(SIGNAL, 6, json!({})).await.unwrap();
    let aggregator = Aggregator::start(work, config).await.unwrap();
    let to = vec![aggregator.url()];
    let frames = Frames::start(shop.pods(), shop.namespace(), SIGNAL, to, 3 * RPS);
    (aggregator, frames)
}

fn hpa() -> HorizontalPodAutoscaler {
    let hpa = json!({
        "metadata": {"name": "of-the-user"},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": NAME},
            "minReplicas": 2, "maxReplicas": 20,
            "metrics": [{"type": "External", "external": {
                "metric": {
                    "name": "foresail_desired_replicas",
                    "selector": {"matchLabels": {"workload": SIGNAL}},
                },
                "target": {"type": "AverageValue", "averageValue": "1"},
            }}],
            "behavior": {"scaleDown": {
                "stabilizationWindowSeconds": 0,
                "policies": [{"type": "Pods", "value": 20, "periodSeconds": 2}],
            }},
        },
    });
    serde_json::from_value(hpa).unwrap()
}

/// Its `minReplicas`, and what we remember of its owner's.
async fn floor(client: &Client, shop: &Shop) -> (i32, Option<String>) {
    let all: Api<HorizontalPodAutoscaler> = Api::namespaced(client.clone(), shop.namespace());
    let hpa = all.get("of-the-user").await.unwrap();
    let kept =
        hpa.metadata.annotations.unwrap_or_default().remove("foresail.dev/user-min-replicas");
    (hpa.spec.unwrap().min_replicas.unwrap(), kept)
}

async fn floor_is(client: &Client, shop: &Shop, min: i32, kept: Option<&str>) {
    let what = format!("minReplicas is {min}, and {kept:?} is remembered");
    let is =
        || async { (floor(client, shop).await == (min, kept.map(str::to_owned))).then_some(()) };
    if let Err(error) = until(LIMIT, &what, is).await {
        let is = floor(client, shop).await;
        let status = shop.status().await.unwrap_or_default();
        let events = shop.events().await;
        assert_eq!(is.0, min, "{error}: {is:?}, {status}, {events:?}");
        assert_eq!(is.1.as_deref(), kept, "{error}: {is:?}, {status}, {events:?}");
    }
}

#[tokio::test]
async fn an_autoscaler_over_our_floor_goes_on_alone_and_gets_its_own_minimum_back() {
    let flags = ["-ready-after", "1s", "-hpa-sync-period", "2s"];
    let stage = Stage::start("hpa", &flags).await.unwrap();
    let client = stage.client().await.unwrap();
    let shop = Shop::open(&client, "floored", 2).await.unwrap();
    let work = WorkDir::new("metrics").unwrap();
    let (_metrics, signal) = metrics_server(&stage, &work, &shop).await;
    let all: Api<HorizontalPodAutoscaler> = Api::namespaced(client.clone(), shop.namespace());
    all.create(&PostParams::default(), &hpa()).await.unwrap();
    // By its own metric.
    shop.has_replicas(3, LIMIT).await.unwrap();

    // We raise the floor beyond that, and it follows.
    let mut a = stage.actor("a", json!({})).await.unwrap();
    shop.autoscale(json!({"actuation": "HpaFloor"})).await.unwrap();
    let frames = Frames::start(shop.pods(), "floored", NAME, vec![a.foresail.url()], 5 * RPS);
    floor_is(&client, &shop, 5, Some("2")).await;
    shop.has_replicas(5, LIMIT).await.unwrap();
    shop.event("FloorRaised", LIMIT).await.unwrap();
    // Its own metric still raises it above the floor.
    signal.set_rps(7 * RPS);
    shop.has_replicas(7, LIMIT).await.unwrap();
    assert_eq!(floor(&client, &shop).await, (5, Some("2".to_owned())));
    // Less load lowers the floor, and not below what its owner wrote.
    signal.set_rps(3 * RPS);
    shop.has_replicas(5, LIMIT).await.unwrap();
    // While somebody leads, the CronJob does nothing.
    let job = ReleaseJob::of_chart(stage.plane(), &client, &work).await.unwrap();
    assert!(job.run().unwrap().contains("holds the lease; nothing to do"));
    assert_eq!(floor(&client, &shop).await, (5, Some("2".to_owned())));

    // Killed: it goes on alone, over the floor that is left.
    a.foresail.kill();
    let killed = Instant::now();
    signal.set_rps(9 * RPS);
    shop.has_replicas(9, LIMIT).await.unwrap();
    signal.set_rps(3 * RPS);
    shop.has_replicas(5, LIMIT).await.unwrap();
    // When the lease has lapsed the floor is given back.
    let said = until(LIMIT, "it is given back", || async {
        let said = job.run().unwrap();
        said.contains("minReplicas is 2 again").then_some(said)
    });
    println!("{}after {:.1} s", said.await.unwrap(), killed.elapsed().as_secs_f64());
    assert_eq!(floor(&client, &shop).await, (2, None));
    shop.has_replicas(3, LIMIT).await.unwrap();

    // Another aggregator raises it again, until the resource is paused, or deleted.
    let mut b = stage.actor("b", json!({})).await.unwrap();
    drop(frames);
    let _frames = Frames::start(shop.pods(), "floored", NAME, vec![b.foresail.url()], 5 * RPS);
    floor_is(&client, &shop, 5, Some("2")).await;
    shop.edit(json!({"mode": "Paused"})).await.unwrap();
    floor_is(&client, &shop, 2, None).await;
    shop.edit(json!({"mode": "Active"})).await.unwrap();
    floor_is(&client, &shop, 5, Some("2")).await;
    shop.autoscalers().delete(NAME, &DeleteParams::default()).await.unwrap();
    floor_is(&client, &shop, 2, None).await;
    until(LIMIT, "the resource is gone", || async {
        shop.autoscalers().get_opt(NAME).await.ok()?.is_none().then_some(())
    })
    .await
    .unwrap();
    sleep(Duration::from_secs(2)).await;
    assert_eq!(floor(&client, &shop).await, (2, None));
    b.foresail.stop().await.unwrap();
}
