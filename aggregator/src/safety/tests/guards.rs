//! Each guard taken away in turn: what it holds is no longer held. Complete by construction: a guard
//! without a scenario does not compile, and one that is no longer asked fails its scenario.

use super::*;

/// The last judgement of a scenario, in which exactly one guard changes the answer.
fn judged(guard: Guard) -> Verdict {
    match guard {
        Guard::Bounds => asked(UNDAMPED, 500),
        Guard::StaleHold => after_a_silence(60, UNDAMPED),
        Guard::StaleFallback => {
            after_a_silence(180, &format!("    staleness: {{ fallback_replicas: 12 }}\n{UNDAMPED}"))
        }
        Guard::RestartFloor => {
            let config = config(UNDAMPED);
            let mut safety = seasoned(&config, 60, 10).restarted(at(65));
            safety.judge(&config, at(65), &fresh(at(65), 10), &asks(Some(3), None))
        }
        Guard::CleanWindow => {
            seen(|now, seen| seen.newest = Some(now - MAX_DATA_AGE - Duration::from_secs(1)))
        }
        Guard::Coverage => seen(|_, seen| seen.coverage = Ratio::new(0.79).ok()),
        Guard::ReplicasUnknown => seen(|_, seen| seen.ready_replicas = None),
        Guard::Repeated => {
            let config = config(UNDAMPED);
            let mut safety = seasoned(&config, 60, 10);
            let once = fresh(at(65), 10);
            safety.judge(&config, at(65), &once, &asks(Some(10), None));
            safety.judge(&config, at(66), &once, &asks(Some(3), None))
        }
        Guard::ObjectiveMissed => proposed(&Proposal { missed: Some(true), ..asks(Some(3), None) }),
        Guard::Errors => seen(|_, seen| seen.error_ratio = Ratio::new(0.2).ok()),
        Guard::Futile => after_two_raises(),
        Guard::Burst => {
            let config = config(UNDAMPED);
            let mut safety = seasoned(&config, 60, 10);
            let burst = Proposal { burst: Some(10), ..asks(Some(10), None) };
            safety.judge(&config, at(65), &fresh(at(65), 10), &burst);
            safety.judge(&config, at(70), &fresh(at(70), 10), &asks(Some(3), None))
        }
        Guard::Stabilization => asked("", 3),
        Guard::RateLimit => asked(SLOWLY, 3),
        Guard::HandedBack => {
            let config = config(UNDAMPED);
            let mut safety = seasoned(&config, 60, 10);
            safety.hand_back(Some(12));
            safety.judge(&config, at(65), &fresh(at(65), 10), &asks(Some(3), None))
        }
        Guard::Paused => there(|facts| facts.pause = Some(Pause::All)),
        Guard::Contested => there(|facts| facts.contested = true),
        Guard::Unschedulable => {
            let config = config(UNDAMPED);
            let mut safety = seasoned(&config, 60, 10);
            let facts = ClusterFacts { unschedulable_pods: 1, ..ClusterFacts::default() };
            let observation = Observation { cluster: Some(facts), ..fresh(at(65), 10) };
            safety.judge(&config, at(65), &observation, &asks(Some(15), None))
        }
        Guard::Rollout => there(|facts| facts.rollout = true),
        Guard::Unready => there(|facts| facts.overdue_pods = 1),
        Guard::BlastRadius => there(|facts| facts.removable_pods = Some(4)),
    }
}

/// Replicas with the guard, and without it.
const fn answers(guard: Guard) -> (u32, u32) {
    match guard {
        Guard::Bounds => (20, 500),
        Guard::StaleFallback | Guard::HandedBack => (12, 3),
        Guard::Futile => (14, 16),
        Guard::RateLimit => (9, 3),
        Guard::Unschedulable => (10, 15),
        Guard::BlastRadius => (6, 3),
        _ => (10, 3),
    }
}

