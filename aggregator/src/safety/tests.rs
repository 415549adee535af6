mod guards;

use std::cell::Cell;
use std::time::Duration;

use super::*;
use crate::config::{Config, ScaleIn};
use crate::journal::Pause;
use crate::units::{Ratio, Rps};

thread_local! {
    /// The guard that a test does without.
    static LEFT_OUT: Cell<Option<Guard>> = const { Cell::new(None) };
}

/// Whether the running test does without this guard.
pub(super) fn is_left_out(guard: Guard) -> bool {
    LEFT_OUT.get() == Some(guard)
}

fn config(more: &str) -> WorkloadConfig {
    let text = format!(
        "
workloads:
  - namespace: demo
    name: web
    mode: active
    min_replicas: 2
    max_replicas: 20
    objective: {{ latency: 250ms }}
    target_rps_per_replica: 10
    actuator: none
{more}"
    );
    let text = if more.contains("behavior") { text } else { text + FAST_DOWN };
    Config::from_yaml(&text).unwrap().workloads.remove(0)
}

/// As fast down as autoscaling/v2, so that a test reaches the end in one step.
const FAST_DOWN: &str =
    "    behavior: { scale_down: { policies: [{ type: percent, value: 100, period: 15s }] } }
";

/// Damping switched off, so that a test sees one guard at a time.
const UNDAMPED: &str = "    behavior:
      scale_up: { policies: [] }
      scale_down: { stabilization_window: 0s, policies: [] }
";

fn at(second: u64) -> Timestamp {
    Timestamp::from_secs(1_700_000_000 + second)
}

fn fresh(now: Timestamp, current: u32) -> Observation {
    Observation {
        newest: Some(now - Duration::from_secs(1)),
        coverage: Some(Ratio::ONE),
        current_replicas: Some(current),
        ready_replicas: Some(current),
        rps: Some(Rps::ZERO),
        ..Observation::default()
    }
}

fn asks(reactive: Option<u32>, predictive: Option<u32>) -> Proposal {
    Proposal {
        signals: vec![],
        reactive,
        predictive,
        burst: None,
        resources: None,
        learned: None,
        needed: None,
        forecast: None,
        scale_in: ScaleIn::Observed,
        missed: None,
        capacity: Rps::new(10.0).unwrap(),
    }
}

/// A safety that has seen nothing but good data for longer than any window.
fn seasoned(config: &WorkloadConfig, until: u64, replicas: u32) -> Safety {
    let mut safety = Safety::new(at(0));
    for second in (1..=until).step_by(5) {
        let now = at(second);
        safety.judge(config, now, &fresh(now, replicas), &asks(Some(replicas), None));
    }
    safety
}

fn guards(verdict: &Verdict) -> Vec<&str> {
    verdict.guards.iter().map(|record| record.guard.as_str()).collect()
}

#[test]
fn a_forecast_raises_and_never_lowers() {
    let config = config(UNDAMPED);
    let mut safety = seasoned(&config, 60, 5);
    let now = at(65);
    let raised = safety.judge(&config, now, &fresh(now, 5), &asks(Some(5), Some(9)));
    assert_eq!((raised.desired_replicas, raised.without_forecast), (9, 5));
    let kept = safety.judge(&config, now, &fresh(now, 5), &asks(Some(5), Some(3)));
    assert_eq!(kept.desired_replicas, 5);
}

#[test]
fn the_bounds_always_hold() {
    let config = config(UNDAMPED);
    let mut safety = seasoned(&config, 60, 5);
    let now = at(65);
    let high = safety.judge(&config, now, &fresh(now, 5), &asks(Some(500), None));
    assert_eq!((high.desired_replicas, guards(&high)), (20, vec!["bounds"]));
    let low = safety.judge(&config, at(70), &fresh(at(70), 5), &asks(Some(0), None));
    assert_eq!(low.desired_replicas, 2);
}

#[test]
fn old_data_never_scales_down() {
    let config = config("");
    let mut safety = seasoned(&config, 400, 10);
    // 29 s old is still good, 31 s is not, and a clean window must pass after it.
    let mut old = fresh(at(430), 10);
    old.newest = Some(at(399));
    let verdict = safety.judge(&config, at(430), &old, &asks(Some(3), None));
    assert_eq!((verdict.desired_replicas, guards(&verdict)), (10, vec!["clean_window"]));
    for second in (435..=725).step_by(5) {
        let now = at(second);
        let verdict = safety.judge(&config, now, &fresh(now, 10), &asks(Some(3), None));
        assert_eq!(verdict.desired_replicas, 10, "{second}: {verdict:?}");
    }
    let verdict = safety.judge(&config, at(735), &fresh(at(735), 10), &asks(Some(3), None));
    assert_eq!(verdict.desired_replicas, 3, "{verdict:?}");
}

