//! All workloads that are known, and the telemetry of each behind its own lock.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};

use crate::store::WorkloadId;
use crate::telemetry::WorkloadTelemetry;
use crate::units::WorkloadKey;

/// One workload.
#[derive(Debug)]
pub struct Workload {
    /// Its number in the store.
    pub id: WorkloadId,
    /// Its name.
    pub key: WorkloadKey,
    tracked: Mutex<Tracked>,
}

/// Telemetry, and how far it is saved.
#[derive(Debug, Default)]
pub(super) struct Tracked {
    pub(super) telemetry: WorkloadTelemetry,
    /// The first batch that the saved state does not contain; `None` when it contains all.
    pub(super) unsaved_from: Option<u64>,
    /// Whether the saved state is not the present one.
    pub(super) is_changed: bool,
}

impl Workload {
    pub(super) fn new(id: WorkloadId, key: WorkloadKey) -> Self {
        Self { id, key, tracked: Mutex::default() }
    }

    /// Looks at the telemetry, or notes replica counts, under its lock. Keep it short: ingest
    /// waits.
    pub fn with<T>(&self, look: impl FnOnce(&mut WorkloadTelemetry) -> T) -> T {
        look(&mut self.lock().telemetry)
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Tracked> {
        // A panic while it was held is a bug in one window, not a reason to count nothing more.
        self.tracked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Namespace, then name: looked up by borrowed names, so that a frame costs no allocation.
type Names = HashMap<String, HashMap<String, Arc<Workload>>>;

/// The workloads by name. Only ingest adds to them; they are never removed while the process runs.
#[derive(Debug)]
pub struct Workloads {
    names: RwLock<Names>,
    limit: usize,
}

impl Workloads {
    pub(super) fn new(limit: usize) -> Self {
        Self { names: RwLock::default(), limit }
    }

    /// The workload of this name.
    pub fn get(&self, namespace: &str, name: &str) -> Option<Arc<Workload>> {
        self.read().get(namespace, name).cloned()
    }

    /// All workloads, by namespace and name.
    pub fn all(&self) -> Vec<Arc<Workload>> {
        let names = self.names.read().unwrap_or_else(PoisonError::into_inner);
        let mut all: Vec<_> = names.values().flat_map(HashMap::values).cloned().collect();
        drop(names);
        all.sort_by(|a, b| a.key.cmp(&b.key));
        all
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        let names = self.names.read().unwrap_or_else(PoisonError::into_inner);
        names.values().map(HashMap::len).sum()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The most that there may be.
    pub const fn limit(&self) -> usize {
        self.limit
    }

    /// Holds the names for a batch of look-ups.
    pub(super) fn read(&self) -> ReadNames<'_> {
        ReadNames(self.names.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn insert(&self, workload: Workload) -> Arc<Workload> {
        let workload = Arc::new(workload);
        let mut names = self.names.write().unwrap_or_else(PoisonError::into_inner);
        names
            .entry(workload.key.namespace.clone())
            .or_default()
            .insert(workload.key.name.clone(), Arc::clone(&workload));
        workload
    }
}

/// See [`Workloads::read`].
pub(super) struct ReadNames<'a>(RwLockReadGuard<'a, Names>);

impl ReadNames<'_> {
    pub(super) fn get(&self, namespace: &str, name: &str) -> Option<&Arc<Workload>> {
        self.0.get(namespace)?.get(name)
    }
}
