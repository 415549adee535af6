//! Mode `canary`: Foresail and the incumbent, whoever scaled the workload before, take turns by the
//! clock and are compared. The same turns in every aggregator, whoever leads.

use serde::{Deserialize, Serialize};

use super::board::{Entry, Score};
use super::turns::{Turn, Turns};
use crate::config::TurnsConfig;
use crate::units::Timestamp;

/// When the first turn began.
const EPOCH: Timestamp = Timestamp::from_secs(0);

/// The comparison so far; survives a restart.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Canary {
    turns: Turns,
    /// Replicas that the incumbent had when it was its turn.
    incumbents: Option<u32>,
    /// Whether it has had so many since our last turn.
    handed_back: bool,
    /// Why we have no turn any longer.
    demoted: Option<String>,
}

/// The comparison, to be shown.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CanaryView {
    /// Whether it is our turn.
    pub acts: bool,
    /// Until when, in seconds since 1970; `None` when it stays so.
    pub until: Option<f64>,
    /// Why we have no turn any longer.
    pub demoted: Option<String>,
    /// What was measured in our turns.
    pub own_turns: Option<Score>,
    /// What was measured in the incumbent's.
    pub incumbents_turns: Option<Score>,
}

impl Canary {
    /// Whether it is our turn at `now`.
    pub(super) fn acts(&self, terms: &TurnsConfig, now: Timestamp) -> bool {
        self.demoted.is_none() && Turn::at(terms, EPOCH, now).is_own
    }

    /// Replicas that the incumbent has to have again, where our turn is over and it has not had them
    /// since.
    pub(super) fn hands_back(&self, terms: &TurnsConfig, now: Timestamp) -> Option<u32> {
        self.incumbents.filter(|_| !self.handed_back && !self.acts(terms, now))
    }

    /// Takes note of the replicas that there are before anything is written at `now`.
    pub(super) fn saw(&mut self, terms: &TurnsConfig, now: Timestamp, replicas: u32, most: u32) {
        let replicas = replicas.min(most);
        let incumbents = *self.incumbents.get_or_insert(replicas);
        if self.acts(terms, now) {
            self.handed_back = false;
        } else if self.handed_back {
            self.incumbents = Some(replicas);
        } else {
            self.handed_back = replicas >= incumbents;
        }
    }

    /// What was measured over the time that ends at `now`. Gives why we have no turn any longer, when
    /// that is news.
    pub(super) fn observe(
        &mut self,
        terms: &TurnsConfig,
        budget: f64,
        now: Timestamp,
        entry: &Entry,
    ) -> Option<String> {
        if self.demoted.is_some() {
            return None;
        }
        // The decision interval that ends with a turn is still of that turn.
        let turn = Turn::at(terms, EPOCH, now - entry.time());
        if turn.is_own {
            self.turns.lead(now, entry);
        }
        self.turns.compare(terms, turn, entry);
        let reason = self.turns.breach(budget, now).filter(|_| turn.is_own)?;
        self.demoted = Some(reason.clone());
        Some(reason)
    }

    /// Ends our turns, as another aggregator has found right.
    pub(super) fn demote(&mut self, reason: &str) {
        self.demoted.get_or_insert_with(|| reason.to_owned());
    }

