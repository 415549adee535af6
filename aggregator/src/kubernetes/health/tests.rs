use std::time::Duration;

use super::*;

const BEGIN: Timestamp = Timestamp::from_secs(1_767_225_600);

fn pods(verb: &'static str) -> Asked {
    Asked { verb, resource: "pods".to_owned(), namespace: None }
}

fn at(seconds: u64) -> Timestamp {
    BEGIN + Duration::from_secs(seconds)
}

fn reasons(faults: &[Fault]) -> Vec<&'static str> {
    faults.iter().map(Fault::reason).collect()
}

#[test]
fn a_right_that_is_missing_is_a_fault_at_once_and_a_hiccup_is_none() {
    let health = Health::default();
    health.note(&pods("list"), Answer::Refused(500), at(0));
    health.note(&pods("patch"), Answer::Refused(409), at(0));
    health.note(&pods("patch"), Answer::Refused(409), at(1));
    assert!(health.faults(at(1)).is_empty());
    health.note(&pods("watch"), Answer::Refused(403), at(1));
    health.note(&pods("patch"), Answer::Refused(409), at(2));
    health.note(&pods("list"), Answer::Refused(429), at(2));
    assert_eq!(
        reasons(&health.faults(at(2))),
        ["ApiServerOverloaded", "WritesConflict", "Forbidden"],
        "list, patch, watch"
    );
}

#[test]
fn a_named_object_that_is_missing_is_an_answer_and_a_kind_that_is_missing_a_fault() {
    let health = Health::default();
    health.note(&pods("get"), Answer::Refused(404), at(0));
    assert!(health.faults(at(0)).is_empty());
    health.note(&pods("watch"), Answer::Refused(404), at(0));
    assert_eq!(reasons(&health.faults(at(0))), ["NoDefinition"]);
}

#[test]
fn what_works_again_is_told_for_a_moment_more() {
    let health = Health::default();
    health.note(&pods("watch"), Answer::Refused(403), at(0));
    health.note(&pods("watch"), Answer::Done, at(10));
    assert!(health.faults(at(10)).is_empty());
    assert_eq!(reasons(&health.lately(at(20), at(0))), ["Forbidden"]);
    assert!(health.lately(at(25), at(0)).is_empty());
    // Who did not lead meanwhile has not told it yet.
    assert_eq!(reasons(&health.lately(at(50), at(40))), ["Forbidden"]);
    assert!(health.lately(at(55), at(40)).is_empty());
    // And it begins anew when it breaks anew.
    health.note(&pods("watch"), Answer::Refused(403), at(60));
    assert_eq!(health.faults(at(60)).first().map(|fault| fault.since), Some(at(60)));
}

#[test]
fn what_nobody_asks_for_any_longer_is_forgotten() {
    let health = Health::default();
    health.note(&pods("create"), Answer::Refused(403), at(0));
    assert_eq!(health.faults(at(89)).len(), 1);
    assert!(health.faults(at(90)).is_empty());
}

#[test]
fn every_fault_says_what_helps() {
    for answer in [
        Answer::Refused(403),
        Answer::Refused(404),
        Answer::Refused(409),
        Answer::Refused(410),
        Answer::Refused(429),
        Answer::Refused(500),
        Answer::Silence,
        Answer::Unreachable,
    ] {
        let said = Fault::new(pods("watch"), answer, at(0)).to_string();
        let (what, remedy) = said.split_once("; ").unwrap();
        assert!(what.contains("watch pods") && remedy.len() > 20, "{said}");
    }
}
