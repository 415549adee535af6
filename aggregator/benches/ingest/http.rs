//! The same over HTTP: a whole aggregator and its senders, on the same cores.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use foresail_aggregator::clock::{self, Stopwatch};
use foresail_aggregator::config::Config;
use foresail_aggregator::serve;
use foresail_wire::CONTENT_TYPE;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::oneshot;
use tokio::task::{JoinHandle, JoinSet};

use crate::fleet::Fleet;
use crate::latency::Waits;

/// Connections kept open; each waits for its answer before it sends again. With both ends they
/// stay below 1,024 descriptors.
const CONNECTIONS: usize = 400;
/// Time after which answers are counted.
const WARM_UP: Duration = Duration::from_millis(1_500);

/// A running aggregator.
pub(crate) struct Aggregator {
    runtime: Runtime,
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    serving: JoinHandle<Result<(), serve::ServeError>>,
    fleet: Arc<Fleet>,
    next: Arc<AtomicU64>,
    _directory: tempfile::TempDir,
}

impl Aggregator {
    /// Starts one with an empty state.
    pub(crate) fn start(fleet: Fleet) -> Result<Self> {
        let directory = tempfile::tempdir()?;
        let state = directory.path().join("state.redb");
        let config = Config::from_yaml(&format!("state: {}", state.display()))?;
        let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        let listener =
            runtime.block_on(TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))))?;
        let address = listener.local_addr()?;
        let (stop, stopped) = oneshot::channel::<()>();
        let serving = runtime.spawn(serve::run(
            config,
            listener,
            Box::pin(async {
                let _ = stopped.await;
            }),
        ));
        let (fleet, next) = (Arc::new(fleet), Arc::default());
        Ok(Self { runtime, address, stop, serving, fleet, next, _directory: directory })
    }

    /// Sends for so long; with a rate each frame is due at its time, without as soon as there is
    /// an answer to the one before. Returns the waits, and the answers in a second.
    pub(crate) fn load(&self, rate: Option<f64>, length: Duration) -> Result<(Waits, f64)> {
        // The senders have a thread of their own, as they would have a machine of their own.
        let runtime = Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let watch = Stopwatch::start();
            let turn = Arc::new(AtomicU64::new(0));
            let mut senders = JoinSet::new();
            for _ in 0..CONNECTIONS {
                let stream = TcpStream::connect(self.address).await?;
                stream.set_nodelay(true)?;
                let sender = Sender {
                    stream,
                    fleet: Arc::clone(&self.fleet),
                    next: Arc::clone(&self.next),
                    turn: Arc::clone(&turn),
                    watch,
                    rate,
                    length,
                };
                senders.spawn(sender.run());
            }
            let mut all = Waits::new()?;
            while let Some(waits) = senders.join_next().await {
                all.merge(&waits??)?;
            }
            let counted = length.saturating_sub(WARM_UP);
            let per_second = all.count() as f64 / counted.as_secs_f64();
            Ok((all, per_second))
        })
    }

    /// Ends it, saving everything.
    pub(crate) fn stop(self) -> Result<()> {
        let _ = self.stop.send(());
        self.runtime.block_on(self.serving)??;
        Ok(())
    }
}

struct Sender {
    stream: TcpStream,
    fleet: Arc<Fleet>,
    next: Arc<AtomicU64>,
    turn: Arc<AtomicU64>,
    watch: Stopwatch,
    rate: Option<f64>,
    length: Duration,
}

impl Sender {
    async fn run(mut self) -> Result<Waits> {
        let mut waits = Waits::new()?;
        let mut request = Vec::new();
        loop {
            let scheduled = match self.rate {
                Some(rate) => {
                    let turn = self.turn.fetch_add(1, Ordering::Relaxed);
                    Duration::from_secs_f64(turn as f64 / rate)
                }
                None => self.watch.elapsed(),
            };
            if scheduled >= self.length {
                return Ok(waits);
            }
            tokio::time::sleep(scheduled.saturating_sub(self.watch.elapsed())).await;
            let status = self.post(&mut request).await?;
            if scheduled >= WARM_UP {
                waits.add(self.watch.elapsed().saturating_sub(scheduled), status == *b"202");
            }
        }
    }

    /// Posts the next frame; returns the answer's status.
    async fn post(&mut self, request: &mut Vec<u8>) -> Result<[u8; 3]> {
        let body = self.fleet.next_body(self.next.fetch_add(1, Ordering::Relaxed), clock::now());
        let head = format!(
            "POST /v1/frames HTTP/1.1\r\nhost: foresail\r\ncontent-type: {CONTENT_TYPE}\r\n\
             content-length: {}\r\n\r\n",
            body.len()
        );
        request.clear();
        request.extend_from_slice(head.as_bytes());
        request.extend_from_slice(&body);
        self.stream.write_all(request).await?;
        let mut answer = [0; 1_024];
        let mut read = 0;
        while !answer[..read].ends_with(b"\r\n\r\n") {
            let more = self.stream.read(&mut answer[read..]).await?;
            ensure!(more > 0, "the aggregator closed a connection");
            read += more;
        }
        answer.get(9..12).and_then(|status| status.try_into().ok()).context("a status")
    }
}
