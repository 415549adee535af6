//! The thread that owns the [`Engine`], and the handle by which the rest of the process reaches it.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use axum::body::Bytes;
use tokio::sync::oneshot;

use super::engine::{Answer, Engine, Received, Record};
use super::{Counters, FrameResult, Workload, Workloads};
use crate::clock;
use crate::store::StoreReader;
use crate::units::{Timestamp, WorkloadKey};

/// The most frames that wait.
pub const MAX_QUEUED_FRAMES: usize = 8_192;
/// The most bytes that wait, so that many large frames do not fill the memory.
pub const MAX_QUEUED_BYTES: usize = 64 << 20;
/// The most frames in one commit: keeps the answer to the first of them from waiting too long.
const MAX_BATCH: usize = 4_096;
/// Time between ticks.
const TICK: Duration = Duration::from_secs(1);

/// Whether a record reached the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recorded {
    /// It did.
    Durable,
    /// Not yet; it is kept in memory and written when the store writes again.
    Pending,
}

enum Job {
    Frame(Received, oneshot::Sender<Answer>),
    /// Records wait, or draining has begun.
    Wake,
}

type WaitingRecords = Mutex<Vec<(Record, oneshot::Sender<Recorded>)>>;

/// Hands frames and records to the ingest thread.
#[derive(Debug)]
pub struct Ingest {
    jobs: SyncSender<Job>,
    records: WaitingRecords,
    /// Workloads that must exist, and who waits for them.
    wanted: Mutex<Vec<(WorkloadKey, oneshot::Sender<Arc<Workload>>)>>,
    queued_bytes: AtomicUsize,
    draining: AtomicBool,
    alive_at: AtomicU64,
    counters: Arc<Counters>,
    workloads: Arc<Workloads>,
    store: StoreReader,
}

/// Ends when [`Ingest::drain`] was called and everything is saved.
#[derive(Debug)]
pub struct IngestThread(JoinHandle<bool>);

impl IngestThread {
    /// Waits for the end; `false` when the thread failed or could not save everything.
    pub fn join(self) -> bool {
        self.0.join().unwrap_or(false)
    }

    /// Whether it has ended.
    pub fn is_finished(&self) -> bool {
        self.0.is_finished()
    }
}

/// Starts the thread.
///
/// # Errors
/// When the system gives no thread.
pub fn start(engine: Engine) -> std::io::Result<(Arc<Ingest>, IngestThread)> {
    let (ingest, queue) = Ingest::new(&engine);
    let ingest = Arc::new(ingest);
    let shared = Arc::clone(&ingest);
    let thread = std::thread::Builder::new()
        .name("ingest".to_owned())
        .spawn(move || run(engine, &shared, &queue))?;
    Ok((ingest, IngestThread(thread)))
}

impl Ingest {
    fn new(engine: &Engine) -> (Self, Receiver<Job>) {
        let (jobs, queue) = sync_channel(MAX_QUEUED_FRAMES);
        let ingest = Self {
            jobs,
            records: Mutex::default(),
            wanted: Mutex::default(),
            queued_bytes: AtomicUsize::new(0),
            draining: AtomicBool::new(false),
            alive_at: AtomicU64::new(clock::now().as_micros()),
            counters: Arc::clone(engine.counters()),
            workloads: Arc::clone(engine.workloads()),
            store: engine.store().reader(),
        };
        (ingest, queue)
    }

    /// Hands over a frame and waits for what its sender is to be told.
    pub async fn frame(&self, bytes: Bytes, received_at: Timestamp) -> Answer {
        let refused = |answer: Answer| {
            self.counters.count(answer.result());
            answer
        };
        if self.is_draining() {
            return refused(Answer::Unavailable(FrameResult::Draining));
        }
        let len = bytes.len();
        if self.queued_bytes.fetch_add(len, Ordering::Relaxed) + len > MAX_QUEUED_BYTES {
            self.queued_bytes.fetch_sub(len, Ordering::Relaxed);
            return refused(Answer::Busy(FrameResult::Shed));
        }
        let (sender, answer) = oneshot::channel();
        let job = Job::Frame(Received { bytes, received_at }, sender);
        if let Err(error) = self.jobs.try_send(job) {
            self.queued_bytes.fetch_sub(len, Ordering::Relaxed);
            return refused(match error {
                TrySendError::Full(_) => Answer::Busy(FrameResult::Shed),
                TrySendError::Disconnected(_) => Answer::Unavailable(FrameResult::Draining),
            });
        }
        // The thread counts what it answers; only when it is gone is there no answer.
        match answer.await {
            Ok(answer) => answer,
            Err(_) => refused(Answer::Unavailable(FrameResult::Draining)),
        }
    }

    /// The workload of this name, whether or not a frame of it was ever seen; `None` while the
    /// aggregator goes down.
    pub async fn workload(&self, key: WorkloadKey) -> Option<Arc<Workload>> {
        if let Some(known) = self.workloads.get(&key.namespace, &key.name) {
            return Some(known);
        }
        let (sender, added) = oneshot::channel();
        self.wanted.lock().unwrap_or_else(PoisonError::into_inner).push((key, sender));
        self.wake();
        added.await.ok()
    }

    /// Stores a decision.
    pub async fn record(&self, record: Record) -> Recorded {
        let (sender, recorded) = oneshot::channel();
        self.records.lock().unwrap_or_else(PoisonError::into_inner).push((record, sender));
        self.wake();
        recorded.await.unwrap_or(Recorded::Pending)
    }

