//! Frames behind mutual TLS where the control plane tells under which service account a workload's pods
//! run: those of the same namespace cannot speak for each other.

use foresail_tests::shop::{NAME, until};
use foresail_tests::{Aggregator, Shop, WorkDir};
use kube::api::ListParams;
use serde_json::{Value, json};

use super::{LIMIT, play};
use crate::manifests;
use crate::mtls::Mesh;

#[test]
fn frames_are_taken_from_the_service_account_of_the_workloads_pods_alone() {
    play(async |scene| {
        // The proxies say that they belong to shop/web.
        let shop = Shop::open(&scene.client, "shop", 1).await.unwrap();
        let made = json!({"apiVersion": "v1", "kind": "ServiceAccount",
            "metadata": {"name": "till", "namespace": "shop"}});
        manifests::apply(&scene.client, &made).await.unwrap();
        let account = json!({"spec": {"template": {"spec": {"serviceAccountName": "till"}}}});
        shop.patch("test", account).await.unwrap();
        until(LIMIT, "the pod runs under its account", || async {
            let pods = shop.pods().list(&ListParams::default()).await.ok()?.items;
            let [pod] = pods.as_slice() else { return None };
            (pod.spec.as_ref()?.service_account_name.as_deref() == Some("till")).then_some(())
        })
        .await
        .unwrap();
        shop.autoscale(json!({"mode": "Shadow"})).await.unwrap();
        // It leads in a lease of its own: who does not takes no frames.
        let work = WorkDir::new("accounts").unwrap();
        let config = json!({
            "require_identity": "xfcc",
            "kubeconfig": scene.stage.plane().kubeconfig(),
            "kubernetes": {"watch": true, "namespaces": ["shop"],
                "lease_namespace": "foresail", "lease_name": "accounts"},
        });
        let aggregator = Aggregator::start(&work, config).await.unwrap();
        let mesh = Mesh::before(work, aggregator).await;
        let sent = async |account: &str| {
            let proxy = mesh.proxy(account, "shop", account).await;
            let out = format!("http://{}", proxy.address("out").unwrap());
            let (status, body) = mesh.post(&out, &[]).await;
            (status, body.get("kind").and_then(Value::as_str).map(str::to_owned))
        };
        until(LIMIT, "that is known", || async {
            let detail = mesh.aggregator.json(&format!("/v1/workloads/shop/{NAME}")).await.ok()?;
            let ready = mesh.aggregator.json("/readyz").await.ok()?;
            let leads = ready.get("leads")?.as_bool()?;
            (leads && detail.get("current_replicas")?.as_u64()? > 0).then_some(())
        })
        .await
        .unwrap();
        assert_eq!(sent("till").await, (202, None));
        let refused = (403, Some("wrong_identity".to_owned()));
        assert_eq!(sent("other").await, refused, "of the namespace, and not of the workload");
        assert_eq!(sent("default").await, refused, "what pods without an account have");
        assert_eq!(mesh.count("wrong_identity").await, 2);
        assert_eq!(mesh.count("accepted").await, 1);
    });
}
