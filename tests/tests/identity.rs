//! Frames behind mutual TLS: a workload's frames are taken from its own identity alone, whatever
//! the sender writes into the header by which the proxy says who it is.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/mtls.rs"]
mod mtls;

use std::time::Duration;

use foresail_tests::shop::until;
use foresail_tests::{Aggregator, Envoy, Http, WorkDir};
use hyper::Method;
use mtls::{Mesh, frame};
use serde_json::{Value, json};

const LIMIT: Duration = Duration::from_secs(30);
const HEADER: &str = "x-forwarded-client-cert";
/// What somebody would like to be.
const OF_THE_SHOP: &str = "By=spiffe://cluster.local/ns/foresail/sa/foresail;Hash=00;Subject=\"\";\
    URI=spiffe://cluster.local/ns/shop/sa/web";

/// Requests that are counted of shop/web.
async fn requests(mesh: &Mesh) -> Option<u64> {
    let detail = mesh.aggregator.json("/v1/workloads/shop/web").await.ok()?;
    detail.pointer("/totals/inbound/requests").and_then(Value::as_u64)
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
    let work = WorkDir::new("identity").unwrap();
    let config = json!({"require_identity": "xfcc"});
    let aggregator = Aggregator::start(&work, config).await.unwrap();
    let mesh = Mesh::before(work, aggregator).await;
    let web = mesh.proxy("web-0", "shop", "web").await;
    send_requests(&web, 7).await;
    until(LIMIT, "the requests are counted", || async {
        (requests(&mesh).await == Some(7)).then_some(())
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
    assert_eq!(requests(&mesh).await, Some(7), "nothing of it is counted");

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
