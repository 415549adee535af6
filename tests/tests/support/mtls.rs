//! An aggregator behind mutual TLS, as Istio has it, and proxies that show an identity.

use foresail_tests::{
    Aggregator, Authority, Cluster, Envoy, Http, Listener, Node, Route, WasmFilter, WorkDir, clock,
    paths,
};
use foresail_wire::{Frame, Health, Identity, Text, Window, encode};
use hyper::Method;
use serde_json::{Value, json};

/// A mesh of one workload, shop/web, and an aggregator.
pub(crate) struct Mesh {
    pub(crate) work: WorkDir,
    authority: Authority,
    pub(crate) aggregator: Aggregator,
    /// The aggregator's sidecar.
    pub(crate) inbound: Envoy,
    pub(crate) http: Http,
}

impl Mesh {
    /// Puts a sidecar before the aggregator.
    pub(crate) async fn before(work: WorkDir, aggregator: Aggregator) -> Self {
        let authority = Authority::new().unwrap();
        let address = ([127, 0, 0, 1], aggregator.port()).into();
        // As Istio's sidecars have it on their way in.
        let listener = Listener::new("in")
            .transport_socket(authority.server("foresail", "foresail").unwrap())
            .set("forward_client_cert_details", json!("APPEND_FORWARD"))
            .set(
                "set_current_client_cert_details",
                json!({"subject": true, "uri": true, "dns": true}),
            )
            .route(Route::prefix("/").cluster("aggregator"));
        let inbound = Envoy::builder("inbound")
            .listener(listener)
            .cluster(Cluster::fixed("aggregator", address))
            .start(&work)
            .await
            .unwrap();
        Self { work, authority, aggregator, inbound, http: Http::default() }
    }

    /// A proxy that says it belongs to shop/web and shows the certificate of an identity. Requests
    /// to its listener `service` are counted, those to `out` go on to the aggregator as they are.
    pub(crate) async fn proxy(&self, name: &str, namespace: &str, account: &str) -> Envoy {
        let filter = WasmFilter::new(&paths::wasm().unwrap(), &json!({"cluster": "foresail"}));
        let out = Listener::new("out")
            .set("forward_client_cert_details", json!("ALWAYS_FORWARD_ONLY"))
            .route(Route::prefix("/").cluster("foresail"));
        let cluster = Cluster::fixed("foresail", self.inbound.address("in").unwrap())
            .set("transport_socket", self.authority.client(namespace, account).unwrap());
        Envoy::builder(name)
            .node(&Node::new("shop", "web", name))
            .listener(
                Listener::new("service")
                    .inbound()
                    .filter(&filter)
                    .route(Route::prefix("/").direct(200, "")),
            )
            .listener(out)
            .cluster(cluster)
            .start(&self.work)
            .await
            .unwrap()
    }

    /// Frames with this result so far.
    pub(crate) async fn count(&self, result: &str) -> u64 {
        let text = self.aggregator.text("/metrics").await.unwrap();
        let name = format!("foresail_ingest_frames_total{{result=\"{result}\"}} ");
        text.lines().find_map(|line| line.strip_prefix(&name)?.parse().ok()).unwrap()
    }

    /// Posts a frame of shop/web to an address.
    pub(crate) async fn post(&self, url: &str, headers: &[(&str, &str)]) -> (u16, Value) {
        let url = format!("{url}/v1/frames");
        let answer = self.http.send_with(Method::POST, &url, headers, frame()).await;
        let (status, body) = answer.unwrap();
        (status, serde_json::from_slice(&body).unwrap_or_default())
    }
}

/// An idle proxy of shop/web.
pub(crate) fn frame() -> Vec<u8> {
    let end = u64::try_from(clock::unix_time().as_micros()).unwrap();
    encode(&Frame {
        identity: Identity {
            namespace: Text::truncated("shop"),
            workload: Text::truncated("web"),
            pod: Text::truncated("web-0"),
            revision: Text::default(),
        },
        instance: end,
        sequence: 1,
        window: Window { start_micros: end - 1_000_000, end_micros: end },
        sent_at_micros: end,
        health: Health::default(),
        series: Vec::new(),
    })
    .unwrap()
}
