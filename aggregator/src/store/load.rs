//! How a restart reads the tables, and how the API does.

use redb::{Database, ReadTransaction, ReadableDatabase, ReadableTable};

use super::schema::{AUTOSCALERS, BOARDS, DECISIONS, FRAMES, LOADS, STATES, WINDOWS, WORKLOADS};
use super::{StoreError, WorkloadId, database_error as failed};
use crate::journal::Decision;
use crate::units::{Timestamp, WorkloadKey};

/// What a restart does with each thing that was stored, in the order in which it comes: all
/// workloads, then their states, then all windows oldest first, then autoscalers, their
/// loads, boards and decisions, then batches in the order of their acknowledgement.
pub trait Loaded {
    /// A workload and its number.
    fn workload(&mut self, id: WorkloadId, key: WorkloadKey);
    /// Windows of a tier that closed together.
    ///
    /// # Errors
    /// When `bytes` cannot be read.
    fn windows(&mut self, tier: u8, bytes: &[u8]) -> Result<(), StoreError>;
    /// Saved telemetry and the last batch in it.
    ///
    /// # Errors
    /// When `bytes` cannot be read.
    fn state(&mut self, id: WorkloadId, batch: u64, bytes: &[u8]) -> Result<(), StoreError>;
    /// A saved autoscaler.
    fn autoscaler(&mut self, id: WorkloadId, bytes: &[u8]);
    /// The load that it learned from.
    fn load(&mut self, id: WorkloadId, bytes: &[u8]);
    /// The scores of the policies beside it.
    fn board(&mut self, id: WorkloadId, bytes: &[u8]);
    /// The newest decision of a workload.
    fn decision(&mut self, id: WorkloadId, decision: Decision);
    /// Frames that were acknowledged and may not be in every saved state yet.
    fn batch(&mut self, number: u64, frames: SavedBatch<'_>);
}

/// The frames of one batch as they were received.
#[derive(Clone, Debug)]
pub struct SavedBatch<'a>(&'a [u8]);

/// Appends a frame to a batch: time of receipt, length, bytes.
pub fn append_frame(batch: &mut Vec<u8>, received_at: Timestamp, frame: &[u8]) {
    let len = u32::try_from(frame.len()).unwrap_or(u32::MAX);
    batch.extend_from_slice(&received_at.as_micros().to_le_bytes());
    batch.extend_from_slice(&len.to_le_bytes());
    batch.extend_from_slice(frame);
}

impl<'a> Iterator for SavedBatch<'a> {
    type Item = (Timestamp, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let (micros, rest) = self.0.split_first_chunk::<8>()?;
        let (len, rest) = rest.split_first_chunk::<4>()?;
        let len = usize::try_from(u32::from_le_bytes(*len)).ok()?;
        let (frame, rest) = rest.split_at_checked(len)?;
        self.0 = rest;
        Some((Timestamp::from_micros(u64::from_le_bytes(*micros)), frame))
    }
}

pub(super) fn load(database: &Database, visit: &mut dyn Loaded) -> Result<(), StoreError> {
    let transaction = database.begin_read().map_err(failed)?;
    let mut ids = Vec::new();
    for row in transaction.open_table(WORKLOADS).map_err(failed)?.iter().map_err(failed)? {
        let (key, id) = row.map_err(failed)?;
        let (namespace, name) = key.value();
        let key = WorkloadKey { namespace: namespace.to_owned(), name: name.to_owned() };
        ids.push(id.value());
        visit.workload(id.value(), key);
    }
    for row in transaction.open_table(STATES).map_err(failed)?.iter().map_err(failed)? {
        let (id, state) = row.map_err(failed)?;
        let (batch, bytes) = state.value();
        visit.state(id.value(), batch, bytes)?;
    }
    for row in transaction.open_table(WINDOWS).map_err(failed)?.iter().map_err(failed)? {
        let (key, bytes) = row.map_err(failed)?;
        visit.windows(key.value().0, bytes.value())?;
    }
    for row in transaction.open_table(AUTOSCALERS).map_err(failed)?.iter().map_err(failed)? {
        let (id, bytes) = row.map_err(failed)?;
        visit.autoscaler(id.value(), bytes.value());
    }
    for row in transaction.open_table(LOADS).map_err(failed)?.iter().map_err(failed)? {
        let (id, bytes) = row.map_err(failed)?;
        visit.load(id.value(), bytes.value());
    }
    for row in transaction.open_table(BOARDS).map_err(failed)?.iter().map_err(failed)? {
        let (id, bytes) = row.map_err(failed)?;
        visit.board(id.value(), bytes.value());
    }
    for id in ids {
        for decision in decisions(&transaction, id, 1)? {
            visit.decision(id, decision);
        }
    }
    for row in transaction.open_table(FRAMES).map_err(failed)?.iter().map_err(failed)? {
        let (number, bytes) = row.map_err(failed)?;
        visit.batch(number.value(), SavedBatch(bytes.value()));
    }
    Ok(())
}

/// The newest decisions of a workload, newest first.
pub(super) fn decisions(
    transaction: &ReadTransaction,
    id: WorkloadId,
    limit: usize,
) -> Result<Vec<Decision>, StoreError> {
    let table = transaction.open_table(DECISIONS).map_err(failed)?;
    let rows = table.range((id, 0)..=(id, u64::MAX)).map_err(failed)?;
    rows.rev()
        .take(limit)
        .map(|row| {
            let (_, json) = row.map_err(failed)?;
            serde_json::from_slice(json.value())
                .map_err(|error| StoreError::Corrupt { table: "decisions", source: error.into() })
        })
        .collect()
}
