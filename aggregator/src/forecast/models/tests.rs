use std::time::Duration;

use super::*;

/// Seeded values for tests.
pub(super) struct Chance(u64);

impl Chance {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    /// Evenly in 0..1.
    pub(super) fn even(&mut self) -> f64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Standard normal.
    pub(super) fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.even()).sum::<f64>() - 6.0
    }
}

fn series(y: &[Option<f64>]) -> Series<'_> {
    Series { y, first: 28_333_440, step: Duration::from_mins(1) }
}

/// Loads as they come, each with the season that it has.
fn loads() -> Vec<(&'static str, Vec<Option<f64>>)> {
    let mut chance = Chance::new(8);
    let mut noise = move || chance.normal();
    let wave = |at: usize| 50.0 + 30.0 * (std::f64::consts::TAU * at as f64 / 48.0).sin();
    let mut of = |value: &dyn Fn(usize, f64) -> Option<f64>| -> Vec<Option<f64>> {
        (0..480).map(|at| value(at, noise())).collect()
    };
    vec![
        ("plain", of(&|at, e| Some(wave(at) + 2.0 * e))),
        ("gaps", of(&|at, e| (at % 11 != 0 && !(200..230).contains(&at)).then(|| wave(at) + e))),
        ("outliers", of(&|at, e| Some(if at % 97 == 50 { 1e5 } else { wave(at) + e }))),
        ("shift", of(&|at, e| Some(wave(at) + if at > 400 { 200.0 } else { 0.0 } + e))),
        ("idle nights", of(&|at, e| Some(if at % 48 < 20 { 0.0 } else { wave(at) + e }))),
        ("constant", of(&|_, _| Some(7.0))),
        ("zero", of(&|_, _| Some(0.0))),
        ("huge", of(&|at, e| Some(1e14 * (wave(at) + e)))),
        ("tiny", of(&|at, e| Some(1e-9 * (wave(at) + e)))),
        ("nonsense", of(&|at, _| [Some(f64::NAN), Some(f64::INFINITY), None, Some(3.0)][at % 4])),
        ("short", vec![Some(1.0), Some(2.0), Some(1.0), Some(4.0), Some(1.0)]),
        ("one", vec![Some(1.0)]),
        ("nothing known", vec![None; 100]),
        ("empty", Vec::new()),
    ]
}

#[test]
fn no_load_makes_a_model_panic_or_give_nonsense() {
    for (name, y) in loads() {
        let series = series(&y);
        let knowledge =
            Knowledge { seasons: find_seasons(&series), holidays: vec![19_676], horizon: 5 };
        for kind in ModelKind::ALL {
            let Ok(mut fitted) = kind.fit(&series, &knowledge) else { continue };
            for next in [Some(1.0), None, Some(f64::NAN), Some(1e12)] {
                let Ok(path) = fitted.predict(7) else { continue };
                assert_eq!(path.len(), 7, "{} on {name}", kind.name());
                for step in path {
                    let is_sound = step.point.is_finite() && step.quantiles.is_sorted();
                    assert!(is_sound, "{} on {name}: {step:?}", kind.name());
                    assert!(step.quantiles.iter().all(|q| q.is_finite()));
                }
                fitted.observe(next);
            }
        }
    }
}

#[test]
fn what_is_too_short_is_said_to_be() {
    for kind in ModelKind::ALL {
        let error = kind.fit(&series(&[]), &Knowledge::default()).err();
        assert!(error.is_some(), "{} fits nothing", kind.name());
    }
}

/// Mean error of the next day after fitting to all but that day, in units of the load.
fn error_of(kind: ModelKind, y: &[Option<f64>]) -> f64 {
    let (before, after) = y.split_at(y.len() - 5);
    let series = series(before);
    let knowledge = Knowledge { seasons: find_seasons(&series), holidays: Vec::new(), horizon: 5 };
    let path = kind.fit(&series, &knowledge).unwrap().predict(5).unwrap();
    let errors: Vec<f64> =
        path.iter().zip(after).filter_map(|(step, y)| Some((step.point - (*y)?).abs())).collect();
    errors.iter().sum::<f64>() / errors.len() as f64
}

#[test]
fn a_season_with_gaps_outliers_idle_nights_or_a_new_level_is_still_forecast() {
    for (name, y) in loads().into_iter().take(5) {
        for kind in [ModelKind::SeasonalNaive, ModelKind::Mstl, ModelKind::Ridge] {
            let error = error_of(kind, &y);
            let most = if name == "outliers" || name == "shift" { 25.0 } else { 12.0 };
            assert!(error < most, "{} on {name}: {error}", kind.name());
        }
    }
}

#[test]
fn names_are_read_as_they_are_written() {
    for kind in ModelKind::ALL {
        assert_eq!(ModelKind::parse(kind.name()), Some(kind));
    }
    assert_eq!(ModelKind::parse("prophet"), None);
}
