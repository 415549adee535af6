//! The binary `foresail`.

use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use clap::{Parser, Subcommand};
use foresail_aggregator::commands::{
    backtest, capacity, cluster, crd, decide, forecast, models, train, workload,
};
use foresail_aggregator::config::{Config, ConfigError};
use foresail_aggregator::serve;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

/// Exit code for a configuration that cannot be honoured.
const BAD_CONFIG: u8 = 2;

/// Scales the services of a mesh ahead of their demand.
#[derive(Debug, Parser)]
#[command(name = "foresail", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs the aggregator: takes frames, decides and scales.
    Serve {
        /// The YAML file with all settings.
        #[arg(long, env = "FORESAIL_CONFIG")]
        config: PathBuf,
        /// Reads the configuration, says whether it is valid, and exits.
        #[arg(long)]
        check: bool,
    },
    /// Reads observations, one JSON object a line, and answers each with a decision.
    Decide {
        /// The YAML file of `serve`; its first workload's settings are used.
        #[arg(long)]
        config: Option<PathBuf>,
    },
    /// Replays recorded load through Foresail, other autoscalers and a clairvoyant oracle.
    Backtest(backtest::Arguments),
    /// Scores forecasting models on recorded load, from many points of it.
    Forecast(forecast::Arguments),
    /// Learns from a load test what one replica can safely serve.
    Capacity(capacity::Arguments),
    /// Trains a learned policy on recorded load.
    Train(train::Arguments),
    /// Lists learned policies, and what they were made of.
    Models(models::Arguments),
    /// Prints the definition of the resource `MeshAutoscaler`.
    Crd,
    /// Lists what is decided for, with objective, forecast and health.
    Status(cluster::StatusArguments),
    /// Tells the last decision in words.
    Explain(cluster::ExplainArguments),
    /// Gives the floors under HPAs back when no aggregator holds the lease any longer.
    Release(cluster::ReleaseArguments),
}

fn main() -> ExitCode {
    let result = match Arguments::parse().command {
        Command::Serve { config, check } => serve_or_check(&config, check),
        Command::Decide { config } => decide(config.as_deref()),
        Command::Backtest(arguments) => backtest::run(&arguments, std::io::stdout().lock()),
        Command::Forecast(arguments) => forecast::run(&arguments, std::io::stdout().lock()),
        Command::Capacity(arguments) => capacity::run(&arguments, std::io::stdout().lock()),
        Command::Train(arguments) => train::run(&arguments, std::io::stdout().lock()),
        Command::Models(arguments) => models::run(&arguments, std::io::stdout().lock()),
        Command::Crd => print_crd(),
        Command::Status(arguments) => ask(cluster::status(&arguments, std::io::stdout())),
        Command::Explain(arguments) => ask(cluster::explain(&arguments, std::io::stdout())),
        Command::Release(arguments) => ask(cluster::release(&arguments, std::io::stdout())),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "foresail: {error:#}");
            let is_config = error.downcast_ref::<ConfigError>().is_some()
                || error.downcast_ref::<backtest::BadInput>().is_some();
            if is_config { ExitCode::from(BAD_CONFIG) } else { ExitCode::FAILURE }
        }
    }
}

fn print_crd() -> anyhow::Result<()> {
    std::io::stdout().write_all(crd::manifest()?.as_bytes())?;
    Ok(())
}

/// Runs a command that asks others.
fn ask(command: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.context("the runtime cannot be started")?.block_on(command)
}

fn decide(path: Option<&Path>) -> anyhow::Result<()> {
    let workload = workload(path)?;
    decide::run(workload, std::io::stdin().lock(), std::io::stdout().lock())?;
    Ok(())
}

fn serve_or_check(path: &Path, check: bool) -> anyhow::Result<()> {
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("the configuration {} cannot be read", path.display()))?;
    let config = Config::from_yaml(&text).with_context(|| path.display().to_string())?;
    if check {
        writeln!(std::io::stdout(), "{} is valid", path.display())?;
        return Ok(());
    }
    log_to_stderr();
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("the runtime cannot be started")?
        .block_on(run(config))
}

/// `FORESAIL_LOG` sets what is said, as in `info` or `foresail_aggregator=debug`.
fn log_to_stderr() {
    let filter = EnvFilter::try_from_env("FORESAIL_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .init();
}

async fn run(config: Config) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate()).context("SIGTERM cannot be handled")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("SIGINT cannot be handled")?;
    let listener = TcpListener::bind(config.listen)
        .await
        .with_context(|| format!("cannot listen on {}", config.listen))?;
    tracing::info!(listen = %config.listen, "http://{}/ shows what happens", config.listen);
    let shutdown = Box::pin(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    });
    serve::run(config, listener, shutdown).await?;
    Ok(())
}
