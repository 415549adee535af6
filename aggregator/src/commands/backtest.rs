//! `foresail backtest`: recorded load through Foresail, its rivals and the oracle.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use clap::Args;

use super::traces::{Watch, duration, each, read};
use super::workload;
use crate::backtest::choice::{Candidate, Choice};
use crate::backtest::gate::{Gate, GateError, Passage};
use crate::backtest::peers::PeerKind;
use crate::backtest::report::{Report, ScenarioSummary, TraceReport, html, table};
use crate::backtest::run::{Selection, run_trace};
use crate::backtest::trace::Trace;
use crate::config::WorkloadConfig;
use crate::models;
use crate::shadow::Shadow;
use crate::simulate::{Balance, Discipline, Scenario, Service};

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
    /// each of its parts; `learned:FILE` for a model of `foresail train`, `raising:FILE` for the same
    /// before promotion.
    #[arg(
        long,
        default_value = "foresail,hpa-cpu,hpa-rps,kpa,phpa-holt,arima-stab,seasonal-reactive"
    )]
    policies: String,
    /// Run every policy at each of its knobs, for curves of cost against violations.
    #[arg(long)]
    sweep: bool,
    /// Conditions, as YAML, under which a candidate may replace the policy in charge; exits with 1
    /// when one does not hold.
    #[arg(long)]
    gate: Option<PathBuf>,
    /// A candidate that passes the gate becomes the newest version in this folder, and is in use from
    /// then on.
    #[arg(long, requires = "gate")]
    accept: Option<PathBuf>,
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
    /// What a replica serves while the objective just holds, in requests per second, when it is known
    /// and not to follow from --replicas.
    #[arg(long, conflicts_with = "replicas")]
    capacity: Option<f64>,
    /// Requests that a replica works on at once.
    #[arg(long, default_value_t = 4)]
    workers: u32,
    /// Mean time of a request without waiting, such as 50ms.
    #[arg(long, default_value = "50ms")]
    service: String,
    /// Latency of the objective, such as 350ms.
    #[arg(long, default_value = "350ms")]
    latency: String,
    /// Share of the requests that must be within it.
    #[arg(long, default_value_t = 0.99)]
    quantile: f64,
    /// Time at the beginning that is not scored, such as 3d; default: three days of a week or more, two
    /// of four days, else little.
    #[arg(long)]
    warm_up: Option<String>,
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
    /// Serve each request by itself instead of taking requests for a fluid; takes much longer.
    #[arg(long)]
    requests: bool,
    /// With --requests: each goes to the less busy of two replicas, as with Envoy's least request,
    /// instead of to any.
    #[arg(long, requires = "requests")]
    least_request: bool,
    /// With --requests: whether each waits for a worker of its own (`queue`) or all of a replica share
    /// its workers as they share CPU (`sharing`).
    #[arg(long, default_value = "queue", value_parser = ["queue", "sharing"])]
    discipline: String,
    /// With --requests: coefficient of variation of service times, 1 for an exponential distribution.
    #[arg(long, default_value_t = 1.0, requires = "requests")]
    service_cv: f64,
    /// Traces replayed at once; default: one a core.
    #[arg(long)]
    threads: Option<usize>,
}

/// Marks an error of the user's input; see its cause.
#[derive(Debug, thiserror::Error)]
#[error("nothing was replayed")]
pub struct BadInput;

/// Runs the command; the table goes to `output`.
///
/// # Errors
/// When an argument or a file cannot be used; nothing was replayed then.
pub fn run(arguments: &Arguments, mut output: impl Write) -> anyhow::Result<()> {
    let Plan { scenario, config, selection, traces, gate } = plan(arguments).context(BadInput)?;
    let reports = replay(&traces, &scenario, &config, &selection, arguments.threads)?;
    let report = Report::new(ScenarioSummary::of(&scenario), reports);
    output.write_all(table(&report).as_bytes())?;
    if let Some(path) = &arguments.json {
        write(path, &(serde_json::to_string_pretty(&report)? + "\n"))?;
    }
    if let Some(path) = &arguments.html {
        write(path, &html(&report))?;
    }
    let Some(gate) = gate else { return Ok(()) };
    pass(&gate, &report, &mut output)?;
    if let (Some(folder), Some(candidate)) = (&arguments.accept, &gate.candidate) {
        let path = models::accept(candidate, folder)?;
        writeln!(output, "{} is in use", path.display())?;
    }
    Ok(())
}

/// Says whether the candidate passes; an error when it does not.
fn pass(gate: &Gate, report: &Report, output: &mut impl Write) -> anyhow::Result<()> {
    let Passage { cost_ratio, interval, failures } = gate.judge(report)?;
    let candidate = gate.candidate.as_deref().unwrap_or_default();
    let incumbent = &gate.incumbent;
    let (low, high) = interval;
    writeln!(
        output,
        "\ncost of {candidate} over {incumbent}: {cost_ratio:.4} ({low:.4} to {high:.4})"
    )?;
    for failure in &failures {
        writeln!(output, "  not met: {failure}")?;
    }
    if !failures.is_empty() {
        bail!("{candidate} does not pass the gate: {} condition(s) not met", failures.len());
    }
    writeln!(output, "{candidate} passes the gate")?;
    Ok(())
}

