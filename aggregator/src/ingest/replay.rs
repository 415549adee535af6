//! What a restart does with the store's contents.

use std::collections::HashMap;
use std::sync::Arc;

use foresail_wire::decode;

use super::engine::WindowsBlob;
use super::workloads::{Workload, Workloads};
use crate::journal::Decision;
use crate::store::{Loaded, SavedBatch, Store, StoreError, WorkloadId, from_bytes};
use crate::telemetry::{Tier, Volatile, WorkloadTelemetry};
use crate::units::{Timestamp, WorkloadKey};

/// What was stored beside telemetry.
#[derive(Debug, Default)]
pub struct Restored {
    /// Autoscalers in the store's form.
    pub autoscalers: HashMap<WorkloadId, Vec<u8>>,
    /// The loads that they learned from.
    pub loads: HashMap<WorkloadId, Vec<u8>>,
    /// The scores of the policies beside them.
    pub boards: HashMap<WorkloadId, Vec<u8>>,
    /// The newest decision of each workload.
    pub decisions: HashMap<WorkloadId, Decision>,
    /// Frames that were applied again.
    pub frames: u64,
}

/// The outcome of [`replay`].
pub(super) struct Replayed {
    pub(super) restored: Restored,
    pub(super) next_batch: u64,
    pub(super) next_id: WorkloadId,
}

/// Fills `workloads` with everything that was acknowledged.
pub(super) fn replay(store: &Store, workloads: &Workloads) -> Result<Replayed, StoreError> {
    let mut replay = Replay {
        workloads,
        by_id: HashMap::new(),
        saved_batches: HashMap::new(),
        replayed: Replayed { restored: Restored::default(), next_batch: 1, next_id: 0 },
    };
    store.load(&mut replay)?;
    Ok(replay.replayed)
}

struct Replay<'a> {
    workloads: &'a Workloads,
    by_id: HashMap<WorkloadId, Arc<Workload>>,
    /// The last batch in each saved state.
    saved_batches: HashMap<WorkloadId, u64>,
    replayed: Replayed,
}

impl Replay<'_> {
    fn apply(&self, number: u64, received_at: Timestamp, bytes: &[u8]) -> bool {
        // It was decoded before it was committed; another version's frame is another schema.
        let Ok(frame) = decode(bytes) else { return false };
        let identity = &frame.identity;
        let found = self.workloads.get(identity.namespace.as_str(), identity.workload.as_str());
        let Some(workload) = found else { return false };
        if self.saved_batches.get(&workload.id).is_some_and(|saved| number <= *saved) {
            return false;
        }
        let mut tracked = workload.lock();
        tracked.unsaved_from.get_or_insert(number);
        tracked.is_changed = true;
        tracked.telemetry.apply(&frame, received_at);
        true
    }
}

impl Loaded for Replay<'_> {
    fn workload(&mut self, id: WorkloadId, key: WorkloadKey) {
        self.replayed.next_id = self.replayed.next_id.max(id.saturating_add(1));
        let workload = self.workloads.insert(Workload::new(id, key));
        self.by_id.insert(id, workload);
    }

    fn windows(&mut self, tier: u8, bytes: &[u8]) -> Result<(), StoreError> {
        let Some(tier) = Tier::ALL.into_iter().find(|known| *known as u8 == tier) else {
            return Ok(());
        };
        let blob: WindowsBlob = from_bytes("windows", bytes)?;
        for (id, index, summary) in blob {
            if let Some(workload) = self.by_id.get(&id) {
                workload.lock().telemetry.restore(tier, index, &summary);
            }
        }
        Ok(())
    }

    fn state(&mut self, id: WorkloadId, batch: u64, bytes: &[u8]) -> Result<(), StoreError> {
        let volatile: Volatile = from_bytes("states", bytes)?;
        if let Some(workload) = self.by_id.get(&id) {
            workload.lock().telemetry = WorkloadTelemetry::from_volatile(volatile);
        }
        self.saved_batches.insert(id, batch);
        self.replayed.next_batch = self.replayed.next_batch.max(batch.saturating_add(1));
        Ok(())
    }

    fn autoscaler(&mut self, id: WorkloadId, bytes: &[u8]) {
        self.replayed.restored.autoscalers.insert(id, bytes.to_vec());
    }

    fn load(&mut self, id: WorkloadId, bytes: &[u8]) {
        self.replayed.restored.loads.insert(id, bytes.to_vec());
    }

    fn board(&mut self, id: WorkloadId, bytes: &[u8]) {
        self.replayed.restored.boards.insert(id, bytes.to_vec());
    }

    fn decision(&mut self, id: WorkloadId, decision: Decision) {
        self.replayed.restored.decisions.insert(id, decision);
    }

    fn batch(&mut self, number: u64, frames: SavedBatch<'_>) {
        self.replayed.next_batch = self.replayed.next_batch.max(number.saturating_add(1));
        for (received_at, bytes) in frames {
            if self.apply(number, received_at, bytes) {
                self.replayed.restored.frames += 1;
            }
        }
    }
}
