//! The guards between a proposal and anything that scales.
//!
//! Only this module makes [`Approved`], and actuation takes nothing else: no policy, learned or
//! not, can go round it. The numbers in brackets are the safety rules in `DESIGN.md`.

pub(crate) mod behavior;
mod blast;
mod cluster;
mod contest;
mod errors;
mod freshness;
mod futility;
mod guard;

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::config::{Mode, Part, WorkloadConfig};
use crate::journal::{ClusterFacts, GuardRecord, Observation};
use crate::policy::Proposal;
use crate::units::Timestamp;
use behavior::{Recommendations, ReplicaHistory};
use errors::ErrorBaseline;
use freshness::{Freshness, Trust};
use futility::Futility;
use guard::{Guard, Lane};

pub use blast::BlastLedger;
pub use cluster::UNSCHEDULABLE_FOR;
pub use contest::Contest;
pub use freshness::{MAX_DATA_AGE, MIN_COVERAGE};

/// After a miss of the objective nothing is scaled down for so many decision intervals: 2 min of
/// the default.
const CALM_AFTER_MISS: u32 = 8;

/// A number of replicas that passed every guard. Has no public constructor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Approved {
    desired_replicas: u32,
    current_replicas: u32,
}

impl Approved {
    /// Replicas to have.
    pub const fn desired_replicas(&self) -> u32 {
        self.desired_replicas
    }

    /// Replicas there were when this was approved.
    pub const fn current_replicas(&self) -> u32 {
        self.current_replicas
    }
}

/// What the guards make of a proposal.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    /// What may be written; `None` while the replica counts are unknown.
    pub approved: Option<Approved>,
    /// Replicas to have.
    pub desired_replicas: u32,
    /// What it would have been without the forecast.
    pub without_forecast: u32,
    /// The guards that bound, in order.
    pub guards: Vec<GuardRecord>,
}

/// What the guards remember of one workload.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Safety {
    freshness: Freshness,
    history: ReplicaHistory,
    recommendations: Recommendations,
    /// Those of the reactive answer alone, for the counterfactual.
    reactive_recommendations: Recommendations,
    burst_until: Option<Timestamp>,
    /// When the objective was last missed.
    missed_at: Option<Timestamp>,
    errors: ErrorBaseline,
    futility: Futility,
    last_known_replicas: Option<u32>,
    /// See [`Safety::hand_back`].
    #[serde(skip)]
    handed_back: Option<u32>,
}

impl Safety {
    /// Begins at `now`; until a stabilization window has filled from here, nothing scales down
    /// \[10\].
    pub fn new(now: Timestamp) -> Self {
        Self {
            freshness: Freshness::new(now),
            history: ReplicaHistory::default(),
            recommendations: Recommendations(VecDeque::new()),
            reactive_recommendations: Recommendations(VecDeque::new()),
            burst_until: None,
            missed_at: None,
            errors: ErrorBaseline::default(),
            futility: Futility::default(),
            last_known_replicas: None,
            handed_back: None,
        }
    }

    /// Goes on after a restart at `now`: what was recommended is known, but the current replicas
    /// are the floor until a stabilization window has filled \[10\].
    #[must_use]
    pub fn restarted(mut self, now: Timestamp) -> Self {
        self.freshness.restart(now);
        self
    }

    /// From now on the answer is that the replicas stay as they are, raised to so many: somebody else
    /// has the target back. `None` ends that.
    pub const fn hand_back(&mut self, replicas: Option<u32>) {
        self.handed_back = replicas;
    }

    /// Sends a proposal through all guards.
    pub fn judge(
        &mut self,
        config: &WorkloadConfig,
        now: Timestamp,
        observation: &Observation,
        proposal: &Proposal,
    ) -> Verdict {
        let trust = self.freshness.judge(config, now, observation);
        let known = observation.current_replicas;
        self.last_known_replicas = known.or(self.last_known_replicas);
        let current = self.last_known_replicas.unwrap_or(config.min_replicas);
        if let Some(current) = known {
            self.history.record(now, current);
        }
        if proposal.burst.is_some() {
            self.burst_until = Some(now + config.burst.stable_window);
        }
        let in_burst = self.burst_until.is_some_and(|until| now < until);

        if proposal.missed == Some(true) {
            self.missed_at = Some(now);
        }
        let calm = config.decision_interval * CALM_AFTER_MISS;
        let missed_lately = config.without != Some(Part::CalmAfterMiss)
            && self.missed_at.is_some_and(|at| now.since(at) < calm);

        let input = Input {
            config,
            now,
            current,
            trust: &trust,
            in_burst,
            missed_lately,
            failing: self.errors.exceeded(now, observation.error_ratio),
            futile_above: self.futility.limit(now, observation, proposal),
            cluster: observation.cluster.as_ref(),
        };
        let source = if proposal.is_promoted() { Source::Promoted } else { Source::Observed };
        let lane = self.pass(&input, proposal.answer(), source);
        let without = self.pass(&input, proposal.without_forecast(), Source::Counterfactual);
        let desired_replicas = lane.replicas;
        if config.mode == Mode::Active && known.is_some() {
            // What is ordered now counts for the rate policies from now, not from when it is seen.
            self.history.record(now, desired_replicas);
        }
        Verdict {
            approved: known.map(|current_replicas| Approved { desired_replicas, current_replicas }),
            desired_replicas,
            without_forecast: without.replicas,
            guards: lane.guards,
        }
    }