/// A tenth a minute, without a window.
const SLOWLY: &str = "    behavior:
      scale_down: { stabilization_window: 0s, policies: [{ type: percent, value: 10, period: 60s }] }
";

/// `replicas` are asked for where there have been ten for longer than any window.
fn asked(more: &str, replicas: u32) -> Verdict {
    let config = config(more);
    let mut safety = seasoned(&config, 400, 10);
    safety.judge(&config, at(405), &fresh(at(405), 10), &asks(Some(replicas), None))
}

/// Three are asked for so many seconds after the last telemetry.
fn after_a_silence(seconds: u64, more: &str) -> Verdict {
    let config = config(more);
    let mut safety = seasoned(&config, 60, 10);
    let gone = Observation { newest: Some(at(56)), ..fresh(at(56), 10) };
    safety.judge(&config, at(56 + seconds), &gone, &asks(Some(3), None))
}

/// Three are asked for on an observation with a flaw.
fn seen(flaw: impl Fn(Timestamp, &mut Observation)) -> Verdict {
    let config = config(UNDAMPED);
    let mut safety = Safety::new(at(0));
    for second in (1..=400).step_by(5) {
        let usual = Observation { error_ratio: Some(Ratio::ZERO), ..fresh(at(second), 10) };
        safety.judge(&config, at(second), &usual, &asks(Some(10), None));
    }
    // So long after the last telemetry that data may be old, and not so long that it is stale.
    let now = at(396 + 32);
    let mut observation = fresh(now, 10);
    flaw(now, &mut observation);
    safety.judge(&config, now, &observation, &asks(Some(3), None))
}

fn proposed(proposal: &Proposal) -> Verdict {
    let config = config(UNDAMPED);
    let mut safety = seasoned(&config, 60, 10);
    safety.judge(&config, at(65), &fresh(at(65), 10), proposal)
}

/// Three are asked for while the cluster says something.
fn there(says: impl Fn(&mut ClusterFacts)) -> Verdict {
    let config = config(UNDAMPED);
    let mut safety = seasoned(&config, 60, 10);
    let mut facts = ClusterFacts::default();
    says(&mut facts);
    let observation = Observation { cluster: Some(facts), ..fresh(at(65), 10) };
    safety.judge(&config, at(65), &observation, &asks(Some(3), None))
}

/// 10, 12 and 14 replicas for the same load with the same latency, and then 16 are asked for.
fn after_two_raises() -> Verdict {
    let config = config(UNDAMPED);
    let mut safety = seasoned(&config, 60, 10);
    let mut judge = |second: u64, replicas: u32| {
        let rps = Rps::new(50.0).ok();
        let seen = Observation { rps, p99_ms: Some(900.0), ..fresh(at(second), replicas) };
        let asked = Proposal { missed: Some(true), ..asks(Some(replicas + 2), None) };
        safety.judge(&config, at(second), &seen, &asked)
    };
    for (second, replicas) in [(65, 10), (70, 12), (130, 12), (135, 14)] {
        judge(second, replicas);
    }
    judge(195, 14)
}

#[test]
fn without_any_one_guard_the_answer_is_another() {
    assert_eq!(Guard::ALL.len(), 21);
    for guard in Guard::ALL.iter().copied() {
        let (with, without) = answers(guard);
        let verdict = judged(guard);
        assert_eq!(verdict.desired_replicas, with, "{guard:?}: {verdict:?}");
        assert_eq!(guards(&verdict), [guard.name()], "{verdict:?}");
        LEFT_OUT.set(Some(guard));
        let verdict = judged(guard);
        LEFT_OUT.set(None);
        assert_eq!(verdict.desired_replicas, without, "without {guard:?}: {verdict:?}");
        assert_eq!(guards(&verdict), [""; 0], "without {guard:?}: {verdict:?}");
    }
}

#[test]
fn the_names_are_all_different() {
    let mut names: Vec<&str> = Guard::ALL.iter().map(|guard| guard.name()).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), Guard::ALL.len());
}
