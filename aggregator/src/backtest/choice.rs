//! Policies by name.

use std::sync::Arc;

use thiserror::Error;

use super::ablation;
use super::decider::Decider;
use super::peers::PeerKind;
use crate::autoscaler::{Autoscaler, Way};
use crate::config::{Part, Profile, ScaleIn, WorkloadConfig};
use crate::learning::adviser::Learned;
use crate::learning::model::Model;
use crate::policy::Standing;
use crate::units::Timestamp;

/// A policy by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// Foresail with the configuration's profile, promoted for scale-in.
    Foresail,
    /// The same with the responsive profile.
    Responsive,
    /// The same with the calm profile.
    Calm,
    /// Foresail before promotion: the forecast only raises above observed demand.
    Observed,
    /// Foresail with a part of its algorithm left out.
    Without(Part),
    /// Another autoscaler.
    Peer(PeerKind),
}

/// A learned policy that is replayed.
#[derive(Clone, Debug, PartialEq)]
pub struct Candidate {
    /// What settings and the report call it.
    pub name: String,
    /// Which of its versions it is, where there are several.
    pub version: Option<u64>,
    /// What it has learned.
    pub model: Arc<Model>,
    /// How far it is trusted.
    pub standing: Standing,
}

/// No policy has this name.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("no policy is called {name}; known are {}", Choice::all().map(Choice::name).collect::<Vec<_>>().join(", "))]
pub struct UnknownPolicy {
    /// As given.
    pub name: String,
}

impl Choice {
    /// All policies.
    pub fn all() -> impl Iterator<Item = Self> {
        let own = [Self::Foresail, Self::Responsive, Self::Calm, Self::Observed];
        own.into_iter().chain(PeerKind::ALL.into_iter().map(Self::Peer))
    }

    /// Foresail whole, and once without each of its parts.
    pub fn ablation() -> impl Iterator<Item = Self> {
        let own = [Self::Foresail, Self::Responsive];
        own.into_iter().chain(Part::ALL.into_iter().map(Self::Without))
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Foresail => "foresail",
            Self::Responsive => "foresail-responsive",
            Self::Calm => "foresail-calm",
            Self::Observed => "foresail-observed",
            Self::Without(part) => ablation::name(part),
            Self::Peer(kind) => kind.name(),
        }
    }

    /// The policy of a name.
    ///
    /// # Errors
    /// [`UnknownPolicy`], which names all.
    pub fn parse(name: &str) -> Result<Self, UnknownPolicy> {
        let found = Self::all().chain(Self::ablation()).find(|choice| choice.name() == name);
        found.ok_or_else(|| UnknownPolicy { name: name.to_owned() })
    }

    /// A workload's settings for it; `None` for another autoscaler.
    pub fn settings(self, config: &WorkloadConfig) -> Option<WorkloadConfig> {
        let mut config = config.clone();
        config.scale_in = ScaleIn::Forecast;
        match self {
            Self::Peer(_) => return None,
            Self::Responsive => config.profile = Profile::Responsive,
            Self::Calm => config.profile = Profile::Calm,
            Self::Observed => config.scale_in = ScaleIn::Observed,
            Self::Without(part) => ablation::leave_out(&mut config, part),
            Self::Foresail => {}
        }
        Some(config)
    }

    /// Whoever decides by it, beginning at `start`; Foresail's with a price of risk that does not
    /// learn, a peer at that target, where a `knob` is given.
    pub fn decider(self, config: &WorkloadConfig, start: Timestamp, knob: Option<f64>) -> Decider {
        let own = match self {
            Self::Peer(kind) => return Decider::peer(kind, config.decision_interval, knob),
            own => own.settings(config),
        };
        let autoscaler = Autoscaler::new(&own.unwrap_or_else(|| config.clone()), start);
        Decider::Foresail(Box::new(match knob {
            Some(price) => autoscaler.with_price(price),
            None => autoscaler,
        }))
    }

    /// The part that is left out.
    pub const fn without(self) -> Option<Part> {
        match self {
            Self::Without(part) => Some(part),
            _ => None,
        }
    }
}

impl Candidate {
    /// How an autoscaler decides that it corrects.
    pub fn way(&self, config: &WorkloadConfig) -> Way {
        let adviser = Box::new(Learned::new(Arc::clone(&self.model)));
        Way {
            scale_in: ScaleIn::Forecast,
            adviser: Some((adviser, self.standing)),
            ..Way::of(config)
        }
    }

    /// Foresail with a learned policy that corrects its answer, beginning at `start`.
    pub fn decider(&self, config: &WorkloadConfig, start: Timestamp) -> Decider {
        let mut autoscaler = Autoscaler::new(config, start);
        autoscaler.take_way(self.way(config));
        Decider::Foresail(Box::new(autoscaler))
    }
}
