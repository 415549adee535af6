//! EXP3 with a share for every policy (Auer, Cesa-Bianchi, Freund and Schapire 2002, EXP3.S), in
//! blocks of rounds because switching costs (Arora, Dekel and Tewari 2012).

use super::block::Block;
use super::{Budget, draw};
use crate::chance::Chance;

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
    block: Block,
    weights: Vec<f64>,
    chance: Chance,
}

impl Exp3 {
    /// All policies weigh the same.
    pub fn new(policies: usize, settings: Exp3Settings, budget: Budget, seed: u64) -> Self {
        Self {
            settings,
            block: Block::new(budget),
            weights: vec![1.0 / policies.max(1) as f64; policies],
            chance: Chance::new(seed),
        }
    }

    /// Its error budget.
    pub const fn budget(&self) -> &Budget {
        &self.block.budget
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
        if let Some(own) = all.get_mut(self.block.budget.incumbent()) {
            *own += floor;
        }
        all
    }

    /// The policy of the next round.
    pub fn choose(&mut self) -> usize {
        if self.block.is_over() {
            let choice = draw(&self.probabilities(), &mut self.chance);
            self.block.begin(choice, self.settings.block);
        }
        self.block.next()
    }

    /// Learns what the policy in charge lost.
    pub fn learn(&mut self, played: usize, loss: f64) {
        if let Some(mean) = self.block.count(played, loss) {
            self.weigh(mean);
        }
    }

    /// Ends a block with this mean loss.
    fn weigh(&mut self, mean: f64) {
        let choice = self.block.choice();
        let probability = self.probabilities().get(choice).copied().unwrap_or(1.0);
        let estimate = mean / probability.max(1e-9);
        if let Some(weight) = self.weights.get_mut(choice) {
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
