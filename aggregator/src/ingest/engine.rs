//! What the ingest thread does with a batch and with a tick; no thread, no clock, no socket.

mod pending;

use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use foresail_wire::{DecodeError, Frame, decode};

use super::replay::{self, Restored};
use super::workloads::{Workload, Workloads};
use super::{Counters, FrameResult};
use crate::journal::Decision;
use crate::store::{Changes, Store, StoreError, WorkloadId, append_frame, to_bytes};
use crate::telemetry::{Applied, Summary, Tier};
use crate::units::{Timestamp, WorkloadKey};
use pending::{MAX_PENDING, Pending};

/// In so many ticks the state of every workload is saved once.
const TICKS_PER_SAVE: u64 = 10;
/// A clock that is so far behind the last tick was set back.
const CLOCK_STEP: Duration = Duration::from_secs(1);
/// How long closed windows of a tier are stored.
const fn stored_for(tier: Tier) -> Duration {
    Duration::from_secs(tier.step().as_secs() * tier.kept() as u64)
}

/// A request's body and when it had arrived.
#[derive(Clone, Debug)]
pub struct Received {
    /// The frame, not yet looked at.
    pub bytes: Bytes,
    /// When the last of it was read.
    pub received_at: Timestamp,
}

/// What the sender of a frame is told.
#[derive(Debug)]
pub enum Answer {
    /// Committed and counted.
    Accepted,
    /// Seen before.
    Duplicate,
    /// Not a frame.
    Invalid(DecodeError),
    /// Its window ends after it was sent.
    FutureDated,
    /// No room for a further workload, or for a further proxy of its workload, or in the queue.
    Busy(FrameResult),
    /// Not committed: the store fails, or the aggregator is going down.
    Unavailable(FrameResult),
}

impl Answer {
    /// What is counted for it.
    pub fn result(&self) -> FrameResult {
        match self {
            Self::Accepted => FrameResult::Accepted,
            Self::Duplicate => FrameResult::Duplicate,
            Self::Invalid(error) => FrameResult::of_decode(error),
            Self::FutureDated => FrameResult::FutureDated,
            Self::Busy(result) | Self::Unavailable(result) => *result,
        }
    }
}

/// A decision to store, with the autoscaler that made it.
#[derive(Clone, Debug)]
pub struct Record {
    /// Whose.
    pub workload: WorkloadId,
    /// The decision; `None` to save the autoscaler alone.
    pub decision: Option<Decision>,
    /// The autoscaler in the store's form.
    pub autoscaler: Option<Vec<u8>>,
    /// The load that it learned from, in the store's form; `None` to keep the one stored.
    pub load: Option<Vec<u8>>,
    /// The scores of the policies beside it, in the store's form; `None` to keep those stored.
    pub board: Option<Vec<u8>>,
}

/// Windows of one tier: workload, number of the window, what was in it.
pub(super) type WindowsBlob = Vec<(WorkloadId, u64, Summary)>;

/// Telemetry and the store, in step with each other.
#[derive(Debug)]
pub struct Engine {
    store: Store,
    workloads: Arc<Workloads>,
    counters: Arc<Counters>,
    next_batch: u64,
    next_id: WorkloadId,
    last_tick: Timestamp,
    ticks: u64,
    frames: Vec<u8>,
    pending: Pending,
}

