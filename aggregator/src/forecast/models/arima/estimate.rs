#![expect(clippy::indexing_slicing, reason = "matrices as large as there are parameters")]
//! Parameters of given orders: least squares of the one-step errors, by Levenberg and Marquardt.

use std::fmt;

use super::super::nelder_mead::{Search, minimize};
use super::{kalman, polynomial};

/// Iterations of the least squares at most.
const ITERATIONS: usize = 25;
/// Relative fall of the sum of squares at which they end.
const ENOUGH: f64 = 1e-6;
/// Values up to which the exact likelihood is maximised; beyond it says the same.
const EXACT: usize = 600;

/// States up to which it is.
const MOST_STATES: usize = 60;

/// Orders of a model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Orders {
    pub(super) p: usize,
    pub(super) d: usize,
    pub(super) q: usize,
    pub(super) seasonal_p: usize,
    pub(super) seasonal_d: usize,
    pub(super) seasonal_q: usize,
    /// Steps of the season; 1 without.
    pub(super) season: usize,
    pub(super) has_constant: bool,
}

impl fmt::Display for Orders {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "({},{},{})", self.p, self.d, self.q)?;
        if self.season > 1 {
            let Self { seasonal_p, seasonal_d, seasonal_q, season, .. } = self;
            write!(f, "({seasonal_p},{seasonal_d},{seasonal_q})[{season}]")?;
        }
        Ok(())
    }
}

/// A model's weights, regular and seasonal multiplied out, nearest lag first.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Parts {
    pub(super) ar: Vec<f64>,
    pub(super) ma: Vec<f64>,
    pub(super) mean: f64,
}

impl Orders {
    fn free(&self) -> usize {
        self.p + self.q + self.seasonal_p + self.seasonal_q + usize::from(self.has_constant)
    }

    /// What a point of the search stands for.
    pub(super) fn read(&self, point: &[f64]) -> Parts {
        let (p, rest) = point.split_at(self.p.min(point.len()));
        let (q, rest) = rest.split_at(self.q.min(rest.len()));
        let (sp, rest) = rest.split_at(self.seasonal_p.min(rest.len()));
        let (sq, rest) = rest.split_at(self.seasonal_q.min(rest.len()));
        let expand = |regular: &[f64], seasonal: &[f64]| {
            let regular = polynomial::with_lags(&polynomial::stationary(regular), 1, -1.0);
            let seasonal =
                polynomial::with_lags(&polynomial::stationary(seasonal), self.season.max(1), -1.0);
            polynomial::product(&regular, &seasonal)
        };
        Parts {
            ar: expand(p, sp).iter().skip(1).map(|a| -a).collect(),
            ma: expand(q, sq).iter().skip(1).copied().collect(),
            mean: rest.first().copied().unwrap_or(0.0),
        }
    }
}

/// A fitted model.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Estimate {
    pub(super) orders: Orders,
    pub(super) point: Vec<f64>,
    /// Deviation of the one-step errors.
    pub(super) deviation: f64,
    /// The corrected Akaike criterion, up to a constant.
    pub(super) criterion: f64,
}

/// One-step errors, as if everything before the first value had been expected.
fn residuals(w: &[f64], parts: &Parts, errors: &mut Vec<f64>) {
    let taps = |weights: &[f64]| -> Vec<(usize, f64)> {
        let lags = weights.iter().enumerate().map(|(at, weight)| (at + 1, *weight));
        lags.filter(|(_, weight)| weight.abs() > 1e-12).collect()
    };
    let (ar, ma) = (taps(&parts.ar), taps(&parts.ma));
    let longest = ar.iter().chain(&ma).map(|(lag, _)| *lag).max().unwrap_or(0);
    errors.clear();
    for t in 0..w.len() {
        let mut error = w[t] - parts.mean;
        if t < longest {
            error -= ar
                .iter()
                .filter(|(lag, _)| *lag <= t)
                .map(|(lag, a)| a * (w[t - lag] - parts.mean))
                .sum::<f64>();
            error -= ma
                .iter()
                .filter(|(lag, _)| *lag <= t)
                .map(|(lag, m)| m * errors[t - lag])
                .sum::<f64>();
        } else {
            for (lag, a) in &ar {
                error -= a * (w[t - lag] - parts.mean);
            }
            for (lag, m) in &ma {
                error -= m * errors[t - lag];
            }
        }
        errors.push(error);
    }
}

fn squares(errors: &[f64]) -> f64 {
    errors.iter().map(|error| error * error).sum()
}

