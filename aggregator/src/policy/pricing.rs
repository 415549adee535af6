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
pub(super) fn need(tail: &Tail, capacity: f64, risk_price: f64, ceiling: f64) -> u32 {
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

/// Replicas for a plain quantile of the load: exceeded as often as one in `risk_price` times.
pub(super) fn quantile(tail: &Tail, capacity: f64, risk_price: f64) -> u32 {
    super::replicas_for(tail.exceeded_with((1.0 / risk_price).min(0.5)), capacity)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::forecast::EXCEEDANCE;

    fn tail(scale: f64) -> Tail {
        Tail::new(EXCEEDANCE.map(|alpha| 100.0 - alpha.ln() * scale)).unwrap()
    }

    /// The cheapest number by looking at every one.
    fn by_hand(tail: &Tail, capacity: f64, price: f64) -> u32 {
        let cost = |replicas: u32| {
            let served = f64::from(replicas) * capacity;
            let at_stake = served.max(tail.median()) / capacity;
            f64::from(replicas) + price * tail.exceedance(served) * at_stake
        };
        (1..500).min_by(|a, b| cost(*a).total_cmp(&cost(*b))).unwrap()
    }

    #[test]
    fn the_cheapest_number_is_found() {
        for scale in [1.0, 5.0, 20.0] {
            for price in [3.0, 20.0, 200.0] {
                let (tail, capacity) = (tail(scale), 10.0);
                let (found, best) =
                    (need(&tail, capacity, price, 1e9), by_hand(&tail, capacity, price));
                assert!(found.abs_diff(best) <= 1, "{found} for {best} at {scale} {price}");
            }
        }
    }

    #[test]
    fn a_higher_price_or_a_wider_tail_never_needs_less() {
        let needs: Vec<u32> =
            [2.0, 5.0, 20.0, 80.0, 300.0].map(|p| need(&tail(10.0), 10.0, p, 1e9)).into();
        assert!(needs.is_sorted(), "{needs:?}");
        let needs: Vec<u32> = [1.0, 5.0, 20.0].map(|s| need(&tail(s), 10.0, 50.0, 1e9)).into();
        assert!(needs.is_sorted(), "{needs:?}");
    }

    #[test]
    fn what_is_not_worth_insuring_is_not_bought() {
        assert!(need(&tail(50.0), 10.0, 1e6, 150.0) <= 15);
    }
}
