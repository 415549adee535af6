//! Frames behind mutual TLS: a workload's frames are taken from its own identity alone, whatever
//! the sender writes into the header by which the proxy says who it is.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Duration;

use foresail_tests::shop::until;
use foresail_tests::{
    Aggregator, Authority, Cluster, Envoy, Http, Listener, Node, Route, WasmFilter, WorkDir, clock,
    paths,
};
use foresail_wire::{Frame, Health, Identity, Text, Window, encode};
use hyper::Method;
use serde_json::{Value, json};

const LIMIT: Duration = Duration::from_secs(30);
const HEADER: &str = "x-forwarded-client-cert";
/// What somebody would like to be.
const OF_THE_SHOP: &str = "By=spiffe://cluster.local/ns/foresail/sa/foresail;Hash=00;Subject=\"\";\
    URI=spiffe://cluster.local/ns/shop/sa/web";

struct Mesh {
    work: WorkDir,
    authority: Authority,
    aggregator: Aggregator,
    /// The aggregator's sidecar.
    inbound: Envoy,
    http: Http,
}

impl Mesh {
    async fn start(name: &str) -> Self {
        let work = WorkDir::new(name).unwrap();
        let authority = Authority::new().unwrap();
        let config = json!({"require_identity": "xfcc"});
        let aggregator = Aggregator::start(&work, config).await.unwrap();
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
    async fn proxy(&self, name: &str, namespace: &str, account: &str) -> Envoy {
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

    async fn count(&self, result: &str) -> u64 {
        let text = self.aggregator.text("/metrics").await.unwrap();
        let name = format!("foresail_ingest_frames_total{{result=\"{result}\"}} ");
        text.lines().find_map(|line| line.strip_prefix(&name)?.parse().ok()).unwrap()
    }

    async fn requests(&self) -> Option<u64> {
        let detail = self.aggregator.json("/v1/workloads/shop/web").await.ok()?;
        detail.pointer("/totals/inbound/requests").and_then(Value::as_u64)
    }

    /// Posts a frame of shop/web to an address.
    async fn post(&self, url: &str, headers: &[(&str, &str)]) -> (u16, Value) {
        let url = format!("{url}/v1/frames");
        let answer = self.http.send_with(Method::POST, &url, headers, frame()).await;
        let (status, body) = answer.unwrap();
        (status, serde_json::from_slice(&body).unwrap_or_default())
    }
}

/// An idle proxy of shop/web.
fn frame() -> Vec<u8> {
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

async fn send_requests(proxy: &Envoy, requests: u64) {
    let url = format!("http://{}/", proxy.address("service").unwrap());
    let http = Http::default();
    for _ in 0..requests {
        assert_eq!(http.get(&url).await.unwrap().0, 200);
    }
}

#[tokio::test]
async fn frames_are_taken_from_the_workloads_own_identity_alone() {
    let mesh = Mesh::start("identity").await;
    let web = mesh.proxy("web-0", "shop", "web").await;
    send_requests(&web, 7).await;
    until(LIMIT, "the requests are counted", || async {
        (mesh.requests().await == Some(7)).then_some(())
    })
    .await
    .unwrap();

    // A proxy of another namespace that says that it belongs to the shop.
    let thief = mesh.proxy("thief", "market", "web").await;
    send_requests(&thief, 5).await;
    until(LIMIT, "its frames are refused", || async {
        (mesh.count("wrong_identity").await >= 3).then_some(())
    })
    .await
    .unwrap();
    let log = std::fs::read_to_string(mesh.work.file("thief.log")).unwrap();
    assert!(log.contains("refuses frames with 403"), "{log}");
    assert_eq!(mesh.requests().await, Some(7), "nothing of it is counted");

    // The same by hand, with a header that should make it somebody else.
    let out = format!("http://{}", thief.address("out").unwrap());
    let open = format!("{OF_THE_SHOP};X=\"");
    for forged in [OF_THE_SHOP, &open, "X=\"\\", ",", "\""] {
        let (status, body) = mesh.post(&out, &[(HEADER, forged)]).await;
        let kind = body.get("kind").and_then(Value::as_str);
        assert_eq!((status, kind), (403, Some("wrong_identity")), "{forged}: {body}");
    }
    let twice = [(HEADER, OF_THE_SHOP), (HEADER, OF_THE_SHOP)];
    assert_eq!(mesh.post(&out, &twice).await.0, 403, "the proxy makes one line of two");
    // And who it says it is does no harm to the one that it is true of.
    let out = format!("http://{}", web.address("out").unwrap());
    assert_eq!(mesh.post(&out, &[(HEADER, OF_THE_SHOP)]).await.0, 202);

    // Without a certificate one does not get as far as the aggregator.
    let plain = format!("http://{}/v1/frames", mesh.inbound.address("in").unwrap());
    assert!(mesh.http.send(Method::POST, &plain, "text/plain", frame()).await.is_err());
    // Who goes round the proxy and says nothing is nobody. (Who says something is believed: the
    // network policy and the sidecar keep everybody out who could.)
    let (status, body) = mesh.post(&mesh.aggregator.url(), &[]).await;
    assert_eq!((status, body.get("kind").and_then(Value::as_str)), (403, Some("unidentified")));
    assert_eq!(mesh.count("unidentified").await, 1);
    let log = std::fs::read_to_string(mesh.work.file("foresail.log")).unwrap();
    assert!(log.contains("require_identity"), "{log}");
    assert_eq!(log.matches("a frame is not taken").count(), 1, "said once a minute at most: {log}");
}
