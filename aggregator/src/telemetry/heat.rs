//! How many requests of a window took how long, in coarse cells: what a heatmap over time shows.

use foresail_wire::{LatencyHistogram, bucket_range};
use serde::{Deserialize, Serialize};

/// Cells of a window, from fastest to slowest.
pub const HEAT_CELLS: usize = 37;
/// Where the second cell begins, in µs.
const FIRST_EDGE_MICROS: f64 = 250.0;
/// Cells to each doubling of the latency.
const CELLS_PER_OCTAVE: f64 = 2.0;

/// Requests by latency, sparse: pairs of a cell's number and its count, ascending, no count zero.
///
/// The first cell holds what took less than 250 µs; each further one is wider by the square root of
/// two; the last holds everything from 46 s on. A request stands in the cell that holds the middle of its
/// bucket, so an edge is sharp to within the 0.4 % of a bucket.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heat(Vec<(u8, u64)>);

impl Heat {
    /// Counts a histogram.
    pub(super) fn of(latency: &LatencyHistogram) -> Self {
        let mut cells: Vec<(u8, u64)> = Vec::new();
        for bucket in latency.buckets() {
            let (low, high) = bucket_range(latency.digits(), bucket.index);
            let cell = cell_of(low.midpoint(high));
            let count = u64::from(bucket.count);
            match cells.last_mut() {
                Some((last, sum)) if *last == cell => *sum += count,
                _ => cells.push((cell, count)),
            }
        }
        Self(cells)
    }

    /// The cells that hold anything, with their counts, ascending.
    pub fn cells(&self) -> &[(u8, u64)] {
        &self.0
    }

    /// Where each cell but the first begins, in µs, ascending.
    pub fn edges() -> impl Iterator<Item = f64> {
        (0..HEAT_CELLS - 1).map(|at| FIRST_EDGE_MICROS * (at as f64 / CELLS_PER_OCTAVE).exp2())
    }
}

/// The cell of a latency.
fn cell_of(micros: u64) -> u8 {
    let cell = Heat::edges().take_while(|edge| *edge <= micros as f64).count();
    u8::try_from(cell).unwrap_or(u8::MAX)
}

#[cfg(test)]
mod tests {
    use foresail_wire::Digits;

    use super::*;

    #[test]
    fn every_request_stands_in_the_cell_that_holds_its_latency() {
        let mut latency = LatencyHistogram::new(Digits::DEFAULT);
        for micros in [1, 100, 300, 1_100, 1_100, 20_000, 59_000_000] {
            latency.record(micros);
        }
        // Edges: 250, 354, 500, 707, 1000, 1414, …, 16 000, 22 627, …, 46 341 000.
        assert_eq!(Heat::of(&latency).cells(), [(0, 2), (1, 1), (5, 2), (13, 1), (36, 1)]);
    }

    #[test]
    fn a_window_without_requests_has_no_cells() {
        assert_eq!(Heat::of(&LatencyHistogram::default()), Heat::default());
        assert_eq!(Heat::edges().count(), HEAT_CELLS - 1);
    }
}
