//! What is shipped for meshes other than Istio, in real proxies: the Envoy that stands in a Linkerd
//! pod, and what Kuma makes of our patch.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Duration;

use foresail_tests::shop::until;
use foresail_tests::{Aggregator, Envoy, Http, Service, ServiceConfig, WorkDir, paths};
use serde_json::{Value, json};

const LIMIT: Duration = Duration::from_secs(30);
const REQUESTS: u64 = 7;

/// A file under `istio/other-meshes`, with this machine in place of a cluster.
fn shipped(name: &str, aggregator: &Aggregator) -> String {
    let path = paths::root().join("istio/other-meshes").join(name);
    let text = std::fs::read_to_string(path).unwrap();
    let module = paths::wasm().unwrap();
    for (what, times) in [("foresail.foresail.svc.cluster.local", 1), ("9900", 1)] {
        assert_eq!(text.matches(what).count(), times, "{what} in {name}");
    }
    text.replace("foresail.foresail.svc.cluster.local", "127.0.0.1")
        .replace("9900", &aggregator.port().to_string())
        .replace("/foresail/foresail_filter.wasm", &module.display().to_string())
}

/// The documents of a text.
fn documents(text: &str) -> Vec<Value> {
    text.split("\n---\n").map(|text| serde_saphyr::from_str(text).unwrap()).collect()
}

/// Sends requests, and waits until they are counted as those of shop/web, from the pod `web-0`.
async fn is_counted(proxy: &Envoy, listener: &str, aggregator: &Aggregator) {
    let url = format!("http://{}/", proxy.address(listener).unwrap());
    let http = Http::default();
    for _ in 0..REQUESTS {
        assert_eq!(http.get(&url).await.unwrap().0, 200);
    }
    let seen = until(LIMIT, "the requests are counted", || async {
        let seen = aggregator.json("/v1/workloads/shop/web").await.ok()?;
        let requests = seen.pointer("/totals/inbound/requests").and_then(Value::as_u64);
        (requests == Some(REQUESTS)).then_some(seen)
    })
    .await
    .unwrap();
    assert_eq!(seen.pointer("/proxies/0/pod"), Some(&json!("web-0")), "{seen}");
}

#[tokio::test]
async fn an_envoy_between_linkerds_proxy_and_the_application_reports_for_it() {
    let work = WorkDir::new("linkerd").unwrap();
    let aggregator = Aggregator::start(&work, json!({})).await.unwrap();
    let service = Service::start(ServiceConfig::default()).await.unwrap();
    let text = shipped("linkerd/envoy.yaml", &aggregator)
        .replace("port_value: 8080", &format!("port_value: {}", service.address().port()))
        .replace("address: 0.0.0.0, port_value: 8081", "address: 127.0.0.1, port_value: 0");
    let config: Value = serde_saphyr::from_str(&text).unwrap();
    // What the pod gives as --service-cluster and --service-node.
    let pod = std::fs::read_to_string(paths::root().join("istio/other-meshes/linkerd/web.yaml"));
    let pod = documents(&pod.unwrap()).swap_remove(0);
    let args = pod.pointer("/spec/template/spec/containers/1/args").unwrap();
    assert_eq!(
        args.as_array().unwrap().iter().skip(2).filter_map(Value::as_str).collect::<Vec<_>>(),
        ["--service-cluster", "web", "--service-node", "$(POD_NAME)"]
    );
    let proxy = Envoy::builder("linkerd")
        .set("node", json!({"id": "web-0", "cluster": "web"}))
        .set("static_resources", config.get("static_resources").unwrap().clone())
        .start(&work)
        .await
        .unwrap();
    is_counted(&proxy, "inbound", &aggregator).await;
}

#[tokio::test]
async fn a_sidecar_with_kumas_patch_reports_for_its_workload() {
    let work = WorkDir::new("kuma").unwrap();
    let aggregator = Aggregator::start(&work, json!({})).await.unwrap();
    let all = documents(&shipped("kuma/web.yaml", &aggregator));
    let patch = all.iter().find(|it| it.get("kind") == Some(&json!("MeshProxyPatch"))).unwrap();
    let changes = patch.pointer("/spec/default/appendModifications").unwrap();
    let value = |at: &str| -> Value {
        serde_saphyr::from_str(changes.pointer(at).and_then(Value::as_str).unwrap()).unwrap()
    };
    // As Kuma does: the cluster is added, the filter stands before the router of the way in.
    let manager = json!({
        "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "in",
        "route_config": {"virtual_hosts": [{"name": "in", "domains": ["*"], "routes": [
            {"match": {"prefix": "/"}, "direct_response": {"status": 200}},
        ]}]},
        "http_filters": [value("/1/httpFilter/value"), {
            "name": "envoy.filters.http.router",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router",
            },
        }],
    });
    let listener = json!({
        "name": "in", "traffic_direction": "INBOUND",
        "address": {"socket_address": {"address": "127.0.0.1", "port_value": 0}},
        "filter_chains": [{"filters": [{
            "name": "envoy.filters.network.http_connection_manager", "typed_config": manager,
        }]}],
    });
    let proxy = Envoy::builder("kuma")
        // Kuma's node has no metadata of Istio's, and an id that names mesh, pod and namespace.
        .set("node", json!({"id": "default.web-0.shop", "cluster": "web_shop_svc_80"}))
        .set(
            "static_resources",
            json!({
                "listeners": [listener], "clusters": [value("/0/cluster/value")],
            }),
        )
        .start(&work)
        .await
        .unwrap();
    is_counted(&proxy, "in", &aggregator).await;
}
