//! Boosted quantile trees at a few horizons: what the linear models cannot say, such as that the
//! load jumps at the full hour.

use std::collections::VecDeque;

use super::histogram::DecayedHistogram;
use super::least_squares::dot;
use super::score::COMPARED;
use crate::features::{self, BOOSTED, Calendar, LINEAR, Origin, Scanner};
use crate::forecast::ForecastError;
use crate::forecast::boosting::{BinnedRows, Binner, BoostParams, QuantileForest};
use crate::forecast::tail::EXCEEDANCE;

/// Quantiles that are learned.
pub(crate) const LEVELS: [f64; 4] = [0.5, 0.9, 0.98, 0.995];
/// Standard normal scores of [`LEVELS`].
const SCORES: [f64; 4] = [0.0, 1.281_551_6, 2.053_748_9, 2.575_829_3];
/// Weight of a normal shape before any score was seen.
const PRIOR_SCORES: f64 = 300.0;
/// Steps between two rows to learn from.
const EVERY: usize = 2;
/// Least width between neighbouring quantiles on the log scale.
const LEAST_WIDTH: f64 = 1e-4;

/// Everything that fitting needs; runs anywhere, on any thread.
#[derive(Clone, Debug)]
pub(crate) struct BoostJob {
    /// Values on the log scale, oldest first.
    pub(crate) values: Vec<f32>,
    /// Number of the first of them.
    pub(crate) first: u64,
    /// Which of them were not measured.
    pub(crate) gaps: Vec<bool>,
    /// Lengths of the cycles.
    pub(crate) calendar: Calendar,
    /// Steps ahead, each with the weights of its linear forecast.
    pub(crate) horizons: Vec<(usize, Vec<f64>)>,
}

/// Trees of one horizon.
#[derive(Clone, Debug)]
pub(crate) struct Trees {
    ahead: usize,
    linear: Vec<f64>,
    binner: Binner,
    forest: QuantileForest<{ LEVELS.len() }>,
}

impl BoostJob {
    /// Fits all horizons.
    ///
    /// # Errors
    /// Those of the first horizon that cannot be fitted.
    pub(crate) fn run(&self) -> Result<Vec<Trees>, ForecastError> {
        self.horizons.iter().map(|(ahead, linear)| self.fit(*ahead, linear)).collect()
    }

    fn fit(&self, ahead: usize, linear: &[f64]) -> Result<Trees, ForecastError> {
        let mut columns: Vec<Vec<f32>> = vec![Vec::new(); BOOSTED];
        let mut targets = Vec::new();
        let mut scanner = Scanner::default();
        let mut row = Vec::with_capacity(BOOSTED);
        let warm_up = self.calendar.hour().min(240);
        for at in 0..self.values.len().saturating_sub(ahead) {
            scanner.advance(&self.values, at);
            let is_gap = |at: usize| self.gaps.get(at).copied().unwrap_or(true);
            if at < warm_up || at % EVERY != 0 || is_gap(at) || is_gap(at + ahead) {
                continue;
            }
            let Some(actual) = features::value(&self.values, at + ahead) else { continue };
            let origin = Origin { calendar: self.calendar, index: self.first + at as u64, ahead };
            let point = inputs(&scanner, &self.values, at, &origin, linear, &mut row);
            #[expect(clippy::cast_possible_truncation, reason = "trees need no more digits")]
            targets.push((actual - point) as f32);
            columns.iter_mut().zip(&row).for_each(|(column, value)| column.push(*value));
        }
        let params = BoostParams::default();
        let (binner, binned) = BinnedRows::bin(&columns, params.bins)?;
        let forest = QuantileForest::fit(&binned, &targets, LEVELS, &params)?;
        Ok(Trees { ahead, linear: linear.to_vec(), binner, forest })
    }
}

/// The row of a boosted model, and the linear forecast that it corrects.
fn inputs(
    scanner: &Scanner,
    values: &[f32],
    at: usize,
    origin: &Origin,
    linear: &[f64],
    row: &mut Vec<f32>,
) -> f64 {
    let mut features = [0.0; LINEAR];
    scanner.lags(values, at, &mut features);
    features::seasons(values, at, origin.ahead, origin.calendar, &mut features);
    let point = scanner.base(at) + dot(linear, &features);
    scanner.boosted(values, at, origin, &features, point, row);
    point
}

impl Trees {
    /// Steps ahead.
    pub(crate) const fn ahead(&self) -> usize {
        self.ahead
    }

    /// The learned quantiles on the log scale, ascending.
    pub(crate) fn quantiles(
        &self,
        scanner: &Scanner,
        values: &[f32],
        at: usize,
        origin: &Origin,
        scratch: &mut Scratch,
    ) -> [f64; LEVELS.len()] {
        let point = inputs(scanner, values, at, origin, &self.linear, &mut scratch.row);
        self.binner.row(&scratch.row, &mut scratch.bins);
        let mut quantiles = [0.0; LEVELS.len()];
        let mut least = f64::NEG_INFINITY;
        for (quantile, over) in quantiles.iter_mut().zip(self.forest.predict(&scratch.bins)) {
            let value = point + f64::from(over);
            *quantile = value.max(least + LEAST_WIDTH);
            least = *quantile;
        }
        quantiles
    }
}

/// Buffers for one row.
#[derive(Clone, Debug, Default)]
pub(crate) struct Scratch {
    row: Vec<f32>,
    bins: Vec<u8>,
}

