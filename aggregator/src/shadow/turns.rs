//! Two that take turns at scaling the same load: whose turn it is, what was measured in those of
//! each, and whether the budget burns in those of the first.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::board::{Entry, Parts};
use crate::chance::Chance;
use crate::config::TurnsConfig;
use crate::units::Timestamp;

/// The budget of a month is gone in two days at this rate (Google, "The Site Reliability Workbook",
/// chapter 5: what pages at once).
const BREACH: f64 = 14.4;
/// It must have burnt so fast over both of these.
const LONG: Duration = Duration::from_hours(1);
const SHORT: Duration = Duration::from_mins(5);
/// Length of a part of what is remembered for that.
const MINUTE: Duration = Duration::from_mins(1);

/// Whose turn it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Turn {
    /// That of the first of the two.
    pub(super) is_own: bool,
    /// For how long it has been.
    pub(super) elapsed: Duration,
    /// For how long it will be.
    pub(super) left: Duration,
}

impl Turn {
    /// The turn at `now` of those that began at `since`. Of every two one is each one's; which comes
    /// first is by chance, the same chance for everybody who asks, so that no hour of the day is
    /// always one's. The very first is the first's own.
    pub(super) fn at(terms: &TurnsConfig, since: Timestamp, now: Timestamp) -> Self {
        let turn = terms.turn.max(Duration::from_micros(1));
        let elapsed = now.since(since);
        let number = elapsed.as_nanos() / turn.as_nanos();
        let rest = elapsed.as_nanos() % turn.as_nanos();
        let rest = Duration::from_nanos(u64::try_from(rest).unwrap_or(u64::MAX));
        let owns = |number: u128| {
            let pair = u64::try_from(number / 2).unwrap_or(u64::MAX);
            number.is_multiple_of(2) == (Chance::new(pair).uniform() >= 0.5)
        };
        let is_own = owns(number);
        let before = number.checked_sub(1).is_some_and(|before| owns(before) == is_own);
        let after = owns(number + 1) == is_own;
        let more = |goes_on: bool| if goes_on { turn } else { Duration::ZERO };
        Self { is_own, elapsed: rest + more(before), left: turn.saturating_sub(rest) + more(after) }
    }
}

/// What was measured in turns; survives a restart.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Turns {
    /// In those of the first, without the time that was the other's doing.
    pub(super) own: Entry,
    /// The same of the other's.
    pub(super) other: Entry,
    /// The last hour in which the first was in charge, by minutes.
    recent: Parts,
}

impl Turns {
    /// Time that ends at `now`, with the first in charge.
    pub(super) fn lead(&mut self, now: Timestamp, entry: &Entry) {
        self.recent.add(now.step_index(MINUTE), entry);
        self.recent.forget_before((now - LONG).step_index(MINUTE) + 1);
    }

    /// Time of a turn, as that was when it began.
    pub(super) fn compare(&mut self, terms: &TurnsConfig, turn: Turn, entry: &Entry) {
        if turn.elapsed >= terms.carry_over {
            *(if turn.is_own { &mut self.own } else { &mut self.other }) += entry;
        }
    }

    /// Why the first may not go on: the budget burns while it is in charge.
    pub(super) fn breach(&self, budget: f64, now: Timestamp) -> Option<String> {
        let burn = |window: Duration| {
            let sum = self.recent.since((now - window).step_index(MINUTE));
            // Over the whole window, so that its first bad minutes are not yet a breach.
            sum.violated_share() * (sum.time().as_secs_f64() / window.as_secs_f64()).min(1.0)
                / budget
        };
        let (long, short) = (burn(LONG), burn(SHORT));
        (long >= BREACH && short >= BREACH).then(|| {
            format!(
                "in charge it burnt the budget {long:.0} times too fast in the last hour and \
                 {short:.0} times in the last five minutes"
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TERMS: TurnsConfig =
        TurnsConfig { turn: Duration::from_hours(1), carry_over: Duration::from_mins(10) };

    #[test]
    fn who_goes_on_in_the_next_turn_has_no_carry_over_in_it() {
        let at = |minutes: u64| {
            let now = Timestamp::default() + Duration::from_mins(minutes);
            Turn::at(&TERMS, Timestamp::default(), now)
        };
        let turn = |is_own, elapsed, left| Turn {
            is_own,
            elapsed: Duration::from_mins(elapsed),
            left: Duration::from_mins(left),
        };
        assert_eq!(at(0), turn(true, 0, 60));
        assert_eq!(at(59), turn(true, 59, 1));
        assert_eq!(at(60), turn(false, 0, 60));
        assert_eq!(at(300), turn(false, 0, 120), "two turns of the other");
        assert_eq!(at(365), turn(false, 65, 55));
        assert_eq!(at(420), turn(true, 0, 60));
        assert_eq!(at(721), turn(true, 61, 59), "the second of two of its own");
    }

    #[test]
    fn every_hour_of_the_day_is_each_ones_and_a_day_is_halved() {
        let owns = |day: u64, hour: u64| {
            let now = Timestamp::from_secs((day * 24 + hour) * 3_600);
            Turn::at(&TERMS, Timestamp::default(), now).is_own
        };
        for day in 0..14 {
            assert_eq!((0..24).filter(|hour| owns(day, *hour)).count(), 12, "day {day}");
        }
        for hour in 0..24 {
            let own = (0..14).filter(|day| owns(*day, hour)).count();
            assert!((3..=11).contains(&own), "hour {hour}: {own} of 14 days");
        }
    }
}
