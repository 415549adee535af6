//! A real `HorizontalPodAutoscaler`, in the real kube-controller-manager, asks Foresail through the
//! real kube-apiserver, with what the chart renders for `externalMetrics.enabled` and the autoscaler
//! of `docs/external-metrics-and-keda.md`: it follows us up,
//! holds when we are killed, and follows again when we are back. Nobody else is answered.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking"
)]

#[path = "support/chart.rs"]
mod chart;
#[path = "support/manifests.rs"]
mod manifests;
#[path = "support/proxies.rs"]
mod proxies;

use std::time::Duration;

use foresail_tests::control_plane::ControlPlane;
use foresail_tests::{Aggregator, WorkDir, paths, ports};
use http_body_util::BodyExt;
use hyper::{Request, StatusCode};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::core::v1::{Secret, ServiceAccount};
use k8s_openapi::kube_aggregator::pkg::apis::apiregistration::v1::APIService;
use kube::api::{Api, PostParams};
use kube::client::Body;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use proxies::Proxies;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

const PAGE: &str = "docs/external-metrics-and-keda.md";
const API_SERVICE: &str = "v1beta1.external.metrics.k8s.io";
const GROUP: &str = "/apis/external.metrics.k8s.io/v1beta1";
const DESIRED: &str = "foresail_desired_replicas";
/// Until something that must happen has happened; long, for a busy machine.
const LIMIT: Duration = Duration::from_mins(2);
/// Of the `HorizontalPodAutoscaler`'s controller.
const SYNC: Duration = Duration::from_secs(2);
/// Who asks in most clusters.
const HPA: &str = "system:serviceaccount:kube-system:horizontal-pod-autoscaler";
/// Requests per second that a replica may have.
const TARGET_RPS: u32 = 10;

/// Asks again and again until there is an answer.
async fn eventually<T, F: Future<Output = Option<T>>>(what: &str, ask: impl Fn() -> F) -> T {
    let deadline = Instant::now() + LIMIT;
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(Instant::now() < deadline, "not within {LIMIT:?}: {what}");
        sleep(Duration::from_millis(200)).await;
    }
}

/// Everything that runs.
struct Cluster {
    directory: WorkDir,
    plane: ControlPlane,
    client: Client,
    port: u16,
}

impl Cluster {
    /// A control plane with what chart and page say, and a Deployment to scale.
    async fn start(name: &str) -> Self {
        let directory = WorkDir::new(name).unwrap();
        let sync = format!("{}s", SYNC.as_secs());
        let flags = ["-ready-after", "1s", "-hpa-sync-period", &sync];
        let plane = ControlPlane::start(&directory, &flags).await.unwrap();
        let client = impatient(&plane).await;
        let port = ports::free().unwrap();
        let cluster = Self { directory, plane, client, port };
        cluster.furnish().await;
        cluster
    }

