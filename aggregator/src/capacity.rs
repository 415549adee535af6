//! What one ready replica can safely serve, learned from ordinary traffic.
//!
//! A Bayesian filter over a grid of hypotheses: how much a replica serves while the objective just
//! holds, and how the share of slow requests grows around that load. Each interval's share of slow
//! requests at its load per replica says how likely each hypothesis is. Three things keep it honest
//! without a word from anybody: no interval speaks louder than a bound, so a noisy neighbour is
//! outvoted; old evidence fades and no hypothesis is ruled out for good, so a deploy that changes
//! the capacity is believed after a few intervals; and loads that were never seen to be fine are
//! not promised. The decision uses a low quantile of what is left, so that doubt costs replicas and
//! not latency.

mod curves;
mod outside;
mod startup;

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::units::{Ratio, Rps};
use curves::CURVES;

pub use curves::Expectation;
pub use outside::Outside;
pub use startup::StartupTimes;

/// Hypotheses of capacity for each shape.
const CAPACITIES: usize = 96;
/// The grid reaches from this to that multiple of its centre.
const LOWEST: f64 = 0.1;
const HIGHEST: f64 = 4.0;
/// Where its middle has to lie, else the grid moves by this factor.
const INNER: (f64, f64) = (0.2, 3.0);
const SHIFT: f64 = 1.25;
/// What evidence keeps of its weight, an interval.
const KEEP: f64 = 0.999;
/// Requests of an interval count at most as so many: they are not independent.
const MOST_REQUESTS: f64 = 120.0;
/// Standard deviation of the logarithm of the number that the user gave.
const PRIOR_SPREAD: f64 = 0.35;
/// Quantile of the posterior that decisions use.
const CAUTIOUS: f64 = 0.25;
/// Odds are kept within this, so that no hypothesis is ruled out for good.
const FLOOR: f64 = -20.0;
/// How likely an interval is to be as it is for reasons of its own (a neighbour, a cold cache), as
/// the logarithm: no interval speaks louder than this against a hypothesis.
const OUTLIER: f64 = -2.0;
/// What odds keep when the target's template changes.
const KEPT_OF_OLD: f64 = 0.2;
/// Loads up to this multiple of the highest that was seen to be fine are promised.
const BEYOND: f64 = 1.1;
/// What the highest fine load keeps of itself, an interval.
const PROVEN_KEEP: f64 = 0.9999;
/// A replica serves at most about this multiple of its safe load, give or take a spread (standard
/// deviation of the logarithm), whatever comes: in overload this alone tells hypotheses apart.
const SATURATION: f64 = 1.3;
const SATURATION_SPREAD: f64 = 0.3;
/// What the highest load lately keeps of itself, an interval.
const SERVED_KEEP: f64 = 0.99;

/// What an interval showed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Evidence {
    /// Requests per second and ready replica.
    pub rps_per_replica: f64,
    /// Requests in the interval.
    pub requests: f64,
    /// Share of them over the objective's latency, 0 to 1.
    pub slow_share: f64,
}

/// Learns a workload's capacity.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CapacityLearner {
    /// The number that the user gave.
    nominal: f64,
    centre: f64,
    /// The highest load that was seen to be fine.
    proven: f64,
    /// The highest load lately.
    served: f64,
    /// Log odds by shape, then by capacity.
    odds: Vec<f32>,
}

/// Relative capacity of a place on the grid.
fn relative(place: f64) -> f64 {
    LOWEST * (HIGHEST / LOWEST).powf(place / (CAPACITIES - 1) as f64)
}

/// `x ln x`, which is 0 at 0.
fn entropy(x: f64) -> f64 {
    if x > 0.0 { x * x.ln() } else { 0.0 }
}

fn narrow(value: f64) -> f32 {
    #[expect(clippy::cast_possible_truncation, reason = "odds need few digits")]
    {
        value as f32
    }
}

impl CapacityLearner {
    /// Begins with the number that the user gave, taken for a good guess.
    pub fn new(nominal: Rps) -> Self {
        let nominal = nominal.get().max(1e-3);
        let prior = |place: usize| {
            let z = relative(place as f64).ln() / PRIOR_SPREAD;
            narrow((-z * z / 2.0).max(FLOOR))
        };
        let odds = (0..CURVES).flat_map(|_| (0..CAPACITIES).map(prior)).collect();
        Self { nominal, centre: nominal, proven: 0.0, served: 0.0, odds }
    }

    /// Learns from an interval. Evidence that is not a number, negative, or of no requests teaches
    /// nothing.
    pub fn observe(&mut self, expectation: &Expectation, evidence: &Evidence) {
        let Evidence { rps_per_replica, requests, slow_share } = *evidence;
        let is_valid = (1e-9..1e12).contains(&rps_per_replica)
            && (0.5..1e15).contains(&requests)
            && (0.0..=1.0).contains(&slow_share);
        if !is_valid {
            return;
        }
        self.served = rps_per_replica.max(self.served * SERVED_KEEP);
        self.proven *= PROVEN_KEEP;
        // Of fewer requests, none would be slow by chance alone.
        if slow_share <= expectation.allowed() && requests * expectation.allowed() >= 1.0 {
            self.proven = self.proven.max(rps_per_replica);
        }
        let slow_share = slow_share.min(expectation.bad());
        let weight = requests.min(MOST_REQUESTS);
        let load = rps_per_replica / self.centre;
        let best = entropy(slow_share) + entropy(1.0 - slow_share);
        for (at, odds) in self.odds.iter_mut().enumerate() {
            let (curve, place) = (at / CAPACITIES, at % CAPACITIES);
            let logs = expectation.logs(curve, load / relative(place as f64));
            let fit = slow_share * logs.slow + (1.0 - slow_share) * logs.fast - best;
            let likelihood = (weight * fit).min(0.0).exp() + OUTLIER.exp();
            *odds = narrow(f64::from(*odds) * KEEP + likelihood.ln());
        }
        let most = self.odds.iter().copied().fold(f32::MIN, f32::max);
        for odds in &mut self.odds {
            *odds = (*odds - most).max(narrow(FLOOR));
        }
        self.follow();
    }

