//! `foresail train`, `models` and `backtest --gate` as a user types them.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::f64::consts::TAU;
use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

/// Three days of a wave with bursts, one row a minute.
fn recording() -> String {
    let mut text = String::from("timestamp,rps\n");
    for minute in 0..3 * 1_440_u32 {
        let hour = f64::from(minute % 1_440) / 60.0;
        let burst = if minute % 173 < 8 { 60.0 } else { 0.0 };
        let rate = 100.0 + 50.0 * (TAU * (hour - 9.0) / 24.0).sin() + burst;
        writeln!(text, "{},{rate:.3}", 1_700_006_400 + minute * 60).unwrap();
    }
    text
}

fn foresail(directory: &Path, line: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_foresail"))
        .current_dir(directory)
        .args(line.split_whitespace())
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

const GATE: &str = "candidate: raising:q.safetensors
least_gain: 0.02
least_days: 1
";

#[test]
fn a_model_is_trained_the_same_for_a_seed_listed_and_kept_out_when_it_is_no_better() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    fs::write(at("days.csv"), recording()).unwrap();
    let train = |out: &str| {
        let line = format!(
            "train --policy q --trace days.csv --variants 0 --steps 2000 --seed 5 --out {out}"
        );
        let output = foresail(directory.path(), &line);
        assert!(output.status.success(), "{output:?}");
    };
    train("q.safetensors");
    train("again.safetensors");
    let read = |name: &str| fs::read(at(name)).unwrap();
    assert!(read("q.safetensors") == read("again.safetensors"), "the same seed, another file");
    assert_eq!(&read("q.png")[..8], b"\x89PNG\r\n\x1a\n");
    let metrics: serde_json::Value = serde_json::from_slice(&read("q.json")).unwrap();
    assert_eq!(metrics["curve"].as_array().unwrap().len(), 20);
    assert_eq!(metrics["about"]["data"][0], "days");

    fs::write(at("broken.safetensors"), b"nothing").unwrap();
    let listed = text(&foresail(directory.path(), "models .").stdout);
    let line = |name: &str| listed.lines().find(|line| line.starts_with(name)).unwrap();
    assert!(line("q.safetensors").contains(" q ") && line("q.safetensors").ends_with(" days"));
    assert!(line("broken.safetensors").contains("unusable: "), "{listed}");

    // What only ever raises costs more on a load whose budget is kept anyway: never two per cent less.
    fs::write(at("gate.yaml"), GATE).unwrap();
    let line =
        "backtest --trace days.csv --policies foresail,raising:q.safetensors --gate gate.yaml";
    let output = foresail(directory.path(), line);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(text(&output.stdout).contains("not met: cost"), "{output:?}");
    assert!(text(&output.stderr).contains("does not pass the gate"), "{output:?}");

    // A gate that asks for nothing lets it pass.
    let open = "candidate: raising:q.safetensors\nleast_gain: -9\nmost_violations: 99\nmost_changes: 99\nleast_days: 0\n";
    fs::write(at("gate.yaml"), open).unwrap();
    let output = foresail(directory.path(), line);
    assert!(output.status.success(), "{output:?}");
    assert!(text(&output.stdout).contains("passes the gate"), "{output:?}");
}

#[test]
fn what_cannot_be_used_is_said_before_anything_is_replayed() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("days.csv"), recording()).unwrap();
    fs::write(directory.path().join("x.safetensors"), b"nothing").unwrap();
    fs::write(directory.path().join("gate.yaml"), "candidate: learned:other\n").unwrap();
    let says = |line: &str, words: &str| {
        let output = foresail(directory.path(), line);
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        assert!(text(&output.stderr).contains(words), "{output:?}");
    };
    says("backtest --trace days.csv --policies learned:x.safetensors", "not a safetensors file");
    says(
        "backtest --trace days.csv --policies foresail --gate gate.yaml",
        "name both in --policies",
    );
    says("backtest --trace days.csv --policies foresail --gate none.yaml", "cannot be read");
}
