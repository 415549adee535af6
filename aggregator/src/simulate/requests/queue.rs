//! A replica with some workers, each at one request at a time, first come, first served.

/// See the module.
#[derive(Clone, Debug)]
pub(super) struct Queue {
    /// When each worker is free again.
    free_at: Vec<f64>,
    /// Ends of requests that may still be open.
    ends: Vec<f64>,
}

impl Queue {
    pub(super) fn new(now_s: f64, workers: usize) -> Self {
        Self { free_at: vec![now_s; workers], ends: Vec::new() }
    }

    /// Requests that wait or are worked on.
    pub(super) fn open(&mut self, at_s: f64) -> usize {
        self.ends.retain(|end| *end > at_s);
        self.ends.len()
    }

    /// A request comes that takes a worker so long: when it begins; `None` when it would wait longer
    /// than `patience_s` and gives up.
    pub(super) fn arrive(&mut self, at_s: f64, work_s: f64, patience_s: f64) -> Option<f64> {
        let worker = self.free_at.iter_mut().min_by(|a, b| a.total_cmp(b))?;
        let begin = worker.max(at_s);
        if begin - at_s > patience_s {
            return None;
        }
        *worker = begin + work_s;
        self.ends.push(begin + work_s);
        Some(begin)
    }
}
