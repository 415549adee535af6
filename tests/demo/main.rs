//! The demo: a compressed day of a small mesh, scaled by Foresail ahead of its load and then, with
//! the same arrivals, by a threshold autoscaler behind it.
//!
//! Everything is real: Envoy proxies with the filter in each sidecar, `foresail serve`, requests
//! over sockets. See `demo --help` for the settings.

mod day;
mod fleet;
mod foresail;
mod replay;
mod rules;
mod run;
mod scorecard;
mod screen;
mod settings;
mod threshold;
mod webhook;

use std::process::ExitCode;

use anyhow::{Context, Result};
use foresail_tests::{paths, ports};
use tokio::signal::unix::{SignalKind, signal};

use crate::fleet::Sidecars;
use crate::foresail::{Foresail, Mode};
use crate::run::{Autoscaler, Mesh, Start};
use crate::scorecard::Scorecard;
use crate::screen::Screen;
use crate::settings::{HELP, Settings};
use crate::threshold::Threshold;
use crate::webhook::{Orders, Webhook};

/// What a shell reports for a program that Ctrl-C ended.
const INTERRUPTED: u8 = 130;

#[tokio::main]
async fn main() -> Result<ExitCode> {
    let Some(settings) = Settings::read()? else {
        screen::help(HELP);
        return Ok(ExitCode::SUCCESS);
    };
    // Whichever ends first; dropping the demo ends its processes and removes its directories.
    tokio::select! {
        ended = demo(settings) => ended,
        interrupted = interrupted() => interrupted.map(|()| ExitCode::from(INTERRUPTED)),
    }
}

async fn interrupted() -> Result<()> {
    let (mut interrupt, mut terminate, mut hang_up) = (
        signal(SignalKind::interrupt())?,
        signal(SignalKind::terminate())?,
        signal(SignalKind::hangup())?,
    );
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
        _ = hang_up.recv() => {}
    }
    Ok(())
}

async fn demo(settings: Settings) -> Result<ExitCode> {
    // What is missing is said now, not in the middle.
    paths::envoy()?;
    paths::foresail()?;
    let filter = foresail::filter()?;

    let mut screen = Screen::new(settings);
    let plan = day::plan(settings.day);
    screen.say(&introduction(settings, plan.len()));

    let webhook = Webhook::start().await?;
    let port = ports::free()?;
    let sidecars = Sidecars { filter, aggregator: foresail::address(port) };

    let mesh = Mesh::start(settings, sidecars.clone()).await?;
    webhook.attach(Some((mesh.fleet.clone(), Orders::Followed)));
    let start = Start::soon();
    let history = day::history(settings.day, start.unix);
    let mut foresail = Foresail::start(settings, port, webhook.url(), &history).await?;
    screen.dashboard(foresail.url());
    screen.begin(&format!("\nFirst run: Foresail scales. Dashboard: {}/", foresail.url()));
    let scaler = Autoscaler::Foresail(&foresail);
    let first = run::play(settings, &mesh, start, plan.clone(), scaler, &mut screen).await?;
    webhook.attach(None);
    drop(mesh);

    // Foresail goes on looking, so that its filters cost the second run what they cost the first.
    foresail.switch(Mode::Shadow).await.context("Foresail in shadow mode")?;
    let mesh = Mesh::start(settings, sidecars).await?;
    webhook.attach(Some((mesh.fleet.clone(), Orders::Refused)));
    screen.begin("\nSecond run: a threshold autoscaler scales, Foresail only looks (shadow mode).");
    let scaler = Autoscaler::Threshold(Threshold::default());
    let start = Start::soon();
    let day = plan.clone();
    let second = run::play(settings, &mesh, start, plan, scaler, &mut screen).await?;
    webhook.attach(None);
    drop(mesh);

    let replay = replay::replay(settings, &day, &history, foresail.config_file()).await?;
    let scorecard = Scorecard { settings, foresail: first, threshold: second, replay };
    screen.say(&format!("\n{}", scorecard.table()));
    let path = scorecard.write()?;
    screen.say(&format!("  Written to {}", path.display()));
    let failed = settings.check && !scorecard.is_better();
    if !settings.headless {
        screen.say(&format!("  The dashboard stays at {}/ until Ctrl-C.", foresail.url()));
        std::future::pending::<()>().await;
    }
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn introduction(settings: Settings, requests: usize) -> String {
    let (day, startup) = (settings.day.as_secs(), settings.startup.as_secs());
    format!(
        "Foresail demo: a day in {day} s, played twice with the same {requests} requests.\n\
         A new replica is Ready after {startup} s. Foresail begins with {} recorded days as its\n\
         history: the same shape with other noise, and without today's flash crowd.",
        day::RECORDED_DAYS,
    )
}