/// What is to be replayed.
struct Plan {
    scenario: Scenario,
    config: WorkloadConfig,
    selection: Selection,
    traces: Vec<Trace>,
    gate: Option<Gate>,
}

/// Reads and checks everything before anything is replayed.
fn plan(arguments: &Arguments) -> anyhow::Result<Plan> {
    let scenario = scenario(arguments)?;
    let config = workload(arguments.config.as_deref())?;
    let (policies, learned) = policies(&arguments.policies)?;
    let selection = Selection { policies, learned, sweep: arguments.sweep };
    let gate = arguments.gate.as_deref().map(|path| read_gate(path, &selection)).transpose()?;
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
    Ok(Plan { scenario, config, selection, traces, gate })
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
    if !(1..=1_000).contains(&arguments.workers) {
        bail!("--workers {} is not in 1 to 1000", arguments.workers);
    }
    let scenario = Scenario {
        workers: arguments.workers,
        startup: Duration::from_secs_f64(check("startup", arguments.startup, 0.0, 3_600.0)?),
        decision_interval: Duration::from_secs_f64(
            check("interval", arguments.interval, 1.0, 300.0)?.round(),
        ),
        mean_replicas: check("replicas", arguments.replicas, 1.0, 500.0)?,
        capacity_rps: arguments
            .capacity
            .map(|capacity| check("capacity", capacity, 1e-6, 1e9))
            .transpose()?,
        mean_service: duration("service", &arguments.service)?,
        objective_latency: duration("latency", &arguments.latency)?,
        objective_quantile: check("quantile", arguments.quantile, 0.5, 0.9999)?,
        warm_up: arguments.warm_up.as_deref().map(|text| duration("warm-up", text)).transpose()?,
        budget: check("budget", arguments.budget, 1e-4, 0.2)?,
        seed: arguments.seed,
        service: if arguments.requests { Service::Requests } else { Service::Fluid },
        balance: if arguments.least_request { Balance::LeastRequest } else { Balance::Random },
        discipline: match arguments.discipline.as_str() {
            "sharing" => Discipline::Sharing,
            _ => Discipline::Queue,
        },
        service_cv: check("service-cv", arguments.service_cv, 0.0, 10.0)?,
        ..Scenario::default()
    };
    if scenario.safe_utilisation() < 0.01 {
        bail!(
            "a request of --service {} on an idle replica is not within --latency {} for a share of \
             --quantile {}; no number of replicas helps",
            arguments.service,
            arguments.latency,
            arguments.quantile
        );
    }
    Ok(scenario)
}

/// The gate of a file, whose two policies must be among those that are replayed.
fn read_gate(path: &Path, selection: &Selection) -> anyhow::Result<Gate> {
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("{} cannot be read", path.display()))?;
    let mut gate: Gate =
        serde_saphyr::from_str(&text).with_context(|| format!("{} is no gate", path.display()))?;
    if let ([only], None) = (selection.learned.as_slice(), &gate.candidate) {
        gate.candidate = Some(only.name.clone());
    }
    let candidate = gate.candidate.as_ref().ok_or(GateError::NoCandidate)?;
    let known = selection.names().any(|name| name == candidate);
    if !known || !selection.names().any(|name| name == gate.incumbent) {
        bail!("the gate compares {candidate} with {}; name both in --policies", gate.incumbent);
    }
    Ok(gate)
}

/// Policies by name, and learned ones by file.
fn policies(list: &str) -> anyhow::Result<(Vec<Choice>, Vec<Candidate>)> {
    match list {
        "all" => return Ok((Choice::all().collect(), vec![])),
        "ablation" => return Ok((Choice::ablation().collect(), vec![])),
        _ => {}
    }
    let (mut policies, mut learned) = (Vec::new(), Vec::new());
    for name in list.split(',').map(str::trim).filter(|name| !name.is_empty()) {
        match models::policy(name)? {
            Shadow::Configured => {}
            Shadow::Known(choice) => policies.push(choice),
            Shadow::Learned(candidate) => learned.push(candidate),
        }
    }
    if policies.is_empty() && learned.is_empty() {
        bail!("--policies names none; peers are {}", PeerKind::ALL.map(PeerKind::name).join(", "));
    }
    Ok((policies, learned))
}

/// Replays all traces, several at once; the reports keep their order.
fn replay(
    traces: &[Trace],
    scenario: &Scenario,
    config: &WorkloadConfig,
    selection: &Selection,
    threads: Option<usize>,
) -> anyhow::Result<Vec<TraceReport>> {
    let reports = each(traces.len(), threads, |at, progress| {
        let Some(trace) = traces.get(at) else { bail!("no trace {at}") };
        let watch = Watch::start();
        Ok(run_trace(trace, scenario, config, selection, &watch, progress)?)
    });
    reports.into_iter().collect()
}
