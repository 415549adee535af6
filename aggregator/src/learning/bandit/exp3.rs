//! EXP3 with a share for every policy (Auer, Cesa-Bianchi, Freund and Schapire 2002, EXP3.S), in
//! blocks of rounds because switching costs (Arora, Dekel and Tewari 2012).

use super::{Budget, bounded, draw};
use crate::simulate::Chance;

/// How it learns.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Exp3Settings {
    /// How strongly a loss counts.
    pub rate: f64,
    /// Probability that is spread evenly, for exploration.
    pub explores: f64,
    /// Share of the weight that is spread over all policies each block.
    pub share: f64,
    /// Least probability of the incumbent.
    pub floor: f64,
    /// Rounds that a choice is kept.
    pub block: u32,
}

/// Weights of policies of which only the one in charge shows its loss.
#[derive(Clone, Debug)]
pub struct Exp3 {
    settings: Exp3Settings,
    budget: Budget,
    weights: Vec<f64>,
    choice: usize,
    left: u32,
    /// Of the block: rounds that the choice was really played, and its losses in them.
    played: f64,
    lost: f64,
    incumbent: Lower,
    chance: Chance,
}

/// What the incumbent surely loses: the mean of its own rounds, less what chance allows.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Lower {
    count: f64,
    sum: f64,
}

impl Lower {
    pub(super) fn add(&mut self, loss: f64) {
        self.count += 1.0;
        self.sum += loss;
    }

    /// By Hoeffding's inequality, wrong with a probability of one in a thousand.
    pub(super) fn bound(&self) -> f64 {
        if self.count < 1.0 {
            return 0.0;
        }
        (self.sum / self.count - (1_000.0_f64.ln() / (2.0 * self.count)).sqrt()).max(0.0)
    }
}

impl Exp3 {
    /// All policies weigh the same.
    pub fn new(policies: usize, settings: Exp3Settings, budget: Budget, seed: u64) -> Self {
        Self {
            settings,
            budget,
            weights: vec![1.0 / policies.max(1) as f64; policies],
            choice: budget.incumbent(),
            left: 0,
            played: 0.0,
            lost: 0.0,
            incumbent: Lower::default(),
            chance: Chance::new(seed),
        }
    }

    /// Its error budget.
    pub const fn budget(&self) -> &Budget {
        &self.budget
    }

    /// Probabilities, exploration and the incumbent's floor included.
    pub fn probabilities(&self) -> Vec<f64> {
        let Exp3Settings { explores, floor, .. } = self.settings;
        let even = explores / self.weights.len().max(1) as f64;
        let mut all: Vec<f64> = self
            .weights
            .iter()
            .map(|weight| (1.0 - floor) * ((1.0 - explores) * weight + even))
            .collect();
        if let Some(own) = all.get_mut(self.budget.incumbent()) {
            *own += floor;
        }
        all
    }

    /// The policy of the next round.
    pub fn choose(&mut self) -> usize {
        if self.left == 0 {
            self.left = self.settings.block.max(1);
            self.choice = draw(&self.probabilities(), &mut self.chance);
            (self.played, self.lost) = (0.0, 0.0);
        }
        self.budget.limit(self.choice, 1.0)
    }

    /// Learns what the policy in charge lost.
    pub fn learn(&mut self, played: usize, loss: f64) {
        let loss = bounded(loss);
        if played == self.budget.incumbent() {
            self.incumbent.add(loss);
        }
        self.budget.count(played, loss, self.incumbent.bound());
        if played == self.choice {
            self.played += 1.0;
            self.lost += loss;
        }
        self.left = self.left.saturating_sub(1);
        if self.left == 0 && self.played > 0.0 {
            self.weigh();
        }
    }

    /// Ends a block.
    fn weigh(&mut self) {
        let probability = self.probabilities().get(self.choice).copied().unwrap_or(1.0);
        let estimate = self.lost / self.played / probability.max(1e-9);
        if let Some(weight) = self.weights.get_mut(self.choice) {
            *weight *= (-self.settings.rate * estimate).exp();
        }
        let sum: f64 = self.weights.iter().sum();
        let (policies, share) = (self.weights.len().max(1) as f64, self.settings.share);
        for weight in &mut self.weights {
            let own = if sum > 0.0 { *weight / sum } else { 1.0 / policies };
            *weight = (1.0 - share) * own + share / policies;
        }
    }
}
