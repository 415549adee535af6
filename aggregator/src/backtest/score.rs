//! What a run is judged by.

use std::time::Duration;

use serde::Serialize;

use crate::simulate::Outcome;

/// A change back within this time is a reversal.
const REVERSAL: Duration = Duration::from_mins(10);

/// A run in figures.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Score {
    /// Share of requests in steps in which the objective was missed.
    pub violation: f64,
    /// Share of requests over the objective's latency, dropped ones included.
    pub slow_share: f64,
    /// Replica time, starting ones included.
    pub pod_hours: f64,
    /// The same over the oracle's.
    pub cost_over_oracle: f64,
    /// Raises.
    pub scale_ups: u64,
    /// Lowerings.
    pub scale_downs: u64,
    /// Both, an hour.
    pub changes_per_hour: f64,
    /// Changes against the one before within ten minutes, an hour.
    pub reversals_per_hour: f64,
    /// Mean length of a run of missed steps.
    pub recovery_mean_steps: f64,
    /// 95th percentile of it.
    pub recovery_p95_steps: f64,
}

/// Adds up a run, step by step.
#[derive(Clone, Debug)]
pub struct Scorer {
    step: Duration,
    oracle_pod_steps: u64,
    steps: u64,
    requests: f64,
    violated: f64,
    slow: f64,
    pod_steps: u64,
    ups: u64,
    downs: u64,
    reversals: u64,
    last_change: Option<(u64, bool)>,
    missing: u64,
    recoveries: Vec<u64>,
}

impl Scorer {
    /// Nothing yet.
    pub const fn new(step: Duration, oracle_pod_steps: u64) -> Self {
        Self {
            step,
            oracle_pod_steps,
            steps: 0,
            requests: 0.0,
            violated: 0.0,
            slow: 0.0,
            pod_steps: 0,
            ups: 0,
            downs: 0,
            reversals: 0,
            last_change: None,
            missing: 0,
            recoveries: Vec::new(),
        }
    }

    /// Adds a step, and the change of replicas that was ordered at its end.
    pub fn add(&mut self, outcome: &Outcome, change: i64) {
        self.steps += 1;
        self.requests += outcome.rps;
        self.slow += outcome.rps * (outcome.slow_share + outcome.dropped_share).min(1.0);
        self.pod_steps += u64::from(outcome.replicas);
        if outcome.violated {
            self.violated += outcome.rps;
            self.missing += 1;
        } else if self.missing > 0 {
            self.recoveries.push(std::mem::take(&mut self.missing));
        }
        if change == 0 {
            return;
        }
        let is_up = change > 0;
        *(if is_up { &mut self.ups } else { &mut self.downs }) += 1;
        if let Some((at, was_up)) = self.last_change {
            let elapsed = self.step.as_secs_f64() * (self.steps - at) as f64;
            self.reversals += u64::from(was_up != is_up && elapsed <= REVERSAL.as_secs_f64());
        }
        self.last_change = Some((self.steps, is_up));
    }

    /// The score.
    pub fn finish(mut self) -> Score {
        if self.missing > 0 {
            self.recoveries.push(self.missing);
        }
        self.recoveries.sort_unstable();
        let hours = self.steps as f64 * self.step.as_secs_f64() / 3_600.0;
        let events = self.recoveries.len();
        let mean = self.recoveries.iter().sum::<u64>() as f64 / events.max(1) as f64;
        let p95 = self.recoveries.get(events * 95 / 100).copied().unwrap_or(0);
        Score {
            violation: self.violated / self.requests.max(f64::MIN_POSITIVE),
            slow_share: self.slow / self.requests.max(f64::MIN_POSITIVE),
            pod_hours: self.pod_steps as f64 * self.step.as_secs_f64() / 3_600.0,
            cost_over_oracle: self.pod_steps as f64 / self.oracle_pod_steps.max(1) as f64,
            scale_ups: self.ups,
            scale_downs: self.downs,
            changes_per_hour: (self.ups + self.downs) as f64 / hours,
            reversals_per_hour: self.reversals as f64 / hours,
            recovery_mean_steps: mean,
            recovery_p95_steps: p95 as f64,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(violated: bool) -> Outcome {
        Outcome { rps: 10.0, replicas: 2, violated, slow_share: 0.1, ..Outcome::default() }
    }

    #[test]
    fn shares_changes_and_recoveries_add_up() {
        let mut scorer = Scorer::new(Duration::from_secs(15), 100);
        for at in 0..100 {
            let change = match at {
                10 | 80 => 1,
                20 => -1,
                _ => 0,
            };
            scorer.add(&outcome((30..34).contains(&at) || at >= 98), change);
        }
        let score = scorer.finish();
        assert!((score.violation - 0.06).abs() < 1e-12);
        assert!((score.slow_share - 0.1).abs() < 1e-12);
        assert!((score.cost_over_oracle - 2.0).abs() < 1e-12);
        assert_eq!((score.scale_ups, score.scale_downs), (2, 1));
        // The change at 20 turns the one at 10; the one at 80 comes 15 minutes later.
        assert!((score.reversals_per_hour - 1.0 / (100.0 * 15.0 / 3_600.0)).abs() < 1e-9);
        assert!((score.recovery_mean_steps - 3.0).abs() < 1e-12);
    }
}
