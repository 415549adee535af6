//! Any text: reading it as a configuration does not panic, gives the same answer again, and what it
//! says about a bad one is of a length that a person can read.

#![no_main]

use foresail_aggregator_fuzz::config::{Config, ConfigError};

/// The longest value that a problem repeats, and the mark that it was cut.
const MAX_QUOTED_CHARS: usize = 81;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let outcome = Config::from_yaml(text);
    match &outcome {
        Ok(config) => {
            assert!(config.max_workloads > 0);
            for workload in &config.workloads {
                let of_its_key = config.workloads.iter().filter(|other| other.key == workload.key);
                assert_eq!(of_its_key.count(), 1, "{text}");
                assert!(workload.min_replicas <= workload.max_replicas, "{text}");
            }
        }
        Err(ConfigError::Invalid(problems)) => {
            assert!(!problems.0.is_empty(), "refused without a reason: {text}");
            for problem in &problems.0 {
                assert!(problem.value.chars().count() <= MAX_QUOTED_CHARS, "{problem}");
                assert!(!problem.valid.is_empty(), "{problem}");
            }
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
    assert_eq!(outcome, Config::from_yaml(text));
});
