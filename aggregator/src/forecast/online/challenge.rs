//! Trees that were grown because the load has changed, on trial beside those in use.

use std::collections::VecDeque;

use super::boosted::{LEVELS, Trees};

/// A challenger takes over when it loses less than this share of what the champion loses.
const BETTER: f64 = 0.98;

/// What both say of a step.
type Quantiles = [f64; LEVELS.len()];

/// What was said of a step, kept until it comes.
#[derive(Clone, Debug)]
struct Said {
    target: u64,
    champion: Quantiles,
    challenger: Quantiles,
}

/// Trees on trial: nothing is forecast by them.
#[derive(Clone, Debug)]
pub(super) struct Challenge {
    trees: Vec<Trees>,
    said: VecDeque<Said>,
    champion: f64,
    challenger: f64,
    compared: usize,
    /// What must be compared, over all horizons, until it is decided.
    needed: usize,
}

impl Challenge {
    /// Begins, for so many steps at each of its horizons: what came before it was grown says
    /// nothing of it.
    pub(super) fn new(trees: Vec<Trees>, steps: usize) -> Self {
        let needed = steps * trees.len();
        Self { trees, said: VecDeque::new(), champion: 0.0, challenger: 0.0, compared: 0, needed }
    }

    /// Its trees for so many steps ahead.
    pub(super) fn trees(&self, ahead: usize) -> Option<&Trees> {
        self.trees.iter().find(|trees| trees.ahead() == ahead)
    }

    /// Remembers what both say of a step, on the log scale.
    pub(super) fn say(&mut self, target: u64, champion: Quantiles, challenger: Quantiles) {
        self.said.push_back(Said { target, champion, challenger });
    }

    /// Compares what came with what was said of it.
    pub(super) fn learn(&mut self, index: u64, x: Option<f64>) {
        let (mut champion, mut challenger, mut compared) = (0.0, 0.0, 0);
        self.said.retain(|said| {
            if let Some(x) = x.filter(|_| said.target == index) {
                champion += loss(&said.champion, x);
                challenger += loss(&said.challenger, x);
                compared += 1;
            }
            said.target > index
        });
        self.champion += champion;
        self.challenger += challenger;
        self.compared += compared;
    }

    /// Whether it takes over; `None` until enough was compared.
    pub(super) fn verdict(&self) -> Option<bool> {
        (self.compared >= self.needed).then_some(self.challenger < BETTER * self.champion)
    }

    /// The trees, to be used.
    pub(super) fn into_trees(self) -> Vec<Trees> {
        self.trees
    }
}

/// Mean pinball loss at [`LEVELS`].
fn loss(quantiles: &Quantiles, x: f64) -> f64 {
    let losses = quantiles.iter().zip(LEVELS).map(|(said, level)| {
        let error = x - said;
        error * (level - f64::from(u8::from(error < 0.0)))
    });
    losses.sum::<f64>() / LEVELS.len() as f64
}
