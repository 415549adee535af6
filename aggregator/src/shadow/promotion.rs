//! The way of a policy from shadow to active: gates, turns with the workload's own settings, and back
//! at once when the budget burns.

use serde::{Deserialize, Serialize};

use super::board::{Entry, Score};
use super::turns::{Turn, Turns};
use crate::config::{Approval, PromotionConfig};
use crate::units::Timestamp;

/// How far a candidate has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// It runs beside the one in charge.
    #[default]
    Shadow,
    /// The gates are open, and a person must say so.
    Waiting,
    /// It and the settings take turns.
    Canary,
    /// It is in charge.
    Active,
    /// It was turned away, until another candidate is named.
    Refused,
}

impl Stage {
    /// As it is shown.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Shadow => "shadow",
            Self::Waiting => "waiting",
            Self::Canary => "canary",
            Self::Active => "active",
            Self::Refused => "refused",
        }
    }
}

/// A candidate on its way; survives a restart.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Promotion {
    candidate: String,
    stage: Stage,
    since: Timestamp,
    reason: String,
    /// What was measured in its turns and in those of the settings.
    turns: Turns,
}

/// A candidate on its way, to be shown.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PromotionView {
    /// Which policy.
    pub candidate: String,
    /// How far it is.
    pub stage: Stage,
    /// Since when, in seconds since 1970.
    pub since: f64,
    /// Why.
    pub reason: String,
    /// What was measured in its turns.
    pub own_turns: Option<Score>,
    /// What was measured in those of the workload's own settings.
    pub other_turns: Option<Score>,
}

/// A change of stage.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Change {
    /// Which policy.
    pub candidate: String,
    /// Where it was.
    pub from: Stage,
    /// Where it is now.
    pub to: Stage,
    /// Why.
    pub reason: String,
}

/// The scores that the gate of the shadow looks at: all of the same time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scores {
    pub(super) candidate: Option<Score>,
    /// Of the workload's own settings.
    pub(super) configured: Option<Score>,
    /// Whoever is in charge.
    pub(super) measured: Option<Score>,
    /// The same through the model.
    pub(super) modelled: Option<Score>,
}

impl Promotion {
    /// Begins as a shadow.
    pub(super) fn new(candidate: &str, now: Timestamp) -> Self {
        Self {
            candidate: candidate.to_owned(),
            stage: Stage::Shadow,
            since: now,
            reason: "it runs beside the one in charge".to_owned(),
            turns: Turns::default(),
        }
    }

    /// Which policy.
    pub(super) fn candidate(&self) -> &str {
        &self.candidate
    }

    /// To be shown.
    pub(super) fn view(&self) -> PromotionView {
        PromotionView {
            candidate: self.candidate.clone(),
            stage: self.stage,
            since: self.since.as_secs_f64(),
            reason: self.reason.clone(),
            own_turns: Score::of(&self.turns.own),
            other_turns: Score::of(&self.turns.other),
        }
    }

    /// Whether it is in charge at `now`.
    pub(super) fn leads(&self, terms: &PromotionConfig, now: Timestamp) -> bool {
        match self.stage {
            Stage::Shadow | Stage::Waiting | Stage::Refused => false,
            Stage::Canary => Turn::at(&terms.turns(), self.since, now).is_own,
            Stage::Active => true,
        }
    }

    /// What was measured over the time that ends at `now`, of whoever was in charge.
    pub(super) fn observe(&mut self, terms: &PromotionConfig, now: Timestamp, entry: &Entry) {
        // The decision interval that ends with a turn is still of that turn.
        let then = now - entry.time();
        if self.leads(terms, then) {
            self.turns.lead(now, entry);
        }
        if self.stage == Stage::Canary {
            let turns = terms.turns();
            self.turns.compare(&turns, Turn::at(&turns, self.since, then), entry);
        }
    }

    /// Goes on where a gate is open, and back where the budget burns.
    pub(super) fn consider(
        &mut self,
        terms: &PromotionConfig,
        budget: f64,
        now: Timestamp,
        scores: &Scores,
    ) -> Option<Change> {
        let breach = || self.turns.breach(budget, now).map(|reason| (Stage::Refused, reason));
        let (to, reason) = match self.stage {
            Stage::Shadow | Stage::Waiting => {
                let reason = opens(terms, budget, scores);
                match (reason, terms.approval) {
                    (Some(reason), Approval::Automatic) => (Stage::Canary, reason),
                    (Some(reason), Approval::Manual) => (
                        Stage::Waiting,
                        format!("{reason}; set approval to automatic to let it take turns"),
                    ),
                    (None, _) => {
                        (Stage::Shadow, "it no longer passes the gate of the shadow".to_owned())
                    }
                }
            }
            Stage::Canary => breach().or_else(|| self.compares(terms, budget))?,
            Stage::Active => breach()?,
            Stage::Refused => return None,
        };
        (to != self.stage).then(|| self.change(to, now, reason))
    }

    fn change(&mut self, to: Stage, now: Timestamp, reason: String) -> Change {
        let from = std::mem::replace(&mut self.stage, to);
        self.since = now;
        self.reason.clone_from(&reason);
        if to == Stage::Canary {
            self.turns = Turns::default();
        }
        Change { candidate: self.candidate.clone(), from, to, reason }
    }

    /// Compares the turns once there are enough of them.
    fn compares(&self, terms: &PromotionConfig, budget: f64) -> Option<(Stage, String)> {
        let (own, other) = (Score::of(&self.turns.own)?, Score::of(&self.turns.other)?);
        if self.turns.own.time() < terms.least_turns_time {
            return None;
        }
        let figures = format!(
            "in its turns {:.2} % violations at {:.3} of the oracle's cost, in those of the settings \
             {:.2} % at {:.3}",
            own.violation * 100.0,
            own.cost_over_oracle,
            other.violation * 100.0,
            other.cost_over_oracle
        );
        let is_good = own.violation <= (terms.most_violations * other.violation).max(budget);
        let is_cheap = own.cost_over_oracle <= other.cost_over_oracle;
        Some((if is_good && is_cheap { Stage::Active } else { Stage::Refused }, figures))
    }
}

/// The gate from shadow to canary: why it is open, `None` when it is not.
fn opens(terms: &PromotionConfig, budget: f64, scores: &Scores) -> Option<String> {
    let (candidate, configured) = (scores.candidate?, scores.configured?);
    let (measured, modelled) = (scores.measured?, scores.modelled?);
    let is_long = candidate.known_seconds >= terms.least_time.as_secs_f64();
    let is_good = candidate.violation <= (terms.most_violations * configured.violation).max(budget);
    let is_cheap =
        candidate.cost_over_oracle <= (1.0 - terms.least_gain) * configured.cost_over_oracle;
    // A model that is wrong about who is in charge says nothing of others.
    let is_calibrated = (modelled.violation - measured.violation).abs() <= budget;
    (is_long && is_good && is_cheap && is_calibrated).then(|| {
        format!(
            "as a shadow {:.2} % violations at {:.3} of the oracle's cost, the settings {:.2} % at {:.3}",
            candidate.violation * 100.0,
            candidate.cost_over_oracle,
            configured.violation * 100.0,
            configured.cost_over_oracle
        )
    })
}

#[cfg(test)]
mod tests;
