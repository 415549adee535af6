//! The test of Kolmogorov and Smirnov for two samples of equal size.

/// How far apart the distributions of two samples of equal size are, as a number of their members;
/// both must be sorted.
pub(super) fn distance(a: &[f64], b: &[f64]) -> usize {
    let (mut in_a, mut in_b, mut most) = (0_usize, 0_usize, 0_usize);
    while let (Some(x), Some(y)) = (a.get(in_a), b.get(in_b)) {
        let at = x.min(*y);
        in_a += a.get(in_a..).unwrap_or_default().iter().take_while(|v| **v <= at).count();
        in_b += b.get(in_b..).unwrap_or_default().iter().take_while(|v| **v <= at).count();
        most = most.max(in_a.abs_diff(in_b));
    }
    most
}

/// Probability of a distance of at least `distance` members between two samples of `size` members
/// of one continuous distribution (Gnedenko and Korolyuk 1951), exactly:
/// `2 Σ (-1)^(k+1) C(2n, n - kh) / C(2n, n)` over `k` from 1 while `kh <= n`.
pub(super) fn probability(size: usize, distance: usize) -> f64 {
    if distance == 0 {
        return 1.0;
    }
    let mut sum = 0.0;
    for k in 1..=size / distance {
        let away = k * distance;
        // C(2n, n - away) / C(2n, n) as a product of small ratios.
        let ratio: f64 = (0..away).map(|j| (size - j) as f64 / (size + j + 1) as f64).product();
        sum += if k % 2 == 1 { ratio } else { -ratio };
    }
    (2.0 * sum).clamp(0.0, 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probabilities_are_those_of_the_tables() {
        // Of the 6 interleavings of 2 and 2 all but two are closer than whole.
        assert!((probability(2, 2) - 2.0 / 6.0).abs() < 1e-12);
        // Massey (1951), table 1: N = 30, a distance of 10 members and of 12.
        assert!((1.0 - probability(10, 7) - 0.987_66).abs() < 1e-4, "{}", probability(10, 7));
        assert_eq!((probability(30, 0), distance(&[1.0, 2.0, 2.0], &[2.0, 2.0, 3.0])), (1.0, 1));
        assert_eq!(distance(&[1.0, 2.0], &[3.0, 4.0]), 2);
    }
}
