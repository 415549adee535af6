//! Training, and the choice of what is kept of it.

use std::sync::Arc;

use serde::Serialize;

use super::dqn::{Dqn, DqnSettings};
use super::environment::{Environment, Perturbation, Recording, Served, Tuner};
use super::model::{About, Brain, FORMAT, Kind, Model, chosen};
use super::network::{Activations, Network};
use super::reward::Prices;
use super::tabular::{QSettings, QTable};
use super::view::{CORRECTIONS, INPUTS, KEEP, STATES, state};
use crate::chance::Chance;
use crate::config::WorkloadConfig;
use crate::simulate::Scenario;

/// Steps of a training episode: four hours at 15 s.
const EPISODE: usize = 960;
/// Steps of a validation episode: a day at 15 s.
const VALIDATION: usize = 5_760;
/// Share of a recording that is trained on; models are chosen on the rest.
const TRAINED_SHARE: f64 = 0.67;
/// What an action must be worth beyond leaving the answer alone; the best is chosen.
const MARGINS: [f32; 5] = [0.0, 0.02, 0.05, 0.1, 0.25];
/// What a fresh network prefers to leave the answer alone by: the clone of the classical policy.
const PREFERENCE: f32 = 0.2;

/// What is trained.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Training {
    /// What learns.
    pub kind: Kind,
    /// Steps of the environment.
    pub steps: usize,
    /// Times that it is validated.
    pub checks: usize,
    /// Where chance begins.
    pub seed: u64,
    /// What is paid for.
    pub prices: Prices,
    /// How far training goes from the recorded worlds.
    pub perturbation: Perturbation,
}

/// A point of the learning curve.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Point {
    /// Steps so far.
    pub step: usize,
    /// Mean reward of a step since the last point.
    pub reward: f64,
    /// Mean loss of the network; 0 of a table.
    pub loss: f64,
    /// Cost on the validation part over that of the answer left alone, at the best margin.
    pub validation_cost_ratio: f64,
    /// That margin.
    pub margin: f32,
}

/// What came of a training.
#[derive(Clone, Debug, PartialEq)]
pub struct Trained {
    /// The best model of all checks.
    pub model: Model,
    /// The learning curve.
    pub curve: Vec<Point>,
}

/// Who learns.
enum Learner {
    Q(Box<QTable>),
    Dqn(Box<Dqn>),
}

impl Learner {
    fn new(training: &Training) -> Self {
        match training.kind {
            Kind::Q => {
                let settings =
                    QSettings { discount: 0.97, rate: 0.5, decay: 0.51, exploration: 0.1 };
                Self::Q(Box::new(QTable::new(STATES, CORRECTIONS.len(), settings, training.seed)))
            }
            Kind::Dqn => {
                let steps = training.steps;
                let settings =
                    DqnSettings { steps, explores_for: steps / 3, ..DqnSettings::default() };
                let dqn = Dqn::new(INPUTS, CORRECTIONS.len(), settings, training.seed);
                Self::Dqn(Box::new(dqn.preferring(KEEP, PREFERENCE)))
            }
        }
    }

    fn step(&mut self, environment: &mut Tuner) -> (f32, bool) {
        let before = input(environment.observation());
        let action = match self {
            Self::Q(table) => table.act(state(&before)),
            Self::Dqn(dqn) => dqn.act(&before),
        };
        let step = environment.step(action);
        let after = input(environment.observation());
        match self {
            Self::Q(table) => table.learn(state(&before), action, step.reward, Some(state(&after))),
            Self::Dqn(dqn) => dqn.learn(&before, action, step, &after),
        }
        (step.reward, step.is_last())
    }

    fn brain(&self) -> Brain {
        match self {
            Self::Q(table) => Brain::Table(table.all().to_vec()),
            Self::Dqn(dqn) => Brain::Network(Network::clone(dqn.network())),
        }
    }

    fn loss(&self) -> f64 {
        match self {
            Self::Q(_) => 0.0,
            Self::Dqn(dqn) => f64::from(dqn.loss()),
        }
    }
}

fn input(seen: &[f32]) -> [f32; INPUTS] {
    seen.try_into().unwrap_or([0.0; INPUTS])
}

