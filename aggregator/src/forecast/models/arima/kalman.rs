#![expect(clippy::indexing_slicing, reason = "matrices as large as the state")]
//! The exact likelihood of an ARMA process.
//!
//! Sources: G. Gardner, A. Harvey and G. Phillips, "An algorithm for exact maximum likelihood
//! estimation of autoregressive-moving average models by means of Kalman filtering", Applied
//! Statistics 29 (1980); J. Durbin and S. J. Koopman, "Time series analysis by state space methods"
//! (2012), sections 3.4 and 4.3. The first covariance is found by doubling the steps that it covers.

use super::estimate::Parts;

/// Doublings of the first covariance at most.
const DOUBLINGS: usize = 40;
/// Distance from its limit at which the filter no longer changes.
const SETTLED: f64 = 1e-9;

/// Minus twice the log likelihood with the variance concentrated out, up to a constant, and the sum
/// of the standardised squared errors. `None` when the process is not stationary.
pub(super) fn likelihood(w: &[f64], parts: &Parts) -> Option<(f64, f64)> {
    let r = parts.ar.len().max(parts.ma.len() + 1);
    let ar = |at: usize| parts.ar.get(at).copied().unwrap_or(0.0);
    let noise: Vec<f64> = std::iter::once(1.0)
        .chain(parts.ma.iter().copied())
        .chain(std::iter::repeat(0.0))
        .take(r)
        .collect();
    let mut p = first_covariance(&ar, &noise)?;
    let mut a = vec![0.0; r];
    let mut gain = vec![0.0; r];
    let (mut logs, mut sum, mut settled) = (0.0, 0.0, false);
    for w in w {
        let variance = if settled { 1.0 } else { p[0] };
        if variance.is_nan() || variance <= 0.0 {
            return None;
        }
        let error = w - parts.mean - a[0];
        sum += error * error / variance;
        logs += variance.ln();
        // The state with what the value told, then one step on.
        if !settled {
            gain.iter_mut().enumerate().for_each(|(i, gain)| *gain = p[i * r] / variance);
        }
        let known: Vec<f64> = a.iter().zip(&gain).map(|(a, gain)| a + gain * error).collect();
        for (i, a) in a.iter_mut().enumerate() {
            *a = ar(i) * known[0] + known.get(i + 1).copied().unwrap_or(0.0);
        }
        if !settled {
            advance(&mut p, &gain, variance, &ar, &noise);
            settled = (p[0] - 1.0).abs() < SETTLED;
            if settled {
                (0..r).for_each(|i| gain[i] = p[i * r]);
            }
        }
    }
    let n = w.len() as f64;
    let value = n * (sum / n).max(1e-300).ln() + logs;
    value.is_finite().then_some((value, sum))
}

/// The covariance after a value and one step on.
fn advance(p: &mut [f64], gain: &[f64], variance: f64, ar: &dyn Fn(usize) -> f64, noise: &[f64]) {
    let r = noise.len();
    let mut known = vec![0.0; r * r];
    for i in 0..r {
        for j in 0..r {
            known[i * r + j] = p[i * r + j] - gain[i] * gain[j] * variance;
        }
    }
    let at = |i: usize, j: usize| if i < r && j < r { known[i * r + j] } else { 0.0 };
    for i in 0..r {
        for j in 0..r {
            p[i * r + j] = ar(i) * ar(j) * at(0, 0)
                + ar(i) * at(0, j + 1)
                + ar(j) * at(i + 1, 0)
                + at(i + 1, j + 1)
                + noise[i] * noise[j];
        }
    }
}

/// The stationary covariance P = T P T' + R R'.
fn first_covariance(ar: &dyn Fn(usize) -> f64, noise: &[f64]) -> Option<Vec<f64>> {
    let r = noise.len();
    let mut step = vec![0.0; r * r];
    let mut p = vec![0.0; r * r];
    for i in 0..r {
        step[i * r] = ar(i);
        if i + 1 < r {
            step[i * r + i + 1] += 1.0;
        }
        for j in 0..r {
            p[i * r + j] = noise[i] * noise[j];
        }
    }
    for _ in 0..DOUBLINGS {
        let moved = times(&times(&step, &p, r, false), &step, r, true);
        let size: f64 = moved.iter().map(|x| x.abs()).sum();
        p.iter_mut().zip(&moved).for_each(|(p, moved)| *p += moved);
        if !size.is_finite() {
            return None;
        }
        if size < 1e-10 * (1.0 + p[0].abs()) {
            return Some(p);
        }
        step = times(&step, &step, r, false);
    }
    None
}

/// The product of two square matrices, the second one transposed where it is said so.
fn times(a: &[f64], b: &[f64], r: usize, is_transposed: bool) -> Vec<f64> {
    let mut product = vec![0.0; r * r];
    for i in 0..r {
        for k in 0..r {
            let x = a[i * r + k];
            if x == 0.0 {
                continue;
            }
            for j in 0..r {
                product[i * r + j] += x * if is_transposed { b[j * r + k] } else { b[k * r + j] };
            }
        }
    }
    product
}
