//! The forecasts that contenders share: what the load will be does not depend on who scales.

use super::Stopwatch;
use crate::autoscaler::Autoscaler;
use crate::backtest::ablation::{late_steps, leave_out};
use crate::config::{Part, WorkloadConfig};
use crate::forecast::Curve;
use crate::simulate::World;
use crate::units::{Rps, Timestamp};

/// One forecast, and what was left out of it.
struct Leader {
    without: Option<Part>,
    late_steps: usize,
    autoscaler: Autoscaler,
    micros: f64,
}

/// All forecasts of a replay.
pub(super) struct Leaders(Vec<Leader>);

/// The part that makes a forecast another one.
fn key(without: Option<Part>) -> Option<Part> {
    without.filter(|part| part.is_of_forecast())
}

impl Leaders {
    /// One for each part that a contender's forecast does without.
    pub(super) fn new(
        config: &WorkloadConfig,
        start: Timestamp,
        needed: impl Iterator<Item = Option<Part>>,
    ) -> Self {
        let mut leaders: Vec<Leader> = Vec::new();
        for without in needed.map(key) {
            if leaders.iter().any(|leader| leader.without == without) {
                continue;
            }
            let mut config = config.clone();
            if let Some(part) = without {
                leave_out(&mut config, part);
            }
            let late_steps = late_steps(without, config.decision_interval);
            let autoscaler = Autoscaler::new(&config, start);
            leaders.push(Leader { without, late_steps, autoscaler, micros: 0.0 });
        }
        Self(leaders)
    }

    /// Lets every forecast learn the load of step `at`, which ends at `now`.
    pub(super) fn learn(
        &mut self,
        world: &World,
        at: usize,
        now: Timestamp,
        watch: &dyn Stopwatch,
    ) {
        for leader in &mut self.0 {
            let Some(at) = at.checked_sub(leader.late_steps) else { continue };
            let before = watch.micros();
            let end = now - world.grid.step * u32::try_from(leader.late_steps).unwrap_or(u32::MAX);
            let rate = world.grid.rates.get(at).copied().flatten();
            let rate = rate.and_then(|rate| Rps::new(rate).ok());
            leader.autoscaler.learn_rate(end - world.grid.step, end, rate);
            leader.micros = watch.micros() - before;
        }
    }

    /// Grows trees where they are due.
    pub(super) fn refit(&mut self) {
        for leader in &mut self.0 {
            if let Some(job) = leader.autoscaler.refit_job() {
                leader.autoscaler.install(job.run());
            }
        }
    }

    fn of(&self, without: Option<Part>) -> Option<&Leader> {
        self.0.iter().find(|leader| leader.without == key(without))
    }

    /// The forecast for a contender.
    pub(super) fn curve(&self, without: Option<Part>) -> Option<&Curve> {
        self.of(without).and_then(|leader| leader.autoscaler.forecast())
    }

    /// µs that its newest forecast took.
    pub(super) fn micros(&self, without: Option<Part>) -> f64 {
        self.of(without).map_or(0.0, |leader| leader.micros)
    }
}
