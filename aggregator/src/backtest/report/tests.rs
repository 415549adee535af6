use super::*;

fn run(violation: f64, cost: f64) -> Run {
    let score = Score {
        violation,
        slow_share: 0.0,
        pod_hours: 1.0,
        cost_over_oracle: cost,
        scale_ups: 0,
        scale_downs: 0,
        changes_per_hour: 2.0,
        reversals_per_hour: 1.0,
        recovery_mean_steps: 0.0,
        recovery_p95_steps: 0.0,
    };
    Run { knob: cost, is_default: cost < 1.11, score, decision_p50_us: None, decision_p99_us: None }
}

fn policy(name: &str, runs: Vec<Run>) -> PolicyReport {
    let cost_at = LEVELS
        .iter()
        .map(|level| CostAt { violation: *level, cost_over_oracle: cost_at(&runs, *level) })
        .collect();
    PolicyReport { policy: name.to_owned(), runs, cost_at }
}

fn report() -> Report {
    let trace = |name: &str, peer: Vec<Run>| TraceReport {
        trace: name.to_owned(),
        days_scored: 1.0,
        step_s: 15.0,
        capacity_rps: 10.0,
        oracle_pod_hours: 100.0,
        policies: vec![
            policy("foresail", vec![run(0.05, 1.0), run(0.001, 1.2)]),
            policy("peer", peer),
        ],
        timeline: Timeline::default(),
    };
    let scenario = ScenarioSummary::of(&Scenario::default());
    let reached = vec![run(0.05, 1.1), run(0.001, 1.5)];
    let never = vec![run(0.3, 1.1), run(0.2, 1.5)];
    Report::new(scenario, vec![trace("a", reached), trace("b", never)])
}

#[test]
fn the_cost_at_a_level_lies_between_two_knobs_or_is_unreachable() {
    let runs = vec![run(0.04, 1.0), run(0.0025, 1.4)];
    let cost = cost_at(&runs, 0.01).unwrap();
    assert!((cost - 1.2).abs() < 0.002, "{cost}");
    assert_eq!(cost_at(&runs, 0.001), None);
    assert_eq!(cost_at(&runs, 0.1), Some(1.0));
}

#[test]
fn the_mean_is_over_the_traces_that_all_reach_and_the_others_are_counted() {
    let report = report();
    let at = |policy: usize| report.summary[policy].frontier[1];
    assert_eq!((at(0).feasible, at(1).feasible), (2, 1));
    assert_eq!((at(0).common, at(1).common), (1, 1));
    assert_eq!(at(0).cost_over_oracle, report.traces[0].policies[0].cost_at(0.01));
}

#[test]
fn what_is_unreachable_is_said_in_every_form() {
    let report = report();
    assert!(table(&report).contains("unreachable"));
    let json = serde_json::to_value(&report).unwrap();
    assert!(json["traces"][1]["policies"][1]["cost_at"][1]["cost_over_oracle"].is_null());
    let page = html(&report);
    assert!(page.contains("unreachable") && page.contains("<svg") && !page.contains("http"));
}
