//! Whoever decides in a backtest: Foresail at a price of risk, or a peer at a target.

use std::sync::Arc;

use thiserror::Error;

use super::Stopwatch;
use super::ablation::{self, Late};
use super::leaders::Leaders;
use crate::autoscaler::Autoscaler;
use crate::backtest::oracle::Plan;
use crate::backtest::peers::{Peer, PeerKind, PeerView};
use crate::backtest::report::Run;
use crate::backtest::score::Scorer;
use crate::config::{Part, Profile, ScaleIn, WorkloadConfig};
use crate::learning::adviser::Learned;
use crate::learning::model::Model;
use crate::policy::Standing;
use crate::simulate::{Cluster, Scenario, World, max_replicas};
use crate::units::Timestamp;

/// Prices of risk that Foresail is swept over.
const PRICES: [f64; 20] = [
    0.15, 0.3, 0.6, 1.0, 1.6, 2.5, 4.0, 6.0, 9.0, 13.0, 18.0, 26.0, 40.0, 60.0, 100.0, 150.0,
    250.0, 500.0, 1_200.0, 2_500.0,
];

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
    /// What the report calls it.
    pub name: String,
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

    /// Its contenders: the default, and with `sweep` one for every other knob.
    pub(super) fn contenders(
        self,
        config: &WorkloadConfig,
        scenario: &Scenario,
        world: &World,
        sweep: bool,
        plan: &Plan,
    ) -> Vec<Contender> {
        let make = |knob: Option<f64>| Contender::new(self, knob, config, scenario, world, plan);
        let mut all = vec![make(None)];
        if sweep {
            let knobs = match self {
                Self::Peer(kind) => kind.knobs(),
                _ => PRICES.to_vec(),
            };
            let default = all.first().map_or(f64::NAN, |contender| contender.knob);
            let others = knobs.into_iter().filter(|knob| (knob - default).abs() > 1e-9);
            all.extend(others.map(|knob| make(Some(knob))));
        }
        all
    }
}

/// What every contender of a step looks at.
pub(super) struct Step<'a> {
    pub(super) world: &'a World,
    pub(super) at: usize,
    pub(super) now: Timestamp,
    pub(super) leaders: &'a Leaders,
}

/// What a step came to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Served {
    /// Replicas that were billed.
    pub(super) replicas: u32,
    /// Whether the objective was missed.
    pub(super) violated: bool,
}

/// Who decides.
enum Policy {
    Foresail(Box<Autoscaler>),
    Peer(Box<dyn Peer>),
}

/// One policy at one knob with its own replicas.
pub(super) struct Contender {
    name: String,
    knob: f64,
    is_default: bool,
    policy: Policy,
    without: Option<Part>,
    late: Late,
    cluster: Cluster,
    scenario: Scenario,
    scorer: Scorer,
    /// Times of decisions, in µs; of the default only.
    times: Vec<f32>,
}

