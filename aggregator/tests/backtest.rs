//! `foresail backtest` as a user types it.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::f64::consts::TAU;
use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

/// Five days of a wave with a jump at noon, one row a minute; a few are not known.
fn recording() -> String {
    let mut text = String::from("timestamp,rps\n");
    for minute in 0..5 * 1_440_u32 {
        let hour = f64::from(minute % 1_440) / 60.0;
        let noon = if (12.0..12.5).contains(&hour) { 60.0 } else { 0.0 };
        let rate = 100.0 + 50.0 * (TAU * (hour - 9.0) / 24.0).sin() + noon;
        let rate = if minute % 977 == 0 { String::new() } else { format!("{rate:.3}") };
        writeln!(text, "{},{rate}", 1_700_006_400 + minute * 60).unwrap();
    }
    text
}

fn foresail(directory: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_foresail"))
        .current_dir(directory)
        .arg("backtest")
        .args(arguments)
        .output()
        .unwrap()
}

fn report(directory: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(directory.join("out.json")).unwrap()).unwrap()
}

/// The report without what depends on the machine's speed.
fn without_times(mut report: Value) -> Value {
    for trace in report["traces"].as_array_mut().unwrap() {
        for policy in trace["policies"].as_array_mut().unwrap() {
            for run in policy["runs"].as_array_mut().unwrap() {
                let run = run.as_object_mut().unwrap();
                run.retain(|key, _| !key.starts_with("decision_"));
            }
        }
    }
    report
}

#[test]
fn a_recording_is_replayed_the_same_each_time_and_no_budget_is_missed() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("week.csv"), recording()).unwrap();
    let arguments = [
        "--trace",
        "week.csv",
        "--policies",
        "foresail,hpa-cpu",
        "--json",
        "out.json",
        "--html",
        "out.html",
    ];
    let output = foresail(directory.path(), &arguments);
    assert!(output.status.success(), "{output:?}");
    let table = String::from_utf8(output.stdout).unwrap();
    assert!(table.contains("foresail") && table.contains("hpa-cpu"), "{table}");
    let first = report(directory.path());
    let run = |policy: usize| &first["traces"][0]["policies"][policy]["runs"][0];
    let figure = |policy: usize, name: &str| run(policy)[name].as_f64().unwrap();
    assert!(figure(0, "violation") <= 0.012, "{}", run(0));
    assert!((1.0..1.5).contains(&figure(0, "cost_over_oracle")), "{}", run(0));
    // Both keep the budget here; an HPA pays more for it.
    let cost = |policy| figure(policy, "cost_over_oracle");
    assert!(cost(0) < cost(1), "{} {}", run(0), run(1));
    let page = fs::read_to_string(directory.path().join("out.html")).unwrap();
    assert!(page.contains("<svg") && !page.contains("http"));
    foresail(directory.path(), &arguments);
    assert_eq!(without_times(report(directory.path())), without_times(first));
}

#[test]
fn what_cannot_be_replayed_is_said_with_its_place() {
    let directory = tempfile::tempdir().unwrap();
    let good = recording();
    fs::write(directory.path().join("good.csv"), &good).unwrap();
    fs::write(directory.path().join("bad.csv"), good.replacen("rps\n", "rps\n1,fast\n", 1))
        .unwrap();
    for (arguments, problem) in [
        (vec!["--trace", "bad.csv"], "leave the field empty"),
        (vec!["--trace", "missing.csv"], "missing.csv"),
        (vec!["--trace", "good.csv", "--policies", "best"], "no policy is called best"),
        (vec!["--trace", "good.csv", "--budget", "2"], "--budget 2"),
    ] {
        let output = foresail(directory.path(), &arguments);
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{error}");
        assert!(error.contains(problem), "{error}");
    }
}
