//! Replicas at a price: each costs what it costs, and each request at risk costs `risk_price` as
//! much. The fewest total cost wins (the newsvendor's answer to an uncertain load).

use crate::forecast::Tail;

/// Candidates looked at, from the median to the far tail, evenly on the scale of log probability.
const CANDIDATES: usize = 24;
/// Least probability of being exceeded that replicas are bought for.
const LEAST_EXCEEDANCE: f64 = 0.0005;

/// The number of replicas that costs least for one step of a forecast.
///
/// `capacity` is what a replica serves safely, in requests per second; `risk_price` what a replica's
/// worth of requests over capacity costs, in replicas; `ceiling` the highest load worth insuring.
/// Minimises `R + risk_price * P(load > R capacity) * max(R capacity, median) / capacity`.
pub fn need(tail: &Tail, capacity: f64, risk_price: f64, ceiling: f64) -> u32 {
    let median = tail.median();
    let cost = |replicas: u32| {
        let served = f64::from(replicas) * capacity;
        let at_stake = served.max(median) / capacity;
        f64::from(replicas) + risk_price * tail.exceedance(served) * at_stake
    };
    let top = tail.exceeded_with(LEAST_EXCEEDANCE).min(ceiling.max(median));
    let mut best = super::replicas_for(0.8 * median, capacity);
    let mut least = cost(best);
    let mut before = best;
    for candidate in 0..=CANDIDATES {
        let share = candidate as f64 / CANDIDATES as f64;
        let alpha = 0.7 * (LEAST_EXCEEDANCE / 0.7_f64).powf(share);
        let rate = tail.exceeded_with(alpha).min(top);
        let replicas = super::replicas_for(rate, capacity);
        // Between two candidates few replicas lie; all are looked at when they are few.
        let from = if replicas.saturating_sub(before) <= 4 { before + 1 } else { replicas };
        for replicas in from..=replicas {
            let total = cost(replicas);
            if total < least {
                (least, best) = (total, replicas);
            }
        }
        before = before.max(replicas);
    }
    best
}
