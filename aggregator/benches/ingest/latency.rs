//! How long a sender waits for its answer, which comes after the frame is on disk.
//!
//! Open loop: a frame is due at its time, however long the answers before it take, and its wait
//! counts from that time.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use foresail_aggregator::clock::{self, Stopwatch};
use foresail_aggregator::ingest::{self, Answer, Engine, FrameResult, Ingest};
use foresail_aggregator::store::Store;
use hdrhistogram::Histogram;
use tokio::runtime::Builder;
use tokio::task::LocalSet;

use crate::fleet::{Fleet, key};

/// Time after which waits are counted.
const WARM_UP: Duration = Duration::from_millis(1_500);
/// Time between looks at what is due.
const PACE: Duration = Duration::from_micros(500);
/// Frames handed over before answers are looked at again.
const BURST: u64 = 512;

/// Waits of the frames that were counted, and what became of the others.
#[derive(Debug)]
pub(crate) struct Waits {
    micros: Histogram<u64>,
    /// Frames that were answered with anything but "accepted".
    pub(crate) refused: u64,
    /// Frames in one transaction.
    pub(crate) frames_per_commit: f64,
    /// The ingest thread.
    pub(crate) thread: Scheduled,
    /// Its time on a core for each frame: decode, write, merge and answer.
    pub(crate) core_time_per_frame: Duration,
}

/// What the scheduler gave a thread.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Scheduled {
    /// Time on a core.
    pub(crate) ran: Duration,
    /// Time in which it could have run and another program did.
    pub(crate) waited: Duration,
}

impl Scheduled {
    /// Of this process's thread of this name.
    fn of(name: &str) -> Result<Self> {
        for thread in std::fs::read_dir("/proc/self/task")? {
            let path = thread?.path();
            if std::fs::read_to_string(path.join("comm"))?.trim() != name {
                continue;
            }
            let text = std::fs::read_to_string(path.join("schedstat"))?;
            let mut nanos =
                text.split_whitespace().map(|part| part.parse().map(Duration::from_nanos));
            let mut next = || nanos.next().context("two figures in schedstat");
            return Ok(Self { ran: next()??, waited: next()?? });
        }
        Ok(Self::default())
    }

    /// Share of the time that it wanted a core in which it had none.
    pub(crate) fn denied(&self) -> f64 {
        self.waited.as_secs_f64() / (self.ran + self.waited).as_secs_f64().max(1e-9)
    }
}

impl Waits {
    pub(crate) fn new() -> Result<Self> {
        Ok(Self {
            micros: Histogram::new_with_bounds(1, 600_000_000, 3)?,
            refused: 0,
            frames_per_commit: 0.0,
            thread: Scheduled::default(),
            core_time_per_frame: Duration::ZERO,
        })
    }

    /// Takes note of a frame.
    pub(crate) fn add(&mut self, waited: Duration, is_accepted: bool) {
        self.micros.saturating_record(u64::try_from(waited.as_micros()).unwrap_or(u64::MAX));
        self.refused += u64::from(!is_accepted);
    }

    /// A wait that this share of the frames had at most.
    pub(crate) fn quantile(&self, quantile: f64) -> Duration {
        Duration::from_micros(self.micros.value_at_quantile(quantile))
    }

    /// Adds the frames of another sender.
    pub(crate) fn merge(&mut self, other: &Self) -> Result<()> {
        self.micros.add(&other.micros)?;
        self.refused += other.refused;
        Ok(())
    }

    /// Frames that were counted.
    pub(crate) fn count(&self) -> u64 {
        self.micros.len()
    }

    /// Whether every frame was taken and 99 % of them in so much time.
    pub(crate) fn keeps(&self, limit: Duration) -> bool {
        self.refused == 0 && self.quantile(0.99) < limit
    }
}

/// Frames from one thread straight into a running ingest thread with a store on disk.
pub(crate) fn in_process(
    fleet: &Fleet,
    workloads: usize,
    rate: f64,
    length: Duration,
) -> Result<Waits> {
    let directory = tempfile::tempdir()?;
    let store = Store::open(&directory.path().join("state.redb"))?;
    let keys: Vec<_> = (0..workloads).map(key).collect();
    let (engine, _) = Engine::open(store, &keys, workloads)?;
    let (ingest, thread) = ingest::start(engine)?;
    let runtime = Builder::new_current_thread().enable_time().build()?;
    let waits = Rc::new(RefCell::new(Waits::new()?));
    let local = LocalSet::new();
    local.block_on(&runtime, send(fleet, &ingest, rate, length, &waits));
    // What has not been answered is answered here.
    runtime.block_on(local);
    let mut waits = Rc::into_inner(waits).context("all frames are answered")?.into_inner();
    let counters = ingest.counters();
    let accepted = counters.get(FrameResult::Accepted);
    waits.frames_per_commit = accepted as f64 / counters.batches().max(1) as f64;
    waits.thread = Scheduled::of("ingest")?;
    waits.core_time_per_frame = waits.thread.ran.div_f64((accepted as f64).max(1.0));
    ingest.drain();
    thread.join();
    Ok(waits)
}

async fn send(
    fleet: &Fleet,
    ingest: &Arc<Ingest>,
    rate: f64,
    length: Duration,
    waits: &Rc<RefCell<Waits>>,
) {
    let watch = Stopwatch::start();
    let mut sent = 0;
    while watch.elapsed() < length {
        let due = (watch.elapsed().as_secs_f64() * rate) as u64;
        let burst = (due - sent).min(BURST);
        let now = clock::now();
        for n in sent..sent + burst {
            let body = fleet.next_body(n, now);
            let ingest = Arc::clone(ingest);
            let waits = Rc::clone(waits);
            let scheduled = Duration::from_secs_f64(n as f64 / rate);
            tokio::task::spawn_local(async move {
                let answer = ingest.frame(body, now).await;
                if scheduled >= WARM_UP {
                    let waited = watch.elapsed().saturating_sub(scheduled);
                    waits.borrow_mut().add(waited, matches!(answer, Answer::Accepted));
                }
            });
        }
        sent += burst;
        if burst < BURST {
            tokio::time::sleep(PACE).await;
        } else {
            tokio::task::yield_now().await;
        }
    }
}
