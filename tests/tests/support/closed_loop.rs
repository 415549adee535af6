//! A closed-loop client: many tasks that each send the next request when the last is over. It says
//! nothing about latency; it is for sending as many requests of many kinds as the machine takes.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use foresail_tests::load::Protocol;
use foresail_tests::service::WORK_HEADER;
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::header::{CONTENT_TYPE, TE};
use hyper::{Method, Request};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::task::JoinSet;
use tokio::time::timeout;

/// How long the client waits before it abandons a request that would take ten times as long.
const PATIENCE: Duration = Duration::from_millis(30);
/// An empty message with gRPC's five bytes in front: not compressed, length zero.
const EMPTY_MESSAGE: &[u8] = &[0, 0, 0, 0, 0];

/// One kind of request.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Call {
    /// GET of a path.
    Get(&'static str),
    /// A gRPC unary call of a path.
    Grpc(&'static str),
    /// GET of a path that the client gives up on before there is an answer.
    Abandoned(&'static str),
    /// The same for a gRPC unary call.
    AbandonedGrpc(&'static str),
}

/// Who sends what.
#[derive(Clone, Debug)]
pub(crate) struct Clients {
    /// To whom.
    pub(crate) address: SocketAddr,
    /// In which protocol.
    pub(crate) protocol: Protocol,
    /// Connections (HTTP/2), or pools of them (HTTP/1).
    pub(crate) pools: usize,
    /// Tasks that share a pool.
    pub(crate) tasks: usize,
    /// What each task sends in turn, beginning somewhere else each.
    pub(crate) calls: Arc<[Call]>,
}

/// What became of the requests, by a name for people.
pub(crate) type Outcomes = BTreeMap<String, u64>;

type Pool = Client<HttpConnector, Full<Bytes>>;

/// Sends until `sent` reaches `limit`. All connections are closed afterwards.
pub(crate) async fn send(all: &[Clients], sent: &Arc<AtomicU64>, limit: u64) -> Outcomes {
    let mut tasks = JoinSet::new();
    for (clients, pool) in all.iter().flat_map(|one| (0..one.pools).map(move |pool| (one, pool))) {
        let client = client(clients.protocol);
        for task in 0..clients.tasks {
            let at = (pool * clients.tasks + task) * 37;
            let (clients, client, sent) = (clients.clone(), client.clone(), Arc::clone(sent));
            tasks.spawn(async move {
                let mut outcomes = Outcomes::new();
                for call in clients.calls.iter().cycle().skip(at) {
                    if sent.fetch_add(1, Ordering::Relaxed) >= limit {
                        break;
                    }
                    let outcome = one(&client, clients.address, *call).await;
                    *outcomes.entry(outcome).or_default() += 1;
                }
                outcomes
            });
        }
    }
    let mut sum = Outcomes::new();
    while let Some(outcomes) = tasks.join_next().await {
        for (outcome, count) in outcomes.unwrap() {
            *sum.entry(outcome).or_default() += count;
        }
    }
    sum
}

fn client(protocol: Protocol) -> Pool {
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        // Every request is sent once, so that both sides can count the same ones.
        .retry_canceled_requests(false)
        .http2_only(protocol == Protocol::Http2)
        .build(connector)
}

async fn one(client: &Pool, address: SocketAddr, call: Call) -> String {
    let (Call::Get(path) | Call::Grpc(path) | Call::Abandoned(path) | Call::AbandonedGrpc(path)) =
        call;
    let is_abandoned = matches!(call, Call::Abandoned(_) | Call::AbandonedGrpc(_));
    let mut request = Request::builder().uri(format!("http://{address}{path}"));
    if is_abandoned {
        request = request.header(WORK_HEADER, (10 * PATIENCE).as_micros().to_string());
    }
    let request = if matches!(call, Call::Grpc(_) | Call::AbandonedGrpc(_)) {
        request
            .method(Method::POST)
            .header(CONTENT_TYPE, "application/grpc")
            .header(TE, "trailers")
            .body(Full::new(Bytes::from_static(EMPTY_MESSAGE)))
    } else {
        request.body(Full::default())
    };
    let exchange = async {
        let Ok(response) = client.request(request.unwrap()).await else {
            return "reset".to_owned();
        };
        let status = response.status().as_u16();
        match response.into_body().collect().await {
            Ok(_) => status.to_string(),
            Err(_) => format!("{status} cut off"),
        }
    };
    let limit = if is_abandoned { PATIENCE } else { Duration::from_secs(30) };
    timeout(limit, exchange).await.unwrap_or_else(|_| "abandoned".to_owned())
}
