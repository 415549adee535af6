//! How long requests took, window by window: kept on disk only, for it is looked at and never decided on.
//!
//! Workloads share a row in groups, so that thousands of them cost a few hundred writes a window, and
//! reading one does not mean reading all.

use std::ops::RangeInclusive;

use redb::{ReadTransaction, ReadableTable, WriteTransaction};

use super::schema::HEAT;
use super::{StoreError, WorkloadId, database_error as failed, from_bytes, to_bytes};
use crate::telemetry::{Heat, Tier};

/// Workloads that share a row.
const GROUP: u32 = 64;

/// One workload's window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeatRow {
    /// Whose.
    pub workload: WorkloadId,
    /// Of which tier.
    pub tier: Tier,
    /// Number of the window since 1970.
    pub index: u64,
    /// How long its requests took.
    pub heat: Heat,
}

/// How many windows of a tier are kept: 6 hours of 15 s, 7 days of 5 min, none of 1 s.
pub const fn heat_kept(tier: Tier) -> u64 {
    match tier {
        Tier::Fine => 0,
        Tier::Mid => 1_440,
        Tier::Coarse => 2_016,
    }
}

/// A row as it is stored.
type Row = Vec<(WorkloadId, Heat)>;

/// Adds windows, one in place of what was there, and forgets those that are too old.
pub(super) fn write(transaction: &WriteTransaction, windows: &[HeatRow]) -> Result<(), StoreError> {
    let key = |window: &HeatRow| (window.workload / GROUP, window.tier as u8, window.index);
    if windows.is_empty() {
        return Ok(());
    }
    let mut sorted: Vec<&HeatRow> = windows.iter().collect();
    sorted.sort_by_key(|window| (key(window), window.workload));
    let mut table = transaction.open_table(HEAT).map_err(failed)?;
    for group in sorted.chunk_by(|a, b| key(a) == key(b)) {
        let Some(first) = group.first() else { continue };
        let place = key(first);
        let stored = table.get(place).map_err(failed)?;
        let mut row: Row =
            stored.map(|bytes| from_bytes("heat", bytes.value())).transpose()?.unwrap_or_default();
        row.retain(|(id, _)| group.iter().all(|window| window.workload != *id));
        row.extend(group.iter().map(|window| (window.workload, window.heat.clone())));
        table.insert(place, to_bytes(&row)?.as_slice()).map_err(failed)?;
        let (number, tier, index) = place;
        if let Some(last) = index.checked_sub(heat_kept(first.tier)) {
            let old = (number, tier, 0)..=(number, tier, last);
            table.retain_in(old, |_, _| false).map_err(failed)?;
        }
    }
    Ok(())
}

/// The windows of a workload, oldest first.
pub(super) fn read(
    transaction: &ReadTransaction,
    id: WorkloadId,
    tier: Tier,
    windows: RangeInclusive<u64>,
) -> Result<Vec<(u64, Heat)>, StoreError> {
    let table = transaction.open_table(HEAT).map_err(failed)?;
    let place = |index: u64| (id / GROUP, tier as u8, index);
    let mut found = Vec::new();
    if windows.is_empty() {
        return Ok(found);
    }
    for row in table.range(place(*windows.start())..=place(*windows.end())).map_err(failed)? {
        let (key, bytes) = row.map_err(failed)?;
        let row: Row = from_bytes("heat", bytes.value())?;
        let own = row.into_iter().find(|(workload, _)| *workload == id);
        found.extend(own.map(|(_, heat)| (key.value().2, heat)));
    }
    Ok(found)
}
