//! How far past forecasts were off, for models without a theory of their errors.

/// Newest errors that are kept.
const KEPT: usize = 500;
/// Least mean square, so that intervals have a width.
const LEAST: f64 = 1e-12;

/// Root of the mean square of the newest finite errors; 0 of none.
pub(super) fn deviation(errors: &[f64]) -> f64 {
    let newest = errors.get(errors.len().saturating_sub(KEPT)..).unwrap_or_default();
    let (sum, count) = newest
        .iter()
        .filter(|error| error.is_finite())
        .fold((0.0, 0.0), |(sum, count), error| (sum + error * error, count + 1.0));
    if count < 1.0 { 0.0 } else { f64::max(sum / count, LEAST).sqrt() }
}
