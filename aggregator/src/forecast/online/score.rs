//! How well the forecast of one horizon has been doing: for people to look at, nothing is decided by it.

use std::collections::VecDeque;

use crate::forecast::tail::EXCEEDANCE;

use super::experts::EXPERTS;

/// Places in [`EXCEEDANCE`] at which the linear experts and the trees are compared.
pub(crate) const COMPARED: [usize; 3] = [4, 6, 8];
/// Places in [`EXCEEDANCE`] whose coverage is kept: p50, p90 and p99.
const COVERED: [usize; 3] = [1, 4, 7];
/// A loss keeps at least so much of its past, a step.
const SLOWEST: f64 = 0.001;

/// A forecast's standing at one horizon.
#[derive(Clone, Debug, PartialEq)]
pub struct Score {
    /// Steps ahead.
    pub ahead: usize,
    /// Steps in which what was said could be compared with what came.
    pub steps: u64,
    /// Weight of each point expert, 0 to 1, in the order of [`EXPERT_NAMES`](super::EXPERT_NAMES).
    pub weights: [f64; EXPERTS],
    /// Share of the boosted trees in the forecast, 0 to 1.
    pub boosted_share: f64,
    /// Mean pinball loss of the linear experts on the log scale, lately; `None` before any step.
    pub linear_loss: Option<f64>,
    /// The same of the trees, over the steps of which they said something.
    pub boosted_loss: Option<f64>,
    /// The same of the forecast that is used.
    pub loss: Option<f64>,
    /// Share of the steps, lately, that were not above the said p50, p90 and p99.
    pub covered: Option<[f64; 3]>,
}

/// Tails on the log scale.
type LogTail = [f64; EXCEEDANCE.len()];

/// What was said of a step, kept until it comes.
#[derive(Clone, Debug)]
struct Said {
    index: u64,
    linear: [f32; COMPARED.len()],
    boosted: Option<[f32; COMPARED.len()]>,
    used: [f32; COMPARED.len()],
    bounds: [f32; COVERED.len()],
}

/// A mean that forgets.
#[derive(Clone, Copy, Debug, Default)]
struct Mean {
    value: f64,
    seen: u64,
}

impl Mean {
    fn add(&mut self, x: f64) {
        self.seen += 1;
        self.value += (1.0 / self.seen as f64).max(SLOWEST) * (x - self.value);
    }

    fn get(self) -> Option<f64> {
        (self.seen > 0).then_some(self.value)
    }
}

/// Watches one horizon.
#[derive(Clone, Debug)]
pub(super) struct Watch {
    ahead: usize,
    said: VecDeque<Said>,
    linear: Mean,
    boosted: Mean,
    used: Mean,
    covered: [Mean; COVERED.len()],
}

impl Watch {
    /// Nothing seen yet.
    pub(super) fn new(ahead: usize) -> Self {
        let none = Mean::default();
        Self {
            ahead,
            said: VecDeque::new(),
            linear: none,
            boosted: none,
            used: none,
            covered: [none; COVERED.len()],
        }
    }

    /// Remembers what is said at `index`: by the linear experts, by the trees, and what is used.
    pub(super) fn say(
        &mut self,
        index: u64,
        linear: &LogTail,
        boosted: Option<&LogTail>,
        used: &LogTail,
    ) {
        let boosted = boosted.map(|tail| pick(tail, COMPARED));
        let (linear, bounds) = (pick(linear, COMPARED), pick(used, COVERED));
        let used = pick(used, COMPARED);
        self.said.push_back(Said { index, linear, boosted, used, bounds });
    }

    /// Compares the newest step with what was said of it.
    pub(super) fn learn(&mut self, index: u64, x: Option<f64>) {
        while self.said.front().is_some_and(|said| said.index + self.ahead as u64 <= index) {
            let Some(said) = self.said.pop_front() else { return };
            let target = said.index + self.ahead as u64;
            let Some(x) = x.filter(|_| target == index) else { continue };
            self.linear.add(loss(&said.linear, x));
            self.used.add(loss(&said.used, x));
            if let Some(boosted) = said.boosted {
                self.boosted.add(loss(&boosted, x));
            }
            for (mean, bound) in self.covered.iter_mut().zip(said.bounds) {
                mean.add(f64::from(u8::from(x <= f64::from(bound))));
            }
        }
    }

    /// The standing, with the weights and the share of now.
    pub(super) fn score(&self, weights: [f64; EXPERTS], boosted_share: f64) -> Score {
        Score {
            ahead: self.ahead,
            steps: self.used.seen,
            weights,
            boosted_share,
            linear_loss: self.linear.get(),
            boosted_loss: self.boosted.get(),
            loss: self.used.get(),
            covered: (self.used.seen > 0).then(|| self.covered.map(|mean| mean.value)),
        }
    }
}

#[expect(clippy::cast_possible_truncation, reason = "a score needs few digits")]
fn pick<const N: usize>(tail: &LogTail, places: [usize; N]) -> [f32; N] {
    places.map(|at| tail.get(at).copied().unwrap_or_default() as f32)
}

/// Mean pinball loss of values that are exceeded with the probabilities at [`COMPARED`].
fn loss(tail: &[f32; COMPARED.len()], x: f64) -> f64 {
    let losses = tail.iter().zip(COMPARED).map(|(said, at)| {
        let alpha = EXCEEDANCE.get(at).copied().unwrap_or_default();
        let error = x - f64::from(*said);
        error * (1.0 - alpha - f64::from(u8::from(error < 0.0)))
    });
    losses.sum::<f64>() / COMPARED.len() as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tail(at: f64) -> LogTail {
        let mut value = at;
        EXCEEDANCE.map(|_| {
            value += 0.1;
            value
        })
    }

    #[test]
    fn what_was_said_is_compared_with_the_step_it_was_said_of() {
        let mut watch = Watch::new(2);
        for index in 0..4 {
            watch.say(index, &tail(1.0), (index > 1).then(|| tail(1.2)).as_ref(), &tail(1.1));
            watch.learn(index, Some(1.45));
        }
        let score = watch.score([0.125; EXPERTS], 0.5);
        // Said of steps 2 and 3; what the trees said of steps 4 and 5 has not come.
        assert_eq!((score.steps, score.boosted_loss), (2, None));
        // p50 was said to be 1.3, p90 1.6.
        assert_eq!(score.covered, Some([0.0, 1.0, 1.0]));
        // Of the linear tail 1.5, 1.7 and 1.9 are exceeded with 10, 2 and 0.5 %.
        let expected = (0.05 * 0.1 + 0.25 * 0.02 + 0.45 * 0.005) / 3.0;
        assert!((score.linear_loss.unwrap() - expected).abs() < 1e-6, "{score:?}");
    }

    #[test]
    fn a_gap_scores_nothing() {
        let mut watch = Watch::new(1);
        watch.say(0, &tail(1.0), None, &tail(1.0));
        watch.learn(1, None);
        assert_eq!(watch.score([0.125; EXPERTS], 0.0).loss, None);
    }
}
