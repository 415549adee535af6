//! A replica whose workers share what is there: each request gets an equal part of them, and at most
//! one. With one worker this is processor sharing (Kleinrock, "Queueing Systems", volume 2, section
//! 4.4): what a service that is short of CPU does, where nothing waits and everything gets slower.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// A replica with its open requests.
#[derive(Clone, Debug)]
pub(super) struct Sharing {
    workers: f64,
    at_s: f64,
    /// Work that each open request was given since the beginning, in seconds of a worker: it grows
    /// alike for all, so that the one that ends next is the one with the lowest end.
    given: f64,
    /// Ends in work given, as bits, whose order is that of the numbers; and times of arrival.
    open: BinaryHeap<Reverse<(u64, u64)>>,
}

impl Sharing {
    pub(super) fn new(now_s: f64, workers: usize) -> Self {
        Self { workers: workers as f64, at_s: now_s, given: 0.0, open: BinaryHeap::new() }
    }

    /// Requests that are open.
    pub(super) fn open(&self) -> usize {
        self.open.len()
    }

    /// Goes on until `to_s`; latencies of what ends go to `latencies_s`. Gives the worker time that was used.
    pub(super) fn advance(&mut self, to_s: f64, latencies_s: &mut Vec<f64>) -> f64 {
        let mut used = 0.0;
        while let Some(Reverse((end, arrival))) = self.open.peek().copied() {
            let count = self.open.len() as f64;
            let busy = count.min(self.workers);
            let rate = busy / count;
            let left_s = (f64::from_bits(end) - self.given).max(0.0) / rate;
            if self.at_s + left_s > to_s {
                used += busy * (to_s - self.at_s);
                self.given += rate * (to_s - self.at_s);
                break;
            }
            used += busy * left_s;
            self.at_s += left_s;
            self.given = f64::from_bits(end);
            self.open.pop();
            latencies_s.push(self.at_s - f64::from_bits(arrival));
        }
        self.at_s = self.at_s.max(to_s.min(f64::MAX));
        used
    }

    /// A request that needs so much of a worker's time comes at the time that was gone on to.
    pub(super) fn arrive(&mut self, work_s: f64) {
        let end = (self.given + work_s).to_bits();
        self.open.push(Reverse((end, self.at_s.to_bits())));
    }
}
