//! `foresail backtest`: recorded load through Foresail, its rivals and the oracle.

use std::fs::File;
use std::io::{IsTerminal, Read, Write, stderr};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context, bail};
use clap::Args;
use flate2::read::GzDecoder;

use super::workload;
use crate::backtest::peers::PeerKind;
use crate::backtest::report::{Report, ScenarioSummary, TraceReport, html, table};
use crate::backtest::run::{Choice, Selection, Stopwatch, run_trace};
use crate::backtest::trace::Trace;
use crate::clock;
use crate::config::WorkloadConfig;
use crate::simulate::Scenario;

/// The longest recording that is read, unpacked.
const MAX_BYTES: u64 = 1 << 30;

/// Arguments of `foresail backtest`.
#[derive(Args, Debug)]
pub struct Arguments {
    /// Recorded load, `timestamp,rps` as CSV, also .gz; several may be given.
    #[arg(long, required = true, num_args = 1..)]
    trace: Vec<PathBuf>,
    /// Configuration of `foresail serve`; its first workload's settings are used.
    #[arg(long)]
    config: Option<PathBuf>,
    /// Policies by name, separated by commas; `all` for every one, `ablation` for Foresail without
    /// each of its parts.
    #[arg(
        long,
        default_value = "foresail,hpa-cpu,hpa-rps,kpa,phpa-holt,arima-stab,seasonal-reactive"
    )]
    policies: String,
    /// Run every policy at each of its knobs, for curves of cost against violations.
    #[arg(long)]
    sweep: bool,
    /// Write the whole report as JSON.
    #[arg(long)]
    json: Option<PathBuf>,
    /// Write the report as one HTML file.
    #[arg(long)]
    html: Option<PathBuf>,
    /// Time a replica takes to start, in seconds.
    #[arg(long, default_value_t = 60.0)]
    startup: f64,
    /// Time between decisions, in seconds.
    #[arg(long, default_value_t = 15.0)]
    interval: f64,
    /// Replicas that the load requires on average.
    #[arg(long, default_value_t = 12.0)]
    replicas: f64,
    /// Share of requests that may be served while the objective is missed.
    #[arg(long, default_value_t = 0.01)]
    budget: f64,
    /// Multiplies every rate, for recordings in small units.
    #[arg(long, default_value_t = 1.0)]
    scale: f64,
    /// Scales every trace to this mean rate, for recordings in other units.
    #[arg(long, conflicts_with = "scale")]
    mean_rps: Option<f64>,
    /// Where chance begins.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Traces replayed at once; default: one a core.
    #[arg(long)]
    threads: Option<usize>,
}

/// Marks an error of the user's input; see its cause.
#[derive(Debug, thiserror::Error)]
#[error("nothing was replayed")]
pub struct BadInput;

struct Watch(clock::Stopwatch);

impl Stopwatch for Watch {
    fn micros(&self) -> f64 {
        self.0.elapsed().as_secs_f64() * 1e6
    }
}

/// Runs the command; the table goes to `output`.
///
/// # Errors
/// When an argument or a file cannot be used; nothing was replayed then.
pub fn run(arguments: &Arguments, mut output: impl Write) -> anyhow::Result<()> {
    let Plan { scenario, config, selection, traces } = plan(arguments).context(BadInput)?;
    let reports = replay(&traces, &scenario, &config, &selection, arguments.threads)?;
    let report = Report::new(summary_of(&scenario), reports);
    output.write_all(table(&report).as_bytes())?;
    if let Some(path) = &arguments.json {
        write(path, &(serde_json::to_string_pretty(&report)? + "\n"))?;
    }
    if let Some(path) = &arguments.html {
        write(path, &html(&report))?;
    }
    Ok(())
}

/// What is to be replayed.
struct Plan {
    scenario: Scenario,
    config: WorkloadConfig,
    selection: Selection,
    traces: Vec<Trace>,
}

/// Reads and checks everything before anything is replayed.
fn plan(arguments: &Arguments) -> anyhow::Result<Plan> {
    let scenario = scenario(arguments)?;
    let config = workload(arguments.config.as_deref())?;
    let selection = Selection { policies: policies(&arguments.policies)?, sweep: arguments.sweep };
    let mut traces = Vec::new();
    for path in &arguments.trace {
        let mut trace = read(path)?;
        let scale = arguments.mean_rps.map_or(arguments.scale, |mean| mean / trace.mean_rate());
        if !(1e-9..=1e9).contains(&scale) {
            bail!("{}: a scale of {scale} is not in 1e-9 to 1e9", path.display());
        }
        trace.rates.iter_mut().flatten().for_each(|rate| *rate *= scale);
        traces.push(trace);
    }
    Ok(Plan { scenario, config, selection, traces })
}

fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    std::fs::write(path, text).with_context(|| format!("{} cannot be written", path.display()))
}

fn scenario(arguments: &Arguments) -> anyhow::Result<Scenario> {
    let check = |name: &str, value: f64, least: f64, most: f64| {
        if !(least..=most).contains(&value) {
            bail!("--{name} {value} is not in {least} to {most}");
        }
        Ok(value)
    };
    Ok(Scenario {
        startup: Duration::from_secs_f64(check("startup", arguments.startup, 0.0, 3_600.0)?),
        decision_interval: Duration::from_secs_f64(
            check("interval", arguments.interval, 1.0, 300.0)?.round(),
        ),
        mean_replicas: check("replicas", arguments.replicas, 1.0, 500.0)?,
        budget: check("budget", arguments.budget, 1e-4, 0.2)?,
        seed: arguments.seed,
        ..Scenario::default()
    })
}

fn policies(list: &str) -> anyhow::Result<Vec<Choice>> {
    match list {
        "all" => return Ok(Choice::all().collect()),
        "ablation" => return Ok(Choice::ablation().collect()),
        _ => {}
    }
    let names = list.split(',').map(str::trim).filter(|name| !name.is_empty());
    let policies: Result<Vec<_>, _> = names.map(Choice::parse).collect();
    let policies = policies?;
    if policies.is_empty() {
        bail!("--policies names none; peers are {}", PeerKind::ALL.map(PeerKind::name).join(", "));
    }
    Ok(policies)
}

/// Reads a recording, unpacked when its name ends in .gz.
fn read(path: &Path) -> anyhow::Result<Trace> {
    let file = File::open(path).with_context(|| format!("{} cannot be opened", path.display()))?;
    let is_packed = path.extension().is_some_and(|extension| extension == "gz");
    let mut text = String::new();
    let result = if is_packed {
        GzDecoder::new(file).take(MAX_BYTES).read_to_string(&mut text)
    } else {
        file.take(MAX_BYTES).read_to_string(&mut text)
    };
    result.with_context(|| format!("{} cannot be read", path.display()))?;
    let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy();
    let name = name.trim_end_matches(".gz").trim_end_matches(".csv");
    Trace::parse(name, &text).with_context(|| path.display().to_string())
}

/// Replays all traces, several at once; the reports keep their order.
fn replay(
    traces: &[Trace],
    scenario: &Scenario,
    config: &WorkloadConfig,
    selection: &Selection,
    threads: Option<usize>,
) -> anyhow::Result<Vec<TraceReport>> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let threads = threads.unwrap_or(cores).clamp(1, traces.len().max(1));
    let next = AtomicUsize::new(0);
    let shares = Mutex::new(vec![0.0; traces.len()]);
    let results = Mutex::new(Vec::new());
    let shows = stderr().is_terminal();
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    let Some(trace) = traces.get(at) else { return };
                    let watch = Watch(clock::Stopwatch::start());
                    let mut progress = |share: f64| show(&shares, at, share, shows);
                    let result =
                        run_trace(trace, scenario, config, selection, &watch, &mut progress);
                    lock(&results).push((at, result));
                }
            });
        }
    });
    if shows {
        _ = writeln!(stderr());
    }
    let mut results = std::mem::take(&mut *lock(&results));
    results.sort_by_key(|(at, _)| *at);
    results.into_iter().map(|(_, result)| result.map_err(Into::into)).collect()
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Redraws the progress bar.
fn show(shares: &Mutex<Vec<f64>>, at: usize, share: f64, shows: bool) {
    if !shows {
        return;
    }
    let mut shares = lock(shares);
    if let Some(slot) = shares.get_mut(at) {
        *slot = share;
    }
    let done = shares.iter().sum::<f64>() / shares.len().max(1) as f64;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a share of 40 characters"
    )]
    let filled = (done * 40.0) as usize;
    _ = write!(
        stderr(),
        "\r[{}{}] {:.0} %",
        "#".repeat(filled),
        " ".repeat(40 - filled.min(40)),
        done * 100.0
    );
}

fn summary_of(scenario: &Scenario) -> ScenarioSummary {
    ScenarioSummary {
        startup_s: scenario.startup.as_secs_f64(),
        decision_interval_s: scenario.decision_interval.as_secs_f64(),
        mean_replicas: scenario.mean_replicas,
        objective_quantile: scenario.objective_quantile,
        objective_ms: scenario.objective_latency.as_secs_f64() * 1e3,
        budget: scenario.budget,
        pod_model: format!(
            "M/M/{}, {:.0} ms mean service",
            scenario.workers,
            scenario.mean_service.as_secs_f64() * 1e3
        ),
    }
}
