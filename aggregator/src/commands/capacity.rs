//! `foresail capacity`: what a replica can safely serve, learned from a recorded load test.

use std::fmt::Write as _;
use std::io::Write;
use std::path::PathBuf;

use anyhow::{Context, bail};
use clap::Args;

use super::backtest::BadInput;
use super::traces::text;
use crate::capacity::{CapacityLearner, Evidence, Expectation, slow_share};
use crate::config::{Objective, parse_duration};
use crate::units::{Ratio, Rps};

/// Rows of the table.
const BANDS: usize = 8;
/// Columns that are understood.
const COLUMNS: [&str; 6] = ["rps", "replicas", "p50_ms", "p95_ms", "p99_ms", "seconds"];

/// Arguments of `foresail capacity`.
#[derive(Args, Debug)]
pub struct Arguments {
    /// A load test or ordinary traffic as CSV with a header, also .gz: `rps` (of all replicas),
    /// one or more of `p50_ms`, `p95_ms`, `p99_ms`, and if need be `replicas` (1 unless given) and
    /// `seconds` (length of the interval, 15 unless given); other columns are left alone.
    #[arg(long)]
    test: PathBuf,
    /// Latency of the objective, such as 250ms.
    #[arg(long)]
    latency: String,
    /// Share of the requests that must be within it, above 0 and below 1.
    #[arg(long, default_value_t = 0.99)]
    quantile: f64,
    /// A guess of what a replica serves safely, to begin with; default: half of the highest load.
    #[arg(long, allow_negative_numbers = true)]
    guess: Option<f64>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Runs the command; the result goes to `output`.
///
/// # Errors
/// When an argument or the file cannot be used.
pub fn run(arguments: &Arguments, mut output: impl Write) -> anyhow::Result<()> {
    let objective = objective(arguments).context(BadInput)?;
    let rows = read(arguments, &objective).context(BadInput)?;
    let highest = rows.iter().map(|row| row.rps_per_replica).fold(0.0, f64::max);
    let guess = arguments.guess.unwrap_or(highest / 2.0);
    let Some(guess) = Rps::new(guess).ok().filter(|guess| guess.get() > 0.0) else {
        return Err(anyhow::anyhow!("--guess {guess} is not a rate above 0")).context(BadInput);
    };
    let expectation = Expectation::new(&objective);
    let mut learner = CapacityLearner::new(guess);
    mixed(&rows).for_each(|row| learner.observe(&expectation, row));
    let fit = Fit { learner, expectation, rows, highest };
    let text = if arguments.json { fit.json() } else { fit.table() };
    output.write_all(text.as_bytes())?;
    Ok(())
}

/// All rows, mixed: a test that climbs ends with nothing but overload, and what is learned last counts
/// most.
fn mixed(rows: &[Evidence]) -> impl Iterator<Item = &Evidence> {
    let golden = (rows.len() as f64 * 0.618).max(1.0);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "below the length")]
    let mut stride = golden as usize;
    while gcd(stride, rows.len()) != 1 {
        stride += 1;
    }
    (0..rows.len()).filter_map(move |at| rows.get(at * stride % rows.len()))
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}

fn objective(arguments: &Arguments) -> anyhow::Result<Objective> {
    let Some(latency) = parse_duration(&arguments.latency).filter(|it| !it.is_zero()) else {
        bail!("--latency {} is not a duration such as 250ms", arguments.latency);
    };
    if !(0.5..1.0).contains(&arguments.quantile) {
        bail!("--quantile {} is not in 0.5 to 1", arguments.quantile);
    }
    let quantile = Ratio::new(arguments.quantile)?;
    Ok(Objective { quantile, latency, budget: Ratio::default() })
}