    /// The target's template changed: what was learned is now a weak guess.
    pub fn deployed(&mut self) {
        self.odds.iter_mut().for_each(|odds| *odds *= narrow(KEPT_OF_OLD));
    }

    /// Moves the grid when the truth seems to lie at its edge.
    fn follow(&mut self) {
        let middle = self.quantile(0.5);
        let shift = if middle > INNER.1 {
            SHIFT
        } else if middle < INNER.0 {
            1.0 / SHIFT
        } else {
            return;
        };
        let places = (f64::ln(shift) / (HIGHEST / LOWEST).ln() * (CAPACITIES - 1) as f64).round();
        #[expect(clippy::cast_possible_truncation, reason = "a few places of the grid")]
        let places = places as isize;
        let old = self.odds.clone();
        for (at, odds) in self.odds.iter_mut().enumerate() {
            let (row, place) = (at / CAPACITIES, at % CAPACITIES);
            let from = place.saturating_add_signed(places).min(CAPACITIES - 1);
            *odds = old.get(row * CAPACITIES + from).copied().unwrap_or_default();
        }
        let steps = places as f64 / (CAPACITIES - 1) as f64;
        self.centre *= (HIGHEST / LOWEST).powf(steps);
    }

    /// Posterior weight of each capacity.
    fn mass(&self) -> [f64; CAPACITIES] {
        let mut mass = [0.0; CAPACITIES];
        for row in self.odds.chunks(CAPACITIES) {
            for (mass, odds) in mass.iter_mut().zip(row) {
                *mass += f64::from(*odds).exp();
            }
        }
        for (place, mass) in mass.iter_mut().enumerate() {
            *mass *= self.can_serve(relative(place as f64));
        }
        mass
    }

    /// How likely a replica of this relative capacity is to serve what was served lately, 0 to 1.
    fn can_serve(&self, relative: f64) -> f64 {
        let beyond = (self.served / (self.centre * relative * SATURATION)).ln().max(0.0);
        let z = beyond / SATURATION_SPREAD;
        (-z * z / 2.0).exp()
    }

    /// A quantile of the posterior, relative to the grid's centre.
    fn quantile(&self, share: f64) -> f64 {
        let mass = self.mass();
        let wanted = share * mass.iter().sum::<f64>();
        let mut below = 0.0;
        for (place, mass) in mass.iter().enumerate() {
            if below + mass >= wanted {
                return relative(place as f64 + (wanted - below) / mass - 0.5);
            }
            below += mass;
        }
        1.0
    }

    /// The rate per replica that is safe, cautiously.
    pub fn safe_rps(&self) -> Rps {
        let promised = self.nominal.max(BEYOND * self.proven);
        Rps::new((self.centre * self.quantile(CAUTIOUS)).min(promised)).unwrap_or_default()
    }

    /// The rate per replica of which the truth is below with this probability.
    pub fn credible_rps(&self, probability: Ratio) -> Rps {
        Rps::new(self.centre * self.quantile(probability.get())).unwrap_or_default()
    }

    /// Share of slow requests, 0 to 1, to expect of a load per replica.
    pub fn expected_slow_share(&self, expectation: &Expectation, load: Rps) -> f64 {
        let (mut sum, mut all) = (0.0, 0.0);
        for (at, odds) in self.odds.iter().enumerate() {
            let (curve, place) = (at / CAPACITIES, at % CAPACITIES);
            let capacity = relative(place as f64);
            let weight = f64::from(*odds).exp() * self.can_serve(capacity);
            sum += weight * expectation.logs(curve, load.get() / self.centre / capacity).slow.exp();
            all += weight;
        }
        if all > 0.0 { sum / all } else { 1.0 }
    }
}

/// Share of requests over a latency, from what quantiles are known: between two of them by a straight
/// line on the scale of log probability, beyond the last by going on. `None` without any.
pub fn slow_share(
    p50_ms: Option<f64>,
    p95_ms: Option<f64>,
    p99_ms: Option<f64>,
    latency: Duration,
) -> Option<f64> {
    let limit = latency.as_secs_f64() * 1e3;
    let known = [(0.5, p50_ms), (0.05, p95_ms), (0.01, p99_ms)];
    let mut points: Vec<(f64, f64)> = Vec::with_capacity(3);
    for (over, ms) in known {
        let Some(ms) = ms.filter(|ms| (0.0..1e12).contains(ms)) else { continue };
        let least = points.last().map_or(0.0, |(_, before)| *before);
        points.push((over, ms.max(least + 1e-6)));
    }
    let (first, last) = (points.first().copied()?, points.last().copied()?);
    let (from, to) = if points.len() == 1 {
        // One quantile: an exponential tail through it.
        ((1.0, 0.0), first)
    } else if limit <= first.1 {
        ((1.0, 0.0), first)
    } else {
        let at = points.partition_point(|(_, ms)| *ms <= limit).clamp(1, points.len() - 1);
        (*points.get(at - 1)?, points.get(at).copied().unwrap_or(last))
    };
    let share = (limit - from.1) / (to.1 - from.1);
    Some((from.0.ln() + share * (to.0.ln() - from.0.ln())).exp().clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests;
