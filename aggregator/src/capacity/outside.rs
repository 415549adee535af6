//! What of a workload's latency belongs to the services that it calls.
//!
//! A dependency that has become slow makes every request slow and cannot be answered with replicas.
//! By Little's law the calls in flight over the request rate are the time that a request spends
//! waiting for others. What this takes longer than usual is taken off the latencies and the requests
//! in flight before anything is concluded from them.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::journal::Observation;
use crate::usual::{Paces, Usual};

/// How fast the usual time follows upwards and downwards: a dependency that stays slow becomes usual
/// within a day, one that was slow when we began is forgotten within the hour.
const PACES: Paces = Paces { up: Duration::from_hours(24), down: Duration::from_mins(30) };
/// Up to this multiple of the usual time is usual.
const NORMAL: f64 = 1.25;

/// Learns how long the services take that a workload calls.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Outside {
    /// Usual time of a request in calls to others, in seconds.
    usual_s: Usual,
}

impl Outside {
    /// Learns from an observation over an interval, and gives it without what calls to others took
    /// longer than usual.
    pub fn without_excess(&mut self, observation: Observation, interval: Duration) -> Observation {
        let Some(excess_s) = self.excess_s(&observation, interval) else { return observation };
        let own = |ms: Option<f64>| ms.map(|ms| (ms - excess_s * 1e3).max(0.0));
        let waiting = observation.rps.map_or(0.0, |rps| rps.get() * excess_s);
        Observation {
            p50_ms: own(observation.p50_ms),
            p95_ms: own(observation.p95_ms),
            p99_ms: own(observation.p99_ms),
            concurrency: observation.concurrency.map(|all| (all - waiting).max(0.0)),
            ..observation
        }
    }

    /// Seconds of a request above the usual; `None` when there are none.
    fn excess_s(&mut self, observation: &Observation, interval: Duration) -> Option<f64> {
        let rps = observation.rps?.get();
        let calls = observation.outbound_concurrency?;
        if rps <= 0.0 {
            return None;
        }
        let outside_s = calls / rps;
        let usual = self.usual_s.follow(outside_s, interval, PACES);
        // Calls side by side take a request no longer than it is in flight.
        let most = observation.concurrency.map_or(f64::INFINITY, |all| all / rps);
        (outside_s > usual * NORMAL).then(|| (outside_s - usual).min(most))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::Rps;

    const INTERVAL: Duration = Duration::from_secs(15);

    /// 100 requests a second of 20 ms, and of `outside_ms` in calls.
    fn seen(outside_ms: f64) -> Observation {
        Observation {
            rps: Rps::new(100.0).ok(),
            p50_ms: Some(20.0 + outside_ms),
            p95_ms: Some(50.0 + outside_ms),
            p99_ms: Some(80.0 + outside_ms),
            concurrency: Some(100.0 * (20.0 + outside_ms) / 1e3),
            outbound_concurrency: Some(100.0 * outside_ms / 1e3),
            ..Observation::default()
        }
    }

    #[test]
    fn what_a_dependency_takes_longer_than_usual_is_not_ours() {
        let mut outside = Outside::default();
        for _ in 0..100 {
            assert_eq!(outside.without_excess(seen(30.0), INTERVAL), seen(30.0));
        }
        let left = outside.without_excess(seen(500.0), INTERVAL);
        let near = |value: Option<f64>, wanted: f64| (value.unwrap() - wanted).abs() < 1.0;
        assert!(near(left.p50_ms, 50.0) && near(left.p99_ms, 110.0), "{left:?}");
        assert!(near(left.concurrency, 5.0), "{left:?}");
    }

    #[test]
    fn what_stays_slow_becomes_usual_and_what_was_slow_at_first_is_forgotten() {
        let mut outside = Outside::default();
        outside.without_excess(seen(500.0), INTERVAL);
        for _ in 0..2 * 240 {
            outside.without_excess(seen(30.0), INTERVAL);
        }
        assert!(outside.without_excess(seen(300.0), INTERVAL).p50_ms.unwrap() < 70.0);
        for _ in 0..3 * 5_760 {
            outside.without_excess(seen(300.0), INTERVAL);
        }
        assert_eq!(outside.without_excess(seen(300.0), INTERVAL), seen(300.0));
    }

    #[test]
    fn calls_side_by_side_take_no_more_than_the_request() {
        let mut outside = Outside::default();
        outside.without_excess(seen(30.0), INTERVAL);
        let doubled = Observation { outbound_concurrency: Some(200.0), ..seen(500.0) };
        let left = outside.without_excess(doubled, INTERVAL);
        assert_eq!((left.p50_ms, left.concurrency), (Some(0.0), Some(0.0)));
    }

    #[test]
    fn without_calls_nothing_is_taken_off() {
        let mut outside = Outside::default();
        let none = Observation { outbound_concurrency: None, ..seen(30.0) };
        assert_eq!(outside.without_excess(none.clone(), INTERVAL), none);
        let idle = Observation { rps: Rps::new(0.0).ok(), ..seen(30.0) };
        assert_eq!(outside.without_excess(idle.clone(), INTERVAL), idle);
    }
}
