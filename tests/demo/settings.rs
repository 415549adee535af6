//! How the demo is to be played: environment variables and one flag.

use std::io::IsTerminal;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::rules::DECISION_INTERVAL;

/// What `--help` prints.
pub(crate) const HELP: &str = "\
A gateway and its sidecars (real Envoy), a compressed day of traffic, scaled first by Foresail and
then, with the same arrivals, by a threshold autoscaler.

    demo [--check]

    DEMO_SECONDS=240          length of the day; short days run, but prove little
    DEMO_STARTUP_SECONDS=15   time from the start of a replica until it is Ready
    DEMO_CHECK=1              like --check: fail unless Foresail has fewer requests over the
                              objective and at most 1.15 times the replica-seconds
    DEMO_SCORECARD=FILE       where the scorecard goes as JSON (target/demo/scorecard.json)
    HEADLESS=1                one plain line every 5 s, and exit after the scorecard
";

/// The settings of a demo.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    /// Length of the day.
    pub(crate) day: Duration,
    /// Time from the start of a replica until it is Ready.
    pub(crate) startup: Duration,
    /// Nobody watches.
    pub(crate) headless: bool,
    /// The screen can be redrawn in place.
    pub(crate) redraw: bool,
    /// Fail unless Foresail did better.
    pub(crate) check: bool,
}

impl Settings {
    /// Reads the environment and the arguments. `None`: help was asked for.
    pub(crate) fn read() -> Result<Option<Self>> {
        let mut check = is_set("DEMO_CHECK");
        for argument in std::env::args().skip(1) {
            match argument.as_str() {
                "--check" => check = true,
                "--help" | "-h" => return Ok(None),
                other => bail!("unknown argument {other}\n\n{HELP}"),
            }
        }
        let headless = is_set("HEADLESS");
        // Whole steps, so that every day begins at a step's beginning.
        let step = DECISION_INTERVAL.as_secs();
        let day = seconds("DEMO_SECONDS", 240, 20)?.next_multiple_of(step);
        Ok(Some(Self {
            day: Duration::from_secs(day),
            startup: Duration::from_secs(seconds("DEMO_STARTUP_SECONDS", 15, 0)?),
            headless,
            redraw: !headless && std::io::stdout().is_terminal(),
            check,
        }))
    }
}

fn is_set(name: &str) -> bool {
    std::env::var(name).is_ok_and(|value| !matches!(value.as_str(), "" | "0"))
}

fn seconds(name: &str, default: u64, least: u64) -> Result<u64> {
    let Ok(text) = std::env::var(name) else { return Ok(default) };
    let value = text.parse().with_context(|| format!("{name} is '{text}', not whole seconds"))?;
    if !(least..=86_400).contains(&value) {
        bail!("{name} is {value}, not in {least}..=86400");
    }
    Ok(value)
}
