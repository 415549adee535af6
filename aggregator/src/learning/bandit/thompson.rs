//! Thompson sampling (Thompson 1933; with normal posteriors, Agrawal and Goyal 2013) whose memory
//! fades, in blocks of rounds because switching costs.

use super::exp3::Lower;
use super::{Budget, bounded};
use crate::simulate::Chance;

/// How it learns.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ThompsonSettings {
    /// What a block's loss still counts one block later; 1 for policies that never change.
    pub keeps: f64,
    /// Spread of a block's mean loss.
    pub spread: f64,
    /// Least probability of the incumbent.
    pub floor: f64,
    /// What a switch costs, in losses of a block: others must promise more than that.
    pub switching: f64,
    /// Rounds that a choice is kept.
    pub block: u32,
}

/// Beliefs about policies of which only the one in charge shows its loss.
#[derive(Clone, Debug)]
pub struct Thompson {
    settings: ThompsonSettings,
    budget: Budget,
    /// Blocks, and their mean losses' sum, of each policy; both fade.
    beliefs: Vec<(f64, f64)>,
    choice: usize,
    left: u32,
    played: f64,
    lost: f64,
    incumbent: Lower,
    chance: Chance,
}

impl Thompson {
    /// Nothing is known of any policy.
    pub fn new(policies: usize, settings: ThompsonSettings, budget: Budget, seed: u64) -> Self {
        Self {
            settings,
            budget,
            beliefs: vec![(0.0, 0.0); policies],
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

    /// The policy of the next round.
    pub fn choose(&mut self) -> usize {
        if self.left == 0 {
            self.left = self.settings.block.max(1);
            (self.played, self.lost) = (0.0, 0.0);
            self.choice = if self.chance.uniform() < self.settings.floor {
                self.budget.incumbent()
            } else {
                self.sampled()
            };
        }
        self.budget.limit(self.choice, 1.0)
    }

    /// The policy of the least loss in a draw from what is believed.
    fn sampled(&mut self) -> usize {
        let ThompsonSettings { spread, switching, .. } = self.settings;
        let mut least = (self.choice, f64::INFINITY);
        for (policy, (blocks, sum)) in self.beliefs.iter().enumerate() {
            // A prior of one block of middling loss.
            let mean = (sum + 0.5) / (blocks + 1.0);
            let draw = mean + spread / (blocks + 1.0).sqrt() * self.chance.normal();
            let cost = if policy == self.choice { draw } else { draw + switching };
            if cost < least.1 {
                least = (policy, cost);
            }
        }
        least.0
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
        if self.left > 0 || self.played <= 0.0 {
            return;
        }
        for (blocks, sum) in &mut self.beliefs {
            *blocks *= self.settings.keeps;
            *sum *= self.settings.keeps;
        }
        if let Some((blocks, sum)) = self.beliefs.get_mut(self.choice) {
            *blocks += 1.0;
            *sum += self.lost / self.played;
        }
    }
}
