//! How much worse than the incumbent trying others may be.

/// An allowance of losses beyond the incumbent's, and what is used of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Budget {
    incumbent: usize,
    initial: f64,
    per_round: f64,
    rounds: f64,
    used: f64,
}

impl Budget {
    /// `initial` rounds of the greatest loss, and `per_round` more with each round.
    pub const fn new(incumbent: usize, initial: f64, per_round: f64) -> Self {
        Self { incumbent, initial, per_round, rounds: 0.0, used: 0.0 }
    }

    /// The policy that is fallen back to.
    pub const fn incumbent(&self) -> usize {
        self.incumbent
    }

    /// What may be used by now.
    pub fn allowed(&self) -> f64 {
        self.initial + self.per_round * self.rounds
    }

    /// Losses beyond the incumbent's so far; negative when others were better.
    pub const fn used(&self) -> f64 {
        self.used
    }

    /// The choice, or the incumbent when `rounds` of the greatest loss could exceed the allowance.
    pub(super) fn limit(&self, choice: usize, rounds: f64) -> usize {
        if self.used + rounds > self.allowed() { self.incumbent } else { choice }
    }

    /// Counts a round; `incumbent_loss` is what the incumbent lost, or at least would have.
    pub(super) fn count(&mut self, choice: usize, loss: f64, incumbent_loss: f64) {
        self.rounds += 1.0;
        if choice != self.incumbent {
            self.used += loss - incumbent_loss;
        }
    }
}
