//! The real decisions with a learner between their halves: its actions correct the answer, and what
//! it asks for passes the same limits and guards as in service.

use std::sync::Arc;
use std::time::Duration;

use super::{Environment, Step};
use crate::autoscaler::{Autoscaler, Considered};
use crate::chance::Chance;
use crate::config::{ScaleIn, WorkloadConfig};
use crate::forecast::Curve;
use crate::learning::reward::Prices;
use crate::learning::view::{CORRECTIONS, INPUTS, Viewer, corrected};
use crate::policy::{Advice, Standing};
use crate::simulate::{Cluster, Outcome, Scenario, World, settings_for};
use crate::units::{Rps, Timestamp};

/// A load, and what was forecast at every step of it. Load does not depend on who scales, so the
/// forecasts are made once, and every replay of them is an exact counterfactual.
#[derive(Clone, Debug)]
pub struct Recording {
    /// The load.
    pub world: World,
    curves: Vec<Option<Curve>>,
}

impl Recording {
    /// Forecasts a whole world. `progress` is told the share that is done.
    pub fn new(
        world: World,
        scenario: &Scenario,
        config: &WorkloadConfig,
        progress: &mut dyn FnMut(f64),
    ) -> Self {
        let config = settings_for(config, scenario, &world);
        let start = Timestamp::of_step(world.grid.first_index, world.grid.step);
        let mut forecaster = Autoscaler::new(&config, start);
        let steps = world.filled.len();
        let mut curves = Vec::with_capacity(steps);
        for (at, rate) in world.grid.rates.iter().enumerate() {
            let now = Timestamp::of_step(world.grid.first_index + at as u64 + 1, world.grid.step);
            let rate = rate.and_then(|rate| Rps::new(rate).ok());
            forecaster.learn_rate(now - world.grid.step, now, rate);
            curves.push(forecaster.forecast().cloned());
            if let Some(job) = forecaster.refit_job() {
                forecaster.install(job.run());
            }
            if at.is_multiple_of(1_000) {
                progress(at as f64 / steps.max(1) as f64);
            }
        }
        progress(1.0);
        Self { world, curves }
    }

    /// A part of it.
    #[must_use]
    pub fn slice(&self, from: usize, steps: usize) -> Self {
        let to = from.saturating_add(steps).min(self.curves.len());
        let curves = self.curves.get(from.min(to)..to).unwrap_or_default().to_vec();
        Self { world: self.world.slice(from, steps), curves }
    }

    /// Steps.
    pub const fn len(&self) -> usize {
        self.curves.len()
    }

    /// Whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.curves.is_empty()
    }
}

/// How far the world of an episode may be from the recorded one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Perturbation {
    /// Start-up takes at most this many times as long, or as short.
    pub startup: f64,
    /// Replicas that the load needs: at most this many times as many, or as few.
    pub size: f64,
    /// Failures of a replica an hour, at most.
    pub crashes_per_hour: f64,
    /// Share of lost telemetry, at most.
    pub telemetry_loss: f64,
    /// Replicas serve up to this share less from somewhere in the episode on, and nobody says so.
    pub slowdown: f64,
}

impl Perturbation {
    /// The recorded world.
    pub const NONE: Self =
        Self { startup: 1.0, size: 1.0, crashes_per_hour: 0.0, telemetry_loss: 0.0, slowdown: 0.0 };

    /// What training meets.
    pub const TRAINING: Self = Self {
        startup: 1.8,
        size: 2.5,
        crashes_per_hour: 0.3,
        telemetry_loss: 0.01,
        slowdown: 0.1,
    };
}

/// Between `1 / most` and `most`, evenly on the scale of logarithms.
fn factor(most: f64, chance: &mut Chance) -> f64 {
    most.max(1.0).powf(2.0 * chance.uniform() - 1.0)
}

/// The environment of a learner that corrects the autoscaler's answer.
#[derive(Debug)]
pub struct Tuner {
    recordings: Arc<Vec<Recording>>,
    scenario: Scenario,
    config: WorkloadConfig,
    prices: Prices,
    perturbation: Perturbation,
    steps: usize,
    episode: Option<Episode>,
    seen: [f32; INPUTS],
}

