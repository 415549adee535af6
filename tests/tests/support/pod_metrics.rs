//! `metrics.k8s.io` without kubelets: says of the real pods that they use what the test has said,
//! behind an `APIService` of the real kube-apiserver. Contract:
//! `k8s.io/metrics/pkg/apis/metrics/v1beta1`.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};

use foresail_tests::frames::is_ready;
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::jiff;
use kube::api::{Api, ListParams};
use kube::{Client, ResourceExt};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

use crate::manifests;

const GROUP: &str = "metrics.k8s.io";

/// What the pods of a namespace use together, in thousandths of a core, and of which nothing is
/// known.
#[derive(Clone, Debug, Default)]
struct Load {
    total: u64,
    unknown: BTreeSet<String>,
}

#[derive(Debug, Default)]
struct State {
    loads: BTreeMap<String, Load>,
    /// Namespaces for which nobody serves it.
    silent: BTreeSet<String>,
}

/// A running server; it ends when this value goes.
#[derive(Debug)]
pub(crate) struct PodMetrics {
    state: Arc<Mutex<State>>,
    accepting: JoinHandle<()>,
}

impl PodMetrics {
    /// Starts one and registers it; in `namespace` its Service is made.
    pub(crate) async fn start(client: &Client, namespace: &str) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = Arc::new(Mutex::new(State::default()));
        let accepting = tokio::spawn(accept(listener, client.clone(), Arc::clone(&state)));
        // There is no network of pods: the Service leads to this machine.
        for manifest in [
            json!({
                "apiVersion": "v1", "kind": "Service",
                "metadata": {"name": "pod-metrics", "namespace": namespace},
                "spec": {"type": "ExternalName", "externalName": "localhost"},
            }),
            json!({
                "apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService",
                "metadata": {"name": format!("v1beta1.{GROUP}")},
                "spec": {
                    "group": GROUP, "version": "v1beta1", "groupPriorityMinimum": 100,
                    "versionPriority": 100, "insecureSkipTLSVerify": true,
                    "service": {"name": "pod-metrics", "namespace": namespace, "port": port},
                },
            }),
        ] {
            manifests::apply(client, &manifest).await.unwrap();
        }
        Self { state, accepting }
    }

    /// From now on the Ready pods of a namespace use so much together, each the same, and of one of
    /// them nothing is known.
    pub(crate) fn set(&self, namespace: &str, total: u64, unknown: Option<&str>) {
        let unknown = unknown.into_iter().map(str::to_owned).collect();
        self.state.lock().unwrap().loads.insert(namespace.to_owned(), Load { total, unknown });
    }

    /// Answers about a namespace as if nobody served the API any longer.
    pub(crate) fn fall_silent(&self, namespace: &str) {
        self.state.lock().unwrap().silent.insert(namespace.to_owned());
    }
}

impl Drop for PodMetrics {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, client: Client, state: Arc<Mutex<State>>) {
    let acceptor = acceptor();
    // Aborting this task drops the set, and with it every connection.
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        while connections.try_join_next().is_some() {}
        let (acceptor, client, state) = (acceptor.clone(), client.clone(), Arc::clone(&state));
        connections.spawn(async move {
            // kube-apiserver tries again.
            let Ok(stream) = acceptor.accept(stream).await else { return };
            let handle = service_fn(move |request: Request<Incoming>| {
                let (client, state) = (client.clone(), Arc::clone(&state));
                async move { Ok::<_, std::convert::Infallible>(answer(&client, &state, &request).await) }
            });
            let server = auto::Builder::new(TokioExecutor::new());
            let _ = server.serve_connection(TokioIo::new(stream), handle).await;
        });
    }
}

fn acceptor() -> TlsAcceptor {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    TlsAcceptor::from(Arc::new(config))
}

async fn answer(
    client: &Client,
    state: &Mutex<State>,
    request: &Request<Incoming>,
) -> Response<Full<Bytes>> {
    let path: Vec<&str> = request.uri().path().split('/').filter(|it| !it.is_empty()).collect();
    let (code, body) = match path.as_slice() {
        ["apis", GROUP, "v1beta1"] => (StatusCode::OK, resources()),
        ["apis", GROUP, "v1beta1", "namespaces", namespace, "pods"] => {
            let selector = request.uri().query().unwrap_or_default().split('&').find_map(|it| {
                it.strip_prefix("labelSelector=")
                    .map(|it| it.replace("%3D", "=").replace("%2C", ","))
            });
            let silent = state.lock().unwrap().silent.contains(*namespace);
            let load = state.lock().unwrap().loads.get(*namespace).cloned().unwrap_or_default();
            if silent {
                none()
            } else {
                (StatusCode::OK, list(client, namespace, selector, &load).await)
            }
        }
        _ => none(),
    };
    let response = Response::builder().status(code).header("content-type", "application/json");
    response.body(Full::new(body.to_string().into())).unwrap()
}

/// As kube-apiserver answers where nobody serves the API.
fn none() -> (StatusCode, Value) {
    let status = json!({
        "kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 404,
        "reason": "NotFound", "message": "the server could not find the requested resource",
    });
    (StatusCode::NOT_FOUND, status)
}

fn resources() -> Value {
    json!({
        "kind": "APIResourceList", "apiVersion": "v1", "groupVersion": format!("{GROUP}/v1beta1"),
        "resources": [{"name": "pods", "singularName": "", "namespaced": true,
            "kind": "PodMetrics", "verbs": ["get", "list"]}],
    })
}

async fn list(client: &Client, namespace: &str, selector: Option<String>, load: &Load) -> Value {
    let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
    let which = ListParams { label_selector: selector, ..ListParams::default() };
    let pods = pods.list(&which).await.map(|list| list.items).unwrap_or_default();
    let known: Vec<_> = pods
        .iter()
        .filter(|pod| is_ready(pod) && !load.unknown.contains(&pod.name_any()))
        .collect();
    let each = load.total.checked_div(known.len() as u64).unwrap_or_default();
    let now = jiff::Timestamp::from_second(jiff::Timestamp::now().as_second()).unwrap();
    let metrics = |pod: &&Pod| {
        json!({
            "metadata": {"name": pod.name_any(), "namespace": namespace, "labels": pod.labels()},
            "timestamp": now.to_string(), "window": "1s",
            "containers": [{"name": "app",
                "usage": {"cpu": format!("{each}m"), "memory": "16Mi"}}],
        })
    };
    json!({
        "kind": "PodMetricsList", "apiVersion": format!("{GROUP}/v1beta1"), "metadata": {},
        "items": known.iter().map(metrics).collect::<Vec<_>>(),
    })
}
