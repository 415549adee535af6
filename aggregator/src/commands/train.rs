//! `foresail train`: a learned policy from recorded load.

mod chart;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use clap::{Args, ValueEnum};
use serde::Serialize;

use super::traces::{each, read};
use super::workload;
use crate::learning::environment::{Perturbation, Recording};
use crate::learning::model::{About, Kind, fingerprint};
use crate::learning::perturb::perturbed;
use crate::learning::reward::Prices;
use crate::learning::train::{Point, Trained, Training, train};
use crate::models::{Versions, put};
use crate::simulate::{Scenario, World};

/// Steps of an environment that DQN and Q-learning are given.
const DQN_STEPS: usize = 400_000;
const Q_STEPS: usize = 1_000_000;
/// Times that a training is validated.
const CHECKS: usize = 20;

/// Arguments of `foresail train`.
#[derive(Args, Debug)]
pub struct Arguments {
    /// What learns.
    #[arg(long, value_enum)]
    policy: Policy,
    /// Recorded load, `timestamp,rps` as CSV, also .gz; several may be given.
    #[arg(long, required = true, num_args = 1..)]
    trace: Vec<PathBuf>,
    /// The model's file, or a folder, to which a version is added that is in use from then on;
    /// beside the model, with the endings .json and .png, metrics and learning curve.
    #[arg(long)]
    out: PathBuf,
    /// Configuration of `foresail serve`; its first workload's settings are used.
    #[arg(long)]
    config: Option<PathBuf>,
    /// Steps to train for. Default: 400,000 for dqn, 1,000,000 for q.
    #[arg(long)]
    steps: Option<usize>,
    /// Invented loads beside each recorded one: days drawn anew, levels changed, crowds added.
    #[arg(long, default_value_t = 1)]
    variants: u64,
    /// Price of a replica's worth of requests served while the objective is missed, in units of
    /// the replica's own price.
    #[arg(long, default_value_t = 25.0)]
    violation_price: f64,
    /// Price of a change of the replicas, in units of a replica for one decision interval.
    #[arg(long, default_value_t = 0.3)]
    change_price: f64,
    /// Scales every trace to this mean rate, for recordings in other units.
    #[arg(long)]
    mean_rps: Option<f64>,
    /// Where chance begins: the same arguments and seed give the same file.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Loads that are forecast at once; default: one a core.
    #[arg(long)]
    threads: Option<usize>,
}

/// What learns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Policy {
    /// Q-learning on a table.
    Q,
    /// Deep Q-learning.
    Dqn,
}

/// What is written beside a model.
#[derive(Serialize)]
struct Metrics<'a> {
    about: &'a About,
    curve: &'a [Point],
}

/// Runs the command; what came of it goes to `output`.
///
/// # Errors
/// When an argument or a file cannot be used, or the model cannot be written.
pub fn run(arguments: &Arguments, mut output: impl Write) -> anyhow::Result<()> {
    let prices = Prices { violation: arguments.violation_price, change: arguments.change_price };
    for (name, price) in [("violation", prices.violation), ("change", prices.change)] {
        if !(0.0..=1e4).contains(&price) {
            bail!("--{name}-price {price} is not in 0 to 10000");
        }
    }
    let (kind, steps) = match arguments.policy {
        Policy::Q => (Kind::Q, Q_STEPS),
        Policy::Dqn => (Kind::Dqn, DQN_STEPS),
    };
    let steps = arguments.steps.unwrap_or(steps);
    if !(1_000..=100_000_000).contains(&steps) {
        bail!("--steps {steps} is not in 1000 to 100000000");
    }
    let scenario = Scenario { seed: arguments.seed, ..Scenario::default() };
    let config = workload(arguments.config.as_deref())?;
    let (loads, names) = loads(arguments, &scenario)?;
    let print = fingerprint(loads.iter().map(|world| world.grid.rates.as_slice()));
    let count = loads.len();
    let recordings = each(count, arguments.threads, |at, progress| {
        loads.get(at).map(|world| Recording::new(world.clone(), &scenario, &config, progress))
    });
    let recordings: Vec<Recording> = recordings.into_iter().flatten().collect();
    let training = Training {
        kind,
        steps,
        checks: CHECKS,
        seed: arguments.seed,
        prices,
        perturbation: Perturbation::TRAINING,
    };
    let done = each(1, Some(1), |_, progress| {
        train(&recordings, (names.clone(), print.clone()), &scenario, &config, &training, progress)
    });
    let trained = done.into_iter().next().context("nothing was trained")?;
    let about = &trained.model.about;
    let path = keep(&arguments.out, &trained)?;
    let ratio = about.validation_cost_ratio;
    writeln!(
        output,
        "{}: {steps} steps on {count} loads; cost {ratio:.4} of the answer left alone on the part that was not trained on",
        path.display()
    )?;
    Ok(())
}

/// Puts the model in its file, or into a folder as its newest version; gives the model's file.
fn keep(out: &Path, trained: &Trained) -> anyhow::Result<PathBuf> {
    let model = trained.model.to_bytes()?;
    let metrics = Metrics { about: &trained.model.about, curve: &trained.curve };
    let metrics = serde_json::to_string_pretty(&metrics)? + "\n";
    let beside = [("json", metrics.into_bytes()), ("png", chart::png(&trained.curve)?)];
    let says = || format!("{} cannot be written", out.display());
    if out.is_dir() || out.as_os_str().as_encoded_bytes().ends_with(b"/") {
        let beside = beside.each_ref().map(|(ending, bytes)| (*ending, bytes.as_slice()));
        let versions = Versions::of(out);
        let number = versions.add(&model, &beside).with_context(says)?;
        return Ok(versions.path(number));
    }
    put(out, &model).with_context(says)?;
    for (ending, bytes) in beside {
        put(&out.with_extension(ending), &bytes).with_context(says)?;
    }
    Ok(out.to_owned())
}

/// Every trace, and what is invented beside it.
fn loads(arguments: &Arguments, scenario: &Scenario) -> anyhow::Result<(Vec<World>, Vec<String>)> {
    let (mut worlds, mut names) = (Vec::new(), Vec::new());
    for (number, path) in (1_u64..).zip(&arguments.trace) {
        let mut trace = read(path)?;
        let scale = arguments.mean_rps.map_or(1.0, |mean| mean / trace.mean_rate());
        if !(1e-9..=1e9).contains(&scale) {
            bail!("{}: a scale of {scale} is not in 1e-9 to 1e9", path.display());
        }
        trace.rates.iter_mut().flatten().for_each(|rate| *rate *= scale);
        let grid = trace.resampled(scenario.decision_interval, scenario.seed);
        let day = Duration::from_hours(24).as_secs_f64() / grid.step.as_secs_f64();
        if (grid.rates.len() as f64) < 2.0 * day {
            bail!(
                "{}: less than two days; a learner needs both to train and to be chosen on",
                path.display()
            );
        }
        for variant in 1..=arguments.variants {
            let seed = arguments.seed.wrapping_mul(1_000_003) ^ (number << 20) ^ variant;
            worlds.push(World::new(perturbed(&grid, seed), scenario));
        }
        worlds.push(World::new(grid, scenario));
        names.push(trace.name);
    }
    Ok((worlds, names))
}
