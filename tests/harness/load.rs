//! An open-loop load generator: requests leave when the plan says, whether or not earlier ones have
//! been answered, and latency counts from the planned time. A generator that waits for answers
//! would ask less of a slow service and call it fast.

mod client;
mod results;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::Result;
use hyper::body::Bytes;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};

use client::Client;
pub use results::{LATE_START, Outcome, Results};

/// The protocol that a load is played in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.1 with a pool of kept-alive connections.
    Http1,
    /// HTTP/2 with prior knowledge.
    Http2,
}

/// One planned request.
#[derive(Clone, Debug)]
pub struct Shot {
    /// When it leaves, from the start of the load.
    pub at: Duration,
    /// Path, with query if any.
    pub path: Arc<str>,
    /// Work for the service, see [`crate::service::WORK_HEADER`]; not sent when `None`.
    pub work: Option<Duration>,
    /// What is sent.
    pub payload: Payload,
}

/// What a request carries.
#[derive(Clone, Debug)]
pub enum Payload {
    /// GET without a body.
    Get,
    /// POST with a body.
    Post(Bytes),
    /// A gRPC unary call with an empty message; HTTP/2 only.
    Grpc,
}

impl Shot {
    /// A GET of `path`.
    pub fn get(at: Duration, path: impl Into<Arc<str>>) -> Self {
        Self { at, path: path.into(), work: None, payload: Payload::Get }
    }

    /// A gRPC unary call.
    pub fn grpc(at: Duration, path: impl Into<Arc<str>>) -> Self {
        Self { at, path: path.into(), work: None, payload: Payload::Grpc }
    }

    /// Brings its own work.
    #[must_use]
    pub fn with_work(mut self, work: Duration) -> Self {
        self.work = Some(work);
        self
    }
}

/// Where and how a load is played.
#[derive(Clone, Debug)]
pub struct Target {
    /// Who gets it.
    pub address: SocketAddr,
    /// In which protocol.
    pub protocol: Protocol,
    /// Client pools, used in turn. An HTTP/2 pool has one connection, so several are needed to
    /// reach several workers of a proxy.
    pub pools: usize,
    /// A request without an answer for so long failed.
    pub timeout: Duration,
    /// A request is within the objective when it succeeds in at most this time.
    pub objective: Duration,
    /// Shots before this time are sent and not counted.
    pub warm_up: Duration,
}

impl Target {
    /// One pool, 15 s time-out, an objective of 250 ms, nothing uncounted.
    pub fn new(address: SocketAddr, protocol: Protocol) -> Self {
        Self {
            address,
            protocol,
            pools: 1,
            timeout: Duration::from_secs(15),
            objective: Duration::from_millis(250),
            warm_up: Duration::ZERO,
        }
    }
}

/// A load that is being played; it stops when this value goes.
#[derive(Debug)]
pub struct Load {
    results: Arc<Mutex<Results>>,
    playing: JoinHandle<()>,
}

impl Load {
    /// Begins to play `plan`, which must be in order of time, with its zero at `start`.
    pub fn start(target: &Target, plan: Arc<[Shot]>, start: Instant) -> Result<Self> {
        let results = Arc::new(Mutex::new(Results::new(target.objective)?));
        let clients: Vec<Arc<Client>> =
            (0..target.pools.max(1)).map(|_| Arc::new(Client::new(target))).collect();
        let playing =
            tokio::spawn(play(clients, plan, start, target.warm_up, Arc::clone(&results)));
        Ok(Self { results, playing })
    }

    /// The results so far.
    pub fn so_far(&self) -> Results {
        match self.results.lock() {
            Ok(results) => results.clone(),
            Err(poisoned) => poisoned.into_inner().clone(),
        }
    }

    /// Waits for the last answer.
    pub async fn finish(mut self) -> Result<Results> {
        (&mut self.playing).await?;
        Ok(self.so_far())
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.playing.abort();
    }
}

async fn play(
    clients: Vec<Arc<Client>>,
    plan: Arc<[Shot]>,
    start: Instant,
    warm_up: Duration,
    results: Arc<Mutex<Results>>,
) {
    // Aborting this task drops the set, and with it every request on its way.
    let mut requests = tokio::task::JoinSet::new();
    for (shot, client) in plan.iter().zip(clients.iter().cycle()) {
        let due = start + shot.at;
        if due > Instant::now() {
            sleep_until(due).await;
        }
        while requests.try_join_next().is_some() {}
        let (shot, client, results) = (shot.clone(), Arc::clone(client), Arc::clone(&results));
        requests.spawn(async move {
            let lag = due.elapsed();
            let outcome = client.send(&shot).await;
            let latency = due.elapsed();
            if shot.at >= warm_up
                && let Ok(mut results) = results.lock()
            {
                results.record(outcome, latency, lag);
            }
        });
    }
    while requests.join_next().await.is_some() {}
}
