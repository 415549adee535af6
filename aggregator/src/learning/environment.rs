//! The shape of everything that can be learned on, as in Gymnasium (`Env.reset`, `Env.step`).

mod service;
mod tuner;

pub use service::{DELTAS, Direct};
pub use tuner::{Perturbation, Recording, Served, Tuner};

/// What came of an action; the next observation is in [`Environment::observation`].
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Step {
    /// To be made as great as possible.
    pub reward: f32,
    /// Nothing comes after: its value is zero.
    pub terminated: bool,
    /// Cut off here, although more would come.
    pub truncated: bool,
}

impl Step {
    /// Whether the environment must be reset now.
    pub const fn is_last(self) -> bool {
        self.terminated || self.truncated
    }
}

/// Something that is acted on, a step at a time. The same seed and the same actions give the same
/// observations and rewards.
pub trait Environment {
    /// Numbers of an observation.
    fn inputs(&self) -> usize;
    /// Actions, from 0.
    fn actions(&self) -> usize;
    /// Begins an episode.
    fn reset(&mut self, seed: u64);
    /// What is seen now.
    fn observation(&self) -> &[f32];
    /// Acts. An action that does not exist is the first.
    fn step(&mut self, action: usize) -> Step;
}
