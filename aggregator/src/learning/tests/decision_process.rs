//! A Markov decision process that is small enough to be solved exactly.

use crate::chance::Chance;
use crate::learning::environment::{Environment, Step};

/// Probabilities and rewards by state and action.
#[derive(Clone, Debug)]
pub(super) struct DecisionProcess {
    /// By state, action, next state.
    probabilities: Vec<Vec<Vec<f64>>>,
    rewards: Vec<Vec<f64>>,
}

impl DecisionProcess {
    pub(super) fn random(states: usize, actions: usize, seed: u64) -> Self {
        let mut chance = Chance::new(seed);
        let mut row = || {
            let weights: Vec<f64> = (0..states).map(|_| chance.uniform().powi(4)).collect();
            let sum: f64 = weights.iter().sum();
            weights.iter().map(|weight| weight / sum).collect::<Vec<f64>>()
        };
        let probabilities = (0..states).map(|_| (0..actions).map(|_| row()).collect()).collect();
        let rewards = (0..states)
            .map(|_| (0..actions).map(|_| chance.uniform() * 2.0 - 1.0).collect())
            .collect();
        Self { probabilities, rewards }
    }

    /// Values of all actions, and the best one of each state, by value iteration.
    pub(super) fn solve(&self, discount: f64) -> (Vec<Vec<f64>>, Vec<usize>) {
        let mut values: Vec<Vec<f64>> = self.rewards.clone();
        for _ in 0..500 {
            let highest: Vec<f64> =
                values.iter().map(|row| row.iter().copied().fold(f64::MIN, f64::max)).collect();
            values = self
                .probabilities
                .iter()
                .zip(&self.rewards)
                .map(|(by_action, rewards)| {
                    let of = |(next, reward): (&Vec<f64>, &f64)| {
                        let after: f64 = next.iter().zip(&highest).map(|(p, v)| p * v).sum();
                        reward + discount * after
                    };
                    by_action.iter().zip(rewards).map(of).collect()
                })
                .collect();
        }
        let best =
            |row: &Vec<f64>| (0..row.len()).max_by(|a, b| row[*a].total_cmp(&row[*b])).unwrap();
        let policy = values.iter().map(best).collect();
        (values, policy)
    }

    pub(super) fn sample(&self, state: usize, action: usize, chance: &mut Chance) -> (f64, usize) {
        let mut left = chance.uniform();
        let row = &self.probabilities[state][action];
        let next = row.iter().position(|p| {
            left -= p;
            left <= 0.0
        });
        (self.rewards[state][action], next.unwrap_or(row.len() - 1))
    }
}

/// The same as an environment whose observation is the state, one-hot.
pub(super) struct Walk {
    process: DecisionProcess,
    length: usize,
    state: usize,
    steps: usize,
    seen: Vec<f32>,
    chance: Chance,
}

impl Walk {
    pub(super) fn new(process: DecisionProcess, length: usize) -> Self {
        let seen = vec![0.0; process.rewards.len()];
        Self { process, length, state: 0, steps: 0, seen, chance: Chance::new(0) }
    }

    fn enter(&mut self, state: usize) {
        self.state = state;
        self.seen.fill(0.0);
        self.seen[state] = 1.0;
    }
}

impl Environment for Walk {
    fn inputs(&self) -> usize {
        self.seen.len()
    }

    fn actions(&self) -> usize {
        self.process.rewards[0].len()
    }

    fn reset(&mut self, seed: u64) {
        self.chance = Chance::new(seed);
        self.steps = 0;
        let state = self.chance.below(self.seen.len());
        self.enter(state);
    }

    fn observation(&self) -> &[f32] {
        &self.seen
    }

    fn step(&mut self, action: usize) -> Step {
        let (reward, next) = self.process.sample(self.state, action, &mut self.chance);
        self.enter(next);
        self.steps += 1;
        Step { reward: reward as f32, terminated: false, truncated: self.steps >= self.length }
    }
}
