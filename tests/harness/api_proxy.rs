//! A proxy before the real API server that misbehaves when told to, and that gives its client a
//! name, so that the audit log says who asked.

use std::future::Future;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Method, Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use kube::Client;
use kube::client::Body;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::sleep;

use crate::WorkDir;

/// How the proxy misbehaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Not at all.
    None,
    /// Every connection is cut, and no new one answered.
    Cut,
    /// Every request is answered with this status; 429 says `Retry-After: 1`.
    Status(u16),
    /// Every write is answered with this status.
    WriteStatus(u16),
    /// Every watch is answered with 410 Gone; what runs goes on.
    Gone,
    /// Every request waits so long; one whose client gives up is not passed on.
    Stall(Duration),
    /// Every request arrives so late, even when its client has long given up.
    Late(Duration),
}

/// A running proxy; it ends when this value goes.
#[derive(Debug)]
pub struct ApiProxy {
    address: SocketAddr,
    user: String,
    fault: Arc<Mutex<Fault>>,
    requests: Arc<AtomicU64>,
    cut: watch::Sender<u64>,
    accepting: JoinHandle<()>,
}

type Answer = Response<UnsyncBoxBody<Bytes, kube::Error>>;

impl ApiProxy {
    /// A proxy to the API server of `client`, an administrator's, whose requests are those of
    /// `user`.
    pub async fn start(client: Client, user: &str) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let fault = Arc::new(Mutex::new(Fault::None));
        let (cut, cuts) = watch::channel(0);
        let requests = Arc::new(AtomicU64::new(0));
        let to = Upstream {
            client,
            user: user.to_owned(),
            fault: Arc::clone(&fault),
            requests: Arc::clone(&requests),
        };
        let accepting = tokio::spawn(accept(listener, to, cuts));
        Ok(Self { address, user: user.to_owned(), fault, requests, cut, accepting })
    }

    /// Who its requests are from.
    pub fn user(&self) -> &str {
        &self.user
    }

    /// Requests so far, those too that the API server never sees.
    pub fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    /// Misbehaves from now on. Connections that run are cut by [`Fault::Cut`] alone, or by
    /// [`ApiProxy::close_all`].
    pub fn set(&self, fault: Fault) {
        *self.fault.lock().unwrap_or_else(PoisonError::into_inner) = fault;
        if fault == Fault::Cut {
            self.close_all();
        }
    }

    /// Cuts every connection, watches too.
    pub fn close_all(&self) {
        self.cut.send_modify(|count| *count += 1);
    }

    /// A kubeconfig for a client of this proxy.
    pub fn kubeconfig(&self, directory: &WorkDir) -> Result<PathBuf> {
        let config = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "proxy", "cluster": {"server": format!("http://{}", self.address)}}],
            "users": [{"name": "proxy", "user": {}}],
            "contexts": [{"name": "proxy", "context": {
                "cluster": "proxy", "user": "proxy", "namespace": crate::stage::NAMESPACE,
            }}],
            "current-context": "proxy",
        });
        directory.write(&format!("kubeconfig-{}", self.user), &config.to_string())
    }
}

impl Drop for ApiProxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, to: Upstream, cuts: watch::Receiver<u64>) {
    let mut connections = JoinSet::new();
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        let (to, mut cuts) = (to.clone(), cuts.clone());
        cuts.mark_unchanged();
        connections.spawn(async move {
            let service = service_fn(move |request| to.clone().forward(request));
            let builder = auto::Builder::new(TokioExecutor::new());
            let serving = builder.serve_connection(TokioIo::new(stream), service);
            tokio::select! {
                _ = serving => {}
                _ = cuts.changed() => {}
            }
        });
        while connections.try_join_next().is_some() {}
    }
}

/// Where requests go.
#[derive(Clone)]
struct Upstream {
    client: Client,
    user: String,
    fault: Arc<Mutex<Fault>>,
    requests: Arc<AtomicU64>,
}

impl Upstream {
    fn forward(
        self,
        request: Request<Incoming>,
    ) -> Pin<Box<dyn Future<Output = Result<Answer>> + Send>> {
        self.requests.fetch_add(1, Ordering::Relaxed);
        Box::pin(async move {
            let fault = *self.fault.lock().unwrap_or_else(PoisonError::into_inner);
            let writes = request.method() != Method::GET;
            let watches = request.uri().query().is_some_and(|query| query.contains("watch=true"));
            match fault {
                Fault::Cut => anyhow::bail!("cut"),
                Fault::Status(code) => return refused(code),
                Fault::WriteStatus(code) if writes => return refused(code),
                Fault::Gone if watches => return refused(410),
                Fault::Stall(time) => sleep(time).await,
                Fault::None | Fault::WriteStatus(_) | Fault::Gone | Fault::Late(_) => {}
            }
            let (mut parts, body) = request.into_parts();
            let body = body.collect().await?.to_bytes();
            let path = parts.uri.path_and_query().context("no path")?.as_str().parse()?;
            parts.uri = path;
            parts.headers.remove("host");
            parts.headers.insert("impersonate-user", self.user.parse()?);
            let request = Request::from_parts(parts, Body::from(body.to_vec()));
            let answer = match fault {
                // On its way whatever becomes of its client.
                Fault::Late(time) => {
                    let arrive = async move {
                        sleep(time).await;
                        self.client.send(request).await
                    };
                    tokio::spawn(arrive).await??
                }
                _ => self.client.send(request).await?,
            };
            Ok(answer.map(UnsyncBoxBody::new))
        })
    }
}

/// What the API server says when it refuses.
fn refused(code: u16) -> Result<Answer> {
    let reason = match code {
        403 => "Forbidden",
        409 => "Conflict",
        410 => "Expired",
        429 => "TooManyRequests",
        _ => "InternalError",
    };
    let status = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure",
        "message": "made up by a test", "reason": reason, "code": code});
    let mut answer = Response::builder().status(code).header("content-type", "application/json");
    if code == 429 {
        answer = answer.header("retry-after", "1");
    }
    let body = Full::from(status.to_string()).map_err(|never| match never {});
    Ok(answer.body(UnsyncBoxBody::new(body))?)
}
