use std::sync::Arc;

use super::*;
use crate::config::{Approval, Config, PromotionConfig};
use crate::learning::model::{About, Brain, FORMAT, Kind, Model};
use crate::learning::reward::Prices;
use crate::learning::view::{CORRECTIONS, STATES};
use crate::policy::Standing;
use crate::store::{from_bytes, to_bytes};
use crate::units::Ratio;

const INTERVAL: Duration = Duration::from_secs(15);

fn config() -> WorkloadConfig {
    let text = "
workloads:
  - namespace: demo
    name: web
    max_replicas: 50
    objective: { latency: 350ms, quantile: 0.99 }
    target_rps_per_replica: 30
    startup_time: 30s
    actuator: none
";
    Config::from_yaml(text).unwrap().workloads.remove(0)
}

fn at(step: u64) -> Timestamp {
    Timestamp::of_step(120_000_000 + step, INTERVAL)
}

/// 120 requests a second on so many replicas, which the objective holds on from 4.
fn seen(replicas: u32) -> Observation {
    let p99_ms = if replicas < 4 { 900.0 } else { 200.0 };
    Observation {
        rps: Rps::new(120.0).ok(),
        p50_ms: Some(40.0),
        p95_ms: Some(0.6 * p99_ms),
        p99_ms: Some(p99_ms),
        coverage: Some(Ratio::ONE),
        current_replicas: Some(replicas),
        ready_replicas: Some(replicas),
        ..Observation::default()
    }
}

fn step(shadows: &mut Shadows, number: u64, observation: &Observation) {
    let capacity = Rps::new(30.0).unwrap();
    shadows.step(&Moment {
        now: at(number),
        observation: &Observation { newest: Some(at(number)), ..observation.clone() },
        curve: None,
        safe: capacity,
        likely: capacity,
        startup: Duration::from_secs(30),
    });
}

fn scores(shadows: &Shadows, number: u64) -> Window {
    shadows.board().scores(at(number)).windows.remove(1)
}

#[test]
fn a_shadow_has_replicas_of_its_own_and_what_there_is_is_measured_and_modelled() {
    let static_ten = Shadow::Known(Choice::parse("hpa-rps").unwrap());
    let mut shadows = Shadows::new(&config(), vec![static_ten], Board::default(), at(0));
    // Whoever is in charge keeps three replicas, one too few.
    for number in 0..=240 {
        step(&mut shadows, number, &seen(3));
    }
    let day = scores(&shadows, 240);
    let (measured, modelled) = (day.measured.unwrap(), day.modelled.unwrap());
    assert!((measured.violation - 1.0).abs() < 1e-9 && (modelled.violation - 1.0).abs() < 1e-9);
    // Three replicas for an hour, four with the load known in advance.
    assert!((measured.pod_hours - 3.0).abs() < 1e-6, "{measured:?}");
    assert!((measured.cost_over_oracle - 0.75).abs() < 1e-6, "{measured:?}");
    assert!((measured.known_seconds - 3_600.0).abs() < 1e-6, "{measured:?}");
    assert_eq!(day.policies.keys().collect::<Vec<_>>(), ["configured", "hpa-rps"]);
    for score in day.policies.values() {
        assert!(score.violation < 0.05 && score.cost_over_oracle >= 0.99, "{score:?}");
    }
}

#[test]
fn what_is_not_trusted_or_not_known_is_not_scored() {
    let mut shadows = Shadows::new(&config(), Vec::new(), Board::default(), at(0));
    let half = Observation { coverage: Ratio::new(0.5).ok(), ..seen(4) };
    let blind = Observation { rps: None, p50_ms: None, p95_ms: None, p99_ms: None, ..seen(4) };
    let unknown = Observation { current_replicas: None, ..seen(4) };
    for (number, observation) in [seen(4), half, blind, unknown, seen(4)].iter().enumerate() {
        step(&mut shadows, number as u64, observation);
    }
    let measured = scores(&shadows, 5).measured.unwrap();
    assert!((measured.known_seconds - 15.0).abs() < 1e-9, "{measured:?}");
}

#[test]
fn after_a_silence_every_policy_begins_with_the_replicas_that_there_are() {
    let mut shadows = Shadows::new(&config(), Vec::new(), Board::default(), at(0));
    for number in 0..20 {
        step(&mut shadows, number, &seen(4));
    }
    let pods = |shadows: &Shadows| scores(shadows, 401).policies["configured"].pod_hours * 240.0;
    let before = pods(&shadows);
    step(&mut shadows, 400, &seen(9));
    step(&mut shadows, 401, &seen(9));
    assert!((pods(&shadows) - before - 9.0).abs() < 1e-6, "one step of the nine that there are");
}

