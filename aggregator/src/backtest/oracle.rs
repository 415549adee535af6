//! The clairvoyant plan: the least replica time that never misses the objective, with the same
//! start-up time as everybody.
//!
//! Replicas are taken by level: the k-th is needed while `required >= k`. Between two needs it is
//! kept when that is not longer than a start would be billed, else it is stopped and started
//! again. Levels do not depend on each other, so the sum of their minima is the minimum.

use serde::{Deserialize, Serialize};

/// What the oracle would have done with the needs so far.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Oracle {
    steps: u64,
    before: u32,
    /// Per level: the step of its last need.
    last_need: Vec<Option<u64>>,
}

impl Oracle {
    /// Adds a step that requires so many replicas when a start takes `delay_steps`, which are billed.
    /// Gives the replicas times steps that it adds to the cheapest plan: those of the step, and what
    /// bridging a gap that ends here cost, or starting after it.
    pub fn add(&mut self, need: u32, delay_steps: usize) -> u64 {
        let at = self.steps;
        let mut pod_steps = u64::from(need);
        if self.last_need.len() < need as usize {
            self.last_need.resize(need as usize, None);
        }
        // Levels that were needed in the step before go on; those above begin anew.
        for level in self.before..need {
            let Some(last) = self.last_need.get(level as usize).copied().flatten() else {
                continue;
            };
            pod_steps += (at - last - 1).min(delay_steps as u64);
        }
        // Levels that end here were needed last in the step before.
        for level in need..self.before {
            if let Some(last) = self.last_need.get_mut(level as usize) {
                *last = at.checked_sub(1);
            }
        }
        self.before = need;
        self.steps += 1;
        pod_steps
    }
}

/// Replicas times steps, starting ones included, of the cheapest plan for `required` replicas a step.
/// The first need of a level is taken as served: what was before the first step is not billed.
pub fn oracle_pod_steps(required: &[u32], delay_steps: usize) -> u64 {
    let mut oracle = Oracle::default();
    required.iter().map(|need| oracle.add(*need, delay_steps)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The least cost of one level by trying to keep or to stop in every gap.
    fn by_hand(required: &[u32], delay: usize) -> u64 {
        let most = required.iter().copied().max().unwrap_or(0);
        let mut total = 0;
        for level in 1..=most {
            let needed: Vec<bool> = required.iter().map(|need| *need >= level).collect();
            let first = needed.iter().position(|needed| *needed).unwrap();
            // cost[on]: cheapest so far, given whether the replica exists at the end of the step.
            let (mut on, mut off) = (Some(0_u64), None::<u64>);
            for (at, needed) in needed.iter().enumerate().skip(first) {
                // A start that serves from here on was billed for the `delay` steps before, and
                // there must have been as many.
                let started = off.filter(|_| at >= first + delay).map(|cost| cost + delay as u64);
                let next_on = [on, started].into_iter().flatten().min().map(|cost| cost + 1);
                let next_off = if *needed { None } else { [on, off].into_iter().flatten().min() };
                (on, off) = (next_on, next_off);
            }
            total += [on, off].into_iter().flatten().min().unwrap();
        }
        total
    }

    #[test]
    fn it_is_the_minimum_of_all_plans() {
        let mut state = 7_u64;
        let mut random = move || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            u32::try_from(state >> 60).unwrap() % 5
        };
        for delay in 0..6 {
            for _ in 0..200 {
                let required: Vec<u32> = (0..40).map(|_| random()).collect();
                assert_eq!(
                    oracle_pod_steps(&required, delay),
                    by_hand(&required, delay),
                    "{required:?}"
                );
            }
        }
    }

    #[test]
    fn a_short_gap_is_bridged_and_a_long_one_is_not() {
        assert_eq!(oracle_pod_steps(&[2, 1, 1, 2], 4), 8);
        assert_eq!(oracle_pod_steps(&[2, 1, 1, 1, 1, 1, 1, 2], 4), 8 + 2 + 4);
    }
}
