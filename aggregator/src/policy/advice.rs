//! What a learned policy may say, and how far it counts.

use std::fmt;
use std::time::Duration;

use super::Proposal;
use crate::config::WorkloadConfig;
use crate::forecast::Curve;
use crate::journal::Observation;
use crate::units::{Rps, Timestamp};

/// A promoted learner asks for at most this multiple of the answer it corrects, and
/// [`MOST_EXTRA`] replicas more.
const MOST_FACTOR: u32 = 2;
/// Replicas that it may always add.
const MOST_EXTRA: u32 = 4;

/// How far a learned policy is trusted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Standing {
    /// It only ever raises the answer. The default.
    #[default]
    Raises,
    /// It may lower the answer too, down to what the measured load needs.
    Promoted,
}

/// What a learned policy asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Advice {
    /// Replicas to have.
    pub replicas: u32,
    /// How far that counts.
    pub standing: Standing,
}

/// What a learned policy looks at.
#[derive(Clone, Copy, Debug)]
pub struct Situation<'a> {
    /// When the decision is due.
    pub now: Timestamp,
    /// The workload's settings.
    pub config: &'a WorkloadConfig,
    /// What was measured, as far as it can be believed.
    pub observation: &'a Observation,
    /// What a ready replica serves safely.
    pub capacity: Rps,
    /// Time from ordering a replica until it serves.
    pub startup: Duration,
    /// The newest forecast.
    pub curve: Option<&'a Curve>,
    /// What the other signals ask for.
    pub proposal: &'a Proposal,
    /// The price of risk at the moment.
    pub risk_price: f64,
}

/// A learned policy. Whatever it says goes through [`Proposal::answer`]'s limits and every guard.
pub trait Adviser: fmt::Debug + Send + Sync {
    /// Replicas to have; `None` when it has nothing to say.
    fn advise(&mut self, situation: &Situation<'_>) -> Option<u32>;
}

/// The answer with advice: never above [`MOST_FACTOR`] times `answer` and [`MOST_EXTRA`] more;
/// before promotion never below `answer`, after it never below `floor`.
pub(super) fn apply(advice: Option<Advice>, answer: u32, floor: u32) -> u32 {
    let Some(Advice { replicas, standing }) = advice else { return answer };
    let most = answer.saturating_mul(MOST_FACTOR).saturating_add(MOST_EXTRA);
    let least = match standing {
        Standing::Raises => answer,
        Standing::Promoted => floor.min(answer),
    };
    replicas.clamp(least, most)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(replicas: u32, standing: Standing) -> u32 {
        apply(Some(Advice { replicas, standing }), 10, 6)
    }

    #[test]
    fn before_promotion_advice_only_raises_and_after_it_the_measured_load_is_the_floor() {
        assert_eq!([0, 10, 13, u32::MAX].map(|n| with(n, Standing::Raises)), [10, 10, 13, 24]);
        assert_eq!([0, 7, 13, u32::MAX].map(|n| with(n, Standing::Promoted)), [6, 7, 13, 24]);
        assert_eq!(apply(None, 10, 6), 10);
        let lower = Advice { replicas: 0, standing: Standing::Promoted };
        assert_eq!(apply(Some(lower), 3, 6), 3, "a floor never raises");
    }
}
