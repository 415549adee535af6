//! One pool of connections and how a planned request becomes a real one.

use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::header::{CONTENT_TYPE, TE};
use hyper::{HeaderMap, Method, Request};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::{Client as Pool, Error};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::time::timeout;

use super::{Outcome, Payload, Protocol, Shot, Target};
use crate::service::WORK_HEADER;

/// An empty message with gRPC's five bytes in front: not compressed, length zero.
const EMPTY_MESSAGE: &[u8] = &[0, 0, 0, 0, 0];

#[derive(Debug)]
pub(super) struct Client {
    pool: Pool<HttpConnector, Full<Bytes>>,
    base: String,
    timeout: Duration,
}

impl Client {
    pub(super) fn new(target: &Target) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        let pool = Pool::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            // Every request is sent once: a retry of the client's own would hide a failure.
            .retry_canceled_requests(false)
            .http2_only(target.protocol == Protocol::Http2)
            .build(connector);
        Self { pool, base: format!("http://{}", target.address), timeout: target.timeout }
    }

    /// Sends one request and reads its answer to the end.
    pub(super) async fn send(&self, shot: &Shot) -> Outcome {
        let Ok(request) = self.request(shot) else { return Outcome::Failed("invalid") };
        match timeout(self.timeout, self.exchange(request)).await {
            Ok(outcome) => outcome,
            Err(_) => Outcome::Failed("timeout"),
        }
    }

    fn request(&self, shot: &Shot) -> Result<Request<Full<Bytes>>, hyper::http::Error> {
        let mut request = Request::builder().uri(format!("{}{}", self.base, shot.path));
        if let Some(work) = shot.work {
            request = request.header(WORK_HEADER, work.as_micros().to_string());
        }
        match &shot.payload {
            Payload::Get => request.body(Full::default()),
            Payload::Post(body) => request.method(Method::POST).body(Full::new(body.clone())),
            Payload::Grpc => request
                .method(Method::POST)
                .header(CONTENT_TYPE, "application/grpc")
                .header(TE, "trailers")
                .body(Full::new(Bytes::from_static(EMPTY_MESSAGE))),
        }
    }

    async fn exchange(&self, request: Request<Full<Bytes>>) -> Outcome {
        let response = match self.pool.request(request).await {
            Ok(response) => response,
            Err(error) => return Outcome::Failed(reason(&error)),
        };
        let status = response.status().as_u16();
        let in_headers = grpc_status(response.headers());
        let Ok(body) = response.into_body().collect().await else { return Outcome::Failed("body") };
        let grpc = in_headers.or_else(|| body.trailers().and_then(grpc_status));
        Outcome::Answered { status, grpc }
    }
}

fn grpc_status(headers: &HeaderMap) -> Option<u8> {
    headers.get("grpc-status")?.to_str().ok()?.parse().ok()
}

fn reason(error: &Error) -> &'static str {
    if error.is_connect() { "connect" } else { "reset" }
}