#[test]
fn low_coverage_never_scales_down_but_lets_up() {
    let config = config(UNDAMPED);
    let mut safety = seasoned(&config, 60, 10);
    let now = at(65);
    let thin = Observation { coverage: Some(Ratio::new(0.79).unwrap()), ..fresh(now, 10) };
    let down = safety.judge(&config, now, &thin, &asks(Some(3), None));
    assert_eq!((down.desired_replicas, guards(&down)), (10, vec!["coverage"]));
    let up = safety.judge(&config, now, &thin, &asks(Some(12), None));
    assert_eq!(up.desired_replicas, 12);
}

#[test]
fn a_proven_idle_service_scales_down_to_its_minimum() {
    let config = config(UNDAMPED);
    let mut safety = seasoned(&config, 60, 10);
    let verdict = safety.judge(&config, at(65), &fresh(at(65), 10), &asks(Some(0), None));
    assert_eq!(verdict.desired_replicas, 2);
}

#[test]
fn stale_telemetry_holds_then_falls_back_and_never_lowers() {
    let config = config(&format!("    staleness: {{ fallback_replicas: 8 }}\n{UNDAMPED}"));
    let mut safety = seasoned(&config, 60, 5);
    let gone = |current| Observation { newest: Some(at(56)), ..fresh(at(56), current) };
    let mut verdict = |second, current, asked| {
        safety.judge(&config, at(second), &gone(current), &asks(Some(asked), Some(asked)))
    };
    let hold = verdict(56 + 60, 5, 12);
    assert_eq!((hold.desired_replicas, guards(&hold)), (5, vec!["stale_hold"]));
    let fallback = verdict(56 + 180, 5, 2);
    assert_eq!((fallback.desired_replicas, guards(&fallback)), (8, vec!["stale_fallback"]));
    assert_eq!(verdict(56 + 200, 11, 2).desired_replicas, 11);
}

#[test]
fn stale_without_a_fallback_holds_for_ever() {
    let config = config(UNDAMPED);
    let mut safety = seasoned(&config, 60, 5);
    let gone = Observation { newest: Some(at(56)), ..fresh(at(56), 5) };
    let verdict = safety.judge(&config, at(10_000), &gone, &asks(Some(2), Some(9)));
    assert_eq!((verdict.desired_replicas, guards(&verdict)), (5, vec!["stale_hold"]));
}

#[test]
fn data_from_the_future_is_no_data() {
    let config = config(UNDAMPED);
    let mut safety = seasoned(&config, 60, 5);
    let future = Observation { newest: Some(at(600)), ..fresh(at(65), 5) };
    let verdict = safety.judge(&config, at(65), &future, &asks(Some(2), None));
    assert_eq!(verdict.desired_replicas, 5, "{verdict:?}");
    // And it does not make what follows look fresh.
    let verdict = safety.judge(&config, at(500), &future, &asks(Some(2), None));
    assert_eq!(guards(&verdict), ["stale_hold"]);
}

#[test]
fn after_a_restart_the_current_replicas_are_the_floor_for_a_window() {
    let config = config("");
    let mut safety = seasoned(&config, 400, 10).restarted(at(405));
    for second in (406..=700).step_by(7) {
        let now = at(second);
        let verdict = safety.judge(&config, now, &fresh(now, 10), &asks(Some(3), None));
        assert_eq!(verdict.desired_replicas, 10, "{second}: {verdict:?}");
        assert_eq!(guards(&verdict), ["restart_floor"]);
    }
    let up = safety.judge(&config, at(701), &fresh(at(701), 10), &asks(Some(14), None));
    assert_eq!(up.desired_replicas, 14);
    let now = at(701 + 301);
    let down = safety.judge(&config, now, &fresh(now, 10), &asks(Some(3), None));
    assert_eq!(down.desired_replicas, 3, "{down:?}");
}

