//! The peer: the Horizontal Pod Autoscaler's algorithm on requests per second per pod, as a user
//! would run it today (a `Pods` metric with an `AverageValue` target, from the mesh's own counters).
//!
//! It is given every advantage that the real one does not have: fresh counters at each decision
//! where a metrics pipeline lags by 15 to 60 s, and a decision every 2 s instead of every 15. What
//! it lacks is what it lacks in life: it sees load only when the load is there.
//!
//! After `pkg/controller/podautoscaler/{replica_calculator,horizontal}.go` of Kubernetes.

use std::collections::VecDeque;
use std::time::Duration;

use crate::rules::{
    DOWN_PERCENT, DOWN_WINDOW, MAX_REPLICAS, MIN_REPLICAS, POLICY_PERIOD, TARGET_RPS, TOLERANCE,
    UP_PERCENT, UP_PODS,
};

/// What a decision is made from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Measured {
    /// Requests per second that came to the workload since the last decision.
    pub(crate) rps: f64,
    /// Replicas that serve.
    pub(crate) ready_replicas: u32,
    /// Replicas that exist.
    pub(crate) current_replicas: u32,
}

/// The autoscaler's memory.
#[derive(Debug, Default)]
pub(crate) struct Threshold {
    /// Recommendations of the scale-down window, with their times, oldest first.
    recommendations: VecDeque<(Duration, u32)>,
    /// Replicas added (positive) and removed (negative) in the policies' period.
    changes: VecDeque<(Duration, i64)>,
}

impl Threshold {
    /// Replicas to have, decided at `now` (any clock that does not go back), and why.
    pub(crate) fn step(&mut self, now: Duration, measured: Measured) -> (u32, String) {
        let current = measured.current_replicas;
        if self.recommendations.is_empty() {
            // As at the controller's start: the current number counts as a recommendation.
            self.recommendations.push_back((now, current));
        }
        let asked = recommend(measured);
        let stabilized = self.stabilize(now, current, asked);
        let desired = self.limit(now, current, stabilized).clamp(MIN_REPLICAS, MAX_REPLICAS);
        if desired != current {
            self.changes.push_back((now, i64::from(desired) - i64::from(current)));
        }
        let Measured { rps, ready_replicas, .. } = measured;
        let held = if stabilized != asked {
            ", held by the scale-down window"
        } else if desired < asked {
            ", as fast as its policies and bounds allow"
        } else {
            ""
        };
        (desired, format!("{rps:.0} rps on {ready_replicas} ready asks for {asked}{held}"))
    }

    /// `stabilizeRecommendationWithBehaviors`: down only to the highest recommendation of the window.
    /// The scale-up window is 0 s. What is remembered is the recommendation before this step.
    fn stabilize(&mut self, now: Duration, current: u32, asked: u32) -> u32 {
        while self
            .recommendations
            .front()
            .is_some_and(|(at, _)| now.saturating_sub(*at) > DOWN_WINDOW)
        {
            self.recommendations.pop_front();
        }
        let highest = self.recommendations.iter().map(|(_, n)| *n).fold(asked, u32::max);
        self.recommendations.push_back((now, asked));
        if current < asked { asked } else { current.min(highest) }
    }

    /// `convertDesiredReplicasWithBehaviorRate`: the policies' limits on change per period.
    fn limit(&mut self, now: Duration, current: u32, wanted: u32) -> u32 {
        while self.changes.front().is_some_and(|(at, _)| now.saturating_sub(*at) > POLICY_PERIOD) {
            self.changes.pop_front();
        }
        let net: i64 = self.changes.iter().map(|(_, change)| *change).sum();
        let start = u32::try_from(i64::from(current) - net).unwrap_or(0);
        if wanted > current {
            let by_percent = (start * (100 + UP_PERCENT)).div_ceil(100);
            let most = by_percent.max(start + UP_PODS);
            // Never below what there is: a limit does not reverse a direction.
            wanted.min(most.max(current))
        } else {
            let least = start * (100 - DOWN_PERCENT) / 100;
            wanted.max(least.min(current))
        }
    }
}

/// `calcPlainMetricReplicas`. Replicas that are not Ready have no metric yet; they count as idle on
/// the way up and as busy to the target on the way down.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a ratio of requests per second to a positive target, far below 2^32"
)]
fn recommend(measured: Measured) -> u32 {
    let Measured { rps, ready_replicas, current_replicas } = measured;
    if ready_replicas == 0 {
        return current_replicas;
    }
    let (ready, missing) =
        (f64::from(ready_replicas), f64::from(current_replicas.saturating_sub(ready_replicas)));
    let within = |ratio: f64| (1.0 - ratio).abs() <= TOLERANCE;
    let ratio = rps / ready / TARGET_RPS;
    if missing == 0.0 {
        return if within(ratio) { current_replicas } else { (ratio * ready).ceil() as u32 };
    }
    let filled = if ratio < 1.0 { rps + missing * TARGET_RPS } else { rps };
    let counted = ready + missing;
    let again = filled / counted / TARGET_RPS;
    let flipped = (ratio < 1.0 && again > 1.0) || (ratio > 1.0 && again < 1.0);
    if within(again) || flipped {
        return current_replicas;
    }
    let wanted = (again * counted).ceil() as u32;
    let against =
        (again < 1.0 && wanted > current_replicas) || (again > 1.0 && wanted < current_replicas);
    if against { current_replicas } else { wanted }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(rps: f64, ready_replicas: u32, current_replicas: u32) -> Measured {
        Measured { rps, ready_replicas, current_replicas }
    }

    #[test]
    fn recommendations_follow_the_documented_examples() {
        // "if the current metric value is 200m and the desired value is 100m, the number of
        // replicas is doubled; at 50m it is halved; within 10 % nothing changes".
        assert_eq!(recommend(at(120.0, 2, 2)), 4);
        assert_eq!(recommend(at(60.0, 4, 4)), 2);
        assert_eq!(recommend(at(131.0, 4, 4)), 4);
        assert_eq!(recommend(at(133.0, 4, 4)), 5);
    }

    #[test]
    fn replicas_on_their_way_dampen_both_directions() {
        // 4 ready see twice their target; the 4 that come count as idle: nothing more to add.
        assert_eq!(recommend(at(240.0, 4, 8)), 8);
        assert_eq!(recommend(at(300.0, 4, 8)), 10);
        // Half the target on 4; the 2 that come count as busy: (60 + 60) / 6 is 20 a replica.
        assert_eq!(recommend(at(60.0, 4, 6)), 4);
        // Below the target alone, above it with nothing: no reversal.
        assert_eq!(recommend(at(125.0, 4, 5)), 5);
    }

    #[test]
    fn a_day_of_decisions() {
        let mut peer = Threshold::default();
        let mut decide = |second, measured| peer.step(Duration::from_secs(second), measured).0;
        assert_eq!(decide(0, at(60.0, 2, 2)), 2);
        assert_eq!(decide(2, at(150.0, 2, 2)), 5); // a ramp begins
        assert_eq!(decide(4, at(240.0, 2, 5)), 6); // 8 wanted; 4 more than the 2 of before
        assert_eq!(decide(18, at(240.0, 5, 6)), 8); // the period of the first is over
        assert_eq!(decide(30, at(240.0, 8, 8)), 8);
        assert_eq!(decide(32, at(120.0, 8, 8)), 8); // the window remembers 8
        assert_eq!(decide(50, at(120.0, 8, 8)), 8); // still
        assert_eq!(decide(51, at(120.0, 8, 8)), 4); // now 20 s without it
        assert_eq!(decide(53, at(0.0, 4, 4)), 4);
    }
}
