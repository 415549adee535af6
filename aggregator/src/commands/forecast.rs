//! `foresail forecast`: rolling-origin scores of the forecasting models on recorded load.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use clap::Args;

use super::backtest::BadInput;
use super::traces::{Watch, duration, each, read};
use crate::backtest::accuracy::{Setup, TraceScores, score, table};
use crate::backtest::trace::date;
use crate::forecast::models::{MAX_HORIZON, ModelKind};
use crate::simulate::Grid;

/// A finer recording is averaged to this step unless told otherwise.
const STEP: Duration = Duration::from_mins(1);

/// Arguments of `foresail forecast`.
#[derive(Args, Debug)]
pub struct Arguments {
    /// Recorded load, `timestamp,rps` as CSV, also .gz; several may be given.
    #[arg(long, required = true, num_args = 1..)]
    trace: Vec<PathBuf>,
    /// Models by name, separated by commas; `all` for every one.
    #[arg(long, default_value = "all")]
    models: String,
    /// How far ahead, such as 15m.
    #[arg(long, default_value = "15m")]
    horizon: String,
    /// Length of a step, such as 30s or 5m; default: a minute, or the recording's own if longer.
    #[arg(long)]
    step: Option<String>,
    /// What a model is fitted to, such as 4d; at most three fifths of the recording.
    #[arg(long, default_value = "4d")]
    train: String,
    /// Cut-offs at which models are fitted and scored.
    #[arg(long, default_value_t = 8)]
    windows: usize,
    /// A file with one holiday a line, such as 2026-12-25.
    #[arg(long)]
    holidays: Option<PathBuf>,
    /// Write all scores as JSON, with the load and the cut-offs.
    #[arg(long)]
    json: Option<PathBuf>,
    /// Traces worked on at once; default: one a core.
    #[arg(long)]
    threads: Option<usize>,
}

/// Runs the command; the table goes to `output`.
///
/// # Errors
/// When an argument or a file cannot be used; nothing was fitted then.
pub fn run(arguments: &Arguments, mut output: impl Write) -> anyhow::Result<()> {
    let plans = plan(arguments).context(BadInput)?;
    let scores = each(plans.len(), arguments.threads, |at, progress| {
        let Some((name, grid, setup)) = plans.get(at) else { bail!("no trace {at}") };
        score(name, grid, setup, &Watch::start(), progress).with_context(|| name.clone())
    });
    let scores: anyhow::Result<Vec<TraceScores>> = scores.into_iter().collect();
    let scores = scores.context(BadInput)?;
    output.write_all(table(&scores).as_bytes())?;
    if let Some(path) = &arguments.json {
        let text = serde_json::to_string(&serde_json::json!({ "traces": scores }))? + "\n";
        std::fs::write(path, text)
            .with_context(|| format!("{} cannot be written", path.display()))?;
    }
    Ok(())
}

/// Reads and checks everything before anything is fitted.
fn plan(arguments: &Arguments) -> anyhow::Result<Vec<(String, Grid, Setup)>> {
    let models = models(&arguments.models)?;
    let horizon = duration("horizon", &arguments.horizon)?;
    let train = duration("train", &arguments.train)?;
    let step = arguments.step.as_deref().map(|step| duration("step", step)).transpose()?;
    if !(1..=1_000).contains(&arguments.windows) {
        bail!("--windows {} is not in 1 to 1000", arguments.windows);
    }
    let holidays = arguments.holidays.as_deref().map(holidays).transpose()?.unwrap_or_default();
    let mut plans = Vec::new();
    for path in &arguments.trace {
        let trace = read(path)?;
        let step = step.unwrap_or_else(|| trace.step.max(STEP));
        if step < trace.step {
            bail!(
                "--step {:?} is finer than {}, whose steps are {:?}",
                step,
                path.display(),
                trace.step
            );
        }
        let steps = |length: Duration| length.as_nanos().div_ceil(step.as_nanos());
        let ahead = usize::try_from(steps(horizon)).unwrap_or(usize::MAX);
        if !(1..=MAX_HORIZON).contains(&ahead) {
            bail!("--horizon {} is not 1 to {MAX_HORIZON} steps of {step:?}", arguments.horizon);
        }
        let setup = Setup {
            models: models.clone(),
            horizon: ahead,
            train: usize::try_from(steps(train)).unwrap_or(usize::MAX),
            windows: arguments.windows,
            holidays: holidays.clone(),
        };
        plans.push((trace.name.clone(), trace.resampled(step, 0), setup));
    }
    Ok(plans)
}

fn models(list: &str) -> anyhow::Result<Vec<ModelKind>> {
    if list == "all" {
        return Ok(ModelKind::ALL.to_vec());
    }
    let valid = || ModelKind::ALL.map(ModelKind::name).join(", ");
    let mut models = Vec::new();
    for name in list.split(',').map(str::trim).filter(|name| !name.is_empty()) {
        let Some(model) = ModelKind::parse(name) else {
            bail!("--models: no model is called {name}; there are {}, and all", valid());
        };
        if !models.contains(&model) {
            models.push(model);
        }
    }
    if models.is_empty() {
        bail!("--models names none; there are {}, and all", valid());
    }
    Ok(models)
}

/// Days since 1970 of the dates in a file.
fn holidays(path: &Path) -> anyhow::Result<Vec<u64>> {
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("--holidays {} cannot be read", path.display()))?;
    let mut days = Vec::new();
    for (line, text) in (1..).zip(text.lines()) {
        let text = text.split('#').next().unwrap_or_default().trim();
        if text.is_empty() {
            continue;
        }
        let day = date(text).with_context(|| {
            format!(
                "--holidays {}, line {line}: {text} is no date such as 2026-12-25",
                path.display()
            )
        })?;
        days.push(day);
    }
    Ok(days)
}