/// How well the trees of one horizon have been doing, and what their scores were.
#[derive(Clone, Debug)]
pub(crate) struct Record {
    ahead: usize,
    scores: DecayedHistogram,
    said: VecDeque<(u64, [f64; LEVELS.len()], [f64; EXCEEDANCE.len()])>,
    /// Discounted advantage of the linear tail over the trees, in mean losses.
    behind: f64,
    mean_loss: f64,
    seen: f64,
    /// Whether quantiles are corrected by the scores seen.
    recalibrates: bool,
}

/// What the comparison keeps of its past, a step.
const KEEP: f64 = 0.999;
/// Learning rate of the comparison.
const RATE: f64 = 0.05;
/// One step counts for at most so many mean losses: a surprise hits both, and says little.
const LARGEST_LEAD: f64 = 2.0;
/// Log odds of the trees before anything was compared: on most loads they are better.
const HEAD_START: f64 = 3.0;

impl Record {
    /// Nothing seen yet.
    pub(crate) fn new(ahead: usize, day: usize, recalibrates: bool) -> Self {
        Self {
            ahead,
            scores: DecayedHistogram::new(2.0 * day as f64, PRIOR_SCORES, |z| (-z * z / 2.0).exp()),
            said: VecDeque::new(),
            behind: 0.0,
            mean_loss: 0.0,
            seen: 0.0,
            recalibrates,
        }
    }

    /// Steps ahead.
    pub(crate) const fn ahead(&self) -> usize {
        self.ahead
    }

    /// The tail after recalibration by the scores seen, on the log scale.
    pub(crate) fn tail(&self, quantiles: &[f64; LEVELS.len()]) -> [f64; EXCEEDANCE.len()] {
        let mut tail = [0.0; EXCEEDANCE.len()];
        self.scores.tails(&EXCEEDANCE, &mut tail);
        for score in &mut tail {
            *score = from_score(quantiles, *score);
        }
        tail
    }

    /// Remembers what was said until its step comes.
    pub(crate) fn remember(
        &mut self,
        index: u64,
        quantiles: [f64; LEVELS.len()],
        linear: [f64; EXCEEDANCE.len()],
    ) {
        self.said.push_back((index, quantiles, linear));
    }

    /// Compares the newest step with what was said of it.
    pub(crate) fn learn(&mut self, index: u64, x: Option<f64>) {
        while self.said.front().is_some_and(|said| said.0 + self.ahead as u64 <= index) {
            let Some((origin, quantiles, linear)) = self.said.pop_front() else { return };
            let Some(x) = x.filter(|_| origin + self.ahead as u64 == index) else { continue };
            let tail = self.tail(&quantiles);
            let (mut trees, mut plain) = (0.0, 0.0);
            for at in COMPARED {
                let alpha = EXCEEDANCE.get(at).copied().unwrap_or(0.1);
                let loss = |tail: &[f64; EXCEEDANCE.len()]| {
                    let error = x - tail.get(at).copied().unwrap_or(x);
                    error * (1.0 - alpha - f64::from(u8::from(error < 0.0)))
                };
                trees += loss(&tail);
                plain += loss(&linear);
            }
            self.seen += 1.0;
            self.mean_loss += (1.0 / self.seen).max(0.001) * (plain - self.mean_loss);
            let lead =
                ((trees - plain) / self.mean_loss.max(1e-9)).clamp(-LARGEST_LEAD, LARGEST_LEAD);
            self.behind = KEEP * self.behind + lead;
            if self.recalibrates {
                self.scores.add(to_score(&quantiles, x));
            }
        }
    }

    /// Share of the trees in the forecast, 0 to 1; ramped up over a quarter of a day.
    pub(crate) fn share(&self, day: usize) -> f64 {
        let ramp = (self.seen / (day as f64 / 4.0)).min(1.0);
        ramp / (1.0 + (RATE * self.behind - HEAD_START).exp())
    }
}

/// Normal score of a value between learned quantiles: piecewise linear, mirrored below the median.
fn to_score(quantiles: &[f64; LEVELS.len()], x: f64) -> f64 {
    let middle = quantiles.first().copied().unwrap_or(x);
    let mirrored = if x < middle { 2.0 * middle - x } else { x };
    let at = quantiles.partition_point(|quantile| *quantile <= mirrored).clamp(1, LEVELS.len() - 1);
    let score = between(quantiles, &SCORES, at, mirrored);
    if x < middle { -score } else { score }
}

/// Value of a normal score; the inverse of [`to_score`].
fn from_score(quantiles: &[f64; LEVELS.len()], score: f64) -> f64 {
    let middle = quantiles.first().copied().unwrap_or(0.0);
    let size = score.abs();
    let at = SCORES.partition_point(|known| *known <= size).clamp(1, LEVELS.len() - 1);
    let value = between(&SCORES, quantiles, at, size);
    if score < 0.0 { 2.0 * middle - value } else { value }
}

/// The line through two neighbouring points, read at `x`.
fn between(xs: &[f64; 4], ys: &[f64; 4], at: usize, x: f64) -> f64 {
    let (Some(x0), Some(x1)) = (xs.get(at - 1), xs.get(at)) else { return 0.0 };
    let (Some(y0), Some(y1)) = (ys.get(at - 1), ys.get(at)) else { return 0.0 };
    y0 + (x - x0) * (y1 - y0) / (x1 - x0).max(1e-12)
}