/// One stretch of load.
#[derive(Debug)]
struct Episode {
    recording: Recording,
    scenario: Scenario,
    autoscaler: Autoscaler,
    viewer: Viewer,
    cluster: Cluster,
    at: usize,
    slower_from: usize,
    slower_by: f64,
    considered: Option<Considered>,
}

impl Tuner {
    /// Episodes of `steps` steps from anywhere in the recordings. `config` is that of the
    /// autoscaler; its forecast is taken as promoted for scale-in.
    pub fn new(
        recordings: Arc<Vec<Recording>>,
        scenario: &Scenario,
        config: &WorkloadConfig,
        prices: Prices,
        perturbation: Perturbation,
        steps: usize,
    ) -> Self {
        let mut config = config.clone();
        config.scale_in = ScaleIn::Forecast;
        let scenario = scenario.clone();
        let (episode, seen) = (None, [0.0; INPUTS]);
        Self { recordings, scenario, config, prices, perturbation, steps, episode, seen }
    }

    /// Begins at a step of a recording, without any perturbation.
    pub fn reset_at(&mut self, recording: usize, from: usize) {
        let Some(recording) = self.recordings.get(recording) else { return };
        let recording = recording.slice(from, self.steps);
        let scenario = self.scenario.clone();
        self.begin(recording, scenario, None, 1.25);
        self.serve(false);
    }

    fn begin(
        &mut self,
        recording: Recording,
        scenario: Scenario,
        price: Option<f64>,
        replicas: f64,
    ) {
        let config = settings_for(&self.config, &scenario, &recording.world);
        let start = Timestamp::of_step(recording.world.grid.first_index, recording.world.grid.step);
        let mut autoscaler = Autoscaler::new(&config, start);
        if let Some(price) = price {
            autoscaler = autoscaler.with_price(price);
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a few times the replicas of a step"
        )]
        let replicas = (f64::from(recording.world.required(0)) * replicas) as u32 + 1;
        let cluster = Cluster::new(&scenario, replicas);
        let steps = recording.len();
        self.episode = Some(Episode {
            recording,
            scenario,
            autoscaler,
            viewer: Viewer::default(),
            cluster,
            at: 0,
            slower_from: steps,
            slower_by: 0.0,
            considered: None,
        });
    }

    /// Serves until the learner is asked again: steps without telemetry are not its.
    fn serve(&mut self, changed: bool) -> Served {
        let Some(episode) = &mut self.episode else { return Served::default() };
        let mut served = Served::default();
        let mut changed = changed;
        loop {
            let required = episode.recording.world.required(episode.at);
            let outcome = episode.serve();
            let mean = episode.scenario.mean_replicas;
            served.reward += self.prices.reward(&outcome, required, changed, mean);
            served.add(&outcome, required, changed);
            if episode.at >= episode.recording.len() {
                served.is_last = true;
                return served;
            }
            let considered = episode.considered.take();
            let Some(considered) = considered else { return served };
            let situation = episode.autoscaler.situation(&considered);
            if let Some(seen) = episode.viewer.see(&situation) {
                self.seen = seen;
                episode.considered = Some(considered);
                return served;
            }
            changed = episode.decide(considered, None);
        }
    }

    /// The same as [`Environment::step`], with what the step cost.
    pub fn act(&mut self, action: usize) -> Served {
        let Some(episode) = &mut self.episode else {
            return Served { is_last: true, ..Served::default() };
        };
        let Some(considered) = episode.considered.take() else {
            return Served { is_last: true, ..Served::default() };
        };
        let advice = considered.proposal().without_advice().map(|answer| Advice {
            replicas: corrected(answer, action),
            standing: Standing::Promoted,
        });
        let changed = episode.decide(considered, advice);
        self.serve(changed)
    }
}