    async fn furnish(&self) {
        for name in ["foresail", "shop"] {
            let namespace =
                json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
            self.apply(&namespace).await;
        }
        let account = json!({"namespace": "foresail", "name": "foresail"});
        self.apply(&json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": account}))
            .await;
        // There is no network of pods: the Service leads to this machine.
        self.apply(&json!({
            "apiVersion": "v1", "kind": "Service", "metadata": account,
            "spec": {"type": "ExternalName", "externalName": "localhost"},
        }))
        .await;
        for manifest in reading_replicas() {
            self.apply(&manifest).await;
        }
        self.apply(&deployment()).await;
        let values = "--set externalMetrics.enabled=true";
        let mut all = chart::rendered("external-metrics", values).unwrap();
        assert_eq!(all.len(), 6, "{all:?}");
        all.extend(in_page());
        for mut manifest in all {
            match manifest["kind"].as_str().unwrap() {
                "APIService" => manifest["spec"]["service"]["port"] = self.port.into(),
                // KEDA does not run here; its client does, see kube_keda.rs.
                "ScaledObject" => continue,
                _ => {}
            }
            self.apply(&manifest).await;
        }
    }

    async fn apply(&self, manifest: &Value) {
        manifests::apply(&self.client, manifest).await.unwrap();
    }

    /// The kubeconfig of Foresail's service account, which has the chart's rights.
    async fn kubeconfig(&self) -> String {
        let accounts: Api<ServiceAccount> = Api::namespaced(self.client.clone(), "foresail");
        let asked = TokenRequest {
            spec: TokenRequestSpec {
                expiration_seconds: Some(3600),
                ..TokenRequestSpec::default()
            },
            ..TokenRequest::default()
        };
        let by = PostParams::default();
        let token = accounts.create_token_request("foresail", &by, &asked).await.unwrap();
        let config = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "it",
            "clusters": [{"name": "it", "cluster": {
                "server": self.plane.server(),
                "certificate-authority": self.plane.file("ca.crt"),
            }}],
            "users": [{"name": "it", "user": {"token": token.status.unwrap().token}}],
            "contexts": [{"name": "it", "context": {"cluster": "it", "user": "it"}}],
        });
        let path = self.directory.write("foresail-kubeconfig", &config.to_string()).unwrap();
        path.to_string_lossy().into_owned()
    }

    async fn foresail(&self) -> Aggregator {
        let config = json!({
            "kubeconfig": self.kubeconfig().await,
            "external_metrics": {
                "listen": format!("127.0.0.1:{}", self.port),
                "tls": {"service": "foresail/foresail"},
            },
            "workloads": [{
                "namespace": "shop",
                "name": "web",
                "max_replicas": 20,
                "objective": {"latency": "250ms"},
                "target_rps_per_replica": TARGET_RPS,
                "decision_interval": "1s",
                "staleness": {"hold_after": "3s", "fallback_after": "3s"},
                "behavior": {"scale_up": {
                    "policies": [{"type": "pods", "value": 20, "period": "1s"}],
                }},
                "actuator": "kubernetes",
            }],
        });
        Aggregator::start(&self.directory, config).await.unwrap()
    }

    /// GET through kube-apiserver with the administrator's rights.
    async fn get(&self, path: &str) -> Result<Value, kube::core::Status> {
        let request = Request::get(path).body(Vec::new()).unwrap();
        match self.client.request::<Value>(request).await {
            Ok(answer) => Ok(answer),
            Err(kube::Error::Api(status)) => Err(*status),
            Err(error) => panic!("{path}: {error}"),
        }
    }

    async fn metric(&self, name: &str) -> Result<Value, kube::core::Status> {
        self.get(&format!("{GROUP}/namespaces/shop/{name}?labelSelector=workload%3Dweb")).await
    }

    async fn replicas(&self) -> i32 {
        let deployments: Api<Deployment> = Api::namespaced(self.client.clone(), "shop");
        deployments.get("web").await.unwrap().spec.unwrap().replicas.unwrap()
    }

    /// Whether the `HorizontalPodAutoscaler` can scale, and why not.
    async fn is_scaling(&self) -> Option<(bool, String)> {
        let all: Api<HorizontalPodAutoscaler> = Api::namespaced(self.client.clone(), "shop");
        let conditions = all.get("web").await.unwrap().status?.conditions?;
        let active = conditions.into_iter().find(|condition| condition.type_ == "ScalingActive")?;
        Some((active.status == "True", active.reason.unwrap_or_default()))
    }

    async fn is_available(&self) -> Option<bool> {
        let services: Api<APIService> = Api::all(self.client.clone());
        let conditions = services.get(API_SERVICE).await.unwrap().status?.conditions?;
        Some(conditions.iter().find(|c| c.type_ == "Available")?.status == "True")
    }

    async fn until_replicas_are(&self, what: &str, is_it: impl Fn(i32) -> bool) -> i32 {
        eventually(what, || async {
            let replicas = self.replicas().await;
            is_it(replicas).then_some(replicas)
        })
        .await
    }

    /// A client that connects to Foresail itself, trusting its certificate, and shows one of the
    /// control plane's certificates or none.
    async fn direct(&self, certificate: Option<&str>) -> Client {
        let secrets: Api<Secret> = Api::namespaced(self.client.clone(), "foresail");
        let secret = secrets.get("foresail-external-metrics-tls").await.unwrap();
        let trusted = secret.data.unwrap().remove("ca.crt").unwrap().0;
        let mut config = Config::new(format!("https://127.0.0.1:{}", self.port).parse().unwrap());
        config.root_cert = Some(vec![der(&String::from_utf8(trusted).unwrap())]);
        config.default_retry = false;
        config.tls_server_name = Some("foresail.foresail.svc".to_owned());
        if let Some(name) = certificate {
            let file = |ending| self.plane.file(&format!("{name}.{ending}"));
            let path = |ending| Some(file(ending).to_string_lossy().into_owned());
            config.auth_info.client_certificate = path("crt");
            config.auth_info.client_key = path("key");
        }
        Client::try_from(config).unwrap()
    }
}

