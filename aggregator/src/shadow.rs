//! Policies that run beside the one in charge, on the load that comes.
//!
//! Each has replicas of its own, which exist only here: ordered by its decisions, ready after the
//! learned start-up time, serving the measured load at the learned capacity. Load does not depend on
//! who scales, so this is an exact counterfactual but for that model; how far the model is off is
//! seen from the replicas that there are, which go through it too.

mod board;
mod canary;
mod promotion;
mod turns;
mod twin;

use std::iter;
use std::time::Duration;

use crate::autoscaler::{Autoscaler, Way};
use crate::backtest::choice::{Candidate, Choice};
use crate::backtest::decider::Decider;
use crate::capacity::slow_share;
use crate::config::{CapacitySource, Mode, WorkloadConfig};
use crate::forecast::Curve;
use crate::journal::Observation;
use crate::policy::misses;
use crate::safety::MIN_COVERAGE;
use crate::simulate::{Cluster, Outcome, ReplicaModel, Scenario};
use crate::units::{Rps, Timestamp};
use board::Entry;
use promotion::Promotion;
use twin::{Twin, View};

pub use board::{Board, Score, Scoreboard, Window};
pub use canary::CanaryView;
pub use promotion::{Change, PromotionView, Stage};

/// A silence of so many decision intervals, and every policy begins anew with the replicas that
/// there are.
const LONGEST_GAP: u32 = 4;
/// How much longer than the mean service time requests may take, over the logarithm of the share
/// that may be slower: the modelled queue of four workers then holds the objective up to a
/// utilisation of about 0.8.
const PATIENCE: f64 = 1.52;

/// A policy that can run beside the one in charge.
#[derive(Clone, Debug)]
pub enum Shadow {
    /// Foresail with the workload's own settings.
    Configured,
    /// Foresail in one of its ways, or another autoscaler.
    Known(Choice),
    /// A learned policy.
    Learned(Candidate),
}

impl Shadow {
    /// What settings call it.
    pub fn name(&self) -> &str {
        match self {
            Self::Configured => "configured",
            Self::Known(choice) => choice.name(),
            Self::Learned(candidate) => &candidate.name,
        }
    }

    /// What its scores are kept under: of a model with several versions, each has its own.
    pub fn label(&self) -> String {
        self.version()
            .map_or_else(|| self.name().to_owned(), |version| format!("{}@{version}", self.name()))
    }

    /// Which version of its model it is, where there are several.
    pub const fn version(&self) -> Option<u64> {
        match self {
            Self::Learned(candidate) => candidate.version,
            Self::Configured | Self::Known(_) => None,
        }
    }

    /// How the autoscaler in charge decides when this policy leads; `None` for another autoscaler,
    /// which cannot lead.
    pub fn way(&self, config: &WorkloadConfig) -> Option<Way> {
        match self {
            Self::Configured => Some(Way::of(config)),
            Self::Known(choice) => Some(Way::of(&choice.settings(config)?)),
            Self::Learned(candidate) => Some(candidate.way(config)),
        }
    }

    fn decider(&self, config: &WorkloadConfig, start: Timestamp) -> Decider {
        match self {
            Self::Configured => Decider::Foresail(Box::new(Autoscaler::new(config, start))),
            Self::Known(choice) => choice.decider(config, start, None),
            Self::Learned(candidate) => candidate.decider(config, start),
        }
    }
}

/// What a step has changed in who scales.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    /// The candidate is at another stage.
    Stage(Change),
    /// In mode `canary`: Foresail has no turn any longer, and why.
    Demoted(String),
}

/// What the one in charge knows when it has decided.
#[derive(Clone, Copy, Debug)]
pub struct Moment<'a> {
    /// When.
    pub now: Timestamp,
    /// What was measured since the last decision.
    pub observation: &'a Observation,
    /// The forecast, which all share.
    pub curve: Option<&'a Curve>,
    /// What decisions take for a replica's capacity.
    pub safe: Rps,
    /// What it most likely is.
    pub likely: Rps,
    /// Time from ordering a replica until it serves.
    pub startup: Duration,
}

/// The policies beside the one in charge of a workload, and how each fares.
#[derive(Debug)]
pub struct Shadows {
    config: WorkloadConfig,
    policies: Vec<Shadow>,
    scenario: Scenario,
    replica: ReplicaModel,
    twins: Vec<Twin>,
    /// The replicas that there are.
    actual: Cluster,
    board: Board,
    /// When the last decision was, and the replicas then: ready, and in all.
    last: Option<(Timestamp, u32, u32)>,
}