    /// Sends one answer through trust, the damping of autoscaling/v2 \[7\], the bounds \[1\] and
    /// what the cluster forbids \[8, 9, 11, 12\].
    fn pass(&mut self, input: &Input<'_>, proposed: Option<u32>, source: Source) -> Lane {
        let raw = input.bounded(proposed.unwrap_or(input.current));
        let mut lane = input.lane(proposed);
        let behavior = &input.config.behavior;
        let current = input.current;
        let recommendations = match source {
            Source::Counterfactual => &mut self.reactive_recommendations,
            Source::Observed | Source::Promoted => &mut self.recommendations,
        };
        let stabilized =
            recommendations.stabilize(input.now, current, lane.replicas, raw, behavior);
        // A promoted forecast looks ahead and remembers its own answers; for it the window is how
        // long data must have been good.
        let stabilized = match source {
            Source::Promoted => lane.replicas,
            Source::Observed | Source::Counterfactual => stabilized,
        };
        lane.guard(Guard::Stabilization, stabilized, || {
            "an earlier recommendation in the window holds".to_owned()
        });
        let limited = self.history.limit(input.now, current, lane.replicas, behavior);
        lane.guard(Guard::RateLimit, limited, || "as fast as the policies allow".to_owned());
        let (min, max) = (input.config.min_replicas, input.config.max_replicas);
        lane.guard(Guard::Bounds, lane.replicas.clamp(min, max), || {
            format!("between min_replicas {min} and max_replicas {max}")
        });
        if let Some(replicas) = self.handed_back.filter(|_| source != Source::Counterfactual) {
            lane.guard(Guard::HandedBack, current.max(replicas.min(max)), || {
                "somebody else's turn begins, with the replicas that it had".to_owned()
            });
        }
        if let Some(facts) = input.cluster {
            cluster::hold(&mut lane, facts, current);
        }
        lane
    }
}

/// What all guards of one decision look at.
struct Input<'a> {
    config: &'a WorkloadConfig,
    now: Timestamp,
    current: u32,
    trust: &'a Trust,
    in_burst: bool,
    missed_lately: bool,
    /// The usual share of failures, when that of now is above it.
    failing: Option<f64>,
    /// More replicas than these were shown not to help.
    futile_above: Option<u32>,
    cluster: Option<&'a ClusterFacts>,
}

/// Where an answer comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    /// Observed demand, or a forecast above it.
    Observed,
    /// A forecast that was promoted for scale-in.
    Promoted,
    /// What would be without the forecast.
    Counterfactual,
}

impl Input<'_> {
    /// Between the user's bounds \[1\].
    fn bounded(&self, replicas: u32) -> u32 {
        replicas.clamp(self.config.min_replicas, self.config.max_replicas)
    }

    /// The guards that depend on how far the data can be trusted \[2, 3, 4, 10\] and on a burst
    /// \[7\].
    fn lane(&self, proposed: Option<u32>) -> Lane {
        let (current, config) = (self.current, self.config);
        let mut lane = Lane { replicas: proposed.unwrap_or(current), guards: Vec::new() };
        let (min, max) = (config.min_replicas, config.max_replicas);
        lane.guard(Guard::Bounds, lane.replicas.clamp(min, max), || {
            format!("between min_replicas {min} and max_replicas {max}")
        });
        match self.trust {
            Trust::Stale { age, fallback: Some(fallback) } => {
                lane.guard(Guard::StaleFallback, current.max(*fallback), || {
                    format!("no telemetry for {:.0} s", age.as_secs_f64())
                });
            }
            Trust::Stale { age, fallback: None } => lane.guard(Guard::StaleHold, current, || {
                format!("no telemetry for {:.0} s", age.as_secs_f64())
            }),
            Trust::NotYet { cause, remaining } if lane.replicas < current => {
                lane.guard(cause.guard(), current, || {
                    format!("{}; {:.0} s to go", cause.in_words(), remaining.as_secs_f64())
                });
            }
            Trust::NotYet { .. } | Trust::Full => {}
        }
        if self.missed_lately && lane.replicas < current {
            lane.guard(Guard::ObjectiveMissed, current, || {
                format!("the objective was missed in the last {CALM_AFTER_MISS} decision intervals")
            });
        }
        if let Some(usual) = self.failing.filter(|_| lane.replicas < current) {
            lane.guard(Guard::Errors, current, || {
                format!("more requests fail than the usual {:.1} %", usual * 100.0)
            });
        }
        if let Some(most) = self.futile_above.filter(|_| lane.replicas > current) {
            lane.guard(Guard::Futile, lane.replicas.min(most.max(current)), || {
                "the last two raises did not make it faster; is something else slow?".to_owned()
            });
        }
        if self.in_burst && lane.replicas < current {
            lane.guard(Guard::Burst, current, || {
                format!("a burst in the last {:?}", config.burst.stable_window)
            });
        }
        lane
    }
}

#[cfg(test)]
mod tests;