/// A client with the administrator's rights that gives a 503 back, where it would usually ask again
/// and again.
async fn impatient(plane: &ControlPlane) -> Client {
    let file = Kubeconfig::read_from(plane.kubeconfig()).unwrap();
    let options = KubeConfigOptions::default();
    let mut config = Config::from_custom_kubeconfig(file, &options).await.unwrap();
    config.default_retry = false;
    Client::try_from(config).unwrap()
}

/// What is between the first lines of a PEM.
fn der(pem: &str) -> Vec<u8> {
    let body: String = pem.lines().filter(|line| !line.starts_with("-----")).collect();
    serde_json::from_value::<k8s_openapi::ByteString>(Value::from(body)).unwrap().0
}

/// Rights to learn the replicas of a Deployment, as the actuator `kubernetes` does.
fn reading_replicas() -> [Value; 2] {
    let role =
        json!({"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "reads"});
    [
        json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
            "metadata": {"name": "reads"},
            "rules": [
                {"apiGroups": ["apps"], "resources": ["deployments/scale"], "verbs": ["get"]},
                {"apiGroups": ["apps"], "resources": ["replicasets"], "verbs": ["list"]},
                {"apiGroups": [""], "resources": ["pods"], "verbs": ["list"]},
            ],
        }),
        json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
            "metadata": {"name": "reads"},
            "roleRef": role,
            "subjects": [{"kind": "ServiceAccount", "namespace": "foresail", "name": "foresail"}],
        }),
    ]
}

/// The documents in the blocks of YAML of the page, in order, that have a kind.
fn in_page() -> Vec<Value> {
    let text = std::fs::read_to_string(paths::root().join(PAGE)).unwrap();
    let blocks = text.split("```yaml\n").skip(1).filter_map(|rest| rest.split("```").next());
    let documents = blocks.flat_map(|block| block.split("\n---\n"));
    let documents = documents.map(|text| serde_saphyr::from_str::<Value>(text).unwrap());
    documents.filter(|document| !document["kind"].is_null()).collect()
}

/// Without `replicas`: they are the autoscaler's.
fn deployment() -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": "web", "namespace": "shop"},
        "spec": {
            "selector": {"matchLabels": {"app": "web"}},
            "template": {
                "metadata": {"labels": {"app": "web"}},
                "spec": {"containers": [{"name": "web", "image": "web"}]},
            },
        },
    })
}

#[tokio::test]
async fn a_horizontal_pod_autoscaler_follows_us_holds_without_us_and_follows_again() {
    let cluster = Cluster::start("external-metrics").await;
    let mut foresail = cluster.foresail().await;
    let proxies = Proxies::new(&foresail, "shop", "web");
    eventually("kube-apiserver trusts us", || async {
        cluster.is_available().await.filter(|is| *is)
    })
    .await;
    // It can ask, and is told that there is nothing to tell: no zero.
    eventually("kube-apiserver lets us answer, and we have nothing to tell", || async {
        let status = cluster.metric(DESIRED).await.unwrap_err();
        assert_eq!(status.code, 503, "{status:?}");
        // Its own refusals, for a moment after it says that it trusts us, are plain text.
        (status.reason == "ServiceUnavailable").then_some(())
    })
    .await;
    assert_eq!(cluster.replicas().await, 1);

    // 80 requests per second are 8 replicas of 10.
    proxies.see(40);
    let up = cluster.until_replicas_are("followed up", |replicas| replicas >= 8).await;
    assert!(up <= 20, "{up}");
    is_told_as_the_contract_says(&cluster, &foresail).await;

    foresail.kill();
    let said = eventually("it says that it cannot ask", || async {
        cluster.is_scaling().await.filter(|(is, _)| !is)
    })
    .await;
    assert_eq!(said.1, "FailedGetExternalMetric");
    let held = cluster.replicas().await;
    sleep(3 * SYNC).await;
    assert_eq!(cluster.replicas().await, held, "alone it holds");

    foresail.restart().await.unwrap();
    proxies.see(75);
    cluster.until_replicas_are("followed again", |replicas| replicas >= 15).await;
    assert_eq!(cluster.is_scaling().await.map(|(is, _)| is), Some(true));

    // Proxies that nobody hears are no idle proxies.
    proxies.fall_silent();
    let status =
        eventually("old telemetry is an error", || async { cluster.metric(DESIRED).await.err() })
            .await;
    assert_eq!(status.code, 503);
    assert!(status.message.contains("telemetry"), "{}", status.message);
    let held = cluster.replicas().await;
    sleep(3 * SYNC).await;
    assert_eq!(cluster.replicas().await, held, "with old telemetry it holds");
}

