//! A decision in two halves, and what a learned policy says between them.

use super::{Autoscaler, Step};
use crate::forecast::Curve;
use crate::journal::{Observation, Signal};
use crate::policy::{Advice, Known, Proposal, Situation};
use crate::safety::Verdict;
use crate::units::Timestamp;

/// What the signals ask for, before any guard: see [`Autoscaler::consider`].
#[derive(Clone, Debug, PartialEq)]
pub struct Considered {
    now: Timestamp,
    observation: Observation,
    /// The observation without what is not the replicas' doing.
    own: Observation,
    proposal: Proposal,
}

impl Considered {
    /// What the signals ask for.
    pub const fn proposal(&self) -> &Proposal {
        &self.proposal
    }
}

impl Autoscaler {
    /// The first half of [`Autoscaler::step_with`]: asks the signals. A learned policy in training
    /// answers between the halves.
    pub fn consider(
        &mut self,
        now: Timestamp,
        observation: &Observation,
        curve: Option<&Curve>,
    ) -> Considered {
        self.curve = curve.cloned();
        self.ask(now, observation.believed(now))
    }

    /// What a learned policy looks at.
    pub fn situation<'a>(&'a self, considered: &'a Considered) -> Situation<'a> {
        Situation {
            now: considered.now,
            config: &self.config,
            observation: &considered.own,
            capacity: self.safe_rps(),
            startup: self.startup(),
            curve: self.curve.as_ref(),
            proposal: &considered.proposal,
            risk_price: self.risk_price(),
        }
    }

    /// What the second half would decide, and nothing is kept: for a policy that runs beside the one
    /// in charge.
    pub fn would_decide(&self, considered: &Considered, advice: Option<Advice>) -> Verdict {
        let Considered { now, observation, proposal, .. } = considered;
        let proposal = Proposal { learned: advice, ..proposal.clone() };
        self.safety.clone().judge(&self.config, *now, observation, &proposal)
    }

    /// The second half: advice, guards, the record.
    pub fn conclude(&mut self, considered: Considered, advice: Option<Advice>) -> Step {
        self.finish(considered, advice, None)
    }

    pub(super) fn decide(
        &mut self,
        now: Timestamp,
        observation: &Observation,
        fault: Option<String>,
    ) -> Step {
        let considered = self.ask(now, observation.clone());
        let advice = self.adviser.take().and_then(|(mut adviser, standing)| {
            let replicas = adviser.advise(&self.situation(&considered));
            self.adviser = Some((adviser, standing));
            Some(Advice { replicas: replicas?, standing })
        });
        self.finish(considered, advice, fault)
    }

    fn ask(&mut self, now: Timestamp, observation: Observation) -> Considered {
        self.learn_replicas(now, &observation);
        let own = self.outside.without_excess(observation.clone(), self.config.decision_interval);
        self.learn_capacity(now, &own);
        let known = Known {
            capacity: self.safe_rps(),
            startup: self.startup(),
            curve: self.curve.as_ref(),
        };
        let proposal = self.policy.propose(&self.config, now, &own, known);
        Considered { now, observation, own, proposal }
    }

    fn finish(
        &mut self,
        considered: Considered,
        advice: Option<Advice>,
        fault: Option<String>,
    ) -> Step {
        let Considered { now, observation, mut proposal, .. } = considered;
        proposal.learned = advice;
        if let (Some(_), Some(moved)) = (advice, proposal.answer()) {
            let name = "learned".to_owned();
            let before = proposal.without_advice().unwrap_or(moved);
            let reason = format!("a learned policy moves {before}");
            proposal.signals.push(Signal { name, desired_replicas: moved, reason });
        }
        let verdict = self.safety.judge(&self.config, now, &observation, &proposal);
        let decision = self.record(now, &observation, proposal, &verdict, fault);
        self.last_decision = Some(decision.clone());
        Step { decision, approved: verdict.approved }
    }
}