/// Trains on the first part of each recording, and keeps what costs least on the rest. The same
/// arguments give the same model, bit for bit. `data` names the recordings and their fingerprint;
/// `report` is told every point of the curve and, between them, the share that is done.
pub fn train(
    recordings: &[Recording],
    data: (Vec<String>, String),
    scenario: &Scenario,
    config: &WorkloadConfig,
    training: &Training,
    progress: &mut dyn FnMut(f64),
) -> Trained {
    let (train, validate) = split(recordings);
    let Training { prices, perturbation, steps, checks, seed, kind } = *training;
    let mut environment =
        Tuner::new(Arc::new(train), scenario, config, prices, perturbation, EPISODE);
    let mut judge = Judge::new(validate, scenario, config, prices);
    let mut learner = Learner::new(training);
    let mut seeds = Chance::new(seed ^ 0x5eed);
    let mut next_seed = move || seeds.below(1 << 40) as u64;
    environment.reset(next_seed());
    let mut best: Option<(f64, f32, Brain)> = None;
    let (mut curve, mut rewards, every) = (Vec::new(), 0.0, (steps / checks.max(1)).max(1));
    for step in 1..=steps {
        let (reward, is_last) = learner.step(&mut environment);
        rewards += f64::from(reward);
        if is_last {
            environment.reset(next_seed());
        }
        if step.is_multiple_of(every / 10 + 1) {
            progress(step as f64 / steps as f64);
        }
        if step.is_multiple_of(every) {
            let brain = learner.brain();
            let (ratio, margin) = judge.best_margin(&brain);
            let (reward, loss) = (rewards / every as f64, learner.loss());
            curve.push(Point { step, reward, loss, validation_cost_ratio: ratio, margin });
            rewards = 0.0;
            if best.as_ref().is_none_or(|(least, ..)| ratio < *least) {
                best = Some((ratio, margin, brain));
            }
        }
    }
    progress(1.0);
    let (validation_cost_ratio, margin, brain) =
        best.unwrap_or_else(|| (1.0, f32::MAX, learner.brain()));
    let (schema, corrections) = Model::schema();
    let about = About {
        format: FORMAT,
        kind,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        schema,
        corrections,
        margin,
        prices,
        seed,
        steps: steps as u64,
        data: data.0,
        fingerprint: data.1,
        validation_cost_ratio,
    };
    Trained { model: Model { about, brain }, curve }
}

/// The part of each recording that is trained on, and the part after it.
fn split(recordings: &[Recording]) -> (Vec<Recording>, Vec<Recording>) {
    let mut parts = (Vec::new(), Vec::new());
    for recording in recordings {
        let (first, all) = (recording.world.warm_up_steps.min(recording.len()), recording.len());
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a share of a length"
        )]
        let train = ((all - first) as f64 * TRAINED_SHARE) as usize;
        parts.0.push(recording.slice(first, train));
        parts.1.push(recording.slice(first + train, all));
    }
    parts
}

/// Compares models with the answer left alone.
struct Judge {
    environment: Tuner,
    recordings: usize,
    prices: Prices,
    alone: Vec<f64>,
    work: Activations,
}

impl Judge {
    fn new(
        recordings: Vec<Recording>,
        scenario: &Scenario,
        config: &WorkloadConfig,
        prices: Prices,
    ) -> Self {
        let count = recordings.len();
        let recordings = Arc::new(recordings);
        let none = Perturbation::NONE;
        let environment = Tuner::new(recordings, scenario, config, prices, none, VALIDATION);
        let (alone, work) = (Vec::new(), Activations::default());
        let mut judge = Self { environment, recordings: count, prices, alone, work };
        judge.alone = (0..count).map(|at| judge.cost(at, &mut |_| KEEP)).collect();
        judge
    }

    fn cost(&mut self, recording: usize, act: &mut dyn FnMut(&[f32; INPUTS]) -> usize) -> f64 {
        self.environment.reset_at(recording, 0);
        let mut total = Served::default();
        loop {
            let action = act(&input(self.environment.observation()));
            let served = self.environment.act(action);
            total.join(&served);
            if served.is_last {
                return total.cost(&self.prices);
            }
        }
    }

    /// The least cost over that of the answer left alone, as a geometric mean, and its margin.
    fn best_margin(&mut self, brain: &Brain) -> (f64, f32) {
        let mut least = (f64::INFINITY, 0.0);
        for margin in MARGINS {
            let mut sum = 0.0;
            for recording in 0..self.recordings {
                let mut work = std::mem::take(&mut self.work);
                let cost = self.cost(recording, &mut |seen| {
                    action(brain, seen, margin, &mut work).unwrap_or(KEEP)
                });
                self.work = work;
                let alone = self.alone.get(recording).copied().unwrap_or(1.0);
                sum += (cost / alone.max(1e-9)).ln();
            }
            let ratio = (sum / self.recordings.max(1) as f64).exp();
            if ratio < least.0 {
                least = (ratio, margin);
            }
        }
        least
    }
}

/// What a brain does on an observation; `None` when it has nothing to say.
pub(super) fn action(
    brain: &Brain,
    seen: &[f32; INPUTS],
    margin: f32,
    work: &mut Activations,
) -> Option<usize> {
    match brain {
        Brain::Network(network) => chosen(network.evaluate(seen, work), margin),
        Brain::Table(values) => {
            let from = state(seen) * CORRECTIONS.len();
            chosen(values.get(from..from + CORRECTIONS.len())?, margin)
        }
    }
}
