//! What the two runs came to, side by side.

use std::fmt::Write;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use foresail_tests::{Results, paths};
use serde_json::{Value, json};

use crate::replay::Replay;
use crate::rules::OBJECTIVE;
use crate::settings::Settings;

/// Foresail may use at most this many times the replica-seconds of the threshold autoscaler.
const COST_LIMIT: f64 = 1.15;

const BUSY: &str = "
  Over 1 % of the requests left late: something else kept this machine's processors busy, and all
  latencies above contain that. Play the demo again when the machine is quiet.
";

/// The measures of one run.
#[derive(Clone, Debug)]
pub(crate) struct Score {
    /// Who scaled.
    pub(crate) name: &'static str,
    /// The load's results.
    pub(crate) results: Results,
    /// Replica-seconds, starting and Ready.
    pub(crate) replica_seconds: f64,
    /// How often the number of replicas was changed.
    pub(crate) scale_changes: u32,
}

impl Score {
    fn share_within(&self) -> f64 {
        self.results.within as f64 / (self.results.total() as f64).max(1.0)
    }

    fn to_json(&self) -> Value {
        let milliseconds = |quantile| self.results.quantile(quantile).as_secs_f64() * 1e3;
        let outcomes: serde_json::Map<String, Value> =
            self.results.outcomes.iter().map(|(what, n)| (what.to_string(), (*n).into())).collect();
        json!({
            "requests": self.results.total(),
            "within_objective": self.results.within,
            "over_objective": self.results.over(),
            "late_starts": self.results.late_starts,
            "failed": self.results.failed(),
            "share_within": self.share_within(),
            "p50_ms": milliseconds(0.5),
            "p95_ms": milliseconds(0.95),
            "p99_ms": milliseconds(0.99),
            "outcomes": outcomes,
            "replica_seconds": self.replica_seconds,
            "scale_changes": self.scale_changes,
        })
    }
}

/// Both runs.
#[derive(Clone, Debug)]
pub(crate) struct Scorecard {
    /// How the demo was played.
    pub(crate) settings: Settings,
    /// The run that Foresail scaled.
    pub(crate) foresail: Score,
    /// The run that the threshold autoscaler scaled.
    pub(crate) threshold: Score,
    /// The same day without a mesh.
    pub(crate) replay: Replay,
}

impl Scorecard {
    /// Foresail's requests over the objective and its replica-seconds, in parts of the other's.
    fn ratios(&self) -> (Option<f64>, f64) {
        let (over, other) = (self.foresail.results.over(), self.threshold.results.over());
        let over = (other > 0).then(|| over as f64 / other as f64);
        (over, self.foresail.replica_seconds / self.threshold.replica_seconds)
    }

    /// Whether Foresail had fewer requests over the objective, at no more than 1.15 times the cost.
    pub(crate) fn is_better(&self) -> bool {
        self.foresail.results.over() < self.threshold.results.over()
            && self.ratios().1 <= COST_LIMIT
    }

    /// Whether over 1 % of the requests of a run could not leave when they should have.
    fn was_busy(&self) -> bool {
        let runs = [&self.foresail.results, &self.threshold.results];
        runs.iter().any(|results| results.late_starts * 100 > results.total())
    }

    /// The table for the terminal.
    pub(crate) fn table(&self) -> String {
        let (one, other) = (&self.foresail, &self.threshold);
        let mut table = String::new();
        let mut row = |what: &str, show: &dyn Fn(&Score) -> String, ratio: Option<f64>| {
            let ratio = ratio.map_or_else(String::new, |ratio| format!("{ratio:.2}x"));
            // Writing to a String cannot fail.
            let _ = writeln!(table, "  {what:<32}{:>12}{:>12}{ratio:>10}", show(one), show(other));
        };
        row("", &|score| score.name.to_owned(), None);
        row("requests", &|score| score.results.total().to_string(), None);
        let within = format!("within the objective ({OBJECTIVE:?})");
        row(&within, &|score| format!("{:.2} %", 100.0 * score.share_within()), None);
        let (over, cost) = self.ratios();
        row("over the objective", &|score| score.results.over().to_string(), over);
        row("  of these, failed", &|score| score.results.failed().to_string(), None);
        for quantile in [0.50, 0.95, 0.99] {
            let show = |score: &Score| milliseconds(score.results.quantile(quantile));
            row(&format!("latency p{:.0}", quantile * 100.0), &show, None);
        }
        row("replica-seconds", &|score| format!("{:.0}", score.replica_seconds), Some(cost));
        row("scale changes", &|score| score.scale_changes.to_string(), None);
        let oracle = self.replay.oracle_replica_seconds;
        let against = |score: &Score| format!("{:.2}x", score.replica_seconds / oracle);
        row("  against an oracle's", &against, None);
        let verdict = if self.is_better() {
            "Foresail: fewer requests over the objective"
        } else {
            "Not shown: fewer requests over the objective"
        };
        let busy = if self.was_busy() { BUSY } else { "" };
        table
            + &format!("\n  {verdict}, at most {COST_LIMIT} times the replica-seconds.\n")
            + &self.replay_in_words()
            + busy
    }

    /// The oracle, and how near the simulator is.
    fn replay_in_words(&self) -> String {
        let Replay { oracle_replica_seconds, replica_seconds, over_share } = self.replay;
        format!(
            "\n  An oracle that knows the day pays {oracle_replica_seconds:.0} replica-seconds and keeps the\n  \
             objective at every step. `foresail backtest` of this day, request by request, has\n  \
             Foresail at {replica_seconds:.0} replica-seconds ({:.2} of the real run's) and {:.2} % over the\n  \
             objective (really {:.2} %).\n",
            replica_seconds / self.foresail.replica_seconds,
            100.0 * over_share,
            100.0 * (1.0 - self.foresail.share_within()),
        )
    }

    /// Writes it as JSON.
    pub(crate) fn write(&self) -> Result<PathBuf> {
        let path = std::env::var_os("DEMO_SCORECARD")
            .map_or_else(|| paths::target().join("demo/scorecard.json"), PathBuf::from);
        let directory = path.parent().context("the scorecard's path has no directory")?;
        let (over, cost) = self.ratios();
        let document = json!({
            "day_seconds": self.settings.day.as_secs(),
            "startup_seconds": self.settings.startup.as_secs(),
            "objective_ms": OBJECTIVE.as_millis(),
            "foresail": self.foresail.to_json(),
            "threshold": self.threshold.to_json(),
            "over_objective_ratio": over,
            "replica_seconds_ratio": cost,
            "is_better": self.is_better(),
            "oracle_replica_seconds": self.replay.oracle_replica_seconds,
            "simulated": {
                "replica_seconds": self.replay.replica_seconds,
                "share_over": self.replay.over_share,
            },
        });
        std::fs::create_dir_all(directory)
            .and_then(|()| std::fs::write(&path, format!("{document:#}\n")))
            .with_context(|| format!("cannot write {}", path.display()))?;
        Ok(path)
    }
}

fn milliseconds(duration: Duration) -> String {
    format!("{:.0} ms", duration.as_secs_f64() * 1e3)
}
