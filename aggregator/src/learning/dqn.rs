//! Deep Q-learning: double (van Hasselt et al. 2016), dueling (Wang et al. 2016), with returns of
//! several steps (Sutton 1988) and uniform replay (Mnih et al. 2015).

mod replay;

use super::environment::Step;
use super::network::{Activations, Adam, Network, Shape};
use crate::chance::Chance;
use replay::{Experience, Replay, Returns};

/// How it learns.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DqnSettings {
    /// What a reward one step later is worth, 0 to 1.
    pub discount: f32,
    /// Steps whose rewards are added up before the network's own value stands for the rest.
    pub returns: usize,
    /// Rate of Adam at the beginning and at the end.
    pub rate: (f32, f32),
    /// Experiences of one update.
    pub batch: usize,
    /// Experiences that are remembered.
    pub remembered: usize,
    /// Steps before the first update.
    pub warm_up: usize,
    /// Steps between two updates.
    pub update_every: usize,
    /// Share by which the target moves to the network at an update.
    pub follow: f32,
    /// Share of actions by chance at the beginning and at the end.
    pub exploration: (f64, f64),
    /// Steps until exploration has fallen to its end.
    pub explores_for: usize,
    /// Steps of the whole training; the rate falls over them.
    pub steps: usize,
    /// Units of a hidden layer.
    pub hidden: usize,
}

impl Default for DqnSettings {
    fn default() -> Self {
        Self {
            discount: 0.97,
            returns: 5,
            rate: (5e-4, 5e-5),
            batch: 64,
            remembered: 100_000,
            warm_up: 2_000,
            update_every: 4,
            follow: 0.005,
            exploration: (0.3, 0.02),
            explores_for: 100_000,
            steps: 400_000,
            hidden: 64,
        }
    }
}

/// An agent that learns while it acts. Deterministic for a seed.
#[derive(Debug)]
pub struct Dqn {
    settings: DqnSettings,
    network: Network,
    target: Network,
    adam: Adam,
    gradient: Vec<f32>,
    replay: Replay,
    returns: Returns,
    chance: Chance,
    steps: usize,
    loss: f32,
    work: Activations,
    work_next: Activations,
}

impl Dqn {
    /// An agent that knows nothing.
    pub fn new(inputs: usize, actions: usize, settings: DqnSettings, seed: u64) -> Self {
        let shape = Shape { inputs, hidden: settings.hidden, actions };
        let mut chance = Chance::new(seed);
        let network = Network::new(shape, &mut chance);
        Self {
            target: network.clone(),
            adam: Adam::new(shape.parameters()),
            gradient: vec![0.0; shape.parameters()],
            replay: Replay::new(settings.remembered, inputs),
            returns: Returns::new(settings.returns, settings.discount),
            network,
            settings,
            chance,
            steps: 0,
            loss: 0.0,
            work: Activations::default(),
            work_next: Activations::default(),
        }
    }

    /// Begins as one that prefers an action: the clone of a policy that always takes it.
    #[must_use]
    pub fn preferring(mut self, action: usize, by: f32) -> Self {
        self.network.prefer(action, by);
        self.target = self.network.clone();
        self
    }

    /// What it has learned.
    pub const fn network(&self) -> &Network {
        &self.network
    }

    /// Mean loss, with a memory of some hundred updates.
    pub const fn loss(&self) -> f32 {
        self.loss
    }

    /// The best action.
    pub fn greedy(&mut self, observation: &[f32]) -> usize {
        self.network.evaluate(observation, &mut self.work);
        self.work.best()
    }

    /// The best action, or one by chance.
    pub fn act(&mut self, observation: &[f32]) -> usize {
        let (from, to) = self.settings.exploration;
        let done = (self.steps as f64 / self.settings.explores_for.max(1) as f64).min(1.0);
        if self.chance.uniform() < from + done * (to - from) {
            return self.chance.below(self.network.shape().actions);
        }
        self.greedy(observation)
    }

    /// Takes in what came of an action, and learns.
    pub fn learn(&mut self, before: &[f32], action: usize, step: Step, after: &[f32]) {
        self.steps += 1;
        self.returns.add(before, action, step, after, &mut self.replay);
        let due = self.steps.is_multiple_of(self.settings.update_every.max(1));
        if due && self.replay.len() >= self.settings.warm_up.max(self.settings.batch) {
            self.update();
        }
    }

    fn update(&mut self) {
        self.gradient.fill(0.0);
        let size = self.settings.batch as f32;
        let mut loss = 0.0;
        for _ in 0..self.settings.batch {
            let Some(experience) = self.replay.get(self.chance.below(self.replay.len())) else {
                continue;
            };
            let Experience { before, action, reward, discount, after } = experience;
            let mut wanted = reward;
            if discount > 0.0 {
                self.network.evaluate(after, &mut self.work_next);
                let best = self.work_next.best();
                let values = self.target.evaluate(after, &mut self.work_next);
                wanted += discount * values.get(best).copied().unwrap_or(0.0);
            }
            let values = self.network.evaluate(before, &mut self.work);
            let error = values.get(action).copied().unwrap_or(0.0) - wanted;
            loss += if error.abs() <= 1.0 { 0.5 * error * error } else { error.abs() - 0.5 };
            // Huber's loss: a rare heavy penalty pulls no harder than any other error.
            let slope = error.clamp(-1.0, 1.0) / size;
            self.network.accumulate(before, &mut self.work, action, slope, &mut self.gradient);
        }
        let done = (self.steps as f32 / self.settings.steps.max(1) as f32).min(1.0);
        let (from, to) = self.settings.rate;
        let rate = from + done * (to - from);
        self.adam.descend(self.network.parameters_mut(), &mut self.gradient, rate);
        let follow = self.settings.follow;
        let own = self.network.parameters();
        for (target, own) in self.target.parameters_mut().iter_mut().zip(own) {
            *target += follow * (own - *target);
        }
        self.loss += 0.01 * (loss / size - self.loss);
    }
}
