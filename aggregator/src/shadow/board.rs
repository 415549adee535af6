//! How each policy fares: an hour at a time, for a week.

use std::collections::{BTreeMap, VecDeque};
use std::ops::AddAssign;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::canary::{Canary, CanaryView};
use super::promotion::{Promotion, PromotionView, Scores};
use crate::backtest::oracle::Oracle;
use crate::simulate::{Outcome, Scenario};
use crate::units::Timestamp;

/// Length of a part that is kept.
const HOUR: Duration = Duration::from_hours(1);
/// Parts that are kept.
const KEPT: usize = 7 * 24 + 1;
const DAY: Duration = Duration::from_hours(24);
/// What is looked back on.
const WINDOWS: [Duration; 3] = [HOUR, DAY, Duration::from_hours(7 * 24)];

/// What some time was like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Entry {
    seconds: f64,
    requests: f64,
    violated: f64,
    slow: f64,
    pod_seconds: f64,
    oracle_pod_seconds: f64,
    changes: f64,
}

impl Entry {
    /// A time of one outcome.
    pub(super) fn new(outcome: &Outcome, is_change: bool, time: Duration) -> Self {
        let seconds = time.as_secs_f64();
        let requests = outcome.rps * seconds;
        Self {
            seconds,
            requests,
            violated: if outcome.violated { requests } else { 0.0 },
            slow: requests * (outcome.slow_share + outcome.dropped_share).min(1.0),
            pod_seconds: f64::from(outcome.replicas) * seconds,
            oracle_pod_seconds: 0.0,
            changes: f64::from(u8::from(is_change)),
        }
    }

    /// The same with the oracle's replicas over it.
    #[cfg(test)]
    pub(super) fn of_measured(outcome: &Outcome, time: Duration, oracle: f64) -> Self {
        let oracle_pod_seconds = oracle * time.as_secs_f64();
        Self { oracle_pod_seconds, ..Self::new(outcome, false, time) }
    }

    /// How long it is.
    pub(super) fn time(&self) -> Duration {
        Duration::try_from_secs_f64(self.seconds).unwrap_or_default()
    }

    /// Share of the requests in steps in which the objective was missed.
    pub(super) fn violated_share(&self) -> f64 {
        self.violated / self.requests.max(f64::MIN_POSITIVE)
    }
}

impl AddAssign<&Self> for Entry {
    fn add_assign(&mut self, other: &Self) {
        self.seconds += other.seconds;
        self.requests += other.requests;
        self.violated += other.violated;
        self.slow += other.slow;
        self.pod_seconds += other.pod_seconds;
        self.oracle_pod_seconds += other.oracle_pod_seconds;
        self.changes += other.changes;
    }
}

/// Sums of the newest hours, or of other equal parts of time, oldest first, each with its number
/// since 1970.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Parts(VecDeque<(u64, Entry)>);

impl Parts {
    /// Adds to the part `number`.
    pub(super) fn add(&mut self, number: u64, entry: &Entry) {
        match self.0.back_mut() {
            // A clock that went back does not open a part twice.
            Some((newest, sum)) if *newest >= number => *sum += entry,
            _ => self.0.push_back((number, *entry)),
        }
    }

    /// Number of the oldest part.
    fn first(&self) -> Option<u64> {
        self.0.front().map(|(number, _)| *number)
    }

    /// Forgets all but the newest so many parts.
    fn keep(&mut self, count: usize) {
        let surplus = self.0.len().saturating_sub(count);
        self.0.drain(..surplus);
    }

    /// Forgets the parts before `number`.
    pub(super) fn forget_before(&mut self, number: u64) {
        self.0.retain(|(at, _)| *at >= number);
    }

    /// The parts from `number` on.
    pub(super) fn since(&self, number: u64) -> Entry {
        let mut sum = Entry::default();
        self.0.iter().filter(|(at, _)| *at >= number).for_each(|(_, entry)| sum += entry);
        sum
    }
}

/// The scores of all policies beside the one in charge; survives a restart.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Board {
    measured: Parts,
    modelled: Parts,
    policies: BTreeMap<String, Parts>,
    oracle: Oracle,
    /// What the newest step adds to the oracle's plan.
    oracle_pod_seconds: f64,
    /// The candidate's way to be in charge, where one is named.
    pub(super) promotion: Option<Promotion>,
    /// The comparison with whoever scaled before, in mode `canary`.
    pub(super) canary: Option<Canary>,
}

impl Board {
    /// A step that requires so many replicas begins.
    pub(super) fn require(&mut self, required: u32, scenario: &Scenario) {
        let pod_steps = self.oracle.add(required, scenario.delay_steps());
        self.oracle_pod_seconds = pod_steps as f64 * scenario.decision_interval.as_secs_f64();
    }

