//! What the handlers look at: written by ingest and the control loops, read here.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};

use super::sender::Senders;
use super::{Events, Questions};
use crate::actuate::Actuation;
use crate::capacity::CapacityLearner;
use crate::config::{RequireIdentity, WorkloadConfig};
use crate::forecast::Curve;
use crate::forecast::online::Score;
use crate::ingest::Ingest;
use crate::journal::Decision;
use crate::kubernetes::{Fence, Health, Managed};
use crate::shadow::Scoreboard;
use crate::telemetry::ReplicaStatus;
use crate::units::{Rps, Timestamp, WorkloadKey};

/// The running aggregator.
#[derive(Debug)]
pub struct App {
    /// Frames go here; workloads are found here.
    pub ingest: Arc<Ingest>,
    /// The workloads that are decided for.
    pub controls: Controls,
    /// Who listens to `/v1/events`.
    pub events: Events,
    /// What became of connections.
    pub connections: ConnectionCounters,
    /// What other autoscalers asked.
    pub questions: Questions,
    /// Who of several aggregators acts; unset where there is only this one.
    fence: OnceLock<Fence>,
    /// What of the API server works; unset where none is asked.
    kubernetes: OnceLock<Health>,
    /// Who may post frames.
    pub(super) senders: Senders,
    /// Bytes of request bodies that are being read.
    pub(super) body_bytes: AtomicUsize,
}

impl App {
    /// Puts the parts together.
    pub fn new(ingest: Arc<Ingest>, required: RequireIdentity) -> Self {
        Self {
            ingest,
            controls: Controls::default(),
            events: Events::default(),
            connections: ConnectionCounters::default(),
            questions: Questions::default(),
            fence: OnceLock::new(),
            kubernetes: OnceLock::new(),
            senders: Senders::new(required),
            body_bytes: AtomicUsize::new(0),
        }
    }

    /// From now on this process shares a lease with others.
    pub fn shares(&self, fence: Fence) {
        let _ = self.fence.set(fence);
    }

    /// From now on the API server of a cluster is asked.
    pub fn asks(&self, kubernetes: Health) {
        let _ = self.kubernetes.set(kubernetes);
    }

    /// What of the API server works; `None` where none is asked.
    pub fn kubernetes(&self) -> Option<&Health> {
        self.kubernetes.get()
    }

    /// Whether this process acts; `None` where there is only this one.
    pub fn leads(&self) -> Option<bool> {
        self.fence.get().map(Fence::leads)
    }
}

/// The workloads that are decided for; they may come and go.
#[derive(Debug, Default)]
pub struct Controls(RwLock<BTreeMap<WorkloadKey, Arc<Control>>>);

impl Controls {
    /// That of a workload; `None` when it is only watched.
    pub fn get(&self, key: &WorkloadKey) -> Option<Arc<Control>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(key).cloned()
    }

    /// All of them, by namespace and name.
    pub fn all(&self) -> Vec<(WorkloadKey, Arc<Control>)> {
        let controls = self.0.read().unwrap_or_else(PoisonError::into_inner);
        controls.iter().map(|(key, control)| (key.clone(), Arc::clone(control))).collect()
    }

    /// Adds one, in place of what was there.
    pub fn insert(&self, control: Arc<Control>) {
        let key = control.config.key.clone();
        self.0.write().unwrap_or_else(PoisonError::into_inner).insert(key, control);
    }

    /// Takes one away.
    pub fn remove(&self, key: &WorkloadKey) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).remove(key);
    }
}

/// What became of connections since the process started.
#[derive(Debug, Default)]
pub struct ConnectionCounters {
    /// Open now.
    pub open: AtomicU64,
    /// Accepted.
    pub accepted: AtomicU64,
    /// Closed because no request had come in time, or because newer ones needed the place.
    pub half_open: AtomicU64,
    /// Closed at once because as many as may be were open.
    pub refused: AtomicU64,
}

/// One workload that is decided for: what its control loop last saw and did.
#[derive(Debug)]
pub struct Control {
    /// Its settings.
    pub config: WorkloadConfig,
    /// Counts since the process started.
    pub counters: ControlCounters,
    /// Where a resource says what is scaled, its target.
    managed: Option<Managed>,
    status: Mutex<ControlStatus>,
    alive_until: AtomicU64,
}

