//! The upper tail of a forecast: what the load exceeds with given probabilities.

use serde::{Deserialize, Serialize};

/// Probabilities of being exceeded for which a forecast is kept, descending.
pub const EXCEEDANCE: [f64; 12] =
    [0.9, 0.5, 0.3, 0.2, 0.1, 0.05, 0.02, 0.01, 0.005, 0.002, 0.001, 0.0005];
/// Their logarithms: they are needed some hundred times a decision.
const LN_EXCEEDANCE: [f64; EXCEEDANCE.len()] = [
    -0.105_360_515_657_826_28,
    -std::f64::consts::LN_2,
    -1.203_972_804_325_936_1,
    -1.609_437_912_434_100_3,
    -2.302_585_092_994_045_5,
    -2.995_732_273_553_991,
    -3.912_023_005_428_146,
    -4.605_170_185_988_091,
    -5.298_317_366_548_036,
    -6.214_608_098_422_191,
    -6.907_755_278_982_137,
    -7.600_902_459_542_082,
];
/// Place of the median in [`EXCEEDANCE`].
const MEDIAN: usize = 1;

/// Rates, in requests per second, that are exceeded with the probabilities in [`EXCEEDANCE`];
/// ascending.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Tail {
    rates: [f64; EXCEEDANCE.len()],
}

impl Tail {
    /// Takes rates in the order of [`EXCEEDANCE`]; what is out of order is raised to the rate
    /// before it. `None` when a rate is not finite.
    pub fn new(mut rates: [f64; EXCEEDANCE.len()]) -> Option<Self> {
        let mut least = 0.0;
        for rate in &mut rates {
            if !rate.is_finite() {
                return None;
            }
            least = rate.max(least);
            *rate = least;
        }
        Some(Self { rates })
    }

    /// The rates.
    pub const fn rates(&self) -> &[f64; EXCEEDANCE.len()] {
        &self.rates
    }

    /// The median rate.
    pub const fn median(&self) -> f64 {
        self.rates[MEDIAN]
    }

    /// The rate exceeded with probability `alpha`, interpolated in the logarithm of `alpha`;
    /// beyond the last known probability the last slope goes on.
    pub fn exceeded_with(&self, alpha: f64) -> f64 {
        let alpha = alpha.clamp(1e-9, 1.0);
        let after = EXCEEDANCE.partition_point(|known| *known > alpha);
        let at = after.clamp(1, EXCEEDANCE.len() - 1);
        let (Some(a0), Some(a1)) = (LN_EXCEEDANCE.get(at - 1), LN_EXCEEDANCE.get(at)) else {
            return self.median();
        };
        let (Some(r0), Some(r1)) = (self.rates.get(at - 1), self.rates.get(at)) else {
            return self.median();
        };
        let share = (alpha.ln() - a0) / (a1 - a0);
        (r0 + share * (r1 - r0)).max(0.0)
    }

    /// Probability that the load is above `rate`, 0 to 1.
    pub fn exceedance(&self, rate: f64) -> f64 {
        let after = self.rates.partition_point(|known| *known <= rate);
        let at = after.clamp(1, EXCEEDANCE.len() - 1);
        let (Some(a0), Some(a1)) = (LN_EXCEEDANCE.get(at - 1), LN_EXCEEDANCE.get(at)) else {
            return 1.0;
        };
        let (Some(r0), Some(r1)) = (self.rates.get(at - 1), self.rates.get(at)) else {
            return 1.0;
        };
        let width = r1 - r0;
        if width <= 0.0 {
            return if rate < *r0 { a0.exp() } else { a1.exp() };
        }
        let share = (rate - r0) / width;
        (a0 + share * (a1 - a0)).exp().min(1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exponential() -> Tail {
        Tail::new(EXCEEDANCE.map(|alpha| -alpha.ln() * 100.0)).unwrap()
    }

    #[test]
    fn probability_and_rate_are_inverse() {
        let tail = exponential();
        for alpha in [0.8, 0.5, 0.15, 0.03, 0.001, 0.0001] {
            let back = tail.exceedance(tail.exceeded_with(alpha));
            assert!((back / alpha - 1.0).abs() < 1e-6, "{back} for {alpha}");
        }
    }

    #[test]
    fn the_logarithms_are_those_of_the_probabilities() {
        for (alpha, ln) in EXCEEDANCE.iter().zip(LN_EXCEEDANCE) {
            assert!((alpha.ln() - ln).abs() < 1e-12, "{alpha}");
        }
    }

    #[test]
    fn rates_out_of_order_are_raised_and_nonsense_is_refused() {
        let mut rates = EXCEEDANCE.map(|alpha| 1.0 - alpha);
        rates[5] = 0.0;
        let tail = Tail::new(rates).unwrap();
        assert!(tail.rates().is_sorted());
        rates[3] = f64::NAN;
        assert_eq!(Tail::new(rates), None);
    }
}
