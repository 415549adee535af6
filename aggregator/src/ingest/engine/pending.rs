//! What the next successful commit writes beside frames and states.

use super::Record;
use crate::journal::Decision;
use crate::store::{HeatRow, WorkloadId, heat_kept};
use crate::telemetry::Closed;
use crate::units::{Timestamp, WorkloadKey};

/// The most decisions, and the most blobs of windows, that wait for a store that does not write.
pub(super) const MAX_PENDING: usize = 10_000;
/// The most windows of heat that wait while the store cannot write: some of each of 10,000 workloads.
const MAX_HEAT: usize = 50_000;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Pending {
    pub(super) workloads: Vec<(WorkloadId, WorkloadKey)>,
    pub(super) windows: Vec<(u8, Timestamp, Vec<u8>)>,
    pub(super) heat: Vec<HeatRow>,
    pub(super) decisions: Vec<(WorkloadId, Decision)>,
    pub(super) autoscalers: Vec<(WorkloadId, Vec<u8>)>,
    pub(super) loads: Vec<(WorkloadId, Vec<u8>)>,
    pub(super) boards: Vec<(WorkloadId, Vec<u8>)>,
}

impl Pending {
    /// Takes what a heatmap shows of a closed window, while there is room.
    pub(super) fn take_heat(&mut self, workload: WorkloadId, window: &Closed) {
        if heat_kept(window.tier) > 0 && self.heat.len() < MAX_HEAT {
            let (tier, index, heat) = (window.tier, window.index, window.heat.clone());
            self.heat.push(HeatRow { workload, tier, index, heat });
        }
    }

    /// Takes what a control loop wants kept; an autoscaler, a load and a board replace those before.
    pub(super) fn take_record(&mut self, record: Record) {
        if let Some(decision) = record.decision
            && self.decisions.len() < MAX_PENDING
        {
            self.decisions.push((record.workload, decision));
        }
        let kept = [
            (&mut self.autoscalers, record.autoscaler),
            (&mut self.loads, record.load),
            (&mut self.boards, record.board),
        ];
        for (rows, bytes) in kept {
            if let Some(bytes) = bytes {
                rows.retain(|(id, _)| *id != record.workload);
                rows.push((record.workload, bytes));
            }
        }
    }
}