/// What `kubectl get --raw` shows, against what the aggregator says of itself.
async fn is_told_as_the_contract_says(cluster: &Cluster, foresail: &Aggregator) {
    let resources = cluster.get(GROUP).await.unwrap();
    assert_eq!(resources["groupVersion"], "external.metrics.k8s.io/v1beta1");
    let list = cluster.metric(DESIRED).await.unwrap();
    assert_eq!(list["kind"], "ExternalMetricValueList");
    let item = &list["items"][0];
    assert_eq!(item["metricLabels"], json!({"workload": "web"}));
    assert_eq!(item["window"], 1);
    let path = "/v1/workloads/shop/web/decisions?limit=100";
    let decisions = foresail.json(path).await.unwrap();
    let of_item = decisions["decisions"].as_array().unwrap().iter().find(|decision| {
        let newest = decision["observation"]["newest"].as_u64().unwrap_or_default() / 1_000_000;
        let shown = k8s_openapi::jiff::Timestamp::from_second(i64::try_from(newest).unwrap());
        item["timestamp"] == shown.unwrap().to_string()
    });
    let decision = of_item.expect("the timestamp is that of a decision's telemetry");
    assert_eq!(item["value"], decision["desired_replicas"].to_string());

    let forecast = cluster.metric("foresail_forecast_rps_upper").await.unwrap();
    assert!(forecast["items"][0]["value"].as_str().is_some(), "{forecast}");
    let status = cluster.metric("foresail_rps").await.unwrap_err();
    assert_eq!(status.code, 404);
    assert!(status.message.contains(DESIRED), "{}", status.message);
    let other = format!("{GROUP}/namespaces/shop/{DESIRED}?labelSelector=workload%3Dcart");
    assert_eq!(cluster.get(&other).await.unwrap_err().code, 404);
    let bad = format!("{GROUP}/namespaces/shop/{DESIRED}?labelSelector=a%20b");
    assert_eq!(cluster.get(&bad).await.unwrap_err().code, 400);
}

#[tokio::test]
async fn only_kube_apiserver_is_answered_and_only_for_who_may_read() {
    let cluster = Cluster::start("external-metrics-access").await;
    let foresail = cluster.foresail().await;
    let proxies = Proxies::new(&foresail, "shop", "web");
    proxies.see(40);
    eventually("there is something to read", || async { cluster.metric(DESIRED).await.ok() }).await;

    let path = format!("{GROUP}/namespaces/shop/{DESIRED}");
    for (certificate, user, expected) in [
        // Headers are worth nothing without the front proxy's certificate,
        (None, "admin", StatusCode::UNAUTHORIZED),
        // nor with another of the same authority, an administrator's even.
        (Some("admin"), "admin", StatusCode::UNAUTHORIZED),
        (Some("front-proxy"), "", StatusCode::UNAUTHORIZED),
        (Some("front-proxy"), "somebody", StatusCode::FORBIDDEN),
        // By the role that Kubernetes itself gives this account.
        (Some("front-proxy"), HPA, StatusCode::OK),
    ] {
        let client = cluster.direct(certificate).await;
        let mut request = Request::get(&path).header("X-Remote-Group", "system:authenticated");
        if user == "admin" {
            request = request.header("X-Remote-Group", "system:masters");
        }
        if !user.is_empty() {
            request = request.header("X-Remote-User", user);
        }
        let answer = client.send(request.body(Body::empty()).unwrap()).await.unwrap();
        let status = answer.status();
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        let text = String::from_utf8_lossy(&body);
        assert_eq!(status, expected, "{certificate:?} {user:?}: {text}");
    }
    let discovery = Request::get(GROUP).body(Body::empty()).unwrap();
    let answer = cluster.direct(None).await.send(discovery).await.unwrap();
    assert_eq!(answer.status(), StatusCode::UNAUTHORIZED, "discovery is not for everybody either");

    let plain = format!("http://127.0.0.1:{}{path}", cluster.port);
    assert!(foresail_tests::Http::default().get(&plain).await.is_err(), "without TLS");
}