impl Estimate {
    /// `None` when there are too few values or nothing finite comes out.
    pub(super) fn fit(w: &[f64], orders: Orders) -> Option<Self> {
        let k = orders.free();
        let n = w.len();
        if n < 3 + k + orders.p.max(orders.q) {
            return None;
        }
        let mean = w.iter().sum::<f64>() / n as f64;
        let variance = w.iter().map(|w| (w - mean) * (w - mean)).sum::<f64>() / n as f64;
        let unit = variance.sqrt().max(1e-9 * (1.0 + mean.abs()));
        let mut point = vec![0.0; k];
        if orders.has_constant {
            point[k - 1] = mean;
        }
        let step = |at: usize| if orders.has_constant && at + 1 == k { 1e-4 * unit } else { 1e-4 };
        let mut errors = Vec::with_capacity(n);
        residuals(w, &orders.read(&point), &mut errors);
        let mut sum = squares(&errors);
        let mut damping = 1e-2;
        let (mut columns, mut moved) = (vec![Vec::with_capacity(n); k], Vec::with_capacity(n));
        for _ in 0..ITERATIONS {
            for (at, column) in columns.iter_mut().enumerate() {
                let mut other = point.clone();
                other[at] += step(at);
                residuals(w, &orders.read(&other), column);
                column.iter_mut().zip(&errors).for_each(|(c, e)| *c = (*c - e) / step(at));
            }
            let (gram, slope) = normal_equations(&columns, &errors);
            let before = sum;
            for _ in 0..8 {
                let Some(change) = solve(&gram, &slope, damping) else { break };
                let other: Vec<f64> =
                    point.iter().zip(&change).map(|(x, change)| x - change).collect();
                residuals(w, &orders.read(&other), &mut moved);
                let lower = squares(&moved);
                if lower < sum {
                    (point, sum) = (other, lower);
                    std::mem::swap(&mut errors, &mut moved);
                    damping = f64::max(damping * 0.2, 1e-9);
                    break;
                }
                damping *= 8.0;
            }
            if before - sum <= ENOUGH * before {
                break;
            }
        }
        // What was taken for granted before the first value counts in a short series.
        let parts = orders.read(&point);
        let (likelihood, sum) = if is_exact(n, &parts) {
            kalman::likelihood(w, &parts)?
        } else {
            (n as f64 * (sum / n as f64).max(1e-300).ln(), sum)
        };
        Self::new(orders, point, n, sum, likelihood)
    }

    fn new(orders: Orders, point: Vec<f64>, n: usize, sum: f64, likelihood: f64) -> Option<Self> {
        let k = (orders.free() + 1) as f64;
        let n = n as f64;
        if n - k - 1.0 < 1.0 || !sum.is_finite() {
            return None;
        }
        let criterion = likelihood + 2.0 * k + 2.0 * k * (k + 1.0) / (n - k - 1.0);
        let deviation = (sum / (n - k + 1.0)).sqrt();
        Some(Self { orders, point, deviation, criterion })
    }

    /// By the exact likelihood, where the series is short enough for it to matter.
    pub(super) fn refined(self, w: &[f64]) -> Self {
        let parts = self.orders.read(&self.point);
        if self.point.is_empty() || !is_exact(w.len(), &parts) {
            return self;
        }
        let k = self.point.len();
        let unit = if self.orders.has_constant { self.deviation.max(1e-12) } else { 1.0 };
        let scaled = |point: &[f64]| {
            let mut point = point.to_vec();
            if self.orders.has_constant {
                point[k - 1] *= unit;
            }
            point
        };
        let mut start = self.point.clone();
        if self.orders.has_constant {
            start[k - 1] /= unit;
        }
        let search = Search { size: 0.1, evaluations: 60 * (k + 1), tolerance: 1e-6 };
        let (point, _) = minimize(&start, search, |point| {
            kalman::likelihood(w, &self.orders.read(&scaled(point))).map_or(f64::INFINITY, |l| l.0)
        });
        let point = scaled(&point);
        let Some((likelihood, sum)) = kalman::likelihood(w, &self.orders.read(&point)) else {
            return self;
        };
        Self::new(self.orders, point, w.len(), sum, likelihood).unwrap_or(self)
    }
}

/// Whether the exact likelihood is worth its time.
fn is_exact(n: usize, parts: &Parts) -> bool {
    n <= EXACT && parts.ar.len().max(parts.ma.len() + 1) <= MOST_STATES
}

fn normal_equations(columns: &[Vec<f64>], errors: &[f64]) -> (Vec<Vec<f64>>, Vec<f64>) {
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let gram = columns.iter().map(|a| columns.iter().map(|b| dot(a, b)).collect()).collect();
    let slope = columns.iter().map(|a| dot(a, errors)).collect();
    (gram, slope)
}

/// Solves `(gram + damping · diagonal) x = slope` by elimination.
fn solve(gram: &[Vec<f64>], slope: &[f64], damping: f64) -> Option<Vec<f64>> {
    let k = slope.len();
    let mut matrix: Vec<Vec<f64>> = gram.to_vec();
    let mut x = slope.to_vec();
    for at in 0..k {
        matrix[at][at] += damping * gram[at][at] + 1e-12;
    }
    for at in 0..k {
        let pivot = matrix[at][at];
        if pivot.is_nan() || pivot.abs() <= 1e-300 {
            return None;
        }
        for row in at + 1..k {
            let factor = matrix[row][at] / pivot;
            let (above, below) = matrix.split_at_mut(row);
            below[0].iter_mut().zip(&above[at]).skip(at).for_each(|(x, y)| *x -= factor * y);
            x[row] -= factor * x[at];
        }
    }
    for at in (0..k).rev() {
        let sum: f64 = (at + 1..k).map(|column| matrix[at][column] * x[column]).sum();
        x[at] = (x[at] - sum) / matrix[at][at];
    }
    (k > 0 && x.iter().all(|x| x.is_finite())).then_some(x)
}
