use std::fmt::Write as _;

use super::*;
use crate::config::Config;

fn config() -> WorkloadConfig {
    Config::from_yaml(DEFAULT_CONFIG).unwrap().workloads.remove(0)
}

fn answers(input: &str) -> Vec<Value> {
    let mut output = Vec::new();
    run(config(), input.as_bytes(), &mut output).unwrap();
    let text = String::from_utf8(output).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn every_line_is_answered_on_its_own_line() {
    let input = "{\"t\":1700000000,\"rps\":120.5,\"p99_ms\":80,\"ready\":4,\"replicas\":5}\n\
                 not json\n\
                 {\"t\":1700000015,\"rps\":-3}\n\
                 {\"t\":1700000015,\"rps\":1e400}\n\
                 {\"t\":1700000030,\"rsp\":3}\n\
                 {\"t\":1699999999,\"rps\":3}\n\
                 [1]\n\
                 {\"rps\":3}\n\
                 {\"t\":1700000030,\"rps\":500,\"ready\":5,\"replicas\":5}\n";
    let answers = answers(input);
    assert_eq!(answers.len(), 9);
    for answer in &answers[1..8] {
        assert!(answer["error"].is_string(), "{answer}");
    }
    assert!(answers[2]["error"].as_str().unwrap().starts_with("rps: -3"), "{}", answers[2]);
    assert!(answers[4]["error"].as_str().unwrap().starts_with("rsp: no such field"));
    assert!(answers[0]["desired"].is_u64() && answers[0]["error"].is_null());
    assert!(answers[8]["desired"].as_u64().unwrap() >= 8, "{}", answers[8]);
    assert!(answers[8]["forecast"]["upper"].as_f64().unwrap() > 100.0, "{}", answers[8]);
}

#[test]
fn what_is_absent_is_not_known_and_lowers_nothing() {
    let mut input = String::new();
    for i in 0..40_u64 {
        let t = 1_700_000_000 + i * 15;
        writeln!(input, "{{\"t\":{t},\"replicas\":9,\"ready\":9}}").unwrap();
    }
    for answer in answers(&input) {
        assert_eq!(answer["desired"], 9, "{answer}");
        assert_eq!(answer["forecast"], Value::Null);
    }
}

#[test]
fn a_line_without_end_does_not_stop_the_stream() {
    let long = "x".repeat(MAX_LINE_BYTES + 10);
    let answers = answers(&format!("{long}\n{{\"t\":15,\"rps\":1,\"replicas\":1}}\n"));
    assert_eq!(answers.len(), 2);
    assert!(answers[0]["error"].as_str().unwrap().contains("longer"));
    assert_eq!(answers[1]["error"], Value::Null);
}