impl Engine {
    /// Restores what the store holds and makes sure that the configured workloads exist.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn open(
        store: Store,
        configured: &[WorkloadKey],
        max_workloads: usize,
    ) -> Result<(Self, Restored), StoreError> {
        let workloads = Arc::new(Workloads::new(max_workloads));
        let replayed = replay::replay(&store, &workloads)?;
        let mut engine = Self {
            store,
            workloads,
            counters: Arc::default(),
            next_batch: replayed.next_batch,
            next_id: replayed.next_id,
            last_tick: Timestamp::default(),
            ticks: 0,
            frames: Vec::new(),
            pending: Pending::default(),
        };
        for key in configured {
            engine.ensure_workload(key);
        }
        Ok((engine, replayed.restored))
    }

    /// The workloads, for readers.
    pub const fn workloads(&self) -> &Arc<Workloads> {
        &self.workloads
    }

    /// The counters, for readers.
    pub const fn counters(&self) -> &Arc<Counters> {
        &self.counters
    }

    /// The store, for a reading handle.
    pub const fn store(&self) -> &Store {
        &self.store
    }

    /// The workload of this name, new when there is none yet.
    pub fn ensure_workload(&mut self, key: &WorkloadKey) -> Arc<Workload> {
        let known = self.workloads.get(&key.namespace, &key.name);
        known.unwrap_or_else(|| self.add_workload(key.clone()))
    }

    fn add_workload(&mut self, key: WorkloadKey) -> Arc<Workload> {
        let id = self.next_id;
        self.next_id += 1;
        self.pending.workloads.push((id, key.clone()));
        self.workloads.insert(Workload::new(id, key))
    }

    /// Commits and counts a batch; answers stand in its order.
    pub fn ingest(&mut self, batch: &[Received], now: Timestamp) -> Vec<Answer> {
        self.follow_clock(now);
        self.frames.clear();
        let mut frames = std::mem::take(&mut self.frames);
        let mut answers = Vec::with_capacity(batch.len());
        let mut fresh = Vec::with_capacity(batch.len());
        for received in batch {
            // A window that a tick has closed stays closed, also for a frame that waited meanwhile.
            let received_at = received.received_at.max(self.last_tick);
            match self.admit(received, received_at) {
                Ok((frame, workload)) => {
                    append_frame(&mut frames, received_at, &received.bytes);
                    fresh.push((answers.len(), frame, workload, received_at));
                    answers.push(Answer::Accepted);
                }
                Err(answer) => answers.push(answer),
            }
        }
        if !fresh.is_empty() {
            match self.commit(now, Some(&frames), None, &[], &[]) {
                Ok(()) => {
                    self.counters.add_batch(frames.len());
                    let number = self.next_batch;
                    self.next_batch += 1;
                    for (at, frame, workload, received_at) in fresh {
                        let answer = apply(&frame, &workload, received_at, number);
                        if let Some(slot) = answers.get_mut(at) {
                            *slot = answer;
                        }
                    }
                }
                Err(_) => {
                    for (at, ..) in fresh {
                        if let Some(slot) = answers.get_mut(at) {
                            *slot = Answer::Unavailable(FrameResult::StoreFailed);
                        }
                    }
                }
            }
        }
        self.frames = frames;
        for answer in &answers {
            self.counters.count(answer.result());
        }
        answers
    }

    /// Lets time go back when the machine's clock was: else every frame until then would count in
    /// the one second at which time stands still, and look like a burst.
    fn follow_clock(&mut self, now: Timestamp) {
        let behind = self.last_tick.since(now);
        if behind > CLOCK_STEP {
            tracing::warn!(?behind, "the clock was set back");
            self.last_tick = now;
        }
    }

    /// Decodes a frame and finds its workload, or says why it need not be committed.
    fn admit<'r>(
        &mut self,
        received: &'r Received,
        received_at: Timestamp,
    ) -> Result<(Frame<'r>, Arc<Workload>), Answer> {
        let frame = decode(&received.bytes).map_err(Answer::Invalid)?;
        let (namespace, name) =
            (frame.identity.namespace.as_str(), frame.identity.workload.as_str());
        let known = self.workloads.get(namespace, name);
        let Some(workload) = known else {
            if self.workloads.len() >= self.workloads.limit() {
                return Err(Answer::Busy(FrameResult::TooManyWorkloads));
            }
            let key = WorkloadKey { namespace: namespace.to_owned(), name: name.to_owned() };
            return Ok((frame, self.add_workload(key)));
        };
        let mut tracked = workload.lock();
        if tracked.telemetry.is_duplicate(frame.instance, frame.sequence) {
            // Counts it, and changes nothing else.
            tracked.telemetry.apply(&frame, received_at);
            return Err(Answer::Duplicate);
        }
        drop(tracked);
        Ok((frame, workload))
    }

    /// Closes windows, saves the states whose turn it is, and writes what is pending.
    ///
    /// # Errors
    /// When the store cannot write; everything is kept and written by a later call.
    pub fn tick(&mut self, now: Timestamp) -> Result<(), StoreError> {
        self.ticks += 1;
        let turn = self.ticks;
        self.save(now, &|id| u64::from(id) % TICKS_PER_SAVE == turn % TICKS_PER_SAVE)
    }

    /// Saves every state, so that a restart has nothing to apply again.
    ///
    /// # Errors
    /// When the store cannot write.
    pub fn save_all(&mut self, now: Timestamp) -> Result<(), StoreError> {
        self.save(now, &|_| true)
    }

    fn save(
        &mut self,
        now: Timestamp,
        turn: &dyn Fn(WorkloadId) -> bool,
    ) -> Result<(), StoreError> {
        self.follow_clock(now);
        self.last_tick = self.last_tick.max(now);
        let now = self.last_tick;
        let all = self.workloads.all();
        let mut closed: [WindowsBlob; Tier::ALL.len()] = Default::default();
        let mut states = Vec::new();
        let mut oldest_unsaved = self.next_batch;
        for workload in &all {
            let mut tracked = workload.lock();
            for window in tracked.telemetry.advance(now) {
                self.pending.take_heat(workload.id, &window);
                if let Some(blob) = closed.get_mut(window.tier as usize) {
                    blob.push((workload.id, window.index, window.summary));
                }
                tracked.is_changed = true;
            }
            if tracked.is_changed && turn(workload.id) {
                let bytes = to_bytes(tracked.telemetry.volatile())?;
                states.push((workload.id, self.next_batch.saturating_sub(1), bytes));
            } else if let Some(batch) = tracked.unsaved_from {
                oldest_unsaved = oldest_unsaved.min(batch);
            }
        }
        for (tier, blob) in Tier::ALL.iter().zip(&closed) {
            if !blob.is_empty() && self.pending.windows.len() < MAX_PENDING {
                self.pending.windows.push((*tier as u8, now, to_bytes(blob)?));
            }
        }
        let forget = Tier::ALL.map(|tier| (tier as u8, now - stored_for(tier)));
        self.commit(now, None, Some(oldest_unsaved), &states, &forget)?;
        // Nothing was applied since the states were taken: this thread is the only one to do so.
        for workload in &all {
            let mut tracked = workload.lock();
            if tracked.is_changed && turn(workload.id) {
                tracked.is_changed = false;
                tracked.unsaved_from = None;
            }
        }
        Ok(())
    }

    /// Takes records; the next commit writes them.
    pub fn take_records(&mut self, records: Vec<Record>) {
        for record in records {
            self.pending.take_record(record);
        }
    }

    /// Writes the records that were taken.
    ///
    /// # Errors
    /// When the store cannot write; a later commit tries again.
    pub fn write_records(&mut self, now: Timestamp) -> Result<(), StoreError> {
        if self.pending.decisions.is_empty() && self.pending.autoscalers.is_empty() {
            return Ok(());
        }
        self.commit(now, None, None, &[], &[])
    }

    fn commit(
        &mut self,
        now: Timestamp,
        frames: Option<&[u8]>,
        trim_batches_below: Option<u64>,
        states: &[(WorkloadId, u64, Vec<u8>)],
        forget_windows: &[(u8, Timestamp)],
    ) -> Result<(), StoreError> {
        let changes = Changes {
            workloads: &self.pending.workloads,
            next_batch: self.next_batch,
            frames,
            trim_batches_below,
            windows: &self.pending.windows,
            heat: &self.pending.heat,
            forget_windows,
            states,
            decisions: &self.pending.decisions,
            autoscalers: &self.pending.autoscalers,
            loads: &self.pending.loads,
            boards: &self.pending.boards,
        };
        let was_healthy = self.store.reader().is_healthy();
        match self.store.commit(now, &changes) {
            Ok(()) => {
                self.pending = Pending::default();
                if !was_healthy {
                    tracing::info!("the state is written again");
                }
                Ok(())
            }
            Err(error) => {
                self.counters.add_store_error();
                if was_healthy {
                    let cause = &error as &dyn std::error::Error;
                    tracing::error!(cause, "the state is not written; frames are refused");
                }
                Err(error)
            }
        }
    }
}

/// Counts a committed frame.
fn apply(frame: &Frame<'_>, workload: &Workload, received_at: Timestamp, batch: u64) -> Answer {
    let mut tracked = workload.lock();
    tracked.unsaved_from.get_or_insert(batch);
    tracked.is_changed = true;
    match tracked.telemetry.apply(frame, received_at) {
        Applied::Accepted { .. } => Answer::Accepted,
        Applied::Duplicate => Answer::Duplicate,
        Applied::FutureDated => Answer::FutureDated,
        Applied::TooManyProxies => Answer::Busy(FrameResult::TooManyProxies),
    }
}

#[cfg(test)]
mod tests;
