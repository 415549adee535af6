//! What one ready replica can safely serve, learned from ordinary traffic.
//!
//! A Bayesian filter over a grid of hypotheses: how much a replica serves while the objective just
//! holds, and on how many requests it works at once. Each interval's share of slow requests at its
//! load per replica says how likely each hypothesis is; old evidence fades. The decision uses a low
//! quantile of what is left, so that doubt costs replicas and not latency.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::config::Objective;
use crate::queueing::{safe_utilisation, sojourn_tail};
use crate::units::Rps;

/// Requests that a replica may work on at once.
const WORKERS: [u32; 4] = [1, 4, 8, 16];
/// Hypotheses of capacity for each.
const CAPACITIES: usize = 96;
/// The grid reaches from this to that multiple of its centre.
const LOWEST: f64 = 0.12;
const HIGHEST: f64 = 2.8;
/// What evidence keeps of its weight, an interval.
const KEEP: f64 = 0.999;
/// Requests of an interval count at most as so many: they are not independent.
const MOST_REQUESTS: f64 = 120.0;
/// Standard deviation of the logarithm of the number that the user gave.
const PRIOR_SPREAD: f64 = 0.35;
/// Quantile of the posterior that decisions use.
const CAUTIOUS: f64 = 0.25;
/// Odds are kept within this, so that no hypothesis is ruled out for good.
const FLOOR: f64 = -12.0;
/// A service's own time against the objective's latency, when nothing is known of it.
const SERVICE_SHARE: f64 = 1.0 / 7.0;

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
    centre: f64,
    /// Log odds by workers, then by capacity.
    odds: Vec<f32>,
}

/// Slow shares that hypotheses expect, by workers and load relative to capacity.
#[derive(Clone, Debug)]
pub struct Expectation {
    safe: [f64; WORKERS.len()],
    latency_s: f64,
}

impl Expectation {
    /// For an objective.
    pub fn new(objective: &Objective) -> Self {
        let latency_s = objective.latency.as_secs_f64();
        let safe = WORKERS.map(|workers| {
            let service = latency_s * SERVICE_SHARE;
            safe_utilisation(workers, service, objective.quantile.get(), latency_s).max(0.05)
        });
        Self { safe, latency_s }
    }

    /// Slow share at a load relative to capacity.
    fn slow_share(&self, which: usize, relative: f64) -> f64 {
        let (Some(workers), Some(safe)) = (WORKERS.get(which), self.safe.get(which)) else {
            return 0.5;
        };
        let service = self.latency_s * SERVICE_SHARE;
        sojourn_tail(*workers, relative * safe, service, self.latency_s).clamp(2e-4, 0.999)
    }
}

/// Relative capacity of a place on the grid.
fn relative(place: f64) -> f64 {
    let share = place / (CAPACITIES - 1) as f64;
    LOWEST * (HIGHEST / LOWEST).powf(share)
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
        let mut learner = Self { centre: nominal.get().max(1e-3), odds: Vec::new() };
        learner.odds = WORKERS
            .iter()
            .flat_map(|_| {
                (0..CAPACITIES).map(|place| {
                    let z = relative(place as f64).ln() / PRIOR_SPREAD;
                    narrow((-z * z / 2.0).max(FLOOR))
                })
            })
            .collect();
        learner
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
        let weight = requests.min(MOST_REQUESTS);
        let load = rps_per_replica / self.centre;
        for (at, odds) in self.odds.iter_mut().enumerate() {
            let (which, place) = (at / CAPACITIES, at % CAPACITIES);
            let part = load / relative(place as f64);
            let slow = expectation.slow_share(which, part);
            let likelihood =
                weight * (slow_share * slow.ln() + (1.0 - slow_share) * (1.0 - slow).ln());
            *odds = narrow(f64::from(*odds) * KEEP + likelihood);
        }
        let most = self.odds.iter().copied().fold(f32::MIN, f32::max);
        for odds in &mut self.odds {
            *odds = (*odds - most).max(narrow(FLOOR));
        }
        self.follow();
    }

    /// The target's template changed: what was learned is now a weak guess.
    pub fn deployed(&mut self) {
        self.odds.iter_mut().for_each(|odds| *odds *= 0.2);
    }

    /// Moves the grid when the truth seems to lie at its edge.
    fn follow(&mut self) {
        let middle = self.quantile(0.5);
        let shift = if middle > 2.0 {
            1.25
        } else if middle < 0.5 {
            0.8
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

    /// A quantile of the posterior, relative to the grid's centre.
    fn quantile(&self, share: f64) -> f64 {
        let mut mass = [0.0; CAPACITIES];
        for row in self.odds.chunks(CAPACITIES) {
            for (mass, odds) in mass.iter_mut().zip(row) {
                *mass += f64::from(*odds).exp();
            }
        }
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
        Rps::new(self.centre * self.quantile(CAUTIOUS)).unwrap_or_default()
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
