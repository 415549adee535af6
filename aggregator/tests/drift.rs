//! The drift detectors decide as Python's `river` does, number by number. What it decides stands in
//! `drift/golden.json`, which `make drift-golden` writes; `make drift-compare` writes such a
//! file of real traces and names it in `FORESAIL_DRIFT_CASES`.

#![expect(clippy::panic, reason = "a test fails by panicking")]
#![expect(clippy::print_stdout, reason = "which streams were compared")]

use std::collections::BTreeMap;

use foresail_aggregator::forecast::drift::{
    Adwin, AdwinSettings, Detector, Kswin, KswinSettings, PageHinkley, PageHinkleySettings,
};
use serde::Deserialize;

#[derive(Deserialize)]
struct Document {
    river: String,
    cases: Vec<Case>,
}

/// A stream, invented or real, and where each detector found a change.
#[derive(Deserialize)]
struct Case {
    name: String,
    #[serde(default)]
    seed: u64,
    #[serde(default)]
    parts: Vec<(usize, f64, f64, f64, usize)>,
    #[serde(default)]
    values: Vec<f64>,
    found: BTreeMap<String, Vec<usize>>,
}

/// `SplitMix64`, as in `tests/drift/compare.py`.
struct Chance(u64);

impl Chance {
    fn uniform(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }
}

impl Case {
    fn stream(&self) -> Vec<f64> {
        let mut values = self.values.clone();
        let mut chance = Chance(self.seed);
        for (steps, mean, spread, height, period) in self.parts.iter().copied() {
            for at in 0..steps {
                let noise = (0..12).map(|_| chance.uniform()).sum::<f64>() - 6.0;
                let phase = (at % period) as f64 / period as f64;
                values.push(mean + spread * noise + height * (4.0 * (phase - 0.5).abs() - 1.0));
            }
        }
        values
    }
}

fn detector(name: &str) -> Box<dyn Detector> {
    let strict = KswinSettings { alpha: 0.0001, ..KswinSettings::default() };
    let sensitive =
        PageHinkleySettings { threshold: 20.0, tolerated: 0.05, ..PageHinkleySettings::default() };
    match name {
        "adwin" => Box::new(Adwin::new(AdwinSettings::default())),
        "page_hinkley" => Box::new(PageHinkley::new(PageHinkleySettings::default())),
        "page_hinkley_20" => Box::new(PageHinkley::new(sensitive)),
        "kswin" => Box::new(Kswin::new(KswinSettings::default())),
        "kswin_strict" => Box::new(Kswin::new(strict)),
        other => panic!("no detector is called {other}"),
    }
}

/// Decisions that were compared.
fn compare(document: &Document) -> usize {
    let mut changes = 0;
    for case in &document.cases {
        let stream = case.stream();
        for (name, expected) in &case.found {
            let mut detector = detector(name);
            let hits = stream.iter().map(|value| detector.update(*value));
            let found: Vec<usize> =
                hits.enumerate().filter(|(_, hit)| *hit).map(|(at, _)| at).collect();
            assert_eq!(
                &found, expected,
                "{name} on {} against river {}",
                case.name, document.river
            );
            changes += found.len();
        }
        println!("{}: {} numbers, the same changes", case.name, stream.len());
    }
    changes
}

#[test]
fn every_decision_is_that_of_river() {
    let golden: Document = serde_json::from_str(include_str!("drift/golden.json")).unwrap();
    assert_eq!(golden.cases.len(), 8);
    let changes = compare(&golden);
    assert!(changes > 40, "the streams hold too few changes to compare: {changes}");
    if let Ok(path) = std::env::var("FORESAIL_DRIFT_CASES") {
        let text = std::fs::read_to_string(path).unwrap();
        compare(&serde_json::from_str(&text).unwrap());
    }
}

#[test]
fn what_is_no_number_is_not_taken() {
    for name in ["adwin", "page_hinkley", "kswin"] {
        let mut with = detector(name);
        let mut without = detector(name);
        for at in 0..2_000_u32 {
            let value = f64::from(at % 7) + if at > 1_000 { 30.0 } else { 0.0 };
            assert!(!with.update(f64::NAN) && !with.update(f64::INFINITY));
            assert_eq!(with.update(value), without.update(value), "{name} at {at}");
        }
    }
}
