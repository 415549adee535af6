//! Who writes a target's replicas \[11\].

use std::collections::VecDeque;
use std::time::Duration;

use crate::units::Timestamp;

/// So many foreign writes in [`WITHIN`] and we stop.
const TOO_MANY: usize = 3;
/// See [`TOO_MANY`].
const WITHIN: Duration = Duration::from_mins(10);

/// Changes of a target's replicas that are not ours.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Contest {
    expected: Option<u32>,
    foreign: VecDeque<Timestamp>,
    contested: bool,
}

impl Contest {
    /// Takes note of a number that we wrote.
    pub const fn wrote(&mut self, replicas: u32) {
        self.expected = Some(replicas);
    }

    /// Takes note of the number that is there; says whether somebody else wrote it since the last
    /// look.
    pub fn saw(&mut self, now: Timestamp, replicas: u32) -> bool {
        let is_foreign = self.expected.is_some_and(|expected| expected != replicas);
        self.expected = Some(replicas);
        while self.foreign.front().is_some_and(|at| now.since(*at) >= WITHIN) {
            self.foreign.pop_front();
        }
        if is_foreign {
            self.foreign.push_back(now);
            self.contested |= self.foreign.len() >= TOO_MANY;
        }
        is_foreign
    }

    /// From now on whatever is there is nobody's, until the next write of ours.
    pub const fn forget(&mut self) {
        self.expected = None;
    }

    /// Whether we stopped. That ends when the resource is edited, with this value.
    pub const fn is_contested(&self) -> bool {
        self.contested
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: u64) -> Timestamp {
        Timestamp::from_secs(1_700_000_000 + second)
    }

    #[test]
    fn three_foreign_writes_in_ten_minutes_stop_us() {
        let mut contest = Contest::default();
        assert!(!contest.saw(at(0), 3), "what is there at first is nobody's");
        for round in 1..=3 {
            contest.wrote(7);
            assert!(!contest.is_contested());
            assert!(contest.saw(at(round * 60), 3));
        }
        assert!(contest.is_contested());
        assert!(!contest.saw(at(10_000), 3));
        assert!(contest.is_contested(), "waiting does not settle it");
    }

    #[test]
    fn our_own_writes_and_rare_foreign_ones_do_not() {
        let mut contest = Contest::default();
        for round in 0..20 {
            contest.wrote(7);
            assert!(!contest.saw(at(round * 300), 7));
            assert!(contest.saw(at(round * 300 + 1), 3));
        }
        assert!(!contest.is_contested(), "two in ten minutes");
    }
}
