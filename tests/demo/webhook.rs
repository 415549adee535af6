//! The demo's side of Foresail's webhook actuator: tells how many replicas there are, and scales.

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Result;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::fleet::{Fleet, NAMESPACE, WORKLOAD};

const MAX_BODY: usize = 64 * 1024;

/// The fleet that is asked about, and whether it takes orders.
type Subject = Arc<Mutex<Option<(Fleet, Orders)>>>;

/// Whether a fleet can be scaled through the webhook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Orders {
    /// Foresail scales it.
    Followed,
    /// Someone else does; Foresail may look.
    Refused,
}

/// A running webhook; it ends when this value goes.
#[derive(Debug)]
pub(crate) struct Webhook {
    address: SocketAddr,
    subject: Subject,
    serving: JoinHandle<()>,
}

impl Webhook {
    /// Starts it, with no fleet behind it.
    pub(crate) async fn start() -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let subject = Subject::default();
        let serving = tokio::spawn(serve(listener, Arc::clone(&subject)));
        Ok(Self { address, subject, serving })
    }

    /// Where Foresail finds the workload.
    pub(crate) fn url(&self) -> String {
        format!("http://{}/v1/scale/{NAMESPACE}/{WORKLOAD}", self.address)
    }

    /// Puts a fleet behind it, or none.
    pub(crate) fn attach(&self, fleet: Option<(Fleet, Orders)>) {
        *self.subject.lock().unwrap_or_else(PoisonError::into_inner) = fleet;
    }
}

impl Drop for Webhook {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn serve(listener: TcpListener, subject: Subject) {
    let mut connections = tokio::task::JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        while connections.try_join_next().is_some() {}
        let subject = Arc::clone(&subject);
        connections.spawn(async move {
            let handle = service_fn(|request| answer(request, Arc::clone(&subject)));
            let server = auto::Builder::new(TokioExecutor::new());
            let _ = server.serve_connection(TokioIo::new(stream), handle).await;
        });
    }
}

async fn answer(
    request: Request<Incoming>,
    subject: Subject,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let is_ours = request.uri().path() == format!("/v1/scale/{NAMESPACE}/{WORKLOAD}");
    let is_post = request.method() == Method::POST;
    let body = Limited::new(request.into_body(), MAX_BODY).collect().await;
    let body = body.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    let subject = subject.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let (status, answer) = match subject {
        _ if !is_ours => refuse(StatusCode::NOT_FOUND, "no such workload"),
        None => refuse(StatusCode::SERVICE_UNAVAILABLE, "nothing runs at the moment"),
        Some((fleet, orders)) if is_post => scale(&fleet, orders, &body),
        Some((fleet, _)) => status(&fleet),
    };
    let mut response = Response::new(Full::new(answer.to_string().into()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(response)
}

fn refuse(status: StatusCode, why: &str) -> (StatusCode, Value) {
    (status, json!({"error": why}))
}

fn status(fleet: &Fleet) -> (StatusCode, Value) {
    match fleet.status() {
        Ok(status) => {
            let body = json!({
                "current_replicas": status.current,
                "ready_replicas": status.ready.len(),
                "ready_pods": status.ready,
            });
            (StatusCode::OK, body)
        }
        Err(error) => refuse(StatusCode::INTERNAL_SERVER_ERROR, &format!("{error:#}")),
    }
}

fn scale(fleet: &Fleet, orders: Orders, body: &Bytes) -> (StatusCode, Value) {
    if orders == Orders::Refused {
        return refuse(StatusCode::CONFLICT, "another autoscaler has the workload");
    }
    let order: Value = serde_json::from_slice(body).unwrap_or_default();
    let desired = order.get("desired_replicas").and_then(Value::as_u64);
    let for_us = order.get("namespace") == Some(&NAMESPACE.into())
        && order.get("workload") == Some(&WORKLOAD.into());
    match desired.and_then(|desired| u32::try_from(desired).ok()) {
        Some(desired) if for_us => {
            (StatusCode::OK, json!({"desired_replicas": fleet.scale_to(desired)}))
        }
        _ => refuse(StatusCode::BAD_REQUEST, "not an order for this workload"),
    }
}
