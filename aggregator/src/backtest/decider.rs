//! Whoever decides: Foresail, or a peer.

use std::fmt;
use std::time::Duration;

use super::peers::{Peer, PeerKind, PeerView};
use crate::autoscaler::Autoscaler;
use crate::forecast::Curve;
use crate::journal::Observation;

/// A policy with what it remembers.
pub enum Decider {
    /// Foresail: the real autoscaler with its guards.
    Foresail(Box<Autoscaler>),
    /// Another autoscaler.
    Peer(Box<dyn Peer>),
}

/// What it decides on: each looks at its own part.
#[derive(Clone, Copy, Debug)]
pub struct Seen<'a> {
    /// What Foresail observes.
    pub observation: &'a Observation,
    /// The forecast.
    pub curve: Option<&'a Curve>,
    /// What a peer sees.
    pub peer: PeerView,
}

impl Decider {
    /// A peer at a target; its own default without one.
    pub(super) fn peer(kind: PeerKind, interval: Duration, knob: Option<f64>) -> Self {
        let day = (86_400.0 / interval.as_secs_f64()).round().max(1.0);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "at most 86,400 steps of a second"
        )]
        Self::Peer(kind.build(knob.unwrap_or_else(|| kind.default_knob()), day as usize))
    }

    /// Replicas to have.
    pub fn decide(&mut self, seen: &Seen<'_>) -> u32 {
        match self {
            Self::Foresail(autoscaler) => {
                let step = autoscaler.step_with(seen.peer.now, seen.observation, seen.curve);
                step.decision.desired_replicas
            }
            Self::Peer(peer) => peer.desired(&seen.peer),
        }
    }

    /// Whether it looks at the forecast.
    pub const fn forecasts(&self) -> bool {
        matches!(self, Self::Foresail(_))
    }
}

impl fmt::Debug for Decider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Foresail(autoscaler) => autoscaler.fmt(f),
            Self::Peer(peer) => f.write_str(peer.name()),
        }
    }
}
