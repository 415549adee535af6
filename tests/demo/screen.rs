//! What the demo shows: a few lines, redrawn in place at a terminal, one plain line elsewhere.
#![expect(clippy::print_stdout, reason = "the demo is a program that talks to a person")]

use std::io::Write;
use std::time::Duration;

use tokio::time::Instant;

use crate::day;
use crate::rules::OBJECTIVE;
use crate::settings::Settings;

/// Time between plain lines.
const PLAIN_INTERVAL: Duration = Duration::from_secs(5);

/// One moment of a run.
#[derive(Clone, Debug, Default)]
pub(crate) struct Moment {
    /// Seconds since the day began; negative in the lead-in.
    pub(crate) elapsed: f64,
    /// Requests per second that arrive.
    pub(crate) rps: f64,
    /// Expected and upper requests per second by the time a new replica could serve.
    pub(crate) forecast: Option<(f64, f64)>,
    /// Replicas that serve.
    pub(crate) ready: u32,
    /// Replicas that exist.
    pub(crate) current: u32,
    /// Requests counted so far, and those within the objective.
    pub(crate) requests: (u64, u64),
    /// Replica-seconds so far.
    pub(crate) replica_seconds: f64,
    /// The last decision and why.
    pub(crate) decision: String,
}

/// The terminal.
#[derive(Debug)]
pub(crate) struct Screen {
    settings: Settings,
    /// Lines drawn by the last redraw, to be drawn over.
    drawn: usize,
    last_plain: Option<Instant>,
    dashboard: String,
}

impl Screen {
    /// A screen with nothing on it.
    pub(crate) const fn new(settings: Settings) -> Self {
        Self { settings, drawn: 0, last_plain: None, dashboard: String::new() }
    }

    /// Says something that stays.
    pub(crate) fn say(&mut self, text: &str) {
        self.drawn = 0;
        println!("{text}");
    }

    /// Names the dashboard's address under the live lines.
    pub(crate) fn dashboard(&mut self, url: String) {
        self.dashboard = url;
    }

    /// Begins a run.
    pub(crate) fn begin(&mut self, text: &str) {
        self.last_plain = None;
        self.say(text);
    }

    /// Shows a moment.
    pub(crate) fn show(&mut self, run: &str, moment: &Moment) {
        if self.settings.redraw {
            self.redraw(&lines(run, moment, self.settings, &self.dashboard));
        } else if self.last_plain.is_none_or(|last| last.elapsed() >= PLAIN_INTERVAL) {
            self.last_plain = Some(Instant::now());
            println!("{}", plain(run, moment, self.settings));
        }
    }

    fn redraw(&mut self, lines: &[String]) {
        let text = lines.join("\n");
        let mut out = std::io::stdout().lock();
        // Up over what was drawn last, clear to the end; no wrapping, or the count would be wrong.
        let up = if self.drawn > 0 { format!("\x1b[{}A", self.drawn) } else { String::new() };
        // A terminal that is gone is no reason to fail: the scorecard goes to a file as well.
        let _ = write!(out, "\x1b[?7l{up}\r\x1b[J{text}\n\x1b[?7h").and_then(|()| out.flush());
        self.drawn = lines.len();
    }
}

/// Prints the help.
pub(crate) fn help(text: &str) {
    println!("{text}");
}

fn share(moment: &Moment) -> String {
    let (total, within) = moment.requests;
    if total == 0 {
        return "none yet".to_owned();
    }
    let share = 100.0 * within as f64 / total as f64;
    format!("{share:.2} % of {total} ({} over)", total - within)
}

fn forecast(moment: &Moment, settings: Settings) -> String {
    let Some((point, upper)) = moment.forecast else { return String::new() };
    format!(
        "forecast {point:.0}, at most {upper:.0} by the time a replica could be Ready ({} s)",
        settings.startup.as_secs()
    )
}

fn lines(run: &str, moment: &Moment, settings: Settings, dashboard: &str) -> Vec<String> {
    let clock = day::clock(moment.elapsed, settings.day);
    let day = settings.day.as_secs_f64();
    let progress = if moment.elapsed < 0.0 {
        "warming up, not counted".to_owned()
    } else {
        format!("{:.0} of {day:.0} s", moment.elapsed.min(day))
    };
    let bar = "#".repeat(moment.ready as usize)
        + &"+".repeat(moment.current.saturating_sub(moment.ready) as usize);
    let starting = moment.current.saturating_sub(moment.ready);
    let mut lines = vec![
        String::new(),
        format!("  {run:<12} {clock}   ({progress})"),
        format!("  load         {:.0} rps   {}", moment.rps, forecast(moment, settings)),
        format!(
            "  replicas     {bar}  {} ready, {starting} starting, {:.0} replica-seconds so far",
            moment.ready, moment.replica_seconds
        ),
        format!("  within {OBJECTIVE:?} {}", share(moment)),
        format!("  decision     {}", moment.decision),
    ];
    if !dashboard.is_empty() {
        lines.push(format!("  dashboard    {dashboard}/"));
    }
    lines
}

fn plain(run: &str, moment: &Moment, settings: Settings) -> String {
    let clock = day::clock(moment.elapsed, settings.day);
    let upper =
        moment.forecast.map_or_else(String::new, |(_, upper)| format!(" (forecast {upper:.0})"));
    format!(
        "{run} {clock}  {:>3.0} rps{upper}  {} ready of {} ({:.0} replica-s)  within: {}  {}",
        moment.rps,
        moment.ready,
        moment.current,
        moment.replica_seconds,
        share(moment),
        moment.decision,
    )
}
