//! The tables, and how a transaction fills them.

use redb::{Database, ReadableTable, Table, TableDefinition, WriteTransaction};

use super::{Changes, DECISIONS_KEPT, StoreError, WorkloadId, database_error as failed, heat};

/// Version of everything below. Raise it when a stored form changes.
pub(super) const SCHEMA: u64 = 6;

/// `schema` and its version.
const META: TableDefinition<'_, &str, u64> = TableDefinition::new("meta");
/// Namespace and name to the workload's number.
pub(super) const WORKLOADS: TableDefinition<'_, (&str, &str), WorkloadId> =
    TableDefinition::new("workloads");
/// Batch number to its frames.
pub(super) const FRAMES: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("frames");
/// Tier and time of closing to the windows of all workloads that closed then.
pub(super) const WINDOWS: TableDefinition<'_, (u8, u64), &[u8]> = TableDefinition::new("windows");
/// Workload to the last batch in its saved telemetry, and that telemetry.
pub(super) const STATES: TableDefinition<'_, WorkloadId, (u64, &[u8])> =
    TableDefinition::new("states");
/// Workload and sequence number to a decision as JSON.
pub(super) const DECISIONS: TableDefinition<'_, (WorkloadId, u64), &[u8]> =
    TableDefinition::new("decisions");
/// Workload to its saved autoscaler.
pub(super) const AUTOSCALERS: TableDefinition<'_, WorkloadId, &[u8]> =
    TableDefinition::new("autoscalers");
/// Workload to the load that its autoscaler learned from.
pub(super) const LOADS: TableDefinition<'_, WorkloadId, &[u8]> = TableDefinition::new("loads");

/// Workload to the scores of the policies beside the one in charge.
pub(super) const BOARDS: TableDefinition<'_, WorkloadId, &[u8]> = TableDefinition::new("boards");

/// Group of workloads, tier and number of a window to how long the requests of each took.
pub(super) const HEAT: TableDefinition<'_, (u32, u8, u64), &[u8]> = TableDefinition::new("heat");

/// Creates what is missing, and refuses a file of another version.
pub(super) fn prepare(database: &Database) -> Result<(), StoreError> {
    let transaction = database.begin_write().map_err(failed)?;
    {
        let mut meta = transaction.open_table(META).map_err(failed)?;
        let found = meta.get("schema").map_err(failed)?.map(|version| version.value());
        match found {
            Some(SCHEMA) => {}
            Some(found) => return Err(StoreError::UnknownSchema { found, known: SCHEMA }),
            None => {
                meta.insert("schema", SCHEMA).map_err(failed)?;
            }
        }
        transaction.open_table(WORKLOADS).map_err(failed)?;
        transaction.open_table(FRAMES).map_err(failed)?;
        transaction.open_table(WINDOWS).map_err(failed)?;
        transaction.open_table(STATES).map_err(failed)?;
        transaction.open_table(DECISIONS).map_err(failed)?;
        transaction.open_table(AUTOSCALERS).map_err(failed)?;
        transaction.open_table(LOADS).map_err(failed)?;
        transaction.open_table(BOARDS).map_err(failed)?;
        transaction.open_table(HEAT).map_err(failed)?;
    }
    transaction.commit().map_err(failed)
}

/// Puts all of `changes` into the transaction. With `purge`, batches that were never acknowledged
/// but may have reached the disk in a failed commit are deleted first: their senders were told
/// that they failed, and have sent the frames again.
pub(super) fn write(
    transaction: &WriteTransaction,
    changes: &Changes<'_>,
    purge: bool,
) -> Result<(), StoreError> {
    if !changes.workloads.is_empty() {
        let mut workloads = transaction.open_table(WORKLOADS).map_err(failed)?;
        for (id, key) in changes.workloads {
            let name = (key.namespace.as_str(), key.name.as_str());
            workloads.insert(name, *id).map_err(failed)?;
        }
    }
    write_frames(transaction, changes, purge)?;
    write_windows(transaction, changes)?;
    heat::write(transaction, changes.heat)?;
    if !changes.states.is_empty() {
        let mut states = transaction.open_table(STATES).map_err(failed)?;
        for (id, batch, bytes) in changes.states {
            states.insert(*id, (*batch, bytes.as_slice())).map_err(failed)?;
        }
    }
    if !changes.decisions.is_empty() {
        let mut decisions = transaction.open_table(DECISIONS).map_err(failed)?;
        for (id, decision) in changes.decisions {
            let json =
                serde_json::to_vec(decision).map_err(|error| StoreError::Encode(error.into()))?;
            decisions.insert((*id, decision.sequence), json.as_slice()).map_err(failed)?;
            forget_decisions(&mut decisions, *id, decision.sequence)?;
        }
    }
    let kept =
        [(AUTOSCALERS, changes.autoscalers), (LOADS, changes.loads), (BOARDS, changes.boards)];
    for (definition, rows) in kept {
        if rows.is_empty() {
            continue;
        }
        let mut table = transaction.open_table(definition).map_err(failed)?;
        for (id, bytes) in rows {
            table.insert(*id, bytes.as_slice()).map_err(failed)?;
        }
    }
    Ok(())
}

fn write_frames(
    transaction: &WriteTransaction,
    changes: &Changes<'_>,
    purge: bool,
) -> Result<(), StoreError> {
    if !purge && changes.frames.is_none() && changes.trim_batches_below.is_none() {
        return Ok(());
    }
    let mut frames = transaction.open_table(FRAMES).map_err(failed)?;
    if purge {
        frames.retain_in(changes.next_batch.., |_, _| false).map_err(failed)?;
    }
    if let Some(bytes) = changes.frames {
        frames.insert(changes.next_batch, bytes).map_err(failed)?;
    }
    if let Some(below) = changes.trim_batches_below {
        frames.retain_in(..below, |_, _| false).map_err(failed)?;
    }
    Ok(())
}

fn write_windows(transaction: &WriteTransaction, changes: &Changes<'_>) -> Result<(), StoreError> {
    if changes.windows.is_empty() && changes.forget_windows.is_empty() {
        return Ok(());
    }
    let mut windows = transaction.open_table(WINDOWS).map_err(failed)?;
    for (tier, at, bytes) in changes.windows {
        windows.insert((*tier, at.as_micros()), bytes.as_slice()).map_err(failed)?;
    }
    for (tier, before) in changes.forget_windows {
        let old = (*tier, 0)..(*tier, before.as_micros());
        windows.retain_in(old, |_, _| false).map_err(failed)?;
    }
    Ok(())
}

fn forget_decisions(
    decisions: &mut Table<'_, (WorkloadId, u64), &[u8]>,
    id: WorkloadId,
    newest: u64,
) -> Result<(), StoreError> {
    let Some(last) = newest.checked_sub(DECISIONS_KEPT) else { return Ok(()) };
    decisions.retain_in((id, 0)..=(id, last), |_, _| false).map_err(failed)
}
