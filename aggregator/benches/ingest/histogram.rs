//! The sparse merge beside the dense one of the `hdrhistogram` crate, on the same latencies.

use std::hint::black_box;
use std::time::Duration;

use anyhow::Result;
use foresail_wire::{Digits, LatencyHistogram, MAX_LATENCY_MICROS, bucket_range, decode};
use hdrhistogram::Histogram;

use crate::fleet::{Fleet, Shape, T0};
use crate::{core_time, median};

/// Windows that are open at once: each takes the frames of ten proxies.
const WINDOWS: usize = 1_000;
const FRAMES_PER_WINDOW: usize = 10;
const ROUNDS: usize = 7;

/// Time to merge one frame's histogram.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Compared {
    pub(crate) sparse: Duration,
    pub(crate) dense: Duration,
    /// Sparse over dense, the median of pairs.
    pub(crate) ratio: f64,
}

/// Merges the frames of a fleet into as many windows as it has workloads, in turns.
pub(crate) fn run() -> Result<Compared> {
    let fleet = Fleet::new(Shape::Typical, WINDOWS);
    let mut sparse = Vec::new();
    let mut bytes = Vec::new();
    for n in 0..fleet.len() {
        bytes.clear();
        fleet.write(n, 1, T0 * 1_000_000, &mut bytes);
        sparse.extend(decode(&bytes)?.series.into_iter().map(|series| series.latency));
    }
    let dense = sparse.iter().map(densely).collect::<Result<Vec<_>>>()?;
    let merges = u32::try_from(WINDOWS * FRAMES_PER_WINDOW)?;
    let mut pairs = Vec::new();
    for _ in 0..ROUNDS {
        let mut windows = vec![LatencyHistogram::default(); WINDOWS];
        let ours = core_time(|| {
            for (n, frame) in sparse.iter().enumerate() {
                windows[n % WINDOWS].merge(black_box(frame));
            }
        });
        let mut windows = (0..WINDOWS).map(|_| empty()).collect::<Result<Vec<_>>>()?;
        let theirs = core_time(|| {
            for (n, frame) in dense.iter().enumerate() {
                windows[n % WINDOWS].add(black_box(frame)).unwrap();
            }
        });
        pairs.push((ours / merges, theirs / merges));
    }
    let ratio = |pair: &(Duration, Duration)| pair.0.as_secs_f64() / pair.1.as_secs_f64();
    Ok(Compared {
        sparse: median(pairs.iter().map(|pair| pair.0)),
        dense: median(pairs.iter().map(|pair| pair.1)),
        ratio: median(pairs.iter().map(ratio)),
    })
}

fn empty() -> Result<Histogram<u32>> {
    Ok(Histogram::new_with_bounds(1, MAX_LATENCY_MICROS, Digits::DEFAULT.get())?)
}

fn densely(sparse: &LatencyHistogram) -> Result<Histogram<u32>> {
    let mut dense = empty()?;
    for bucket in sparse.buckets() {
        dense.record_n(bucket_range(sparse.digits(), bucket.index).0, bucket.count)?;
    }
    Ok(dense)
}
