//! Loads that were never recorded, made of one that was: days drawn anew, the clock shifted, the
//! level changed, flash crowds spliced in.

use crate::chance::Chance;
use crate::simulate::Grid;

/// Share of the days that are replaced by another day of the recording.
const REPLACED: f64 = 0.3;
/// Days to a flash crowd, on average.
const CROWD_DAYS: usize = 2;

/// A load like this one that was not recorded; the same for the same seed.
pub fn perturbed(grid: &Grid, seed: u64) -> Grid {
    let mut chance = Chance::new(seed);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a day in steps")]
    let day = ((86_400.0 / grid.step.as_secs_f64().max(1e-3)).round() as usize).max(1);
    let mut rates = bootstrapped(&grid.rates, day, &mut chance);
    let steps = rates.len();
    // The level changes once, somewhere in the middle.
    let (from, level) = (steps / 4 + chance.below(steps / 2 + 1), 0.7 + 0.7 * chance.uniform());
    for rate in rates.iter_mut().skip(from).flatten() {
        *rate *= level;
    }
    for _ in 0..steps.div_ceil(CROWD_DAYS * day) {
        crowd(&mut rates, &mut chance);
    }
    let first_index = grid.first_index + chance.below(day) as u64;
    Grid { first_index, step: grid.step, rates }
}

/// Some days are replaced by others, which begin at the same time of day.
fn bootstrapped(rates: &[Option<f64>], day: usize, chance: &mut Chance) -> Vec<Option<f64>> {
    let days: Vec<&[Option<f64>]> = rates.chunks(day).collect();
    let whole = days.iter().filter(|one| one.len() == day).count();
    let mut drawn = Vec::with_capacity(rates.len());
    for own in &days {
        let other = days.get(chance.below(whole)).filter(|other| other.len() >= own.len());
        let taken = other.filter(|_| chance.uniform() < REPLACED).unwrap_or(own);
        drawn.extend(taken.iter().take(own.len()).copied());
    }
    drawn
}

/// A flash crowd: within minutes up to five times the load, and gone within the hour.
fn crowd(rates: &mut [Option<f64>], chance: &mut Chance) {
    let from = chance.below(rates.len());
    let height = 0.5 + 3.5 * chance.uniform().powi(2);
    let (rise, fall) = (1.0 + 20.0 * chance.uniform(), 10.0 + 150.0 * chance.uniform());
    for (at, rate) in rates.iter_mut().skip(from).take(600).enumerate() {
        let at = at as f64;
        let share = if at < rise { at / rise } else { (-(at - rise) / fall).exp() };
        if let Some(rate) = rate {
            *rate *= 1.0 + height * share;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_perturbed_load_is_as_long_positive_repeatable_and_another() {
        let rates: Vec<_> = (0..23_040_u32)
            .map(|at| (at % 97 != 0).then(|| 50.0 + f64::from(at % 5_760)))
            .collect();
        let grid = Grid { first_index: 100, step: Duration::from_secs(15), rates };
        let one = perturbed(&grid, 1);
        assert_eq!(one, perturbed(&grid, 1));
        assert_ne!(one, perturbed(&grid, 2));
        assert_eq!(one.rates.len(), grid.rates.len());
        assert!(one.rates.iter().flatten().all(|rate| *rate > 0.0));
        let mean = |grid: &Grid| {
            let known: Vec<f64> = grid.rates.iter().flatten().copied().collect();
            known.iter().sum::<f64>() / known.len() as f64
        };
        let ratio = mean(&one) / mean(&grid);
        assert!((0.6..2.0).contains(&ratio), "{ratio}");
        assert!((100..100 + 5_760).contains(&one.first_index));
    }
}
