//! How long a replica takes from its order until it serves, learned from replica counts.

use std::collections::VecDeque;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::units::Timestamp;

/// Start-ups that are remembered, the newest.
const KEPT: usize = 32;
/// From how many on they say more than the number that the user gave.
const ENOUGH: usize = 8;
/// Share of the start-ups that are at most as long as what is said.
const QUANTILE: f64 = 0.9;
/// Orders whose replicas do not come within this are given up.
const LONGEST: Duration = Duration::from_hours(1);
/// Orders that are followed at once.
const MOST_ORDERS: usize = 64;

/// Learns a workload's start-up time.
///
/// Counts are looked at now and then, so what is learned is too long by up to one interval: the
/// order is dated at the look before it was seen, the readiness at the look that saw it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct StartupTimes {
    seen: Option<Seen>,
    /// Times of orders and how many of their replicas do not serve yet, oldest first.
    orders: VecDeque<(Timestamp, u32)>,
    /// Replicas that served before and do not now: when these come back it is no start-up.
    fallen: u32,
    /// Newest last, in seconds.
    times_s: VecDeque<f32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Seen {
    at: Timestamp,
    current: u32,
    ready: u32,
}

impl StartupTimes {
    /// Takes the counts of now: replicas that exist, and of these the ready ones.
    pub fn observe(&mut self, at: Timestamp, current: u32, ready: u32) {
        let now = Seen { at, current, ready: ready.min(current) };
        let Some(before) = self.seen.replace(now).filter(|before| before.at <= at) else { return };
        while self.orders.front().is_some_and(|(ordered, _)| at.since(*ordered) > LONGEST) {
            self.orders.pop_front();
        }
        if now.current > before.current && self.orders.len() < MOST_ORDERS {
            self.orders.push_back((before.at, now.current - before.current));
        }
        let removed = before.current.saturating_sub(now.current);
        // Those that do not serve yet go first.
        let lost = before.ready.saturating_sub(now.ready);
        self.cancel(removed.saturating_sub(lost));
        self.fallen = self.fallen.saturating_add(lost.saturating_sub(removed));
        self.come(at, now.ready.saturating_sub(before.ready));
    }

    fn cancel(&mut self, mut replicas: u32) {
        while let Some((_, waiting)) = self.orders.back_mut().filter(|_| replicas > 0) {
            let cancelled = replicas.min(*waiting);
            *waiting -= cancelled;
            replicas -= cancelled;
            if *waiting == 0 {
                self.orders.pop_back();
            }
        }
    }

    fn come(&mut self, at: Timestamp, mut replicas: u32) {
        let back = replicas.min(self.fallen);
        self.fallen -= back;
        replicas -= back;
        while let Some((ordered, waiting)) = self.orders.front_mut().filter(|_| replicas > 0) {
            let came = replicas.min(*waiting);
            *waiting -= came;
            replicas -= came;
            // An order that is served at once counts once, however large.
            self.times_s.push_back(at.since(*ordered).as_secs_f32());
            if *waiting == 0 {
                self.orders.pop_front();
            }
        }
        let surplus = self.times_s.len().saturating_sub(KEPT);
        self.times_s.drain(..surplus);
    }

    /// The time within which nine of ten replicas came; `None` before enough were seen.
    pub fn usual(&self) -> Option<Duration> {
        if self.times_s.len() < ENOUGH {
            return None;
        }
        let mut sorted: Vec<f32> = self.times_s.iter().copied().collect();
        sorted.sort_by(f32::total_cmp);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a place among a few"
        )]
        let place = ((sorted.len() - 1) as f64 * QUANTILE).round() as usize;
        sorted.get(place).map(|seconds| Duration::from_secs_f32(*seconds))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: u64) -> Timestamp {
        Timestamp::from_secs(1_700_000_000 + second)
    }

    #[test]
    fn the_time_from_an_order_to_ready_is_learned() {
        let mut times = StartupTimes::default();
        for round in 0..ENOUGH as u64 {
            let begin = round * 1_000;
            times.observe(at(begin), 4, 4);
            times.observe(at(begin + 5), 7, 4);
            times.observe(at(begin + 40), 7, 4);
            times.observe(at(begin + 45), 7, 7);
            assert_eq!(times.usual().is_some(), round + 1 == ENOUGH as u64);
            times.observe(at(begin + 900), 4, 4);
        }
        assert_eq!(times.usual(), Some(Duration::from_secs(45)));
    }

    #[test]
    fn replicas_that_fall_and_come_back_are_no_start_up() {
        let mut times = StartupTimes::default();
        for round in 0..20 {
            times.observe(at(round * 100), 4, 4);
            times.observe(at(round * 100 + 50), 4, 2);
        }
        assert_eq!(times.usual(), None);
    }

    #[test]
    fn an_order_that_was_taken_back_is_not_waited_for() {
        let mut times = StartupTimes::default();
        for round in 0..10_u64 {
            let begin = round * 1_000;
            times.observe(at(begin), 4, 4);
            times.observe(at(begin + 5), 9, 4);
            times.observe(at(begin + 10), 4, 4);
            times.observe(at(begin + 500), 5, 4);
            times.observe(at(begin + 520), 5, 5);
        }
        assert_eq!(times.usual(), Some(Duration::from_secs(510)));
    }

    #[test]
    fn orders_that_are_never_served_are_forgotten() {
        let mut times = StartupTimes::default();
        times.observe(at(0), 4, 4);
        times.observe(at(5), 8, 4);
        times.observe(at(5_000), 8, 8);
        assert_eq!(times, StartupTimes { seen: times.seen, ..StartupTimes::default() });
    }

    #[test]
    fn counts_that_no_cluster_has_are_survived() {
        let mut times = StartupTimes::default();
        // Time goes back once, so the second fall is not paid back by the rise before it.
        for (second, ready) in [(9, u32::MAX), (9, 0), (5, u32::MAX), (9, 0)] {
            times.observe(at(second), u32::MAX, ready);
        }
        assert_eq!(times.usual(), None);
    }
}
