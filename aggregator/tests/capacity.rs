//! `foresail capacity` as a user types it.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

/// A ramp to 80 requests per second over two replicas, up and down ten times. Above 30 per replica,
/// latency grows fast.
fn load_test() -> String {
    let mut text = String::from("note,rps,replicas,p50_ms,p95_ms,p99_ms\n");
    for at in 0..400_u32 {
        let rps = 80.0 * (f64::from(at % 40) + 1.0) / 40.0;
        let slow = if rps > 60.0 { 1.0 + (rps - 60.0) } else { 1.0 };
        let [p50, p95, p99] = [10.0, 40.0, 90.0].map(|ms| ms * slow);
        // An interval in which the replicas slept.
        let row = if at == 100 { ",".to_owned() } else { format!("{p50},{p95},{p99}") };
        writeln!(text, "x,{rps},2,{}", if at == 100 { ",,".to_owned() } else { row }).unwrap();
    }
    text
}

fn foresail(directory: &Path, text: &str, arguments: &[&str]) -> Output {
    fs::write(directory.join("test.csv"), text).unwrap();
    Command::new(env!("CARGO_BIN_EXE_foresail"))
        .current_dir(directory)
        .args(["capacity", "--test", "test.csv"])
        .args(arguments)
        .output()
        .unwrap()
}

#[test]
fn a_load_test_says_what_a_replica_serves_safely() {
    let directory = tempfile::tempdir().unwrap();
    let output = foresail(directory.path(), &load_test(), &["--latency", "100ms", "--json"]);
    assert!(output.status.success(), "{output:?}");
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let figure = |name: &str| report[name].as_f64().unwrap();
    assert!((28.0..31.0).contains(&figure("safe_rps")), "{report}");
    assert!(figure("rps_5") <= figure("safe_rps") && figure("safe_rps") <= figure("rps_95"));
    let bands = report["bands"].as_array().unwrap();
    let all: u64 = bands.iter().map(|band| band["intervals"].as_u64().unwrap()).sum();
    assert_eq!((bands.len(), all), (8, 399));
    assert!(bands[0]["expected_slow_share"].as_f64().unwrap() < 0.01, "{report}");
    assert!(bands[7]["expected_slow_share"].as_f64().unwrap() > 0.07, "{report}");
    let table = foresail(directory.path(), &load_test(), &["--latency", "100ms"]);
    let table = String::from_utf8(table.stdout).unwrap();
    assert!(table.starts_with("safe: ") && table.lines().count() == 10, "{table}");
}

#[test]
fn bad_input_is_named_with_its_remedy() {
    let directory = tempfile::tempdir().unwrap();
    let good = load_test();
    let no_rate = "time,p95_ms\n1,2\n".to_owned();
    let bad_field = format!("{good}x,many,2,1,2,3\n");
    let cases: [(&str, &[&str], &str); 6] = [
        (&good, &["--latency", "fast"], "--latency fast is not a duration such as 250ms"),
        (&good, &["--latency", "1s", "--quantile", "1.5"], "--quantile 1.5 is not in 0.5 to 1"),
        (&good, &["--latency", "1s", "--guess", "-3"], "--guess"),
        (&no_rate, &["--latency", "1s"], "it has to name rps"),
        (&bad_field, &["--latency", "1s"], "line 402: rps `many` is no number"),
        ("rps,p95_ms\n,\n", &["--latency", "1s"], "no line has a rate and a latency"),
    ];
    for (text, arguments, expected) in cases {
        let output = foresail(directory.path(), text, arguments);
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.code() == Some(2) && said.contains(expected), "{said}");
    }
}