/// Every interval in which something is known.
fn read(arguments: &Arguments, objective: &Objective) -> anyhow::Result<Vec<Evidence>> {
    let text = text(&arguments.test)?;
    let mut lines = text.lines();
    let header: Vec<&str> = lines.next().unwrap_or_default().split(',').map(str::trim).collect();
    let places = COLUMNS.map(|name| header.iter().position(|column| *column == name));
    let [rps_place, _, p50, p95, p99, _] = places;
    if rps_place.is_none() || (p50.is_none() && p95.is_none() && p99.is_none()) {
        bail!(
            "line 1 is `{}`; it has to name rps and one of p50_ms, p95_ms, p99_ms",
            header.join(",")
        );
    }
    let mut rows = Vec::new();
    for (at, line) in lines.enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let fields: Vec<&str> = line.split(',').map(str::trim).collect();
        let mut values = [None; COLUMNS.len()];
        for ((value, place), name) in values.iter_mut().zip(places).zip(COLUMNS) {
            let field = place.and_then(|place| fields.get(place).copied()).unwrap_or_default();
            *value = number(field)
                .with_context(|| format!("line {}: {name} `{field}` is no number", at + 2))?;
        }
        rows.extend(evidence(values, objective));
    }
    if rows.is_empty() {
        bail!("{}: no line has a rate and a latency", arguments.test.display());
    }
    Ok(rows)
}

/// A number from 0; `None` for an empty field.
fn number(field: &str) -> anyhow::Result<Option<f64>> {
    if field.is_empty() {
        return Ok(None);
    }
    let number: f64 = field.parse()?;
    if !(0.0..1e15).contains(&number) {
        bail!("it is not in 0 to 1e15");
    }
    Ok(Some(number))
}

fn evidence(
    [rps, replicas, p50, p95, p99, seconds]: [Option<f64>; COLUMNS.len()],
    objective: &Objective,
) -> Option<Evidence> {
    let (rps, replicas) = (rps?, replicas.unwrap_or(1.0));
    let slow_share = slow_share(p50, p95, p99, objective.latency)?;
    (rps > 0.0 && replicas >= 1.0).then(|| Evidence {
        rps_per_replica: rps / replicas,
        requests: rps * seconds.unwrap_or(15.0),
        slow_share,
    })
}

/// What was learned, beside what was measured.
struct Fit {
    learner: CapacityLearner,
    expectation: Expectation,
    rows: Vec<Evidence>,
    highest: f64,
}

impl Fit {
    /// Bounds of a band of load, and the mean slow share measured and expected in it; `None` where
    /// nothing was measured.
    fn band(&self, band: usize) -> Option<(f64, f64, usize, f64, f64)> {
        let width = self.highest / BANDS as f64;
        let (from, to) = (band as f64 * width, (band + 1) as f64 * width);
        let is_within = |row: &&Evidence| {
            row.rps_per_replica > from && (row.rps_per_replica <= to || band + 1 == BANDS)
        };
        let (mut count, mut measured, mut expected) = (0, 0.0, 0.0);
        for row in self.rows.iter().filter(is_within) {
            let load = Rps::new(row.rps_per_replica).unwrap_or_default();
            count += 1;
            measured += row.slow_share;
            expected += self.learner.expected_slow_share(&self.expectation, load);
        }
        let n = f64::from(count);
        (count > 0).then_some((from, to, usize::try_from(count).ok()?, measured / n, expected / n))
    }

    fn credible(&self, probability: f64) -> f64 {
        Ratio::new(probability).map_or(0.0, |it| self.learner.credible_rps(it).get())
    }

    fn table(&self) -> String {
        let mut text = format!(
            "safe: {:.1} requests per second and replica (90 % certain between {:.1} and {:.1})\n\
             {:>17} {:>9} {:>9} {:>9}\n",
            self.learner.safe_rps().get(),
            self.credible(0.05),
            self.credible(0.95),
            "rps per replica",
            "intervals",
            "slow",
            "expected"
        );
        for (from, to, count, slow, expected) in (0..BANDS).filter_map(|band| self.band(band)) {
            let range = format!("{from:.1} to {to:.1}");
            let (slow, expected) = (slow * 100.0, expected * 100.0);
            // Writing to a String cannot fail.
            _ = writeln!(text, "{range:>17} {count:>9} {slow:>7.2} % {expected:>7.2} %");
        }
        text
    }

    fn json(&self) -> String {
        let bands = (0..BANDS).filter_map(|band| self.band(band));
        let bands: Vec<_> = bands
            .map(|(from, to, intervals, slow, expected)| {
                serde_json::json!({
                    "from_rps": from, "to_rps": to, "intervals": intervals,
                    "slow_share": slow, "expected_slow_share": expected,
                })
            })
            .collect();
        let report = serde_json::json!({
            "safe_rps": self.learner.safe_rps().get(),
            "rps_5": self.credible(0.05),
            "rps_95": self.credible(0.95),
            "bands": bands,
        });
        format!("{report}\n")
    }
}