#[test]
fn nothing_is_approved_while_replica_counts_are_unknown() {
    let config = config(UNDAMPED);
    let mut safety = seasoned(&config, 60, 5);
    let unknown = Observation { current_replicas: None, ready_replicas: None, ..fresh(at(65), 5) };
    let verdict = safety.judge(&config, at(65), &unknown, &asks(Some(9), None));
    assert_eq!(verdict.approved, None);
    let known = safety.judge(&config, at(70), &fresh(at(70), 5), &asks(Some(9), None));
    let approved = known.approved.unwrap();
    assert_eq!((approved.current_replicas(), approved.desired_replicas()), (5, 9));
}

#[test]
fn the_highest_recommendation_of_the_window_holds_on_the_way_down() {
    let config = config("");
    let mut safety = seasoned(&config, 400, 10);
    let mut desired = |second, asked| {
        let now = at(second);
        safety.judge(&config, now, &fresh(now, 10), &asks(Some(asked), None)).desired_replicas
    };
    assert_eq!(desired(400, 9), 10); // 10 was asked for until now
    assert_eq!(desired(690, 4), 10); // 10 still dominates
    assert_eq!(desired(702, 4), 4); // 10 and 9 scrolled out
}

#[test]
fn scale_up_doubles_or_adds_four_in_fifteen_seconds() {
    let config = config("");
    let mut safety = seasoned(&config, 60, 3);
    let mut desired = |second, current| {
        let now = at(second);
        safety.judge(&config, now, &fresh(now, current), &asks(Some(20), None)).desired_replicas
    };
    assert_eq!(desired(61, 3), 7); // 3 + 4 is more than 3 doubled
    assert_eq!(desired(65, 7), 7); // the same 15 s
    assert_eq!(desired(77, 7), 14); // 7 doubled is more than 7 + 4
}

#[test]
fn scale_down_policies_limit_the_way_down() {
    let config = config(
        "    behavior:
      scale_down:
        stabilization_window: 0s
        policies: [ { type: percent, value: 10, period: 60s } ]
",
    );
    let mut safety = seasoned(&config, 120, 20);
    let verdict = safety.judge(&config, at(121), &fresh(at(121), 20), &asks(Some(2), None));
    assert_eq!((verdict.desired_replicas, guards(&verdict)), (18, vec!["rate_limit"]));
}

#[test]
fn a_disabled_direction_does_not_move() {
    let config = config(
        "    behavior: { scale_down: { stabilization_window: 0s, select_policy: disabled } }\n",
    );
    let mut safety = seasoned(&config, 60, 10);
    let verdict = safety.judge(&config, at(61), &fresh(at(61), 10), &asks(Some(2), None));
    assert_eq!(verdict.desired_replicas, 10);
}

#[test]
fn a_burst_lets_nothing_down_until_a_stable_window_has_passed() {
    let config = config(UNDAMPED);
    let mut safety = seasoned(&config, 60, 5);
    let burst = Proposal { burst: Some(12), ..asks(Some(5), None) };
    let verdict = safety.judge(&config, at(65), &fresh(at(65), 5), &burst);
    assert_eq!(verdict.desired_replicas, 12);
    let calm = safety.judge(&config, at(120), &fresh(at(120), 12), &asks(Some(3), None));
    assert_eq!((calm.desired_replicas, guards(&calm)), (12, vec!["burst"]));
    let after = safety.judge(&config, at(126), &fresh(at(126), 12), &asks(Some(3), None));
    assert_eq!(after.desired_replicas, 3);
}

type Change = fn(&mut ClusterFacts);

#[test]
fn what_the_cluster_forbids_holds_in_its_direction_and_nothing_overrules_it() {
    let config = config(UNDAMPED);
    let facts = |change: fn(&mut ClusterFacts)| {
        let mut facts = ClusterFacts::default();
        change(&mut facts);
        facts
    };
    let cases: [(Change, &str, u32, u32); 8] = [
        (|facts| facts.rollout = true, "rollout", 10, 15),
        (|facts| facts.overdue_pods = 1, "unready", 10, 15),
        (|facts| facts.unschedulable_pods = 2, "unschedulable", 3, 10),
        (|facts| facts.removable_pods = Some(4), "blast_radius", 6, 15),
        (|facts| facts.contested = true, "contested", 10, 10),
        (|facts| facts.pause = Some(Pause::In), "paused", 10, 15),
        (|facts| facts.pause = Some(Pause::Out), "paused", 3, 10),
        (|facts| facts.pause = Some(Pause::All), "paused", 10, 10),
    ];
    for (change, guard, down, up) in cases {
        for (asked, expected) in [(3, down), (15, up), (10, 10)] {
            let mut safety = seasoned(&config, 60, 10);
            let cluster = Some(facts(change));
            let observation = Observation { cluster, ..fresh(at(61), 10) };
            let verdict = safety.judge(&config, at(61), &observation, &asks(Some(asked), None));
            assert_eq!(verdict.desired_replicas, expected, "{guard}, {asked} asked for");
            let bound: Vec<&str> = if asked == expected { vec![] } else { vec![guard] };
            assert_eq!(guards(&verdict), bound, "{guard}, {asked} asked for");
        }
    }
    let mut safety = seasoned(&config, 60, 1);
    let cluster = Some(facts(|facts| facts.pause = Some(Pause::All)));
    let below = Observation { cluster, ..fresh(at(61), 1) };
    let verdict = safety.judge(&config, at(61), &below, &asks(Some(1), None));
    assert_eq!((verdict.desired_replicas, guards(&verdict)), (1, vec!["bounds", "paused"]));
}