    /// To be shown at `now`.
    pub(super) fn view(&self, terms: &TurnsConfig, now: Timestamp) -> CanaryView {
        let until = now + Turn::at(terms, EPOCH, now).left;
        CanaryView {
            acts: self.acts(terms, now),
            until: self.demoted.is_none().then(|| until.as_secs_f64()),
            demoted: self.demoted.clone(),
            own_turns: Score::of(&self.turns.own),
            incumbents_turns: Score::of(&self.turns.other),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::simulate::Outcome;

    const BUDGET: f64 = 0.01;
    const STEP: Duration = Duration::from_secs(15);
    const TERMS: TurnsConfig =
        TurnsConfig { turn: Duration::from_hours(1), carry_over: Duration::from_mins(10) };

    /// The first hour of those that are ours, not, not, ours, not, and before it not.
    fn start() -> Timestamp {
        let begins = |hour: u64| Timestamp::from_secs((480_000 + hour) * 3_600);
        let owns = |hour: u64| Turn::at(&TERMS, EPOCH, begins(hour)).is_own;
        let wanted = [false, true, false, false, true, false];
        let is_it = |at: &u64| [0, 1, 2, 3, 4, 5].map(|more| owns(at + more)) == wanted;
        begins(1 + (0..1_000).find(is_it).unwrap())
    }

    fn interval(replicas: u32, violated: bool) -> Entry {
        let outcome = Outcome { rps: 100.0, replicas, violated, ..Outcome::default() };
        Entry::of_measured(&outcome, STEP, 10.0)
    }

    fn run(canary: &mut Canary, hours: u32, bad: impl Fn(bool) -> bool) -> Option<(u32, String)> {
        (1..=hours * 240).find_map(|step| {
            let now = start() + STEP * step;
            let own = canary.acts(&TERMS, now - STEP);
            let entry = interval(if own { 11 } else { 14 }, bad(own));
            Some((step, canary.observe(&TERMS, BUDGET, now, &entry)?))
        })
    }

    #[test]
    fn the_turns_of_each_are_compared_without_their_beginnings() {
        let mut canary = Canary::default();
        assert_eq!(run(&mut canary, 4, |own| !own), None, "what the incumbent does is not ours");
        let view = canary.view(&TERMS, start() + Duration::from_hours(4));
        let (own, other) = (view.own_turns.unwrap(), view.incumbents_turns.unwrap());
        // Twice fifty minutes, and two hours without ten minutes.
        assert!((own.known_seconds - 6_000.0).abs() < 1e-6, "{own:?}");
        assert!((other.known_seconds - 6_600.0).abs() < 1e-6, "{other:?}");
        assert!((own.cost_over_oracle - 1.1).abs() < 1e-9 && own.violation < 1e-9, "{own:?}");
        assert!((other.cost_over_oracle - 1.4).abs() < 1e-9, "{other:?}");
        assert!((other.violation - 1.0).abs() < 1e-9, "{other:?}");
    }

    #[test]
    fn a_burning_budget_ends_our_turns_at_once_and_for_good() {
        let mut canary = Canary::default();
        let (step, reason) = run(&mut canary, 1, |own| own).unwrap();
        // 14.4 % of an hour, begun minutes counted.
        assert!((34..=36).contains(&step), "{step}: {reason}");
        for hours in [0, 1, 3, 100] {
            assert!(!canary.acts(&TERMS, start() + Duration::from_hours(hours)));
        }
        let again: Canary =
            crate::store::from_bytes("boards", &crate::store::to_bytes(&canary).unwrap()).unwrap();
        assert_eq!(again, canary);
    }

    #[test]
    fn the_incumbent_gets_the_replicas_back_that_it_had_and_then_does_as_it_likes() {
        let mut canary = Canary::default();
        let at = |minutes: u64| start() + Duration::from_mins(minutes);
        canary.saw(&TERMS, at(0), 6, 20);
        assert_eq!(canary.hands_back(&TERMS, at(0)), None, "it is our turn");
        canary.saw(&TERMS, at(30), 3, 20);
        assert_eq!(canary.hands_back(&TERMS, at(60)), Some(6));
        canary.saw(&TERMS, at(60), 3, 20);
        assert_eq!(canary.hands_back(&TERMS, at(61)), Some(6), "until it is seen");
        canary.saw(&TERMS, at(61), 6, 20);
        canary.saw(&TERMS, at(70), 5, 20);
        assert_eq!(canary.hands_back(&TERMS, at(71)), None);
        // What it had last counts after our next turn.
        canary.saw(&TERMS, at(181), 2, 20);
        assert_eq!(canary.hands_back(&TERMS, at(245)), Some(5));
        // Never more than may be.
        let mut high = Canary::default();
        high.saw(&TERMS, at(0), 30, 20);
        high.saw(&TERMS, at(10), 4, 20);
        assert_eq!(high.hands_back(&TERMS, at(60)), Some(20));
        high.saw(&TERMS, at(60), 20, 20);
        assert_eq!(high.hands_back(&TERMS, at(61)), None);
    }
}
