//! A distribution that forgets: counts over bins that are fine in the middle and wide in the tails.

use serde::{Deserialize, Serialize};

/// Bins of a [`DecayedHistogram`].
const BINS: usize = 256;
/// Scores from `-LIMIT` to `LIMIT` have a bin of their own.
const LIMIT: f64 = 60.0;

/// Exponentially decayed histogram of standardised errors.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct DecayedHistogram {
    counts: Vec<f32>,
    /// What one new count weighs; grows instead of the old counts shrinking.
    weight: f64,
    total: f64,
    growth: f64,
}

/// Position of a score on the bin axis, 0 to 1.
fn place(score: f64) -> f64 {
    // asinh spaces bins evenly near zero and logarithmically far out.
    0.5 + 0.5 * (score.clamp(-LIMIT, LIMIT) * 2.0).asinh() / (LIMIT * 2.0).asinh()
}

/// Score at a position on the bin axis.
fn score_at(place: f64) -> f64 {
    (((place - 0.5) * 2.0) * (LIMIT * 2.0).asinh()).sinh() / 2.0
}

impl DecayedHistogram {
    /// Begins with `prior_weight` counts shaped like `density`; counts halve every
    /// `half_life` new ones.
    pub(crate) fn new(half_life: f64, prior_weight: f64, density: impl Fn(f64) -> f64) -> Self {
        let edges = |bin: usize| score_at(bin as f64 / BINS as f64);
        let mut counts: Vec<f64> = (0..BINS)
            .map(|bin| {
                let (from, to) = (edges(bin), edges(bin + 1));
                density(f64::midpoint(from, to)) * (to - from)
            })
            .collect();
        let sum: f64 = counts.iter().sum();
        for count in &mut counts {
            *count *= prior_weight / sum;
        }
        #[expect(clippy::cast_possible_truncation, reason = "counts need no more digits")]
        let counts = counts.into_iter().map(|count| count as f32).collect();
        Self { counts, weight: 1.0, total: prior_weight, growth: 0.5_f64.powf(-1.0 / half_life) }
    }

    /// Counts one score.
    pub(crate) fn add(&mut self, score: f64) {
        if score.is_nan() {
            return;
        }
        self.weight *= self.growth;
        self.total += self.weight;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a place lies in 0..=1"
        )]
        let bin = ((place(score) * BINS as f64) as usize).min(BINS - 1);
        #[expect(clippy::cast_possible_truncation, reason = "counts need no more digits")]
        if let Some(count) = self.counts.get_mut(bin) {
            *count += self.weight as f32;
        }
        if self.weight > 1e6 {
            let scale = self.weight.recip();
            #[expect(clippy::cast_possible_truncation, reason = "counts need no more digits")]
            self.counts.iter_mut().for_each(|count| *count *= scale as f32);
            self.total *= scale;
            self.weight = 1.0;
        }
    }

    /// Scores exceeded with the given probabilities (descending), into `out`.
    pub(crate) fn tails(&self, exceedance: &[f64], out: &mut [f64]) {
        let mut above = 0.0;
        let mut bin = BINS;
        let total: f64 = self.total;
        // From the top: the smallest exceedance comes last in the list.
        for (alpha, out) in exceedance.iter().zip(out.iter_mut()).rev() {
            let wanted = alpha * total;
            while bin > 0 {
                let count = self.counts.get(bin - 1).copied().map_or(0.0, f64::from);
                if above + count >= wanted {
                    break;
                }
                above += count;
                bin -= 1;
            }
            let count = self.counts.get(bin.saturating_sub(1)).copied().map_or(0.0, f64::from);
            let part = if count > 0.0 { ((wanted - above) / count).clamp(0.0, 1.0) } else { 0.0 };
            *out = score_at((bin as f64 - part).max(0.0) / BINS as f64);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tails_of_a_known_distribution() {
        let mut histogram = DecayedHistogram::new(1e6, 1.0, |z| (-0.9 * z.abs()).exp());
        for i in 0..100_000 {
            histogram.add(f64::from(i) / 100_000.0);
        }
        let mut out = [0.0; 3];
        histogram.tails(&[0.5, 0.1, 0.01], &mut out);
        for (got, want) in out.into_iter().zip([0.5, 0.9, 0.99]) {
            assert!((got - want).abs() < 0.02, "{got} for {want}");
        }
    }

    #[test]
    fn old_scores_are_forgotten() {
        let mut histogram = DecayedHistogram::new(100.0, 100.0, |z| (-0.9 * z.abs()).exp());
        (0..2_000).for_each(|_| histogram.add(-3.0));
        (0..2_000).for_each(|_| histogram.add(3.0));
        let mut out = [0.0; 1];
        histogram.tails(&[0.5], &mut out);
        assert!((out[0] - 3.0).abs() < 0.2, "{}", out[0]);
    }
}
