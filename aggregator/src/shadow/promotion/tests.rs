use std::time::Duration;

use super::*;
use crate::simulate::Outcome;

const BUDGET: f64 = 0.01;
const STEP: Duration = Duration::from_secs(15);

fn terms() -> PromotionConfig {
    PromotionConfig {
        candidate: "foresail-calm".to_owned(),
        approval: Approval::Automatic,
        least_time: Duration::from_hours(24),
        least_gain: 0.02,
        most_violations: 1.0,
        turn: Duration::from_hours(1),
        carry_over: Duration::from_mins(10),
        least_turns_time: Duration::from_hours(4),
    }
}

fn start() -> Timestamp {
    Timestamp::from_secs(1_800_000_000)
}

/// So long as a shadow, with this share of violations at this cost.
fn score(hours: u32, violation: f64, cost_over_oracle: f64) -> Score {
    Score {
        known_seconds: f64::from(hours) * 3_600.0,
        requests: 1e6,
        violation,
        slow_share: violation,
        pod_hours: 100.0 * cost_over_oracle,
        cost_over_oracle,
        changes_per_hour: 2.0,
    }
}

fn scores(candidate: Option<Score>) -> Scores {
    let configured = Some(score(48, 0.008, 1.2));
    Scores { candidate, configured, measured: configured, modelled: configured }
}

/// A decision interval of 100 requests a second on so many replicas where ten would do.
fn interval(replicas: u32, violated: bool) -> Entry {
    let outcome = Outcome { rps: 100.0, replicas, violated, ..Outcome::default() };
    Entry::of_measured(&outcome, STEP, 10.0)
}

/// Some hours of turns; the candidate's and the settings' intervals are asked for each step.
fn take_turns(
    promotion: &mut Promotion,
    from: Timestamp,
    hours: u32,
    mut was: impl FnMut(bool, u64) -> Entry,
) -> Option<Change> {
    let terms = terms();
    for step in 1..=u64::from(hours) * 240 {
        let now = from + STEP * u32::try_from(step).unwrap();
        let entry = was(promotion.leads(&terms, now - STEP), step);
        promotion.observe(&terms, now, &entry);
        let change = promotion.consider(&terms, BUDGET, now, &scores(None));
        if change.is_some() {
            return change;
        }
    }
    None
}

fn in_canary() -> Promotion {
    let mut promotion = Promotion::new("foresail-calm", start());
    let change =
        promotion.consider(&terms(), BUDGET, start(), &scores(Some(score(30, 0.008, 1.1))));
    assert_eq!(change.unwrap().to, Stage::Canary);
    promotion
}

#[test]
fn the_gate_of_the_shadow_opens_for_what_is_cheaper_and_no_worse_for_long_enough() {
    let to = |candidate: Option<Score>, terms: &PromotionConfig| {
        let mut promotion = Promotion::new("foresail-calm", start());
        promotion.consider(terms, BUDGET, start(), &scores(candidate)).map(|change| change.to)
    };
    assert_eq!(to(Some(score(30, 0.009, 1.1)), &terms()), Some(Stage::Canary));
    assert_eq!(to(Some(score(20, 0.009, 1.1)), &terms()), None, "not long enough");
    assert_eq!(to(Some(score(30, 0.011, 1.1)), &terms()), None, "more violations, over the budget");
    assert_eq!(to(Some(score(30, 0.009, 1.19)), &terms()), None, "not much cheaper");
    assert_eq!(to(None, &terms()), None, "never scored");
    let manual = PromotionConfig { approval: Approval::Manual, ..terms() };
    assert_eq!(to(Some(score(30, 0.009, 1.1)), &manual), Some(Stage::Waiting));
    // A model that is wrong about who is in charge opens no gate.
    let mut promotion = Promotion::new("foresail-calm", start());
    let wrong =
        Scores { measured: Some(score(48, 0.03, 1.2)), ..scores(Some(score(30, 0.009, 1.1))) };
    assert_eq!(promotion.consider(&terms(), BUDGET, start(), &wrong), None);
}

