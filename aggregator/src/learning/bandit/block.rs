//! What choosers have in common that see only the loss of the policy in charge: a choice is kept for a
//! block of rounds, and an error budget watches every round.

use super::{Budget, bounded};

/// The block of rounds that is being played.
#[derive(Clone, Debug)]
pub(super) struct Block {
    pub(super) budget: Budget,
    incumbent: Lower,
    choice: usize,
    left: u32,
    /// Rounds that the choice was really played, and its losses in them.
    played: f64,
    lost: f64,
}

/// What the incumbent surely loses: the mean of its own rounds, less what chance allows.
#[derive(Clone, Copy, Debug, Default)]
struct Lower {
    count: f64,
    sum: f64,
}

impl Lower {
    fn add(&mut self, loss: f64) {
        self.count += 1.0;
        self.sum += loss;
    }

    /// By Hoeffding's inequality, wrong with a probability of one in a thousand.
    fn bound(&self) -> f64 {
        if self.count < 1.0 {
            return 0.0;
        }
        (self.sum / self.count - (1_000.0_f64.ln() / (2.0 * self.count)).sqrt()).max(0.0)
    }
}

impl Block {
    /// Nothing is played yet; the incumbent is in charge.
    pub(super) fn new(budget: Budget) -> Self {
        let choice = budget.incumbent();
        Self { budget, incumbent: Lower::default(), choice, left: 0, played: 0.0, lost: 0.0 }
    }

    /// The policy that this block plays.
    pub(super) const fn choice(&self) -> usize {
        self.choice
    }

    /// Whether the next round begins a block, whose policy has to be chosen.
    pub(super) const fn is_over(&self) -> bool {
        self.left == 0
    }

    /// Begins a block of so many rounds.
    pub(super) fn begin(&mut self, choice: usize, rounds: u32) {
        self.choice = choice;
        self.left = rounds.max(1);
        (self.played, self.lost) = (0.0, 0.0);
    }

    /// The policy of the next round: the block's, as far as the error budget allows.
    pub(super) fn next(&mut self) -> usize {
        self.budget.limit(self.choice, 1.0)
    }

    /// Counts what the policy in charge lost; at the end of a block in which its own policy was
    /// played, that policy's mean loss.
    pub(super) fn count(&mut self, played: usize, loss: f64) -> Option<f64> {
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
        (self.left == 0 && self.played > 0.0).then(|| self.lost / self.played)
    }
}
