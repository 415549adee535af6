//! What a decision is worth, in money.

use serde::{Deserialize, Serialize};

use crate::simulate::Outcome;

/// Prices, in units of a replica's time for one decision interval: a user who knows what a
/// replica-hour costs knows what the others cost.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Prices {
    /// Of serving a replica's worth of requests for an interval while the objective is missed.
    pub violation: f64,
    /// Of one change of the replicas.
    pub change: f64,
}

impl Default for Prices {
    /// A violation costs 25 times what the replicas cost that would have prevented it; a change
    /// costs 0.3 replica intervals.
    fn default() -> Self {
        Self { violation: 25.0, change: 0.3 }
    }
}

impl Prices {
    /// Minus what a step cost, over `mean` replicas, so that services of all sizes compare.
    pub fn reward(&self, outcome: &Outcome, required: u32, changed: bool, mean: f64) -> f32 {
        let missed = f64::from(u8::from(outcome.violated)) * f64::from(required);
        let change = f64::from(u8::from(changed));
        let cost = f64::from(outcome.replicas) + self.violation * missed + self.change * change;
        #[expect(clippy::cast_possible_truncation, reason = "a reward needs few digits")]
        {
            (-cost / mean.max(1.0)) as f32
        }
    }
}
