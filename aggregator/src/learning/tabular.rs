//! Q-learning on a table (Watkins 1989), with a rate that falls by visits.

use super::network::best;
use crate::chance::Chance;

/// How it learns.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct QSettings {
    /// What a reward one step later is worth, 0 to 1.
    pub discount: f32,
    /// The rate of the first visit; the n-th has `rate / n^decay`.
    pub rate: f32,
    /// How fast it falls; above 0.5 and up to 1 the values converge.
    pub decay: f32,
    /// Share of actions by chance.
    pub exploration: f64,
}

/// Values of actions in numbered states.
#[derive(Clone, Debug)]
pub struct QTable {
    actions: usize,
    values: Vec<f32>,
    visits: Vec<u32>,
    settings: QSettings,
    chance: Chance,
}

impl QTable {
    /// Every action is worth nothing.
    pub fn new(states: usize, actions: usize, settings: QSettings, seed: u64) -> Self {
        let size = states * actions;
        let chance = Chance::new(seed);
        Self { actions, values: vec![0.0; size], visits: vec![0; size], settings, chance }
    }

    /// Values of a state's actions; empty when there is no such state.
    pub fn values(&self, state: usize) -> &[f32] {
        let from = state.saturating_mul(self.actions);
        self.values.get(from..from.saturating_add(self.actions)).unwrap_or_default()
    }

    /// All values, state after state.
    pub fn all(&self) -> &[f32] {
        &self.values
    }

    /// The best action of a state.
    pub fn greedy(&self, state: usize) -> usize {
        best(self.values(state))
    }

    /// The best action, or one by chance.
    pub fn act(&mut self, state: usize) -> usize {
        if self.chance.uniform() < self.settings.exploration {
            return self.chance.below(self.actions);
        }
        self.greedy(state)
    }

    /// Learns from one step; `next` is `None` when nothing came after.
    pub fn learn(&mut self, state: usize, action: usize, reward: f32, next: Option<usize>) {
        let QSettings { discount, rate, decay, .. } = self.settings;
        let after = next
            .map_or(0.0, |next| self.values(next).get(self.greedy(next)).copied().unwrap_or(0.0));
        let place = state * self.actions + action;
        let (Some(value), Some(visits)) = (self.values.get_mut(place), self.visits.get_mut(place))
        else {
            return;
        };
        *visits = visits.saturating_add(1);
        let rate = rate / (*visits as f32).powf(decay);
        *value += rate * (reward + discount * after - *value);
    }
}