#[test]
fn nothing_scales_down_while_more_requests_fail_than_usual() {
    let config = config(UNDAMPED);
    let mut safety = seasoned(&config, 400, 10);
    let mut judge = |second: u64, errors: f64, asked: u32| {
        let error_ratio = Ratio::new(errors).ok();
        let seen = Observation { error_ratio, ..fresh(at(second), 10) };
        safety.judge(&config, at(second), &seen, &asks(Some(asked), None))
    };
    assert_eq!(judge(405, 0.0, 8).desired_replicas, 8);
    let failing = judge(410, 0.2, 4);
    assert_eq!((failing.desired_replicas, guards(&failing)), (10, vec!["errors"]));
    assert_eq!(judge(415, 0.2, 15).desired_replicas, 15, "up is free");
    assert_eq!(judge(420, 0.0, 4).desired_replicas, 4);
}

#[test]
fn two_raises_without_a_gain_hold_and_more_load_is_still_served() {
    let config = config(UNDAMPED);
    let mut safety = seasoned(&config, 60, 10);
    let mut judge = |second: u64, replicas: u32, rps: f64, p99_ms: f64, missed: bool| {
        let seen = Observation {
            rps: Rps::new(rps).ok(),
            p99_ms: Some(p99_ms),
            ..fresh(at(second), replicas)
        };
        let asked = Proposal { missed: Some(missed), ..asks(Some(replicas + 2), None) };
        safety.judge(&config, at(second), &seen, &asked)
    };
    // 10, 12 and 14 replicas for 50 requests per second: always 900 ms.
    assert_eq!(judge(65, 10, 50.0, 900.0, true).desired_replicas, 12);
    assert_eq!(judge(70, 12, 50.0, 900.0, true).desired_replicas, 14);
    assert_eq!(judge(130, 12, 50.0, 900.0, true).desired_replicas, 14, "once is chance");
    assert_eq!(judge(135, 14, 50.0, 900.0, true).desired_replicas, 16);
    let held = judge(195, 14, 50.0, 900.0, true);
    assert_eq!((held.desired_replicas, guards(&held)), (14, vec!["futile"]));
    assert_eq!(judge(200, 14, 55.0, 900.0, true).desired_replicas, 16, "a tenth more load");
    assert_eq!(judge(205, 14, 50.0, 100.0, false).desired_replicas, 16, "the objective is met");
    assert_eq!(judge(210, 14, 50.0, 900.0, true).desired_replicas, 16, "it begins anew");
}

#[test]
fn raises_that_help_are_not_held_nor_those_that_the_load_needs() {
    let config = config(UNDAMPED);
    for (rps, latencies) in [(50.0, [900.0, 700.0, 500.0]), (150.0, [900.0; 3])] {
        let mut safety = seasoned(&config, 60, 10);
        for (round, p99_ms) in (0_u32..).zip(latencies) {
            for second in [0, 5, 60] {
                let replicas = if second == 0 { 8 + 2 * round } else { 10 + 2 * round };
                let now = at(65 + u64::from(round) * 65 + second);
                let seen = Observation {
                    rps: Rps::new(rps).ok(),
                    p99_ms: Some(p99_ms),
                    ..fresh(now, replicas)
                };
                let asked = Proposal { missed: Some(true), ..asks(Some(replicas + 2), None) };
                let verdict = safety.judge(&config, now, &seen, &asked);
                assert_eq!(verdict.desired_replicas, replicas + 2, "{rps} rps, round {round}");
            }
        }
    }
}
