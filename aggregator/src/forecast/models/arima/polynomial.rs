#![expect(clippy::indexing_slicing, reason = "degrees add up in a product")]
//! Polynomials in the lag operator.

/// Coefficients of the product, lowest degree first.
pub(super) fn product(a: &[f64], b: &[f64]) -> Vec<f64> {
    let mut product = vec![0.0; (a.len() + b.len()).saturating_sub(1)];
    for (i, a) in a.iter().enumerate() {
        for (j, b) in b.iter().enumerate() {
            product[i + j] += a * b;
        }
    }
    product
}

/// 1 less the lag of a season.
pub(super) fn seasonal_difference(season: usize) -> Vec<f64> {
    let mut difference = vec![0.0; season + 1];
    difference[0] = 1.0;
    difference[season] -= 1.0;
    difference
}

/// 1 + sign · (c₁Bˢ + c₂B²ˢ + …).
pub(super) fn with_lags(coefficients: &[f64], season: usize, sign: f64) -> Vec<f64> {
    let mut polynomial = vec![0.0; coefficients.len() * season + 1];
    polynomial[0] = 1.0;
    for (at, coefficient) in coefficients.iter().enumerate() {
        polynomial[(at + 1) * season] = sign * coefficient;
    }
    polynomial
}

/// Coefficients of a stationary autoregression from free numbers, by partial autocorrelations within
/// -1 to 1 (R. Jones, "Maximum likelihood fitting of ARMA models to time series with missing
/// observations", Technometrics 22, 1980).
pub(super) fn stationary(free: &[f64]) -> Vec<f64> {
    let mut coefficients: Vec<f64> = Vec::with_capacity(free.len());
    for x in free {
        let partial = 0.999 * x.tanh();
        let turned: Vec<f64> = coefficients.iter().rev().map(|c| partial * c).collect();
        coefficients.iter_mut().zip(turned).for_each(|(c, turned)| *c -= turned);
        coefficients.push(partial);
    }
    coefficients
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_of_differences_and_a_stationary_pair() {
        assert_eq!(product(&[1.0, -1.0], &seasonal_difference(2)), [1.0, -1.0, -1.0, 1.0]);
        assert_eq!(with_lags(&[0.5], 3, -1.0), [1.0, 0.0, 0.0, -0.5]);
        let [a, b] = stationary(&[5.0, -0.4])[..] else { panic!("two") };
        assert!(a + b < 1.0 && b - a < 1.0 && b.abs() < 1.0, "{a} {b}");
    }
}
