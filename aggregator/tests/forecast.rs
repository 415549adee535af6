//! `foresail forecast` as a user types it.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::f64::consts::TAU;
use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

/// Three days of a wave with some noise, one row every 5 minutes; a few are not known.
fn recording() -> String {
    let mut text = String::from("timestamp,rps\n");
    for at in 0..3 * 288_u32 {
        let noise = f64::from(at * at % 31);
        let rate = 100.0 + 50.0 * (TAU * f64::from(at) / 288.0).sin() + noise;
        let rate = if at % 97 == 5 { String::new() } else { format!("{rate:.3}") };
        writeln!(text, "{},{rate}", 1_700_006_400 + at * 300).unwrap();
    }
    text
}

fn foresail(directory: &Path, arguments: &[&str]) -> Output {
    fs::write(directory.join("good.csv"), recording()).unwrap();
    Command::new(env!("CARGO_BIN_EXE_foresail"))
        .current_dir(directory)
        .arg("forecast")
        .args(arguments)
        .output()
        .unwrap()
}

#[test]
fn models_are_scored_at_each_step_ahead_and_written_as_json() {
    let directory = tempfile::tempdir().unwrap();
    let models = "last-value,seasonal-naive,ets,ensemble";
    let arguments =
        ["--trace", "good.csv", "--models", models, "--windows", "3", "--json", "o.json"];
    let output = foresail(directory.path(), &arguments);
    assert!(output.status.success(), "{output:?}");
    let table = String::from_utf8(output.stdout).unwrap();
    assert!(models.split(',').all(|model| table.contains(model)), "{table}");
    let text = fs::read_to_string(directory.path().join("o.json")).unwrap();
    let report: Value = serde_json::from_str(&text).unwrap();
    let trace = &report["traces"][0];
    assert_eq!(trace["horizon_steps"], 3, "15 minutes are three steps of 5");
    assert_eq!(trace["cutoffs"].as_array().unwrap().len(), 3);
    assert_eq!(trace["y"].as_array().unwrap().len(), 864);
    for model in trace["models"].as_array().unwrap() {
        let all = &model["all"];
        assert!((0.3..4.0).contains(&all["mase"].as_f64().unwrap()), "{model}");
        let covered = all["coverage_90"].as_f64().unwrap();
        assert!((covered - 0.9).abs() < 0.08, "{} covers {covered}", model["model"]);
    }
    assert!(String::from_utf8(output.stderr).unwrap().is_empty(), "no bar without a terminal");
}

#[test]
fn what_cannot_be_scored_is_said_with_its_argument() {
    let directory = tempfile::tempdir().unwrap();
    for (arguments, problem) in [
        (vec!["--trace", "missing.csv"], "missing.csv"),
        (
            vec!["--trace", "good.csv", "--models", "best"],
            "no model is called best; there are last-value",
        ),
        (vec!["--trace", "good.csv", "--models", ","], "--models names none"),
        (vec!["--trace", "good.csv", "--horizon", "soon"], "--horizon soon"),
        (vec!["--trace", "good.csv", "--horizon", "0s"], "--horizon 0s"),
        (vec!["--trace", "good.csv", "--step", "10s"], "--step 10s is finer"),
        (vec!["--trace", "good.csv", "--windows", "0"], "--windows 0"),
        (vec!["--trace", "good.csv", "--horizon", "9d"], "too few"),
        (vec!["--trace", "good.csv", "--holidays", "none.txt"], "--holidays none.txt"),
        (vec!["--trace", "good.csv", "--holidays", "good.csv"], "line 1: timestamp,rps is no date"),
    ] {
        let output = foresail(directory.path(), &arguments);
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{error}");
        assert!(error.contains(problem), "{error}");
    }
}