impl Shadows {
    /// Begins, with the scores so far. The workload's own settings are always among the policies. A
    /// comparison in mode `canary` goes on; another mode ends it.
    pub fn new(
        config: &WorkloadConfig,
        others: Vec<Shadow>,
        mut board: Board,
        now: Timestamp,
    ) -> Self {
        let policies: Vec<_> = iter::once(Shadow::Configured).chain(others).collect();
        board.retain(|label| policies.iter().any(|policy| policy.label() == label));
        let objective = &config.objective;
        let slow = (1.0 - objective.quantile.get()).max(1e-6);
        let scenario = Scenario {
            objective_quantile: objective.quantile.get(),
            objective_latency: objective.latency,
            mean_service: objective.latency.div_f64(PATIENCE * -slow.ln()),
            budget: objective.budget.get(),
            decision_interval: config.decision_interval,
            startup: config.startup_time,
            ..Scenario::default()
        };
        board.canary =
            (config.mode == Mode::Canary).then(|| board.canary.take().unwrap_or_default());
        let mut config = config.clone();
        config.mode = Mode::Active;
        config.capacity = CapacitySource::Fixed;
        let replica = ReplicaModel::new(&scenario, config.target_rps_per_replica.get());
        let actual = Cluster::new(&scenario, 1);
        board.promotion = candidate(&config, &policies).map(|label| {
            let before = board.promotion.take();
            let goes_on = before.filter(|before| before.candidate() == label);
            goes_on.unwrap_or_else(|| Promotion::new(&label, now))
        });
        Self { config, policies, scenario, replica, twins: Vec::new(), actual, board, last: None }
    }

    /// The policies beside the one in charge, the settings first.
    pub fn policies(&self) -> &[Shadow] {
        &self.policies
    }

    /// Takes another version of a policy in the place of the one there is. It begins as a shadow, with
    /// the replicas that there are and no scores; was the one before it further, that is given.
    pub fn replace(&mut self, policy: Shadow, now: Timestamp) -> Option<Change> {
        let place = self.policies.iter_mut().find(|known| known.name() == policy.name())?;
        let before = std::mem::replace(place, policy);
        let policy = place.clone();
        let label = policy.label();
        if let Some((at, ready, replicas)) = self.last {
            let twin = self.twin(&policy, at, ready, replicas);
            let old = self.twins.iter_mut().find(|old| old.name == before.label());
            if let Some(old) = old {
                *old = twin;
            }
        }
        let old_label = before.label();
        self.board.retain(|known| known != old_label);
        let is_candidate = self.board.promotion.as_ref()?.candidate() == old_label;
        let promotion = is_candidate.then(|| Promotion::new(&label, now))?;
        let before = self.board.promotion.replace(promotion)?.view();
        (before.stage != Stage::Shadow).then(|| Change {
            reason: format!("another version came in the place of {}", before.candidate),
            candidate: label,
            from: before.stage,
            to: Stage::Shadow,
        })
    }

    /// The scores so far.
    pub const fn board(&self) -> &Board {
        &self.board
    }

    /// Serves what was measured since the last decision with every policy's replicas, and lets each
    /// decide. A time without trusted telemetry is not scored. Gives what has changed by that.
    pub fn step(&mut self, moment: &Moment<'_>) -> Option<News> {
        let seen = moment.observation;
        let (Some(replicas), Some(ready)) = (seen.target_replicas(), seen.ready_replicas) else {
            return None;
        };
        if let Some(canary) = &mut self.board.canary {
            canary.saw(&self.config.canary, moment.now, replicas, self.config.max_replicas);
        }
        let longest = LONGEST_GAP * self.config.decision_interval;
        let before = self.last.replace((moment.now, ready, replicas));
        let Some((_, then_ready, then)) =
            before.filter(|(at, ..)| moment.now.since(*at) <= longest)
        else {
            self.begin(moment, ready, replicas);
            return None;
        };
        let trusted = seen.coverage.is_some_and(|share| share.get() >= MIN_COVERAGE);
        let rps = seen.rps.filter(|_| trusted)?;
        let missed = misses(&self.config.objective, seen)?;
        self.replica.capacity_rps = moment.likely.get().max(1e-9);
        self.scenario.startup = moment.startup;
        let measured = self.score_actual(moment, rps, missed, (then_ready, then));
        self.step_twins(moment, rps);
        self.take_turns(moment.now, &measured)
            .map(News::Demoted)
            .or_else(|| self.promote(moment.now, &measured).map(News::Stage))
    }

    /// Whether it is Foresail's turn at `now`; always, but in mode `canary`.
    pub fn acts(&self, now: Timestamp) -> bool {
        self.board.canary.as_ref().is_none_or(|canary| canary.acts(&self.config.canary, now))
    }

