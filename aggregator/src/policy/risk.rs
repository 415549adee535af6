//! The price of risk, found by feedback: it rises when the objective is missed more often than the
//! budget allows and falls when it is missed less.
//!
//! A conformal decision rule (Lekeufack et al. 2023, arXiv 2310.05921): the share of load served
//! outside the objective tends to the budget whatever the load does, as long as the price is not
//! at its bound.

use serde::{Deserialize, Serialize};

/// Step size of the feedback.
const RATE: f64 = 0.03;
/// Bounds of the price, in replicas for a replica's worth of load at risk. Below one, load would be
/// risked for less than it is worth.
const LEAST: f64 = 1.0;
const MOST: f64 = 300.0;
/// It begins at this over the budget: a load over capacity costs so much that it is bought off until
/// it happens about five times as often as the budget allows, for most of it does no harm.
const START: f64 = 0.2;
/// Above this multiple of the mean rate a step weighs no more.
const LARGEST_WEIGHT: f64 = 5.0;
/// Decisions over which the mean rate is taken: three days of one every 15 s.
const MEAN_OVER: f64 = 17_280.0;

/// Price of risk of one workload.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct RiskPrice {
    ln_price: f64,
    mean_rps: f64,
    count: f64,
}

impl RiskPrice {
    /// The price to begin with for a budget, a share of requests above 0.
    pub fn for_budget(budget: f64) -> Self {
        let price = (START / budget).clamp(LEAST, MOST);
        Self { ln_price: price.ln(), mean_rps: 0.0, count: 0.0 }
    }

    /// Price of a replica's worth of load over capacity, in replicas.
    pub fn get(&self) -> f64 {
        self.ln_price.exp()
    }

    /// The same price whatever happens: a policy with a knob instead of a budget.
    pub fn fixed(price: f64) -> Self {
        Self { ln_price: price.max(1e-3).ln(), mean_rps: 0.0, count: 0.0 }
    }

    /// Learns whether the objective held while `rps` came in.
    pub(super) fn observe(&mut self, missed: bool, rps: f64, budget: f64) {
        self.count = (self.count + 1.0).min(MEAN_OVER);
        self.mean_rps += (rps - self.mean_rps) / self.count;
        if self.mean_rps <= 0.0 {
            return;
        }
        let weight = (rps / self.mean_rps).min(LARGEST_WEIGHT);
        let missed = f64::from(u8::from(missed));
        self.ln_price =
            (self.ln_price + RATE * (missed - budget) * weight).clamp(LEAST.ln(), MOST.ln());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_price_stands_still_where_the_budget_is_used_up_exactly() {
        let mut price = RiskPrice::for_budget(0.01);
        for i in 0..10_000 {
            price.observe(i % 100 == 0, 50.0, 0.01);
        }
        assert!((price.get() / 20.0).ln().abs() < 0.1, "{}", price.get());
    }

    #[test]
    fn misses_raise_it_and_calm_lowers_it_within_bounds() {
        let mut price = RiskPrice::for_budget(0.01);
        (0..1_000).for_each(|_| price.observe(true, 50.0, 0.01));
        assert!((price.get() - MOST).abs() < 1e-6);
        (0..100_000).for_each(|_| price.observe(false, 50.0, 0.01));
        assert!((price.get() - LEAST).abs() < 1e-6);
    }
}
