//! KSWIN (Raab, Heusinger and Schleif 2020): are the newest numbers of a window distributed as a
//! sample of the older ones?

use std::collections::VecDeque;

use super::Detector;
use super::kolmogorov::{distance, probability};
use crate::chance::Chance;

/// When it speaks. Defaults are `river`'s.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct KswinSettings {
    /// Probability of a false alarm at each number that is accepted.
    pub alpha: f64,
    /// Numbers that are remembered.
    pub window: usize,
    /// Newest numbers, and sampled older ones.
    pub sample: usize,
    /// Where chance begins, and begins again after a change.
    pub seed: u64,
}

impl Default for KswinSettings {
    fn default() -> Self {
        Self { alpha: 0.005, window: 100, sample: 30, seed: 1 }
    }
}

/// A sliding window.
#[derive(Clone, Debug)]
pub struct Kswin {
    settings: KswinSettings,
    window: VecDeque<f64>,
    chance: Chance,
}

/// Distances up to this share of a sample are no change, however unlikely.
const LEAST_DISTANCE: f64 = 0.1;

impl Kswin {
    /// Nothing seen yet.
    pub const fn new(settings: KswinSettings) -> Self {
        Self { settings, window: VecDeque::new(), chance: Chance::new(settings.seed) }
    }

    /// Some of the older numbers, each at most once: the beginning of a Fisher-Yates shuffle.
    fn sampled(&mut self, older: usize) -> Vec<f64> {
        let mut places: Vec<usize> = (0..older).collect();
        for at in 0..self.settings.sample.min(older) {
            places.swap(at, at + self.chance.below(older - at));
        }
        places.truncate(self.settings.sample);
        places.iter().filter_map(|at| self.window.get(*at).copied()).collect()
    }
}

impl Detector for Kswin {
    fn update(&mut self, value: f64) -> bool {
        let KswinSettings { alpha, window, sample, .. } = self.settings;
        if !value.is_finite() {
            return false;
        }
        if self.window.len() >= window {
            self.window.pop_front();
        }
        self.window.push_back(value);
        let older = window.saturating_sub(sample);
        if self.window.len() < window || older < sample {
            return false;
        }
        let mut before = self.sampled(older);
        let mut newest: Vec<f64> = self.window.iter().skip(older).copied().collect();
        before.sort_by(f64::total_cmp);
        newest.sort_by(f64::total_cmp);
        let away = distance(&before, &newest);
        let is_change =
            probability(sample, away) <= alpha && away as f64 / sample as f64 > LEAST_DISTANCE;
        if is_change {
            *self = Self::new(self.settings);
        }
        is_change
    }
}
