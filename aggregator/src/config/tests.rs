use std::time::Duration;

use super::*;

const SMALLEST: &str = "
workloads:
  - namespace: demo
    name: web
    max_replicas: 10
    objective: { latency: 250ms }
    target_rps_per_replica: 30
    actuator: none
";

#[test]
fn the_smallest_configuration_has_the_documented_defaults() {
    let config = Config::from_yaml(SMALLEST).unwrap();
    assert_eq!(config.listen.to_string(), "127.0.0.1:9900");
    let web = &config.workloads[0];
    assert_eq!(web.mode, Mode::Shadow);
    assert_eq!(web.min_replicas, 1);
    assert_eq!(web.startup_time, Duration::from_mins(1));
    assert_eq!(web.decision_interval, Duration::from_secs(15));
    assert_eq!(web.behavior.scale_down.stabilization_window, Duration::from_mins(5));
    assert_eq!(web.behavior.scale_up.policies.len(), 2);
    assert_eq!(web.staleness.hold_after, Duration::from_mins(1));
    assert_eq!(web.actuator, ActuatorConfig::None);
}

#[test]
fn every_problem_is_reported_at_once_with_key_value_and_range() {
    let text = "
listen: everywhere
max_workloads: 0
workloads:
  - namespace: demo
    name: web
    max_replicas: 3
    min_replicas: 5
    objective: { latency: 250, quantile: 2 }
    target_rps_per_replica: -3
    startup_tiem: 5s
    behavior: { scale_down: { policies: [ { type: pints, value: 1, period: 1s } ] } }
    forecast: { history: 7 }
    actuator: { webhook: { url: 'ftp://x' } }
";
    let Err(ConfigError::Invalid(Problems(problems))) = Config::from_yaml(text) else {
        panic!("the configuration was taken");
    };
    let keys: Vec<&str> = problems.iter().map(|problem| problem.key.as_str()).collect();
    for key in [
        "listen",
        "max_workloads",
        "workloads[0].min_replicas",
        "workloads[0].objective.latency",
        "workloads[0].objective.quantile",
        "workloads[0].target_rps_per_replica",
        "workloads[0].startup_tiem",
        "workloads[0].forecast.history",
        "workloads[0].behavior.scale_down.policies[0].type",
        "workloads[0].actuator.webhook.url",
    ] {
        assert!(keys.contains(&key), "{key} is not among {keys:?}");
    }
    let shown = Problems(problems).to_string();
    assert!(shown.contains("max_workloads: 0 is not valid; use a whole number from 1 to 1000000"));
    assert!(shown.contains("such as 250ms, 15s"), "{shown}");
}

#[test]
fn two_entries_for_one_workload_are_refused() {
    let entry = SMALLEST.trim_start_matches("\nworkloads:\n");
    let text = format!("workloads:\n{entry}{entry}");
    let error = Config::from_yaml(&text).unwrap_err().to_string();
    assert!(error.contains("workloads[1]"), "{error}");
}

#[test]
fn what_is_not_a_mapping_is_an_error_and_no_panic() {
    for text in ["", "[]", "42", "workloads: 3", "workloads: [3]", "a: [", "\u{0}", "? ? ?"] {
        let outcome = Config::from_yaml(text);
        assert!(outcome.is_err() || text.is_empty(), "{text:?} was taken: {outcome:?}");
    }
}
