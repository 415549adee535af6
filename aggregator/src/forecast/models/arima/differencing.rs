//! How often to difference: a unit root test, and the strength of the season.

/// The 5 % bound of the test of Kwiatkowski et al. on a level.
const KPSS_5_PERCENT: f64 = 0.463;
/// Strength from which a season is differenced (X. Wang, K. Smith and R. Hyndman, "Characteristic-
/// based clustering for time series data", 2006; the bound is that of `nsdiffs` in its manual).
const STRONG_SEASON: f64 = 0.64;

/// Values less those `lag` steps before.
pub(super) fn difference(y: &[f64], lag: usize) -> Vec<f64> {
    y.iter().zip(y.iter().skip(lag)).map(|(before, now)| now - before).collect()
}

/// Whether a series wanders, so that it must be differenced: the level is not stationary.
///
/// Source: D. Kwiatkowski, P. Phillips, P. Schmidt and Y. Shin, "Testing the null hypothesis of
/// stationarity against the alternative of a unit root", Journal of Econometrics 54 (1992).
pub(super) fn has_root(y: &[f64]) -> bool {
    let n = y.len() as f64;
    let mean = y.iter().sum::<f64>() / n;
    let (mut sum, mut squares, mut variance) = (0.0, 0.0, 0.0);
    for y in y {
        let e = y - mean;
        sum += e;
        squares += sum * sum;
        variance += e * e;
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "few lags")]
    let lags = (3.0 * n.sqrt() / 13.0) as usize;
    for lag in 1..=lags {
        let weight = 1.0 - lag as f64 / (lags as f64 + 1.0);
        let pairs = y.iter().zip(y.iter().skip(lag));
        let covariance: f64 = pairs.map(|(a, b)| (a - mean) * (b - mean)).sum();
        variance += 2.0 * weight * covariance;
    }
    variance > 1e-12 * (1.0 + mean * mean) * n && squares / (n * variance) > KPSS_5_PERCENT
}

/// Whether the season explains most of what a moving mean leaves.
pub(super) fn has_season(y: &[f64], m: usize) -> bool {
    let half = m / 2;
    let rest: Vec<(usize, f64)> = (half..y.len().saturating_sub(half))
        .filter_map(|at| {
            let window = y.get(at - half..=at + half)?;
            let mut sum: f64 = window.iter().sum();
            let mut weight = window.len() as f64;
            if m.is_multiple_of(2) {
                sum -= (window.first()? + window.last()?) / 2.0;
                weight -= 1.0;
            }
            Some((at % m, y.get(at)? - sum / weight))
        })
        .collect();
    let mut means = vec![(0.0, 0.0); m];
    for (phase, value) in &rest {
        if let Some((sum, count)) = means.get_mut(*phase) {
            *sum += value;
            *count += 1.0;
        }
    }
    let (mut left, mut all) = (0.0, 0.0);
    for (phase, value) in &rest {
        let (sum, count) = means.get(*phase).copied().unwrap_or((0.0, 1.0));
        left += (value - sum / f64::max(count, 1.0)).powi(2);
        all += value * value;
    }
    all > 0.0 && 1.0 - left / all > STRONG_SEASON
}
