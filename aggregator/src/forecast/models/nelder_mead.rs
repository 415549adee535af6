#![expect(clippy::indexing_slicing, reason = "the simplex has one corner more than coordinates")]
//! Minimises a function without its derivatives.
//!
//! Source: J. A. Nelder and R. Mead, "A simplex method for function minimization", The Computer
//! Journal 7 (1965); the coefficients that shrink with the dimension are those of F. Gao and L. Han,
//! "Implementing the Nelder-Mead simplex algorithm with adaptive parameters" (2012).

use std::cell::Cell;

/// When the search ends.
#[derive(Clone, Copy, Debug)]
pub(super) struct Search {
    /// Size of the first simplex in each coordinate.
    pub(super) size: f64,
    /// Evaluations at most.
    pub(super) evaluations: usize,
    /// Spread of the values over the simplex at which it ends.
    pub(super) tolerance: f64,
}

/// The lowest point found from `start`, and its value. Values that are not finite count as highest.
pub(super) fn minimize(
    start: &[f64],
    search: Search,
    mut f: impl FnMut(&[f64]) -> f64,
) -> (Vec<f64>, f64) {
    let n = start.len();
    let spent = Cell::new(0_usize);
    let mut value = |x: &[f64]| {
        spent.set(spent.get() + 1);
        let value = f(x);
        if value.is_finite() { value } else { f64::MAX }
    };
    let mut simplex: Vec<(Vec<f64>, f64)> = vec![(start.to_vec(), value(start))];
    for at in 0..n {
        let mut corner = start.to_vec();
        corner[at] += search.size;
        let height = value(&corner);
        simplex.push((corner, height));
    }
    let n_f = n.max(2) as f64;
    let (expand, contract, shrink) = (1.0 + 2.0 / n_f, 0.75 - 0.5 / n_f, 1.0 - 1.0 / n_f);
    while n > 0 && spent.get() < search.evaluations {
        simplex.sort_by(|a, b| a.1.total_cmp(&b.1));
        if simplex[n].1 - simplex[0].1 <= search.tolerance {
            break;
        }
        let mut centre = vec![0.0; n];
        for (corner, _) in &simplex[..n] {
            centre.iter_mut().zip(corner).for_each(|(c, x)| *c += x / n as f64);
        }
        let along = |t: f64| -> Vec<f64> {
            centre.iter().zip(&simplex[n].0).map(|(c, x)| c + t * (c - x)).collect()
        };
        let reflected = along(1.0);
        let height = value(&reflected);
        let candidate = if height < simplex[0].1 {
            let expanded = along(expand);
            let farther = value(&expanded);
            Some(if farther < height { (expanded, farther) } else { (reflected, height) })
        } else if height < simplex[n - 1].1 {
            Some((reflected, height))
        } else {
            let is_outside = height < simplex[n].1;
            let nearer = along(if is_outside { contract } else { -contract });
            let lower = value(&nearer);
            (lower < height.min(simplex[n].1)).then_some((nearer, lower))
        };
        if let Some(candidate) = candidate {
            simplex[n] = candidate;
        } else {
            let best = simplex[0].0.clone();
            for (corner, height) in &mut simplex[1..] {
                corner.iter_mut().zip(&best).for_each(|(x, b)| *x = b + shrink * (*x - b));
                *height = value(corner);
            }
        }
    }
    simplex.sort_by(|a, b| a.1.total_cmp(&b.1));
    simplex.swap_remove(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEARCH: Search = Search { size: 0.5, evaluations: 4_000, tolerance: 1e-14 };

    #[test]
    fn the_bottom_of_rosenbrocks_valley_is_found() {
        let valley = |x: &[f64]| (1.0 - x[0]).powi(2) + 100.0 * (x[1] - x[0] * x[0]).powi(2);
        let (x, height) = minimize(&[-1.2, 1.0], SEARCH, valley);
        assert!((x[0] - 1.0).abs() < 1e-4 && (x[1] - 1.0).abs() < 1e-4, "{x:?}");
        assert!(height < 1e-9);
    }

    #[test]
    fn nonsense_is_walked_around_and_nothing_to_search_is_no_error() {
        let wall = |x: &[f64]| if x[0] < 0.0 { f64::NAN } else { (x[0] - 2.0).powi(2) };
        assert!((minimize(&[0.1], SEARCH, wall).0[0] - 2.0).abs() < 1e-4);
        assert_eq!(minimize(&[], SEARCH, |_| 3.0), (vec![], 3.0));
    }
}