#[test]
fn who_waits_for_a_person_goes_on_with_approval_and_back_when_it_gets_worse() {
    let manual = PromotionConfig { approval: Approval::Manual, ..terms() };
    let good = scores(Some(score(30, 0.009, 1.1)));
    let mut waiting = Promotion::new("foresail-calm", start());
    assert_eq!(waiting.consider(&manual, BUDGET, start(), &good).unwrap().to, Stage::Waiting);
    assert!(!waiting.leads(&manual, start()));
    assert_eq!(waiting.consider(&manual, BUDGET, start(), &good), None);
    let mut worse = waiting.clone();
    let bad = scores(Some(score(30, 0.05, 1.1)));
    assert_eq!(worse.consider(&manual, BUDGET, start(), &bad).unwrap().to, Stage::Shadow);
    assert_eq!(waiting.consider(&terms(), BUDGET, start(), &good).unwrap().to, Stage::Canary);
}

#[test]
fn turns_change_and_the_carry_over_is_not_compared() {
    let mut promotion = in_canary();
    let at = |minutes: u32| start() + Duration::from_mins(u64::from(minutes));
    let leads = [0, 59, 60, 119, 120].map(|minutes| promotion.leads(&terms(), at(minutes)));
    assert_eq!(leads, [true, true, false, false, true]);
    take_turns(&mut promotion, start(), 2, |_, _| interval(12, false));
    // Fifty minutes of each.
    assert_eq!(promotion.turns.own.time(), Duration::from_mins(50));
    assert_eq!(promotion.turns.other.time(), Duration::from_mins(50));
}

#[test]
fn a_candidate_that_is_cheaper_in_its_turns_takes_over_and_stays_after_a_restart() {
    let mut promotion = in_canary();
    let change = take_turns(&mut promotion, start(), 12, |own, _| {
        interval(if own { 11 } else { 13 }, false)
    });
    assert_eq!(change.unwrap().to, Stage::Active);
    let text = crate::store::to_bytes(&promotion).unwrap();
    let again: Promotion = crate::store::from_bytes("boards", &text).unwrap();
    assert_eq!(again, promotion);
    assert!(again.leads(&terms(), start() + Duration::from_hours(100)));
}

#[test]
fn one_that_only_looked_good_as_a_shadow_is_turned_away_by_its_turns() {
    // As if it was made to fit the days on which it was scored.
    for (own, other) in [((13, 0), (12, 0)), ((11, 40), (12, 1_000))] {
        let mut promotion = in_canary();
        let change = take_turns(&mut promotion, start(), 12, |is_own, step| {
            let (replicas, every) = if is_own { own } else { other };
            interval(replicas, every > 0 && step.is_multiple_of(every))
        });
        assert_eq!(change.unwrap().to, Stage::Refused, "{own:?}");
        let later = start() + Duration::from_hours(200);
        let good = scores(Some(score(160, 0.0, 1.0)));
        assert_eq!(promotion.consider(&terms(), BUDGET, later, &good), None, "it stays away");
        assert!(!promotion.leads(&terms(), later));
    }
}

#[test]
fn a_burning_budget_ends_a_turn_and_an_active_candidate_at_once() {
    let mut promotion = in_canary();
    let bad = |own: bool, _| interval(11, own);
    let change = take_turns(&mut promotion, start(), 1, bad).unwrap();
    assert_eq!(change.to, Stage::Refused);
    // 14.4 % of an hour.
    assert!(promotion.since.since(start()) <= Duration::from_mins(10), "{change:?}");

    let mut active = in_canary();
    take_turns(&mut active, start(), 12, |own, _| interval(if own { 11 } else { 13 }, false));
    let from = active.since;
    // A bad minute is no breach.
    let minute = |_, step: u64| interval(11, step <= 4);
    assert_eq!(take_turns(&mut active, from, 2, minute), None);
    let change = take_turns(&mut active, from + Duration::from_hours(2), 1, bad).unwrap();
    assert_eq!((change.from, change.to), (Stage::Active, Stage::Refused));
    // What the settings do wrong is not the candidate's.
    let mut other = in_canary();
    let theirs = |own: bool, _| interval(11, !own);
    assert_eq!(take_turns(&mut other, start(), 2, theirs), None);
}
