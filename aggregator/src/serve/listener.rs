//! Accepts connections, and keeps those that send nothing from being in anybody's way.

use std::collections::VecDeque;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use hyper::body::Incoming;
use hyper::service::Service;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use super::tls::Tls;
use crate::api::{App, PeerCertificate};

/// Time from connecting to the end of the first request's head.
const FIRST_REQUEST: Duration = Duration::from_secs(5);
/// Time between the requests of a connection. Proxies report each second or each few.
const NEXT_REQUEST: Duration = Duration::from_mins(1);
/// Connections that may be without a request; the oldest of them gives way to a new one.
const MAX_FRESH: usize = 512;
/// The most connections when the system sets no lower limit.
const MAX_CONNECTIONS: usize = 16_384;
/// File descriptors left for the store, webhooks and whatever else.
const SPARE_DESCRIPTORS: usize = 64;
/// Pause after an error of accept, most of which are a lack of descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// What is served at one address.
pub(super) struct Door {
    /// Where it listens.
    pub(super) listener: TcpListener,
    /// What it answers.
    pub(super) router: Router,
    /// `None` for plain connections.
    pub(super) tls: Option<Tls>,
    /// The most requests and streams at a time on one connection of HTTP/2.
    pub(super) max_streams: u32,
}

/// What the acceptor knows of a connection.
#[derive(Debug, Default)]
struct Connection {
    has_asked: AtomicBool,
    give_way: Notify,
}

/// Accepts until `closed` becomes true, then lets the open connections finish.
pub(super) async fn accept(door: Door, app: Arc<App>, mut closed: watch::Receiver<bool>) {
    let limit = connection_limit();
    let mut fresh: VecDeque<Weak<Connection>> = VecDeque::with_capacity(MAX_FRESH + 1);
    let mut open = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = door.listener.accept() => accepted,
            Some(_) = open.join_next() => continue,
            _ = closed.changed() => break,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        app.connections.accepted.fetch_add(1, Ordering::Relaxed);
        if open.len() >= limit {
            app.connections.refused.fetch_add(1, Ordering::Relaxed);
            continue;
        }
        let connection = Arc::new(Connection::default());
        fresh.push_back(Arc::downgrade(&connection));
        if fresh.len() > MAX_FRESH
            && let Some(oldest) = fresh.pop_front().and_then(|oldest| oldest.upgrade())
            && !oldest.has_asked.load(Ordering::Relaxed)
        {
            oldest.give_way.notify_one();
        }
        let serving = Serving {
            router: door.router.clone(),
            max_streams: door.max_streams,
            connection,
            app: Arc::clone(&app),
            closed: closed.clone(),
        };
        open.spawn(serving.accepted(stream, door.tls.clone()));
    }
    while open.join_next().await.is_some() {}
}

/// One connection that is being served.
struct Serving {
    router: Router,
    max_streams: u32,
    connection: Arc<Connection>,
    app: Arc<App>,
    closed: watch::Receiver<bool>,
}

impl Serving {
    async fn accepted(self, stream: TcpStream, tls: Option<Tls>) {
        // Answers are small and waited for.
        let _ = stream.set_nodelay(true);
        let app = Arc::clone(&self.app);
        let _open = Open::new(&app);
        let Some(tls) = tls else { return self.serve(stream, None).await };
        // Without a certificate of our own there is nothing to answer with.
        let Some(config) = tls.current() else { return };
        let handshake = TlsAcceptor::from(config).accept(stream);
        let Ok(shaken) = tokio::time::timeout(FIRST_REQUEST, handshake).await else {
            app.connections.half_open.fetch_add(1, Ordering::Relaxed);
            return;
        };
        // A client that trusts us not, or that we trust not, is gone.
        let Ok(stream) = shaken else { return };
        let shown = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
        let peer = shown.map(|certificate| PeerCertificate(certificate.to_vec()));
        self.serve(stream, peer).await;
    }

    async fn serve<S>(mut self, stream: S, peer: Option<PeerCertificate>)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let mut builder = auto::Builder::new(TokioExecutor::new());
        builder.http1().timer(TokioTimer::new()).header_read_timeout(NEXT_REQUEST);
        builder
            .http2()
            .timer(TokioTimer::new())
            .keep_alive_interval(NEXT_REQUEST / 2)
            .max_concurrent_streams(self.max_streams);
        let inner = TowerToHyperService::new(self.router);
        let asked = Arc::clone(&self.connection);
        let service = hyper::service::service_fn(move |mut request: Request<Incoming>| {
            asked.has_asked.store(true, Ordering::Relaxed);
            if let Some(peer) = &peer {
                request.extensions_mut().insert(peer.clone());
            }
            inner.call(request)
        });
        let mut serving = pin!(builder.serve_connection(TokioIo::new(stream), service));
        let mut first = pin!(tokio::time::sleep(FIRST_REQUEST));
        let mut is_waiting = true;
        let mut is_closing = false;
        loop {
            let give_way = tokio::select! {
                // Broken connections and bad requests are the other side's affair.
                _ = serving.as_mut() => return,
                () = first.as_mut(), if is_waiting => {
                    is_waiting = false;
                    true
                }
                () = self.connection.give_way.notified(), if is_waiting => true,
                _ = self.closed.changed(), if !is_closing => {
                    is_closing = true;
                    serving.as_mut().graceful_shutdown();
                    false
                }
            };
            if give_way && !self.connection.has_asked.load(Ordering::Relaxed) {
                self.app.connections.half_open.fetch_add(1, Ordering::Relaxed);
                return;
            }
        }
    }
}

/// Counts a connection while it is open.
struct Open<'a>(&'a App);

impl<'a> Open<'a> {
    fn new(app: &'a App) -> Self {
        app.connections.open.fetch_add(1, Ordering::Relaxed);
        Self(app)
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.connections.open.fetch_sub(1, Ordering::Relaxed);
    }
}

/// As many connections as the process may have files, less a reserve.
fn connection_limit() -> usize {
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap_or_default();
    soft_file_limit(&limits).map_or(MAX_CONNECTIONS, |files| {
        files.saturating_sub(SPARE_DESCRIPTORS).clamp(16, MAX_CONNECTIONS)
    })
}

/// The soft limit of open files in `/proc/self/limits`; `None` when there is none.
fn soft_file_limit(limits: &str) -> Option<usize> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_of_open_files_is_read() {
        let limits = "Limit                     Soft Limit           Hard Limit           Units\n\
                      Max processes             63000                63000                processes\n\
                      Max open files            1024                 524288               files\n";
        assert_eq!(soft_file_limit(limits), Some(1024));
        assert_eq!(soft_file_limit("Max open files            unlimited  unlimited files"), None);
        assert_eq!(soft_file_limit(""), None);
    }
}