/// See [`Control::status`].
#[derive(Clone, Debug, Default)]
pub struct ControlStatus {
    /// Replica counts at the last decision; `None` when the source did not tell.
    pub replicas: Option<ReplicaStatus>,
    /// The last decision, also of before a restart.
    pub decision: Option<Decision>,
    /// The newest forecast.
    pub forecast: Option<Curve>,
    /// How well the forecast has been doing at each horizon.
    pub scores: Vec<Score>,
    /// What was learned of a replica's capacity; `None` where it is given.
    pub capacity: Option<CapacityLearner>,
    /// The last write.
    pub actuation: Option<Actuation>,
    /// Whether the workload is left to whoever scaled it before: mode canary, in his turn.
    pub rests: bool,
    /// How the policies beside the one in charge fare; `None` before the first decision.
    pub shadows: Option<Scoreboard>,
}

/// Counts of one control loop.
#[derive(Debug, Default)]
pub struct ControlCounters {
    /// Decisions made.
    pub decisions: AtomicU64,
    /// Decisions that were not on disk when they were acted on.
    pub unrecorded: AtomicU64,
    /// Steps that took longer than their deadline or panicked.
    pub failed_steps: AtomicU64,
    /// Fits that panicked.
    pub failed_refits: AtomicU64,
    /// Polls of the source, by error kind; `ok` for those that worked.
    pub polls: Mutex<BTreeMap<&'static str, u64>>,
    /// Writes, by error kind; `ok`, `shadow` or `no_target` for those without error.
    pub writes: Mutex<BTreeMap<&'static str, u64>>,
    /// Requests in decision intervals in which the latency was known.
    pub judged_requests: AtomicU64,
    /// Of those, in intervals in which the objective was missed.
    pub missed_requests: AtomicU64,
    /// How often a candidate came to each stage of promotion.
    pub promotions: Mutex<BTreeMap<&'static str, u64>>,
    /// Changes of the load by what told of them.
    pub drifts: Mutex<BTreeMap<&'static str, u64>>,
    /// How often each guard bound.
    pub guards: Mutex<BTreeMap<String, u64>>,
}

impl ControlCounters {
    /// Counts the requests of a decision interval, and whether the objective was missed in it.
    pub fn judge(&self, requests: u64, missed: bool) {
        self.judged_requests.fetch_add(requests, Ordering::Relaxed);
        if missed {
            self.missed_requests.fetch_add(requests, Ordering::Relaxed);
        }
    }

    /// Share of the requests that were judged in intervals that missed the objective.
    pub fn missed_share(&self) -> Option<f64> {
        let judged = self.judged_requests.load(Ordering::Relaxed);
        let missed = self.missed_requests.load(Ordering::Relaxed);
        (judged > 0).then(|| missed as f64 / judged as f64)
    }

    /// Adds one to a count by label.
    pub fn add<K: Ord>(counts: &Mutex<BTreeMap<K, u64>>, label: K) {
        *counts.lock().unwrap_or_else(PoisonError::into_inner).entry(label).or_default() += 1;
    }

    /// Counts by label.
    pub fn read<K: Ord + Clone>(counts: &Mutex<BTreeMap<K, u64>>) -> BTreeMap<K, u64> {
        counts.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Control {
    /// Begins with what was stored.
    pub fn new(
        config: WorkloadConfig,
        decision: Option<Decision>,
        managed: Option<Managed>,
    ) -> Self {
        let status = ControlStatus { decision, ..ControlStatus::default() };
        Self {
            config,
            counters: ControlCounters::default(),
            managed,
            status: Mutex::new(status),
            alive_until: AtomicU64::new(u64::MAX),
        }
    }

    /// The target of the `MeshAutoscaler` that it is for, where it is for one.
    pub const fn managed(&self) -> Option<&Managed> {
        self.managed.as_ref()
    }

    /// What the control loop last saw and did.
    pub fn status(&self) -> ControlStatus {
        self.read(ControlStatus::clone)
    }

    /// What a ready replica is taken to serve safely.
    pub fn safe_rps(&self) -> Rps {
        let given = self.config.target_rps_per_replica;
        self.read(|status| status.capacity.as_ref().map_or(given, CapacityLearner::safe_rps))
    }

    /// A look at the status, without a copy.
    pub fn read<T>(&self, look: impl FnOnce(&ControlStatus) -> T) -> T {
        look(&self.status.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Changes the status.
    pub fn update(&self, change: impl FnOnce(&mut ControlStatus)) {
        change(&mut self.status.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Promises that the loop will have made progress by then.
    pub fn promise(&self, by: Timestamp) {
        self.alive_until.store(by.as_micros(), Ordering::Relaxed);
    }

    /// Whether the last promise is kept so far.
    pub fn is_alive(&self, now: Timestamp) -> bool {
        now.as_micros() <= self.alive_until.load(Ordering::Relaxed)
    }
}