#[test]
fn scores_survive_a_restart_and_those_of_policies_that_are_gone_do_not() {
    let another = || vec![Shadow::Known(Choice::parse("kpa").unwrap())];
    let mut shadows = Shadows::new(&config(), another(), Board::default(), at(0));
    for number in 0..20 {
        step(&mut shadows, number, &seen(4));
    }
    let board: Board = from_bytes("boards", &to_bytes(shadows.board()).unwrap()).unwrap();
    assert_eq!(&board, shadows.board());
    let again = Shadows::new(&config(), another(), board.clone(), at(0));
    assert_eq!(again.board(), shadows.board());
    let without = Shadows::new(&config(), Vec::new(), board, at(0));
    let left = scores(&without, 20).policies;
    assert_eq!(left.keys().collect::<Vec<_>>(), ["configured"]);
}

#[test]
fn a_candidate_that_came_later_is_compared_over_its_own_time() {
    let mut shadows = Shadows::new(&config(), Vec::new(), Board::default(), at(0));
    // An hour of misses before there is a candidate.
    for number in 0..=240 {
        step(&mut shadows, number, &seen(3));
    }
    let candidate = || vec![Shadow::Known(Choice::parse("foresail-calm").unwrap())];
    let board = shadows.board().clone();
    assert!(board.gate_scores("foresail-calm", "configured").measured.is_none());
    let mut shadows = Shadows::new(&config(), candidate(), board, at(480));
    for number in 480..=500 {
        step(&mut shadows, number, &seen(4));
    }
    let scores = shadows.board().gate_scores("foresail-calm", "configured");
    let all = [scores.candidate, scores.configured, scores.measured, scores.modelled];
    for score in all.map(Option::unwrap) {
        assert!((score.known_seconds - 300.0).abs() < 1e-6, "{score:?}");
    }
    assert!(scores.measured.unwrap().violation < 1e-9, "the misses were before its time");
}

/// A model that corrects nothing.
fn learned(version: u64) -> Shadow {
    let (schema, corrections) = Model::schema();
    let about = About {
        format: FORMAT,
        kind: Kind::Q,
        version: "0.1.0".into(),
        schema,
        corrections,
        margin: 0.0,
        prices: Prices::default(),
        seed: 1,
        steps: 1,
        data: Vec::new(),
        fingerprint: String::new(),
        validation_cost_ratio: 1.0,
    };
    let brain = Brain::Table(vec![0.0; STATES * CORRECTIONS.len()]);
    let model = Arc::new(Model { about, brain });
    let name = "learned:/models".to_owned();
    Shadow::Learned(Candidate { name, version: Some(version), model, standing: Standing::Promoted })
}

#[test]
fn another_version_begins_as_a_shadow_without_scores_and_the_one_before_it_leads_no_longer() {
    let mut config = config();
    config.promotion = Some(PromotionConfig {
        candidate: "learned:/models".into(),
        approval: Approval::Automatic,
        least_time: Duration::from_mins(2),
        least_gain: 0.0,
        most_violations: 1.0,
        turn: Duration::from_hours(1),
        carry_over: Duration::ZERO,
        least_turns_time: Duration::from_hours(1),
    });
    let mut shadows = Shadows::new(&config, vec![learned(1)], Board::default(), at(0));
    for number in 0..=20 {
        step(&mut shadows, number, &seen(4));
    }
    assert_eq!(shadows.leader(at(20)).label(), "learned:/models@1", "its turn as a canary");
    let promoted = shadows.board().clone();

    let change = shadows.replace(learned(2), at(20)).unwrap();
    assert_eq!((change.from, change.to), (Stage::Canary, Stage::Shadow));
    assert_eq!(change.candidate, "learned:/models@2");
    assert_eq!(shadows.leader(at(20)).label(), "configured");
    let names = |shadows: &Shadows| scores(shadows, 40).policies.into_keys().collect::<Vec<_>>();
    assert_eq!(names(&shadows), ["configured"]);
    step(&mut shadows, 21, &seen(4));
    assert_eq!(names(&shadows), ["configured", "learned:/models@2"]);
    assert_eq!(shadows.board().scores(at(21)).promotion.unwrap().candidate, "learned:/models@2");

    // A process that was killed before that was stored comes back to the same.
    let again = Shadows::new(&config, vec![learned(2)], promoted.clone(), at(21));
    assert_eq!(again.leader(at(21)).label(), "configured");
    assert_eq!(names(&again), ["configured"]);
    // And with the version it was promoted with, it goes on.
    let again = Shadows::new(&config, vec![learned(1)], promoted, at(21));
    assert_eq!(again.leader(at(21)).label(), "learned:/models@1");
}
