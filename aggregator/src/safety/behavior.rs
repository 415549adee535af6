//! The damping of autoscaling/v2: stabilization windows and rate policies.
//!
//! Source: kubernetes `pkg/controller/podautoscaler/horizontal.go`, `stabilizeRecommendationWithBehaviors`
//! and `convertDesiredReplicasWithBehaviorRate`, and KEP-853.

use std::collections::VecDeque;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::config::{Behavior, PolicyKind, ScalingRules, SelectPolicy};
use crate::units::Timestamp;

/// The most entries that are remembered: an hour of decisions every second.
const MAX_ENTRIES: usize = 3_700;

/// Recommendations before they were stabilized, oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Recommendations(pub(crate) VecDeque<(Timestamp, u32)>);

impl Recommendations {
    /// The recommendation that the windows allow. What is remembered is `raw`: the recommendation
    /// before any guard, so that a hold does not outlast its cause.
    ///
    /// 1. Upward, the smallest in its window; downward, the greatest in its window.
    /// 2. The current number moves to the first if it is below, then to the second if it is above.
    pub(crate) fn stabilize(
        &mut self,
        now: Timestamp,
        current: u32,
        recommended: u32,
        raw: u32,
        behavior: &Behavior,
    ) -> u32 {
        let up_window = behavior.scale_up.stabilization_window;
        let down_window = behavior.scale_down.stabilization_window;
        let longest = up_window.max(down_window);
        while self.0.front().is_some_and(|(at, _)| now.since(*at) >= longest)
            || self.0.len() >= MAX_ENTRIES
        {
            self.0.pop_front();
        }
        let within = |window: Duration| {
            self.0.iter().filter(move |(at, _)| now.since(*at) < window).map(|(_, n)| *n)
        };
        let up = within(up_window).chain([recommended]).min().unwrap_or(recommended);
        let down = within(down_window).chain([recommended]).max().unwrap_or(recommended);
        self.0.push_back((now, raw));
        current.max(up).min(down.max(up))
    }
}

/// Replicas that there were, for the policies' periods.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ReplicaHistory(VecDeque<(Timestamp, u32)>);

impl ReplicaHistory {
    /// Takes note of the current number.
    pub(crate) fn record(&mut self, now: Timestamp, current: u32) {
        let half_an_hour = Duration::from_mins(30);
        while self.0.len() >= MAX_ENTRIES
            || self.0.get(1).is_some_and(|(at, _)| now.since(*at) > half_an_hour)
        {
            self.0.pop_front();
        }
        if self.0.back().is_none_or(|(_, last)| *last != current) {
            self.0.push_back((now, current));
        }
    }

    /// The number a period ago: that of the newest entry that old, or of the oldest there is.
    fn before(&self, now: Timestamp, period: Duration, current: u32) -> u32 {
        let old = self.0.iter().rev().find(|(at, _)| now.since(*at) >= period);
        old.or_else(|| self.0.front()).map_or(current, |(_, replicas)| *replicas)
    }

    /// The nearest number to `wanted` that the policies allow from `current`.
    pub(crate) fn limit(
        &self,
        now: Timestamp,
        current: u32,
        wanted: u32,
        behavior: &Behavior,
    ) -> u32 {
        if wanted > current {
            let limits = |rules| self.limits(now, current, rules, true);
            let limit = select(&behavior.scale_up, limits(&behavior.scale_up), current, true);
            return wanted.min(limit.max(current));
        }
        if wanted < current {
            let limits = |rules| self.limits(now, current, rules, false);
            let limit = select(&behavior.scale_down, limits(&behavior.scale_down), current, false);
            return wanted.max(limit.min(current));
        }
        wanted
    }

    /// Where each policy ends.
    fn limits(&self, now: Timestamp, current: u32, rules: &ScalingRules, up: bool) -> Vec<u32> {
        let limit = |policy: &crate::config::ScalingPolicy| {
            let start = u64::from(self.before(now, policy.period, current));
            let value = u64::from(policy.value);
            let end = match (policy.kind, up) {
                (PolicyKind::Pods, true) => start + value,
                (PolicyKind::Pods, false) => start.saturating_sub(value),
                (PolicyKind::Percent, true) => (start * (100 + value)).div_ceil(100),
                (PolicyKind::Percent, false) => start * 100_u64.saturating_sub(value) / 100,
            };
            u32::try_from(end).unwrap_or(u32::MAX)
        };
        rules.policies.iter().map(limit).collect()
    }
}

/// The end that `select_policy` picks: `Max` allows the greatest change.
fn select(rules: &ScalingRules, limits: Vec<u32>, current: u32, up: bool) -> u32 {
    let greatest_change = match rules.select_policy {
        SelectPolicy::Disabled => return current,
        SelectPolicy::Max => true,
        SelectPolicy::Min => false,
    };
    let limits = limits.into_iter();
    let picked = if greatest_change == up { limits.max() } else { limits.min() };
    // Without policies nothing limits the change.
    picked.unwrap_or(if up { u32::MAX } else { 0 })
}
