//! How many pods all targets together may lose in a time \[12\].

use std::collections::VecDeque;
use std::time::Duration;

use crate::config::BlastRadius;
use crate::units::Timestamp;

/// The pods that went lately.
#[derive(Clone, Debug)]
pub struct BlastLedger {
    limits: BlastRadius,
    removed: VecDeque<(Timestamp, u32)>,
}

impl BlastLedger {
    /// Nothing went yet.
    pub const fn new(limits: BlastRadius) -> Self {
        Self { limits, removed: VecDeque::new() }
    }

    /// How many of `managed` pods may still go at `now`.
    pub fn left(&mut self, now: Timestamp, managed: u32) -> u32 {
        let window: Duration = self.limits.window;
        while self.removed.front().is_some_and(|(at, _)| now.since(*at) >= window) {
            self.removed.pop_front();
        }
        let gone: u32 = self.removed.iter().map(|(_, pods)| *pods).sum();
        // What went belongs to what there was.
        let all = u64::from(managed) + u64::from(gone);
        let share = all * u64::from(self.limits.percent) / 100;
        let most = u32::try_from(share).unwrap_or(u32::MAX).max(self.limits.pods);
        most.saturating_sub(gone)
    }

    /// Takes `pods` out of what is left; `false`, and nothing taken, when that is less.
    pub fn take(&mut self, now: Timestamp, managed: u32, pods: u32) -> bool {
        if self.left(now, managed) < pods {
            return false;
        }
        if pods > 0 {
            self.removed.push_back((now, pods));
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: u64) -> Timestamp {
        Timestamp::from_secs(1_700_000_000 + second)
    }

    #[test]
    fn a_tenth_of_all_pods_may_go_in_ten_minutes_and_then_the_next() {
        let mut ledger = BlastLedger::new(BlastRadius::default());
        assert_eq!(ledger.left(at(0), 500), 50);
        assert!(ledger.take(at(0), 500, 30));
        assert!(!ledger.take(at(1), 470, 21), "20 are left");
        assert!(ledger.take(at(2), 470, 20));
        assert_eq!(ledger.left(at(599), 450), 0);
        assert_eq!(ledger.left(at(600), 450), 27, "a tenth of 470, without the last 20");
    }

    #[test]
    fn a_small_cluster_may_lose_ten_pods() {
        let mut ledger = BlastLedger::new(BlastRadius::default());
        assert_eq!(ledger.left(at(0), 12), 10);
        assert!(ledger.take(at(0), 12, 10));
        assert_eq!(ledger.left(at(1), 2), 0);
    }
}
