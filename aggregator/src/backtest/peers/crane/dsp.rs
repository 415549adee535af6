#![expect(
    clippy::indexing_slicing,
    reason = "ranges are of whole periods, whose number in the signal is counted before"
)]
//! Finds a day's or a week's period, and carries the last one on without its noise.

use crate::forecast::fourier::{Complex, inverse, transform};

/// Samples in time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sampling {
    /// Length of a sample in seconds.
    pub(super) seconds: f64,
    /// Samples in a day.
    pub(super) per_day: usize,
}

/// Waves at most this fast are always kept, in Hz.
const HIGH_FREQUENCY: f64 = 1.0 / 3600.0;
/// Waves are kept by their amplitude only if they are among so many of the greatest.
const MOST_ITEMS: usize = 100;
/// So many of the greatest waves are kept in any case, and others from this amplitude.
const SPECTRA: [(usize, f64); 2] = [(3, 1.0), (50, 0.05)];
/// What is added to the filtered signal.
const MARGINS: [f64; 4] = [0.01, 0.1, 0.15, 0.2];
/// What stands for a value that is not positive.
const LEAST_VALUE: f64 = 0.01;

/// One period of expected values after the signal; `None` when it has no daily or weekly period.
pub(super) fn forecast(samples: &[f64], sampling: &Sampling) -> Option<Vec<f64>> {
    let clean = without_outliers(samples);
    let (signal, period) = [sampling.per_day, 7 * sampling.per_day].into_iter().find_map(|p| {
        let signal = &clean[clean.len() % p..];
        (signal.len() >= 2 * p && is_periodic(signal, p, sampling)).then_some((signal, p))
    })?;
    // 1. Which filter and margin would have forecast the last period best.
    let (past, actual) = signal.split_at(signal.len() - period);
    let mut best: Option<(f64, (usize, f64), f64)> = None;
    for spectrum in SPECTRA {
        let estimate = filtered_period(past, period, spectrum, sampling);
        for margin in MARGINS {
            let error = asymmetric_error(actual, &estimate, margin);
            if best.is_none_or(|(least, ..)| error < least) {
                best = Some((error, spectrum, margin));
            }
        }
    }
    // 2. The same on the whole signal.
    let (_, spectrum, margin) = best?;
    let estimate = filtered_period(signal, period, spectrum, sampling);
    Some(estimate.into_iter().map(|value| value * (1.0 + margin)).collect())
}

/// Values outside the 0.1 % and 99.9 % quantiles become the one before.
fn without_outliers(samples: &[f64]) -> Vec<f64> {
    let mut sorted = samples.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let edge = sorted.len() / 1000;
    let range = match (sorted.get(edge), sorted.iter().rev().nth(edge)) {
        (Some(low), Some(high)) => *low..=*high,
        _ => return sorted,
    };
    let mut before = None;
    let mut clean = |value: &f64| {
        let kept = before.filter(|_| !range.contains(value)).unwrap_or(*value);
        before = Some(kept);
        kept
    };
    samples.iter().map(&mut clean).collect()
}

/// Whether the wave of a period stands out of noise, and the signal resembles itself most there.
fn is_periodic(signal: &[f64], period: usize, sampling: &Sampling) -> bool {
    let n = signal.len() as f64;
    let mean = signal.iter().sum::<f64>() / n;
    let centred: Vec<f64> = signal.iter().map(|value| value - mean).collect();
    let variance = centred.iter().map(|value| value * value).sum::<f64>() / n;
    // Upstream takes the 99th of 100 shuffled signals' greatest powers. Shuffling makes powers
    // exponential around n * variance, so that this is the 99 % quantile of their maximum.
    let quantile = (n / 2.0).ln() - (-(0.99_f64.ln())).ln();
    let power = single_power(&centred, signal.len() / period);
    power > n * variance * quantile && peaks_at(&centred, period, sampling)
}

/// Power of the wave with `k` periods in the signal.
fn single_power(signal: &[f64], k: usize) -> f64 {
    let angle = std::f64::consts::TAU * k as f64 / signal.len() as f64;
    let (re, im) = signal.iter().zip(0_u32..).fold((0.0, 0.0), |(re, im), (value, i)| {
        let (sin, cos) = (angle * f64::from(i)).sin_cos();
        (re + value * cos, im + value * sin)
    });
    re * re + im * im
}

/// Whether the autocorrelation rises over the 4 h before a lag and falls over those after it.
fn peaks_at(signal: &[f64], lag: usize, sampling: &Sampling) -> bool {
    // Ten samples as one: slopes over 4 h need no more.
    let coarse: Vec<f64> = signal.chunks(10).map(|ten| ten.iter().sum()).collect();
    let around = usize::max(sampling.per_day / 60, 2);
    let middle = lag / 10;
    let correlation = |lag: usize| {
        let pairs = coarse.iter().zip(coarse.iter().skip(lag));
        pairs.map(|(a, b)| a * b).sum::<f64>() / coarse.len().saturating_sub(lag).max(1) as f64
    };
    let slope = |first: usize| {
        let half = around as f64 / 2.0;
        (0..=around).map(|k| (k as f64 - half) * correlation(first + k)).sum::<f64>()
    };
    middle >= around && slope(middle - around) > 0.0 && slope(middle) < 0.0
}

/// The last period of the signal without its weak fast waves.
fn filtered_period(
    signal: &[f64],
    period: usize,
    (least_items, low_amplitude): (usize, f64),
    sampling: &Sampling,
) -> Vec<f64> {
    let n = signal.len();
    let mut spectrum: Vec<Complex> = transform(signal);
    let amplitude = |wave: Complex| wave.0.hypot(wave.1) / n as f64;
    let mut sorted: Vec<f64> = spectrum[1..n / 2].iter().map(|wave| amplitude(*wave)).collect();
    sorted.sort_unstable_by(|a, b| b.total_cmp(a));
    let nth = |n: usize| sorted.get(n - 1).or(sorted.last()).copied().unwrap_or(0.0);
    let least = nth(MOST_ITEMS).max(low_amplitude).min(nth(least_items));
    for (k, wave) in spectrum.iter_mut().enumerate() {
        let frequency = k as f64 / (n as f64 * sampling.seconds);
        // As upstream: waves above the middle, which mirror those below, always count as fast.
        if amplitude(*wave) < least && frequency > HIGH_FREQUENCY {
            *wave = (0.0, 0.0);
        }
    }
    let positive = |value: &f64| if *value > 0.0 { *value } else { LEAST_VALUE };
    inverse(&spectrum)[n - period..].iter().map(positive).collect()
}

/// Mean relative error that counts shortfall more: `ln(actual / estimate) / ln 1.25`.
///
/// The mean absolute error where relative ones mean nothing.
fn asymmetric_error(actual: &[f64], estimate: &[f64], margin: f64) -> f64 {
    let relative = actual.iter().all(|value| *value >= 1e-3);
    let error = |(a, e): (&f64, &f64)| {
        let e = e * (1.0 + margin);
        match relative {
            false => (a - e).abs(),
            true if e >= *a => (e - a) / a,
            true => (a / e).ln() / 1.25_f64.ln(),
        }
    };
    actual.iter().zip(estimate).map(error).sum::<f64>() / actual.len().max(1) as f64
}

#[cfg(test)]
mod tests;