impl Episode {
    fn serve(&mut self) -> Outcome {
        if self.at == self.slower_from {
            self.recording.world.replica.capacity_rps *= 1.0 - self.slower_by;
        }
        let world = &self.recording.world;
        let outcome = self.cluster.step(world, self.at);
        let now = Timestamp::of_step(world.grid.first_index + self.at as u64 + 1, world.grid.step);
        let observation = self.cluster.observation(world, self.at, &outcome, now);
        let curve = self.recording.curves.get(self.at).and_then(Option::as_ref);
        self.considered = Some(self.autoscaler.consider(now, &observation, curve));
        self.at += 1;
        outcome
    }

    /// Whether the replicas changed.
    fn decide(&mut self, considered: Considered, advice: Option<Advice>) -> bool {
        let before = self.cluster.replicas();
        let desired = self.autoscaler.conclude(considered, advice).decision.desired_replicas;
        self.cluster.order(desired);
        self.cluster.replicas() != before
    }
}

/// What came of one action.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Served {
    /// Sum of the rewards.
    pub reward: f32,
    /// Whether the episode is over.
    pub is_last: bool,
    /// Replicas times steps, starting ones included.
    pub pod_steps: f64,
    /// Replicas times steps that the load required.
    pub required_steps: f64,
    /// Requests per second, times steps.
    pub load: f64,
    /// The same in steps in which the objective was missed.
    pub violated: f64,
    /// Changes of the replicas.
    pub changes: f64,
}

impl Served {
    fn add(&mut self, outcome: &Outcome, required: u32, changed: bool) {
        self.pod_steps += f64::from(outcome.replicas);
        self.required_steps += f64::from(required);
        self.load += outcome.rps;
        self.violated += if outcome.violated { outcome.rps } else { 0.0 };
        self.changes += f64::from(u8::from(changed));
    }

    /// Adds another stretch.
    pub fn join(&mut self, other: &Self) {
        self.reward += other.reward;
        self.pod_steps += other.pod_steps;
        self.required_steps += other.required_steps;
        self.load += other.load;
        self.violated += other.violated;
        self.changes += other.changes;
    }

    /// Cost over what was required, plus the priced share of requests in violated steps.
    pub fn cost(&self, prices: &Prices) -> f64 {
        self.pod_steps / self.required_steps.max(1.0)
            + prices.violation * self.violated / self.load.max(f64::MIN_POSITIVE)
    }
}

impl Environment for Tuner {
    fn inputs(&self) -> usize {
        INPUTS
    }

    fn actions(&self) -> usize {
        CORRECTIONS.len()
    }

    fn reset(&mut self, seed: u64) {
        let mut chance = Chance::new(seed);
        let Some(recording) = self.recordings.get(chance.below(self.recordings.len())) else {
            return;
        };
        let first = recording.world.warm_up_steps;
        let room = recording.len().saturating_sub(first + self.steps);
        let mut recording = recording.slice(first + chance.below(room.max(1)), self.steps);
        let Perturbation { startup, size, crashes_per_hour, telemetry_loss, slowdown } =
            self.perturbation;
        let mut scenario = self.scenario.clone();
        scenario.seed = seed;
        scenario.startup = scenario.startup.mul_f64(factor(startup, &mut chance));
        scenario.startup = scenario.startup.max(Duration::from_millis(1));
        let size = factor(size, &mut chance);
        scenario.mean_replicas *= size;
        recording.world.replica.capacity_rps /= size;
        scenario.crashes_per_hour = crashes_per_hour * chance.uniform();
        scenario.telemetry_loss = telemetry_loss * chance.uniform();
        // Half of the episodes meet a price of risk that has had time to settle somewhere.
        let price = (chance.uniform() < 0.5).then(|| 3.0 * 100.0_f64.powf(chance.uniform()));
        let replicas = 0.9 + chance.uniform();
        let steps = recording.len();
        self.begin(recording, scenario, price, replicas);
        if let Some(episode) = &mut self.episode {
            episode.slower_from = chance.below(4 * steps);
            episode.slower_by = slowdown * chance.uniform();
        }
        self.serve(false);
    }

    fn observation(&self) -> &[f32] {
        &self.seen
    }

    fn step(&mut self, action: usize) -> Step {
        let served = self.act(action);
        Step { reward: served.reward, terminated: false, truncated: served.is_last }
    }
}
