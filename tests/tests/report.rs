//! A backtest of forty-five recordings as HTML, in a real browser: quick, and the same as the JSON.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/browser.rs"]
mod browser;

use std::f64::consts::TAU;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use foresail_tests::random::seeded;
use foresail_tests::{Program, WorkDir, paths};
use rand::RngExt;

const TRACES: u32 = 45;
/// Enough to learn from and to be scored on.
const DAYS: u64 = 5;
const STEP_SECONDS: u64 = 300;
const LIMIT: Duration = Duration::from_mins(8);

/// A recording of a few days with waves of its own, noise, and a crowd at a moment of its own.
fn recording(number: u32) -> String {
    let mut random = seeded(u64::from(number));
    let (evening, crowd) = (random.random_range(0.0..TAU), random.random_range(2.0..4.5));
    let steps = DAYS * 86_400 / STEP_SECONDS;
    (0..steps).fold("timestamp,rps\n".to_owned(), |mut csv, step| {
        let day = step as f64 * STEP_SECONDS as f64 / 86_400.0;
        let wave = 100.0 + 60.0 * (TAU * day + evening).sin() + 20.0 * (3.0 * TAU * day).sin();
        let flash = if (crowd..crowd + 0.04).contains(&day) { 1.8 } else { 1.0 };
        let rate = wave * flash * random.random_range(0.92..1.08);
        let at = 1_700_000_000 + step * STEP_SECONDS;
        let _ = writeln!(csv, "{at},{rate:.2}");
        csv
    })
}

fn recordings(directory: &WorkDir) -> Vec<PathBuf> {
    let write = |number| directory.write(&format!("trace-{number:02}.csv"), &recording(number));
    (1..=TRACES).map(|number| write(number).unwrap()).collect()
}

#[tokio::test]
async fn a_report_of_many_recordings_opens_at_once_and_says_what_the_json_says() {
    let directory = WorkDir::new("report").unwrap();
    let (html, json) = (directory.file("report.html"), directory.file("report.json"));
    let log = directory.file("backtest.log");
    let mut program = Program::new("foresail", &paths::foresail().unwrap(), &log)
        .args(["backtest", "--policies", "foresail,hpa-rps,kpa", "--interval", "300"])
        .args(["--startup", "120", "--trace"]);
    for path in recordings(&directory) {
        program = program.arg(path);
    }
    let mut backtest = program.arg("--html").arg(&html).arg("--json").arg(&json).spawn().unwrap();
    let status = backtest.wait(LIMIT).await.unwrap();
    assert!(status.success(), "{}", backtest.log_tail());
    let screenshots = paths::target().join("dashboard");
    let arguments = [&html, &json, &screenshots].map(|path| path.to_string_lossy().into_owned());
    let [html, json, screenshots] = arguments.each_ref().map(String::as_str);
    let traces = TRACES.to_string();
    browser::script(&directory, "report.mjs", [html, json, screenshots, traces.as_str()]).await;
}
