//! No scale-down while more requests fail than usual \[8\]: fast failures look like low latency and
//! little work.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::units::{Ratio, Timestamp};
use crate::usual::{Paces, Usual};

/// Failures up to this multiple of the usual share, and this much above it, are usual.
const FACTOR: f64 = 2.0;
const MARGIN: f64 = 0.01;
/// How fast the usual share follows upwards and downwards: failures that go on are usual within
/// hours, and what was bad when we began is forgotten in minutes.
const PACES: Paces = Paces { up: Duration::from_hours(4), down: Duration::from_mins(10) };

/// The usual share of failed requests.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct ErrorBaseline {
    usual: Usual,
    at: Option<Timestamp>,
}

impl ErrorBaseline {
    /// Learns the share of now; the usual share when that of now is above it.
    pub(super) fn exceeded(&mut self, now: Timestamp, ratio: Option<Ratio>) -> Option<f64> {
        let ratio = ratio?.get();
        let elapsed = self.at.replace(now).map_or(Duration::ZERO, |at| now.since(at));
        let usual = self.usual.follow(ratio, elapsed, PACES);
        (ratio > (usual * FACTOR).max(usual + MARGIN)).then_some(usual)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: u64) -> Timestamp {
        Timestamp::from_secs(1_700_000_000 + second)
    }

    #[test]
    fn more_failures_than_usual_are_noticed_until_they_are_usual() {
        let mut errors = ErrorBaseline::default();
        let mut say = |second, ratio| errors.exceeded(at(second), Ratio::new(ratio).ok()).is_some();
        assert!((0..600).step_by(15).all(|second| !say(second, 0.02)));
        assert!(!say(600, 0.035) && say(615, 0.05) && say(630, 1.0));
        assert!(!say(645, 0.02));
        let given_up = (660..100_000).step_by(15).find(|second| !say(*second, 0.3));
        assert!((7_200..20_000).contains(&given_up.unwrap()), "{given_up:?}");
        assert!(!say(100_015, f64::NAN), "what is not known is not more");
    }
}
