//! The guards that need a cluster to speak of \[8, 9, 11, 12\].

use std::time::Duration;

use super::guard::{Guard, Lane};
use crate::journal::{ClusterFacts, Pause};

/// How long no node is found for a pod before nothing more is asked for.
pub const UNSCHEDULABLE_FOR: Duration = Duration::from_mins(1);

/// Holds what may not change now. These guards come last: nothing after them moves the answer.
pub(super) fn hold(lane: &mut Lane, facts: &ClusterFacts, current: u32) {
    if let Some(pause) = facts.pause {
        let holds = match pause {
            Pause::All => true,
            Pause::In => lane.replicas < current,
            Pause::Out => lane.replicas > current,
        };
        if holds {
            lane.guard(Guard::Paused, current, || "paused for all targets".to_owned());
        }
    }
    if facts.contested {
        lane.guard(Guard::Contested, current, || {
            "somebody else writes the replicas too; edit the resource to try again".to_owned()
        });
    }
    if lane.replicas < current {
        hold_down(lane, facts, current);
    } else if facts.unschedulable_pods > 0 {
        let count = facts.unschedulable_pods;
        lane.guard(Guard::Unschedulable, current, || {
            format!("no node was found for {count} pod(s) for {UNSCHEDULABLE_FOR:?}")
        });
    }
}

fn hold_down(lane: &mut Lane, facts: &ClusterFacts, current: u32) {
    if facts.rollout {
        lane.guard(Guard::Rollout, current, || "a rollout is in progress".to_owned());
    }
    if facts.overdue_pods > 0 {
        let count = facts.overdue_pods;
        lane.guard(Guard::Unready, current, || {
            format!("{count} pod(s) are not Ready past their start-up time")
        });
    }
    if let Some(removable) = facts.removable_pods {
        let least = lane.replicas.max(current.saturating_sub(removable));
        lane.guard(Guard::BlastRadius, least, || {
            format!("{removable} more pod(s) may go from all targets together")
        });
    }
}