    fn wake(&self) {
        // When the queue is full the thread is awake anyway.
        let _ = self.jobs.try_send(Job::Wake);
    }

    /// Refuses frames from now on; the thread finishes what waits, saves everything and ends.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Release);
        self.wake();
    }

    /// Whether [`Ingest::drain`] was called.
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Acquire)
    }

    /// When the thread last made progress.
    pub fn alive_at(&self) -> Timestamp {
        Timestamp::from_micros(self.alive_at.load(Ordering::Relaxed))
    }

    /// What became of the frames.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// The workloads that are known.
    pub fn workloads(&self) -> &Workloads {
        &self.workloads
    }

    /// The store, for reading.
    pub const fn store(&self) -> &StoreReader {
        &self.store
    }

    fn take_records(&self) -> Vec<(Record, oneshot::Sender<Recorded>)> {
        std::mem::take(&mut *self.records.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Runs until draining is over; `true` when everything was saved.
fn run(mut engine: Engine, shared: &Ingest, queue: &Receiver<Job>) -> bool {
    let mut next_tick = clock::now();
    let mut batch = Vec::with_capacity(MAX_BATCH);
    let mut senders = Vec::with_capacity(MAX_BATCH);
    loop {
        let wait = next_tick.since(clock::now()).min(TICK);
        let first = match queue.recv_timeout(wait) {
            Ok(job) => Some(job),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => break,
        };
        let more = std::iter::from_fn(|| queue.try_recv().ok());
        for job in first.into_iter().chain(more).take(MAX_BATCH) {
            if let Job::Frame(received, sender) = job {
                shared.queued_bytes.fetch_sub(received.bytes.len(), Ordering::Relaxed);
                batch.push(received);
                senders.push(sender);
            }
        }
        let idle = batch.is_empty();
        work(&mut engine, shared, &mut batch, &mut senders);
        let now = clock::now();
        shared.alive_at.store(now.as_micros(), Ordering::Relaxed);
        if now >= next_tick || next_tick.since(now) > 2 * TICK {
            // A failing store is counted and said by the engine; the next tick tries again.
            let _ = engine.tick(now);
            next_tick = Timestamp::of_step(now.step_index(TICK) + 1, TICK);
        }
        if idle && shared.is_draining() {
            break;
        }
    }
    work(&mut engine, shared, &mut batch, &mut senders);
    match engine.save_all(clock::now()) {
        Ok(()) => true,
        Err(error) => {
            let cause = &error as &dyn std::error::Error;
            tracing::error!(cause, "not everything was saved; the next start replays the frames");
            false
        }
    }
}

/// Commits and answers a batch, and the records that wait.
fn work(
    engine: &mut Engine,
    shared: &Ingest,
    batch: &mut Vec<Received>,
    senders: &mut Vec<oneshot::Sender<Answer>>,
) {
    let now = clock::now();
    let wanted = std::mem::take(&mut *shared.wanted.lock().unwrap_or_else(PoisonError::into_inner));
    for (key, sender) in wanted {
        let _ = sender.send(engine.ensure_workload(&key));
    }
    let (records, waiting): (Vec<_>, Vec<_>) = shared.take_records().into_iter().unzip();
    engine.take_records(records);
    for (answer, sender) in engine.ingest(batch, now).into_iter().zip(senders.drain(..)) {
        // A sender that has gone away has its frame counted, and sends it again.
        let _ = sender.send(answer);
    }
    batch.clear();
    if !waiting.is_empty() {
        let recorded = match engine.write_records(now) {
            Ok(()) => Recorded::Durable,
            Err(_) => Recorded::Pending,
        };
        for sender in waiting {
            let _ = sender.send(recorded);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::disk::Disk;

    fn engine() -> Engine {
        Engine::open(Disk::default().open(), &[], 10).unwrap().0
    }

    fn result(answer: &Answer) -> FrameResult {
        answer.result()
    }

    #[tokio::test]
    async fn what_does_not_fit_the_queue_is_shed_at_once() {
        let engine = engine();
        let (ingest, queue) = Ingest::new(&engine);
        let ingest = Arc::new(ingest);
        let big = Bytes::from(vec![0; MAX_QUEUED_BYTES / 4]);
        let waiting: Vec<_> = (0..4)
            .map(|_| {
                let (ingest, big) = (Arc::clone(&ingest), big.clone());
                tokio::spawn(async move { ingest.frame(big, clock::now()).await })
            })
            .collect();
        while ingest.queued_bytes.load(Ordering::Relaxed) < MAX_QUEUED_BYTES {
            tokio::task::yield_now().await;
        }
        let answer = ingest.frame(Bytes::from_static(b"x"), clock::now()).await;
        assert_eq!(result(&answer), FrameResult::Shed);
        assert_eq!(ingest.counters().get(FrameResult::Shed), 1);
        drop(queue);
        for answer in waiting {
            // Their thread is gone: the senders are told so and do not wait for ever.
            assert_eq!(result(&answer.await.unwrap()), FrameResult::Draining);
        }
    }

    #[tokio::test]
    async fn draining_refuses_new_frames_and_ends_when_everything_is_saved() {
        let (ingest, thread) = start(engine()).unwrap();
        let answer = ingest.frame(Bytes::from_static(b"x"), clock::now()).await;
        assert_eq!(result(&answer), FrameResult::BadMagic);
        ingest.drain();
        let answer = ingest.frame(Bytes::from_static(b"x"), clock::now()).await;
        assert_eq!(result(&answer), FrameResult::Draining);
        assert!(thread.join());
    }
}
