//! From measured intervals of any length to steps of equal length.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::units::{Rps, Timestamp, micros};

/// The longest interval, in steps, that is taken apart; a longer one says nothing of its beginning.
const MAX_STEPS: u32 = 50_000;

/// The step that is being filled.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Accumulator {
    step: Duration,
    /// Number of the open step, its requests, and the µs of it that are covered.
    open: Option<(u64, f64, u64)>,
}

impl Accumulator {
    /// Steps of this length.
    pub const fn new(step: Duration) -> Self {
        Self { step, open: None }
    }

    /// Length of a step.
    pub const fn step(&self) -> Duration {
        self.step
    }

    /// Adds a measured rate over an interval and gives every step that is complete by its end: its
    /// number and mean rate in requests per second, `None` when less than half of it was measured.
    pub fn add(
        &mut self,
        from: Timestamp,
        to: Timestamp,
        rate: Rps,
        mut complete: impl FnMut(u64, Option<f64>),
    ) {
        let step = micros(self.step).max(1);
        let reach = self.step.saturating_mul(MAX_STEPS);
        let mut at = from.as_micros().max((to - reach).as_micros());
        while at < to.as_micros() {
            let index = at / step;
            let until = ((index + 1) * step).min(to.as_micros());
            if self.open.is_some_and(|(open, _, _)| open != index) {
                self.close(&mut complete);
            }
            let (_, requests, covered) = self.open.get_or_insert((index, 0.0, 0));
            *requests += rate.get() * (until - at) as f64 / 1e6;
            *covered += until - at;
            if until == (index + 1) * step {
                self.close(&mut complete);
            }
            at = until;
        }
    }

    fn close(&mut self, complete: &mut impl FnMut(u64, Option<f64>)) {
        if let Some((index, requests, covered)) = self.open.take() {
            let known = covered * 2 >= micros(self.step);
            complete(index, known.then(|| requests / (covered as f64 / 1e6)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Timestamp {
        Timestamp::from_micros(millis * 1_000)
    }

    fn collect(parts: &[(u64, u64, f64)]) -> Vec<(u64, Option<f64>)> {
        let mut accumulator = Accumulator::new(Duration::from_secs(2));
        let mut steps = Vec::new();
        for (from, to, rate) in parts {
            let rate = Rps::new(*rate).unwrap();
            accumulator.add(at(*from), at(*to), rate, |index, rate| steps.push((index, rate)));
        }
        steps
    }

    #[test]
    fn rates_are_averaged_over_steps_by_time() {
        assert_eq!(collect(&[(4_000, 5_000, 10.0)]), []);
        let steps = collect(&[(4_000, 5_000, 10.0), (5_000, 8_000, 20.0)]);
        assert_eq!(steps, [(2, Some(15.0)), (3, Some(20.0))]);
    }

    #[test]
    fn what_was_not_measured_is_no_rate() {
        let steps = collect(&[(0, 2_000, 10.0), (7_500, 8_000, 10.0)]);
        assert_eq!(steps, [(0, Some(10.0)), (3, None)]);
    }
}
