//! Thompson sampling (Thompson 1933; with normal posteriors, Agrawal and Goyal 2013) whose memory
//! fades, in blocks of rounds because switching costs.

use super::Budget;
use super::block::Block;
use crate::chance::Chance;

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
    block: Block,
    /// Blocks, and their mean losses' sum, of each policy; both fade.
    beliefs: Vec<(f64, f64)>,
    chance: Chance,
}

impl Thompson {
    /// Nothing is known of any policy.
    pub fn new(policies: usize, settings: ThompsonSettings, budget: Budget, seed: u64) -> Self {
        Self {
            settings,
            block: Block::new(budget),
            beliefs: vec![(0.0, 0.0); policies],
            chance: Chance::new(seed),
        }
    }

    /// Its error budget.
    pub const fn budget(&self) -> &Budget {
        &self.block.budget
    }

    /// The policy of the next round.
    pub fn choose(&mut self) -> usize {
        if self.block.is_over() {
            let choice = if self.chance.uniform() < self.settings.floor {
                self.block.budget.incumbent()
            } else {
                self.sampled()
            };
            self.block.begin(choice, self.settings.block);
        }
        self.block.next()
    }

    /// The policy of the least loss in a draw from what is believed.
    fn sampled(&mut self) -> usize {
        let ThompsonSettings { spread, switching, .. } = self.settings;
        let held = self.block.choice();
        let mut least = (held, f64::INFINITY);
        for (policy, (blocks, sum)) in self.beliefs.iter().enumerate() {
            // A prior of one block of middling loss.
            let mean = (sum + 0.5) / (blocks + 1.0);
            let draw = mean + spread / (blocks + 1.0).sqrt() * self.chance.normal();
            let cost = if policy == held { draw } else { draw + switching };
            if cost < least.1 {
                least = (policy, cost);
            }
        }
        least.0
    }

    /// Learns what the policy in charge lost.
    pub fn learn(&mut self, played: usize, loss: f64) {
        let Some(mean) = self.block.count(played, loss) else { return };
        for (blocks, sum) in &mut self.beliefs {
            *blocks *= self.settings.keeps;
            *sum *= self.settings.keeps;
        }
        if let Some((blocks, sum)) = self.beliefs.get_mut(self.block.choice()) {
            *blocks += 1.0;
            *sum += mean;
        }
    }
}
