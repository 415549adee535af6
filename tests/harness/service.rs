//! An upstream service with limited concurrency, so that too few replicas are slow as they would
//! be in life: requests beyond the limit wait in line, first come first served.
//!
//! | Path | Answer |
//! |---|---|
//! | `/` and any other | 200 after waiting in line and being worked on |
//! | `/status/503` | that status at once |
//! | `/delay/250` | 200 after so many ms, outside the line |
//! | `/reset` | the connection (HTTP/1) or stream (HTTP/2) is reset |
//! | `/cut` | 200 and half a body, then the connection or stream is reset |
//! | `/echo` | the request's body |
//! | `/sse/5` | five server-sent events, 100 ms apart |
//! | `/grpc/14` | gRPC unary: one message, then trailers with that status |
//! | `/grpc-only/14` | gRPC failure without a message: the status in the headers |

mod answer;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::Result;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{HeaderMap, Request};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use rand_chacha::ChaCha8Rng;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

use crate::random::{self, LogNormal};

/// Request header with the work that the request needs, in µs. It makes the work a property of the
/// request, the same whichever replica gets it and however often the load is played.
pub const WORK_HEADER: &str = "x-work-micros";

/// What a service is like.
#[derive(Clone, Copy, Debug)]
pub struct ServiceConfig {
    /// Requests worked on at a time.
    pub concurrency: usize,
    /// Work of requests that do not bring their own; `None` is no time at all.
    pub work: Option<LogNormal>,
    /// Seed of the draws from `work`.
    pub seed: u64,
}

impl Default for ServiceConfig {
    /// As fast as it can, without a limit that anyone would notice.
    fn default() -> Self {
        Self { concurrency: 10_000, work: None, seed: 1 }
    }
}

/// A running service; it ends, and resets its connections, when this value goes.
#[derive(Debug)]
pub struct Service {
    address: SocketAddr,
    desk: Arc<Desk>,
    accepting: JoinHandle<()>,
}

impl Service {
    /// Starts it on a port of the kernel's choice.
    pub async fn start(config: ServiceConfig) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let desk = Arc::new(Desk {
            line: Semaphore::new(config.concurrency),
            work: config.work,
            random: Mutex::new(random::seeded(config.seed)),
            begun: AtomicU64::new(0),
        });
        let accepting = tokio::spawn(accept(listener, Arc::clone(&desk)));
        Ok(Self { address, desk, accepting })
    }

    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many requests have reached it.
    pub fn requests(&self) -> u64 {
        self.desk.begun.load(Ordering::Relaxed)
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// Where the work is done.
#[derive(Debug)]
struct Desk {
    /// Tokio's semaphore is fair: it serves in the order of asking.
    line: Semaphore,
    work: Option<LogNormal>,
    random: Mutex<ChaCha8Rng>,
    begun: AtomicU64,
}

impl Desk {
    /// Waits in line, then works. Dropping the future leaves the line, as when a client gives up.
    async fn work(&self, headers: &HeaderMap) {
        let Ok(_place) = self.line.acquire().await else { return };
        let asked = headers.get(WORK_HEADER).and_then(|value| value.to_str().ok()?.parse().ok());
        let work = asked.map(Duration::from_micros).or_else(|| {
            let mut random = self.random.lock().ok()?;
            Some(self.work?.sample(&mut random))
        });
        if let Some(work) = work {
            tokio::time::sleep(work).await;
        }
    }
}

async fn accept(listener: TcpListener, desk: Arc<Desk>) {
    // Aborting this task drops the set, and with it every connection.
    let mut connections = tokio::task::JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                if let Ok((stream, _)) = accepted {
                    connections.spawn(serve(stream, Arc::clone(&desk)));
                }
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn serve(stream: TcpStream, desk: Arc<Desk>) {
    let _ = stream.set_nodelay(true);
    let handle = service_fn(|request: Request<Incoming>| {
        let desk = Arc::clone(&desk);
        async move {
            desk.begun.fetch_add(1, Ordering::Relaxed);
            answer::answer(&desk, request).await
        }
    });
    // An error here is a client that went away, or the reset that it asked for.
    let _ = auto::Builder::new(TokioExecutor::new())
        .serve_connection(TokioIo::new(stream), handle)
        .await;
}
