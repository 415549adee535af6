//! Whoever decides in a backtest: Foresail at a price of risk, or a peer at a target.

use super::Stopwatch;
use super::leaders::Leaders;
use crate::backtest::ablation::Late;
use crate::backtest::choice::{Candidate, Choice};
use crate::backtest::decider::{Decider, Seen};
use crate::backtest::peers::PeerView;
use crate::backtest::report::Run;
use crate::backtest::score::Scorer;
use crate::config::{Part, WorkloadConfig};
use crate::simulate::{Cluster, Scenario, World, max_replicas};
use crate::units::Timestamp;

/// Prices of risk that Foresail is swept over.
const PRICES: [f64; 20] = [
    0.15, 0.3, 0.6, 1.0, 1.6, 2.5, 4.0, 6.0, 9.0, 13.0, 18.0, 26.0, 40.0, 60.0, 100.0, 150.0,
    250.0, 500.0, 1_200.0, 2_500.0,
];

/// Where contenders meet.
#[derive(Clone, Copy)]
pub(super) struct Setting<'a> {
    pub(super) config: &'a WorkloadConfig,
    pub(super) scenario: &'a Scenario,
    pub(super) world: &'a World,
    pub(super) oracle_pod_steps: u64,
}

impl Setting<'_> {
    fn start(&self) -> Timestamp {
        Timestamp::of_step(self.world.grid.first_index, self.world.grid.step)
    }
}

/// The contenders of a policy: the default, and with `sweep` one for every other knob.
pub(super) fn contenders_of(choice: Choice, setting: &Setting<'_>, sweep: bool) -> Vec<Contender> {
    let mut all = vec![Contender::new(choice, None, setting)];
    if sweep {
        let knobs = match choice {
            Choice::Peer(kind) => kind.knobs(),
            _ => PRICES.to_vec(),
        };
        let default = all.first().map_or(f64::NAN, |contender| contender.knob);
        let others = knobs.into_iter().filter(|knob| (knob - default).abs() > 1e-9);
        all.extend(others.map(|knob| Contender::new(choice, Some(knob), setting)));
    }
    all
}

/// What every contender of a step looks at.
pub(super) struct Step<'a> {
    pub(super) world: &'a World,
    pub(super) at: usize,
    pub(super) now: Timestamp,
    pub(super) leaders: &'a Leaders,
}

/// What a step came to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Served {
    /// Replicas that were billed.
    pub(super) replicas: u32,
    /// Whether the objective was missed.
    pub(super) violated: bool,
}

/// One policy at one knob with its own replicas.
pub(super) struct Contender {
    name: String,
    knob: f64,
    is_default: bool,
    decider: Decider,
    without: Option<Part>,
    late: Late,
    cluster: Cluster,
    scenario: Scenario,
    scorer: Scorer,
    /// Times of decisions, in µs; of the default only.
    times: Vec<f32>,
}

impl Contender {
    fn new(choice: Choice, knob: Option<f64>, setting: &Setting<'_>) -> Self {
        let decider = choice.decider(setting.config, setting.start(), knob);
        let mut contender = Self::with(choice.name(), decider, choice.without(), setting);
        contender.is_default = knob.is_none();
        contender.knob = match choice {
            Choice::Peer(kind) => knob.unwrap_or_else(|| kind.default_knob()),
            _ => knob.unwrap_or(0.0),
        };
        contender
    }

    fn with(name: &str, decider: Decider, without: Option<Part>, setting: &Setting<'_>) -> Self {
        let Setting { scenario, world, .. } = *setting;
        let first = world.required(0);
        Self {
            name: name.to_owned(),
            knob: 0.0,
            is_default: true,
            decider,
            without,
            late: Late::of(without, scenario.decision_interval),
            cluster: Cluster::new(scenario, first + first / 4 + 1),
            scenario: scenario.clone(),
            scorer: Scorer::new(world.grid.step, setting.oracle_pod_steps),
            times: Vec::new(),
        }
    }

    /// Foresail with a learned policy that corrects its answer.
    pub(super) fn learned(candidate: &Candidate, setting: &Setting<'_>) -> Self {
        let decider = candidate.decider(setting.config, setting.start());
        Self::with(&candidate.name, decider, None, setting)
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// The part that is left out.
    pub(super) const fn without(&self) -> Option<Part> {
        self.without
    }

    /// Whether it looks at a shared forecast.
    pub(super) const fn forecasts(&self) -> bool {
        self.decider.forecasts()
    }

    pub(super) const fn is_default(&self) -> bool {
        self.is_default
    }

    /// Serves a step, then decides on it.
    pub(super) fn step(&mut self, step: &Step<'_>, watch: &dyn Stopwatch) -> Served {
        let outcome = self.cluster.step(step.world, step.at);
        let before = self.cluster.replicas();
        let observation = self.cluster.observation(step.world, step.at, &outcome, step.now);
        let observation = self.late.delayed(observation);
        let start = self.is_default.then(|| watch.micros());
        let desired = self.decider.decide(&Seen {
            observation: &observation,
            curve: step.leaders.curve(self.without),
            peer: PeerView {
                now: step.now,
                step: step.world.grid.step,
                rps: step.world.grid.rates.get(step.at).copied().flatten(),
                cpu_utilisation: Some(outcome.utilisation),
                ready: self.cluster.ready(),
                replicas: before,
                capacity_rps: step.world.replica.capacity_rps,
                startup: self.scenario.startup,
                min: 1,
                max: max_replicas(&self.scenario),
            },
        });
        if let Some(start) = start {
            let forecast = if self.forecasts() { step.leaders.micros(self.without) } else { 0.0 };
            #[expect(clippy::cast_possible_truncation, reason = "a time in µs needs few digits")]
            self.times.push((watch.micros() - start + forecast) as f32);
        }
        self.cluster.order(desired);
        if step.at >= step.world.warm_up_steps {
            let change = i64::from(self.cluster.replicas()) - i64::from(before);
            self.scorer.add(&outcome, change);
        }
        Served { replicas: outcome.replicas, violated: outcome.violated }
    }

    pub(super) fn finish(mut self) -> Run {
        self.times.sort_by(f32::total_cmp);
        let quantile = |share: f64| {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "a share of the length"
            )]
            let at = (self.times.len() as f64 * share) as usize;
            self.times.get(at).copied().map(f64::from)
        };
        let knob = match &self.decider {
            Decider::Foresail(autoscaler) if self.is_default => autoscaler.risk_price(),
            _ => self.knob,
        };
        Run {
            knob,
            is_default: self.is_default,
            decision_p50_us: quantile(0.5),
            decision_p99_us: quantile(0.99),
            score: self.scorer.finish(),
        }
    }
}