impl Contender {
    fn new(
        choice: Choice,
        knob: Option<f64>,
        config: &WorkloadConfig,
        scenario: &Scenario,
        world: &World,
        plan: &Plan,
    ) -> Self {
        let start = Timestamp::of_step(world.grid.first_index, world.grid.step);
        let (policy, value) = match choice {
            Choice::Peer(kind) => {
                let value = knob.unwrap_or_else(|| kind.default_knob());
                let day = (86_400.0 / world.grid.step.as_secs_f64()).round().max(1.0);
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "at most 86,400 steps of a second"
                )]
                (Policy::Peer(kind.build(value, day as usize)), value)
            }
            own => {
                let mut config = config.clone();
                config.scale_in = ScaleIn::Forecast;
                match own {
                    Choice::Responsive => config.profile = Profile::Responsive,
                    Choice::Calm => config.profile = Profile::Calm,
                    Choice::Observed => config.scale_in = ScaleIn::Observed,
                    Choice::Without(part) => ablation::leave_out(&mut config, part),
                    Choice::Foresail | Choice::Peer(_) => {}
                }
                let mut autoscaler = Autoscaler::new(&config, start);
                if let Some(price) = knob {
                    autoscaler = autoscaler.with_price(price);
                }
                (Policy::Foresail(Box::new(autoscaler)), knob.unwrap_or(0.0))
            }
        };
        let without = match choice {
            Choice::Without(part) => Some(part),
            _ => None,
        };
        let first = world.required(0);
        Self {
            name: choice.name().to_owned(),
            knob: value,
            is_default: knob.is_none(),
            policy,
            without,
            late: Late::of(without, scenario.decision_interval),
            cluster: Cluster::new(world, scenario, first + first / 4 + 1),
            scenario: scenario.clone(),
            scorer: Scorer::new(world.grid.step, plan.pod_steps),
            times: Vec::new(),
        }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Foresail with a learned policy that corrects its answer.
    pub(super) fn learned(
        candidate: &Candidate,
        config: &WorkloadConfig,
        scenario: &Scenario,
        world: &World,
        plan: &Plan,
    ) -> Self {
        let mut contender = Self::new(Choice::Foresail, None, config, scenario, world, plan);
        contender.name.clone_from(&candidate.name);
        if let Policy::Foresail(autoscaler) = contender.policy {
            let adviser = Box::new(Learned::new(Arc::clone(&candidate.model)));
            let autoscaler = autoscaler.with_adviser(adviser, candidate.standing);
            contender.policy = Policy::Foresail(Box::new(autoscaler));
        }
        contender
    }

    /// The part that is left out.
    pub(super) const fn without(&self) -> Option<Part> {
        self.without
    }

    /// Whether it looks at a shared forecast.
    pub(super) const fn forecasts(&self) -> bool {
        matches!(self.policy, Policy::Foresail(_))
    }

    pub(super) const fn is_default(&self) -> bool {
        self.is_default
    }

    /// Serves a step, then decides on it.
    pub(super) fn step(&mut self, step: &Step<'_>, watch: &dyn Stopwatch) -> Served {
        let outcome = self.cluster.step(step.world, step.at);
        let before = self.cluster.replicas();
        let start = self.is_default.then(|| watch.micros());
        let desired = match &mut self.policy {
            Policy::Foresail(autoscaler) => {
                let observation = self.cluster.observation(step.world, step.at, &outcome, step.now);
                let observation = self.late.delayed(observation);
                let curve = step.leaders.curve(self.without);
                autoscaler.step_with(step.now, &observation, curve).decision.desired_replicas
            }
            Policy::Peer(peer) => peer.desired(&PeerView {
                now: step.now,
                step: step.world.grid.step,
                rps: step.world.grid.rates.get(step.at).copied().flatten(),
                cpu_utilisation: Some(outcome.utilisation),
                ready: self.cluster.ready(),
                replicas: before,
                capacity_rps: step.world.capacity_rps,
                startup: self.scenario.startup,
                min: 1,
                max: max_replicas(&self.scenario),
            }),
        };
        if let Some(start) = start {
            let own = matches!(self.policy, Policy::Foresail(_));
            let forecast = if own { step.leaders.micros(self.without) } else { 0.0 };
            #[expect(clippy::cast_possible_truncation, reason = "a time in µs needs few digits")]
            self.times.push((watch.micros() - start + forecast) as f32);
        }
        self.cluster.order(desired);
        if step.at >= step.world.warm_up_steps {
            let change = i64::from(self.cluster.replicas()) - i64::from(before);
            self.scorer.add(&outcome, change);
        }
        Served { replicas: outcome.replicas, violated: outcome.violated }
    }

    pub(super) fn finish(mut self) -> Run {
        self.times.sort_by(f32::total_cmp);
        let quantile = |share: f64| {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "a share of the length"
            )]
            let at = (self.times.len() as f64 * share) as usize;
            self.times.get(at).copied().map(f64::from)
        };
        let knob = match &self.policy {
            Policy::Foresail(autoscaler) if self.is_default => autoscaler.risk_price(),
            _ => self.knob,
        };
        Run {
            knob,
            is_default: self.is_default,
            decision_p50_us: quantile(0.5),
            decision_p99_us: quantile(0.99),
            score: self.scorer.finish(),
        }
    }
}