    /// The replicas that there are, in the step: as measured, and through the model.
    /// Gives the first with the oracle's part.
    pub(super) fn add_actual(&mut self, now: Timestamp, entries: [Entry; 2]) -> Entry {
        let oracle_pod_seconds = self.oracle_pod_seconds;
        let [measured, modelled] = entries.map(|entry| Entry { oracle_pod_seconds, ..entry });
        add_hour(&mut self.measured, now, &measured);
        add_hour(&mut self.modelled, now, &modelled);
        measured
    }

    /// A policy in the step.
    pub(super) fn add_policy(&mut self, name: &str, now: Timestamp, entry: &Entry) {
        let entry = Entry { oracle_pod_seconds: self.oracle_pod_seconds, ..*entry };
        add_hour(self.policies.entry(name.to_owned()).or_default(), now, &entry);
    }

    /// Keeps only the policies that `is_kept` says by name.
    pub fn retain(&mut self, is_kept: impl Fn(&str) -> bool) {
        self.policies.retain(|name, _| is_kept(name));
    }

    /// The scores at `now`, without the comparison in mode `canary`, whose terms it does not know.
    pub fn scores(&self, now: Timestamp) -> Scoreboard {
        let window = |length: Duration| {
            let first = (now - length).step_index(HOUR);
            let score = |hours: &Parts| Score::of(&hours.since(first));
            Window {
                seconds: length.as_secs(),
                measured: score(&self.measured),
                modelled: score(&self.modelled),
                policies: self
                    .policies
                    .iter()
                    .filter_map(|(name, hours)| Some((name.clone(), score(hours)?)))
                    .collect(),
            }
        };
        let promotion = self.promotion.as_ref().map(Promotion::view);
        Scoreboard { windows: WINDOWS.map(window).into(), promotion, canary: None }
    }

    /// The scores of the hours in which the candidate was scored, for its gate: it may have come
    /// later than the others, to other load.
    pub(super) fn gate_scores(&self, candidate: &str, configured: &str) -> Scores {
        let first = self.policies.get(candidate).and_then(Parts::first).unwrap_or(u64::MAX);
        let score = |hours: &Parts| Score::of(&hours.since(first));
        let policy = |name: &str| self.policies.get(name).and_then(score);
        Scores {
            candidate: policy(candidate),
            configured: policy(configured),
            measured: score(&self.measured),
            modelled: score(&self.modelled),
        }
    }
}

fn add_hour(hours: &mut Parts, now: Timestamp, entry: &Entry) {
    hours.add(now.step_index(HOUR), entry);
    hours.keep(KEPT);
}

/// Scores over several lengths of time.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Scoreboard {
    /// The shortest first.
    pub windows: Vec<Window>,
    /// The candidate's way to be in charge, where one is named.
    pub promotion: Option<PromotionView>,
    /// The comparison with whoever scaled before, in mode `canary`.
    pub canary: Option<CanaryView>,
}

impl Scoreboard {
    /// The last day.
    pub fn day(&self) -> Option<&Window> {
        self.windows.iter().find(|window| window.seconds == DAY.as_secs())
    }
}

/// Scores over the last hours, to the full hour, and the one under way.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Window {
    /// Length in seconds.
    pub seconds: u64,
    /// Whoever was in charge, as measured.
    pub measured: Option<Score>,
    /// The same replicas through the model: its difference from `measured` is the model's error.
    pub modelled: Option<Score>,
    /// Each policy through the model.
    pub policies: BTreeMap<String, Score>,
}

/// How a policy fared.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Score {
    /// Seconds that were scored.
    pub known_seconds: f64,
    /// Requests in them.
    pub requests: f64,
    /// Share of them in steps in which the objective was missed.
    pub violation: f64,
    /// Share of them that was slow or turned away.
    pub slow_share: f64,
    /// Replica time, starting ones included.
    pub pod_hours: f64,
    /// The same over that of a plan made with the load known in advance.
    pub cost_over_oracle: f64,
    /// Changes of the replicas an hour.
    pub changes_per_hour: f64,
}

impl Score {
    /// `None` for no time at all.
    pub(super) fn of(sum: &Entry) -> Option<Self> {
        let requests = sum.requests.max(f64::MIN_POSITIVE);
        (sum.seconds > 0.0).then(|| Self {
            known_seconds: sum.seconds,
            requests: sum.requests,
            violation: sum.violated / requests,
            slow_share: sum.slow / requests,
            pod_hours: sum.pod_seconds / 3_600.0,
            cost_over_oracle: sum.pod_seconds / sum.oracle_pod_seconds.max(f64::MIN_POSITIVE),
            changes_per_hour: sum.changes * 3_600.0 / sum.seconds,
        })
    }
}
