//! Learning that is safe to switch on: environments, agents, and what they may say.
//!
//! Like the core it is pure: chance comes from seeds, time from arguments, files from the shell. A
//! learner never acts: it is a [`crate::policy::Adviser`] whose answers pass the limits of
//! [`crate::policy::Proposal::answer`] and every guard of [`crate::safety`].

pub mod adviser;
pub mod bandit;
pub mod dqn;
pub mod environment;
pub mod model;
pub mod network;
pub mod perturb;
pub mod reward;
pub mod tabular;
pub mod train;
pub mod view;

#[cfg(test)]
mod tests;