    /// Replicas to give back to whoever had the target before, for it is not Foresail's turn any
    /// longer; `None` when that is done, or nothing to be done.
    pub fn hands_back(&self, now: Timestamp) -> Option<u32> {
        self.board.canary.as_ref()?.hands_back(&self.config.canary, now)
    }

    /// Ends Foresail's turns, as another aggregator has found right.
    pub fn demote(&mut self, reason: &str) {
        if let Some(canary) = &mut self.board.canary {
            canary.demote(reason);
        }
    }

    /// The scores at `now`.
    pub fn scores(&self, now: Timestamp) -> Scoreboard {
        let canary = self.board.canary.as_ref();
        let canary = canary.map(|canary| canary.view(&self.config.canary, now));
        Scoreboard { canary, ..self.board.scores(now) }
    }

    fn take_turns(&mut self, now: Timestamp, measured: &Entry) -> Option<String> {
        let budget = self.config.objective.budget.get();
        self.board.canary.as_mut()?.observe(&self.config.canary, budget, now, measured)
    }

    fn step_twins(&mut self, moment: &Moment<'_>, rps: Rps) {
        let view = View {
            moment,
            rps,
            replica: &self.replica,
            config: &self.config,
            delay_steps: self.scenario.delay_steps(),
        };
        for twin in &mut self.twins {
            let (outcome, is_change) = twin.step(&view);
            let entry = Entry::new(&outcome, is_change, self.config.decision_interval);
            self.board.add_policy(&twin.name, moment.now, &entry);
        }
    }

    /// The policy that is in charge at `now`.
    pub fn leader(&self, now: Timestamp) -> &Shadow {
        let named = self.config.promotion.as_ref().zip(self.board.promotion.as_ref());
        named
            .filter(|(terms, promotion)| promotion.leads(terms, now))
            .and_then(|(terms, _)| {
                self.policies.iter().find(|policy| policy.name() == terms.candidate)
            })
            .unwrap_or(&Shadow::Configured)
    }

    /// Lets the candidate go on or back.
    fn promote(&mut self, now: Timestamp, measured: &Entry) -> Option<Change> {
        let terms = self.config.promotion.as_ref()?;
        let label = self.board.promotion.as_ref()?.candidate();
        let scores = self.board.gate_scores(label, Shadow::Configured.name());
        let promotion = self.board.promotion.as_mut()?;
        promotion.observe(terms, now, measured);
        promotion.consider(terms, self.config.objective.budget.get(), now, &scores)
    }

    /// Every policy begins with the replicas that there are.
    fn begin(&mut self, moment: &Moment<'_>, ready: u32, replicas: u32) {
        let twin = |shadow| self.twin(shadow, moment.now, ready, replicas);
        self.twins = self.policies.iter().map(twin).collect();
        self.actual = Cluster::new(&self.scenario, ready);
    }

    /// A policy that begins with the replicas that there are.
    fn twin(&self, shadow: &Shadow, now: Timestamp, ready: u32, replicas: u32) -> Twin {
        let mut cluster = Cluster::new(&self.scenario, ready);
        cluster.order(replicas);
        Twin::new(&shadow.label(), shadow.decider(&self.config, now), cluster)
    }

    /// Scores the replicas that there are: as measured, and through the model.
    fn score_actual(
        &mut self,
        moment: &Moment<'_>,
        rps: Rps,
        missed: bool,
        (ready, replicas): (u32, u32),
    ) -> Entry {
        let seen = moment.observation;
        let required = self.replica.required(rps.get());
        self.board.require(required, &self.scenario);
        self.actual.set_ready(ready);
        let interval = self.config.decision_interval;
        let mut modelled = self.actual.serve(&self.replica, rps.get(), interval);
        modelled.replicas = replicas;
        let latency = self.config.objective.latency;
        let measured = Outcome {
            violated: missed,
            slow_share: slow_share(seen.p50_ms, seen.p95_ms, seen.p99_ms, latency).unwrap_or(0.0),
            dropped_share: 0.0,
            ..modelled
        };
        let is_change = seen.target_replicas() != Some(replicas);
        let entries = [measured, modelled].map(|outcome| Entry::new(&outcome, is_change, interval));
        self.board.add_actual(moment.now, entries)
    }
}

/// Label of the policy that the terms of promotion name.
fn candidate(config: &WorkloadConfig, policies: &[Shadow]) -> Option<String> {
    let terms = config.promotion.as_ref()?;
    let named = policies.iter().find(|policy| policy.name() == terms.candidate);
    Some(named.map_or_else(|| terms.candidate.clone(), Shadow::label))
}

#[cfg(test)]
mod tests;
