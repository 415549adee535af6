//! Which of several policies: Hedge where all can be replayed, EXP3 and Thompson sampling where
//! only the one that is in charge is seen.
//!
//! Losses are from 0 to 1 a round. Every chooser keeps a least probability for the incumbent, holds
//! to a choice because switching costs, and stops exploring when its error budget is used up.

mod block;
mod budget;
mod exp3;
mod hedge;
mod thompson;

pub use budget::Budget;
pub use exp3::{Exp3, Exp3Settings};
pub use hedge::{Hedge, HedgeSettings};
pub use thompson::{Thompson, ThompsonSettings};

use crate::chance::Chance;

/// Draws a place by weights; the last when rounding leaves some over.
fn draw(weights: &[f64], chance: &mut Chance) -> usize {
    let mut left = chance.uniform() * weights.iter().sum::<f64>();
    let place = weights.iter().position(|weight| {
        left -= weight;
        left < 0.0
    });
    place.unwrap_or(weights.len().saturating_sub(1))
}

/// A loss between 0 and 1; what is no number counts as the greatest.
fn bounded(loss: f64) -> f64 {
    if loss.is_finite() { loss.clamp(0.0, 1.0) } else { 1.0 }
}

#[cfg(test)]
mod tests;
