//! Hedge (Freund and Schapire 1997) with a fixed share for every policy (Herbster and Warmuth
//! 1998), so that it follows when the best one changes, and few switches (the shrinking dartboard
//! of Geulen, Vöcking and Winkler 2010).

use super::{Budget, bounded, draw};
use crate::chance::Chance;

/// How it learns.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HedgeSettings {
    /// How strongly a loss counts.
    pub rate: f64,
    /// Share of the weight that is spread over all policies each round; 0 for one best policy.
    pub share: f64,
    /// Least probability of the incumbent.
    pub floor: f64,
}

impl HedgeSettings {
    /// Settings for `rounds` rounds among `policies`, of which the best changes `switches` times.
    pub fn for_rounds(policies: usize, rounds: usize, switches: usize) -> Self {
        let (n, t) = (policies.max(2) as f64, rounds.max(1) as f64);
        let parts = switches as f64 + 1.0;
        let rate =
            (8.0 * parts * (n.ln() + (t / parts).ln().min(switches as f64 * 9.0)) / t).sqrt();
        Self { rate: rate.min(1.0), share: switches as f64 / t, floor: 0.05 }
    }
}

/// Weights of policies whose losses are all known after each round, from replays.
#[derive(Clone, Debug)]
pub struct Hedge {
    settings: HedgeSettings,
    budget: Budget,
    weights: Vec<f64>,
    choice: usize,
    /// Probability with which the choice is kept.
    keeps: f64,
    chance: Chance,
}

impl Hedge {
    /// All policies weigh the same; the incumbent is in charge.
    pub fn new(policies: usize, settings: HedgeSettings, budget: Budget, seed: u64) -> Self {
        Self {
            settings,
            budget,
            weights: vec![1.0 / policies.max(1) as f64; policies],
            choice: budget.incumbent(),
            keeps: 0.0,
            chance: Chance::new(seed),
        }
    }

    /// Probabilities, the incumbent's floor included.
    pub fn probabilities(&self) -> Vec<f64> {
        let mut all: Vec<f64> =
            self.weights.iter().map(|weight| weight * (1.0 - self.settings.floor)).collect();
        if let Some(own) = all.get_mut(self.budget.incumbent()) {
            *own += self.settings.floor;
        }
        all
    }

    /// Its error budget.
    pub const fn budget(&self) -> &Budget {
        &self.budget
    }

    /// The policy of the next round.
    pub fn choose(&mut self) -> usize {
        if self.chance.uniform() >= self.keeps {
            self.choice = draw(&self.probabilities(), &mut self.chance);
        }
        self.budget.limit(self.choice, 1.0)
    }

    /// Learns what every policy lost while `played` was in charge.
    pub fn learn(&mut self, played: usize, losses: &[f64]) {
        let loss_of = |policy: usize| bounded(losses.get(policy).copied().unwrap_or(1.0));
        self.budget.count(played, loss_of(played), loss_of(self.budget.incumbent()));
        let before = self.probabilities().get(self.choice).copied().unwrap_or(0.0);
        for (policy, weight) in self.weights.iter_mut().enumerate() {
            *weight *= (-self.settings.rate * loss_of(policy)).exp();
        }
        // A choice is kept as far as its own weight did not shrink: its probability is right in
        // every round, although it is drawn anew in few.
        let sum: f64 = self.weights.iter().sum();
        let policies = self.weights.len().max(1) as f64;
        for weight in &mut self.weights {
            let own = if sum > 0.0 { *weight / sum } else { 1.0 / policies };
            *weight = (1.0 - self.settings.share) * own + self.settings.share / policies;
        }
        let after = self.probabilities().get(self.choice).copied().unwrap_or(0.0);
        self.keeps = if before > 0.0 { (after / before).min(1.0) } else { 0.0 };
    }
}
