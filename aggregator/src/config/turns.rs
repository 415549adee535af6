//! Turns, in which two that scale the same workload are compared on live load.

use std::time::Duration;

use super::reader::{Problem, Section, problem};

/// The shortest turn of mode `canary`.
const SHORTEST: Duration = Duration::from_secs(20);
const DAY: Duration = Duration::from_hours(24);
/// A turn has at least so many decisions.
const LEAST_DECISIONS: u32 = 4;

/// How Foresail and whoever scaled before share a workload in mode `canary`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TurnsConfig {
    /// Length of a turn; at least four decision intervals. Default 1 h, 20 s to 24 h.
    pub turn: Duration,
    /// Time at the beginning of a turn that is not compared, for it is the other's doing. Default
    /// 10 min, at most half of `turn`.
    pub carry_over: Duration,
}

/// Reads the section `canary`; `None` when a problem was found.
pub(super) fn read_canary(
    parent: &mut Section<'_>,
    decision_interval: Option<Duration>,
    problems: &mut Vec<Problem>,
) -> Option<TurnsConfig> {
    let mut s = parent.section("canary", problems);
    let turns = read(&mut s, SHORTEST, problems);
    if let (Some(turns), Some(interval)) = (turns, decision_interval)
        && turns.turn < LEAST_DECISIONS * interval
    {
        let value = format!("{:?}", turns.turn).into();
        let valid = format!("at least four decision intervals of {interval:?}");
        problems.push(problem(&s.path_of("turn"), Some(&value), &valid));
    }
    s.finish(problems);
    turns
}

/// Reads `turn` and `carry_over` of a section.
pub(super) fn read(
    s: &mut Section<'_>,
    shortest: Duration,
    problems: &mut Vec<Problem>,
) -> Option<TurnsConfig> {
    let turn = s.duration("turn", Some(Duration::from_hours(1)), shortest..=DAY, problems);
    let most = turn.map_or(DAY, |turn| turn / 2);
    let usual = Duration::from_mins(10).min(most);
    let carry_over = s.duration("carry_over", Some(usual), Duration::ZERO..=most, problems);
    Some(TurnsConfig { turn: turn?, carry_over: carry_over? })
}
