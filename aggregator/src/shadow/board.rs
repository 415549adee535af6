//! How each policy fares: an hour at a time, for a week.

use std::collections::{BTreeMap, VecDeque};
use std::ops::AddAssign;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::promotion::{Promotion, PromotionView, Scores};
use crate::backtest::oracle::Oracle;
use crate::simulate::{Outcome, Scenario};
use crate::units::Timestamp;

/// Length of a part that is kept.
const HOUR: Duration = Duration::from_hours(1);
/// Parts that are kept.
const KEPT: usize = 7 * 24 + 1;
/// What is looked back on.
const WINDOWS: [Duration; 3] =
    [Duration::from_hours(1), Duration::from_hours(24), Duration::from_hours(7 * 24)];

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
}

impl Entry {
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

/// The newest hours, oldest first, each with its number since 1970.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Hours(VecDeque<(u64, Entry)>);

impl Hours {
    fn add(&mut self, at: Timestamp, entry: &Entry) {
        let hour = at.step_index(HOUR);
        match self.0.back_mut() {
            // A clock that went back does not open an hour twice.
            Some((newest, sum)) if *newest >= hour => *sum += entry,
            _ => self.0.push_back((hour, *entry)),
        }
        while self.0.len() > KEPT {
            self.0.pop_front();
        }
    }

    fn all(&self) -> Entry {
        let mut sum = Entry::default();
        self.0.iter().for_each(|(_, entry)| sum += entry);
        sum
    }

    /// The last so many hours and the one under way.
    fn sum(&self, now: Timestamp, window: Duration) -> Entry {
        let first = (now - window).step_index(HOUR);
        let mut sum = Entry::default();
        self.0.iter().filter(|(hour, _)| *hour >= first).for_each(|(_, entry)| sum += entry);
        sum
    }
}

/// The scores of all policies beside the one in charge; survives a restart.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Board {
    measured: Hours,
    modelled: Hours,
    policies: BTreeMap<String, Hours>,
    oracle: Oracle,
    /// What the newest step adds to the oracle's plan.
    oracle_pod_seconds: f64,
    /// The candidate's way to be in charge, where one is named.
    pub(super) promotion: Option<Promotion>,
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
        self.measured.add(now, &measured);
        self.modelled.add(now, &modelled);
        measured
    }

    /// A policy in the step.
    pub(super) fn add_policy(&mut self, name: &str, now: Timestamp, entry: &Entry) {
        let entry = Entry { oracle_pod_seconds: self.oracle_pod_seconds, ..*entry };
        self.policies.entry(name.to_owned()).or_default().add(now, &entry);
    }

    /// Keeps only the policies that `is_kept` says by name.
    pub fn retain(&mut self, is_kept: impl Fn(&str) -> bool) {
        self.policies.retain(|name, _| is_kept(name));
    }

    /// The scores at `now`.
    pub fn scores(&self, now: Timestamp) -> Scoreboard {
        let window = |length: Duration| {
            let score = |hours: &Hours| Score::of(&hours.sum(now, length));
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
        Scoreboard { windows: WINDOWS.map(window).into(), promotion }
    }

    /// The scores of all the time that is kept, for a candidate's gate.
    pub(super) fn gate_scores(&self, candidate: &str, configured: &str) -> Scores {
        let score = |hours: &Hours| Score::of(&hours.all());
        let policy = |name: &str| self.policies.get(name).and_then(score);
        Scores {
            candidate: policy(candidate),
            configured: policy(configured),
            measured: score(&self.measured),
            modelled: score(&self.modelled),
        }
    }
}

/// Scores over several lengths of time.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Scoreboard {
    /// The shortest first.
    pub windows: Vec<Window>,
    /// The candidate's way to be in charge, where one is named.
    pub promotion: Option<PromotionView>,
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
