//! Whether the replicas that serve are as fast as they will be.

use std::time::Duration;

use crate::units::Timestamp;

/// A replica that has just become ready is slower than it will be (caches, just-in-time compilers).
const WARM_UP: Duration = Duration::from_secs(30);
/// Replicas that come without end are not waited for longer than this.
const MOST_WAIT: Duration = Duration::from_mins(3);

/// Follows the ready replicas.
#[derive(Debug, Default)]
pub(super) struct Warm {
    ready: Option<u32>,
    rollout: bool,
    /// When replicas began to come, and when the last did.
    coming: Option<(Timestamp, Timestamp)>,
}

impl Warm {
    /// Takes the counts of now, and says whether a rollout begins.
    pub(super) fn observe(&mut self, now: Timestamp, ready: u32, rollout: bool) -> bool {
        if self.ready.is_some_and(|before| ready > before) {
            let began = self.coming.map_or(now, |(began, _)| began);
            self.coming = Some((began, now));
        } else if self.is_warm(now) {
            self.coming = None;
        }
        self.ready = Some(ready);
        let before = std::mem::replace(&mut self.rollout, rollout);
        rollout && !before
    }

    /// Whether what is measured now tells what replicas can serve.
    pub(super) fn is_warm(&self, now: Timestamp) -> bool {
        self.coming
            .is_none_or(|(began, last)| now.since(last) >= WARM_UP || now.since(began) >= MOST_WAIT)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: u64) -> Timestamp {
        Timestamp::from_secs(1_700_000_000 + second)
    }

    #[test]
    fn new_replicas_are_cold_for_half_a_minute_and_not_for_ever() {
        let mut warm = Warm::default();
        warm.observe(at(0), 4, false);
        assert!(warm.is_warm(at(0)));
        warm.observe(at(15), 5, false);
        assert!(!warm.is_warm(at(30)) && warm.is_warm(at(45)));
        for second in (45..=225).step_by(15) {
            warm.observe(at(second), u32::try_from(second).unwrap(), false);
        }
        assert!(warm.is_warm(at(225)));
    }

    #[test]
    fn a_rollout_begins_once() {
        let mut warm = Warm::default();
        let begins: Vec<bool> =
            [false, true, true, false, true].map(|is| warm.observe(at(0), 4, is)).into();
        assert_eq!(begins, [false, true, false, false, true]);
    }
}
