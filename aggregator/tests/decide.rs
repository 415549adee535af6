//! `foresail decide`, driven by a simulator in another language, decides as the core does.

use std::process::Command;

use foresail_aggregator::commands::decide::{DEFAULT_CONFIG, Decider};
use foresail_aggregator::config::Config;
use serde_json::Value;

#[test]
fn a_simulator_in_python_gets_the_same_decisions() {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/python/decide_sim.py");
    let output = Command::new("python3")
        .args([script, env!("CARGO_BIN_EXE_foresail")])
        .output()
        .expect("python3 is needed: apt-get install python3");
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{error}");
    let config = Config::from_yaml(DEFAULT_CONFIG).unwrap().workloads.remove(0);
    let mut decider = Decider::new(config);
    let (mut lines, mut raised, mut lowered) = (0, 0, 0);
    for line in String::from_utf8(output.stdout).unwrap().lines() {
        let pair: Value = serde_json::from_str(line).unwrap();
        let observation = pair["observation"].as_str().unwrap();
        let own = decider.answer(observation).unwrap();
        let text = serde_json::to_string(&own).unwrap();
        assert_eq!(text, pair["decision"].as_str().unwrap(), "after {lines} lines");
        let observation: Value = serde_json::from_str(observation).unwrap();
        let had = observation["replicas"].as_u64().unwrap();
        raised += u32::from(u64::from(own.desired) > had);
        lowered += u32::from(u64::from(own.desired) < had);
        lines += 1;
    }
    // Two days of a step of 15 s, with changes both ways.
    assert_eq!(lines, 11_520);
    assert!(raised > 10 && lowered > 10, "{raised} raised, {lowered} lowered");
}
