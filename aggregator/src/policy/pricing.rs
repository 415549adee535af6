//! What replicas cost over the next steps, at a price: each replica costs what it costs, each
//! request at risk costs `price` as much, and a change costs something too. The newsvendor's answer
//! to an uncertain load, for more than one day's paper.

use crate::forecast::{Point, Tail};

/// Least probability of being exceeded that replicas are bought for.
const LEAST_EXCEEDANCE: f64 = 0.0005;
/// Numbers of replicas that are looked at together; more are searched in rounds.
const CANDIDATES: u32 = 128;

/// Forecasts of a stretch of steps, each with the number of steps that it stands for.
#[derive(Debug)]
pub(super) struct Stretch<'a> {
    parts: Vec<(f64, &'a Point)>,
    /// Steps: what a replica costs.
    pub(super) steps: f64,
}

impl<'a> Stretch<'a> {
    /// The steps `from..=to` ahead, of forecasts at some horizons, ascending: a step between two of
    /// them counts for both as it is near, one beyond counts for the last.
    pub(super) fn new(points: &'a [Point], from: usize, to: usize) -> Self {
        let mut parts: Vec<(f64, &Point)> = points.iter().map(|point| (0.0, point)).collect();
        let mut add = |at: usize, weight: f64| {
            if let Some((sum, _)) = parts.get_mut(at) {
                *sum += weight;
            }
        };
        for ahead in from..=to {
            let after = points.partition_point(|point| point.ahead < ahead);
            match (after.checked_sub(1).and_then(|at| points.get(at)), points.get(after)) {
                (Some(before), Some(next)) => {
                    let share = (ahead - before.ahead) as f64 / (next.ahead - before.ahead) as f64;
                    add(after, share);
                    add(after - 1, 1.0 - share);
                }
                (Some(_), None) => add(after - 1, 1.0),
                (None, _) => add(0, 1.0),
            }
        }
        parts.retain(|(weight, _)| *weight > 0.0);
        Self { parts, steps: (to + 1).saturating_sub(from) as f64 }
    }

    /// What so many replicas cost over the stretch at a `price` of risk, in replica steps: the sum
    /// of `R + price * P(load > R capacity) * max(R capacity, median) / capacity`.
    pub(super) fn cost(&self, replicas: u32, capacity: f64, price: f64) -> f64 {
        let served = f64::from(replicas) * capacity;
        let risk = |tail: &Tail| tail.exceedance(served) * served.max(tail.median()) / capacity;
        let at_risk: f64 = self.parts.iter().map(|(steps, point)| steps * risk(&point.tail)).sum();
        self.steps * f64::from(replicas) + price * at_risk
    }

    /// The forecasts in it.
    pub(super) fn points(&self) -> impl Iterator<Item = &Point> {
        self.parts.iter().map(|(_, point)| *point)
    }

    /// The forecast with the highest upper quantile.
    pub(super) fn highest(&self) -> Option<Point> {
        self.points().copied().max_by(|a, b| a.upper.get().total_cmp(&b.upper.get()))
    }
}

/// The fewest and the most replicas that can be worth having for any of the forecasts; no load above
/// `ceiling` is insured.
pub(super) fn bounds(points: &[Point], capacity: f64, ceiling: f64) -> (u32, u32) {
    let needs = points.iter().map(|Point { tail, .. }| {
        let top = tail.exceeded_with(LEAST_EXCEEDANCE).min(ceiling.max(tail.median()));
        let [least, most] =
            [0.8 * tail.median(), top].map(|rate| super::replicas_for(rate, capacity));
        (least, most)
    });
    needs.reduce(|(a, b), (least, most)| (a.min(least), b.max(most))).unwrap_or_default()
}

/// The number in `from..=to` that costs least, the lowest of equals, if that is less than `below`;
/// no number costs less than `each` times itself. Of more than [`CANDIDATES`] only some are looked
/// at, ever nearer to the best.
pub(super) fn cheapest(
    from: u32,
    to: u32,
    below: f64,
    each: f64,
    cost: impl Fn(u32) -> f64,
) -> Option<u32> {
    let (mut low, mut high) = (from, to);
    loop {
        let stride = (high.checked_sub(low)? / CANDIDATES).max(1);
        let (mut best, mut least) = (None, below);
        for number in (low..=high).step_by(stride as usize) {
            if each * f64::from(number) >= least {
                break;
            }
            let cost = cost(number);
            if cost < least {
                (best, least) = (Some(number), cost);
            }
        }
        let found = best?;
        if stride == 1 {
            return best;
        }
        low = found.saturating_sub(stride).max(from);
        high = found.saturating_add(stride).min(to);
    }
}

/// Replicas for a plain quantile of the load: exceeded as often as one in `price` times.
pub(super) fn quantile(tail: &Tail, capacity: f64, price: f64) -> u32 {
    super::replicas_for(tail.exceeded_with((1.0 / price).min(0.5)), capacity)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::forecast::EXCEEDANCE;
    use crate::units::{Rps, Timestamp};

    fn point(ahead: usize, median: f64, scale: f64) -> Point {
        let rates = EXCEEDANCE.map(|alpha| (median - (2.0 * alpha).ln() * scale).max(0.0));
        let tail = Tail::new(rates).unwrap();
        let rate = |value| Rps::new(value).unwrap();
        Point {
            at: Timestamp::from_micros(0),
            ahead,
            point: rate(median),
            lower: rate(0.0),
            upper: rate(tail.exceeded_with(0.05)),
            tail,
            boosted_share: 0.0,
        }
    }

    fn need(points: &[Point], price: f64, ceiling: f64) -> u32 {
        let stretch = Stretch::new(points, 1, 20);
        let (low, high) = bounds(points, 10.0, ceiling);
        let cost = |replicas| stretch.cost(replicas, 10.0, price);
        cheapest(low, high, f64::INFINITY, stretch.steps, cost).unwrap()
    }

    #[test]
    fn a_stretch_counts_every_step_once() {
        let points = [point(1, 100.0, 5.0), point(5, 100.0, 5.0), point(10, 100.0, 5.0)];
        let stretch = Stretch::new(&points, 3, 12);
        let weights: Vec<f64> = stretch.parts.iter().map(|(weight, _)| *weight).collect();
        // Of 3 and 4 three quarters of a step are near 1; 10, 11, 12 and two of 6 to 9 are near 10.
        for (got, want) in weights.iter().zip([0.75, 4.25, 5.0]) {
            assert!((got - want).abs() < 1e-12, "{weights:?}");
        }
        let alike = Stretch::new(&points, 5, 5);
        let apart = stretch.cost(12, 10.0, 7.0) / 10.0;
        assert!((alike.cost(12, 10.0, 7.0) - apart).abs() < 1e-9);
    }

    #[test]
    fn the_cheapest_number_is_found_among_few_and_among_many() {
        for scale in [1.0, 5.0, 20.0, 4_000.0] {
            for price in [3.0, 20.0, 200.0] {
                let points = [point(5, 100.0 * scale, scale)];
                let stretch = Stretch::new(&points, 5, 7);
                let cost = |replicas| stretch.cost(replicas, 10.0, price);
                let (low, high) = bounds(&points, 10.0, 1e9);
                let by_hand = (low..=high).map(cost).min_by(f64::total_cmp).unwrap();
                let found = cheapest(low, high, f64::INFINITY, stretch.steps, cost).unwrap();
                assert_eq!(cheapest(low, high, by_hand, stretch.steps, cost), None);
                let found = cost(found);
                assert!(found <= by_hand * 1.001, "{found} for {by_hand} at {scale} {price}");
            }
        }
        assert_eq!(cheapest(3, 2, f64::INFINITY, 1.0, f64::from), None);
    }

    #[test]
    fn a_higher_price_or_a_wider_tail_never_needs_less() {
        let needs = [2.0, 5.0, 20.0, 80.0, 300.0]
            .map(|price| need(&[point(1, 100.0, 10.0), point(20, 120.0, 15.0)], price, 1e9));
        assert!(needs.is_sorted() && needs[0] < needs[4], "{needs:?}");
        let needs = [1.0, 5.0, 20.0].map(|scale| need(&[point(5, 100.0, scale)], 50.0, 1e9));
        assert!(needs.is_sorted() && needs[0] < needs[2], "{needs:?}");
    }

    #[test]
    fn what_is_not_worth_insuring_is_not_bought() {
        assert!(need(&[point(5, 100.0, 50.0)], 1e6, 150.0) <= 15);
    }
}
