//! Features in bins: trees compare bytes, not floats.

use crate::forecast::ForecastError;

/// Bins of a feature at most, besides the one of missing values.
pub const MAX_BINS: usize = 63;

/// Rows in bins, row by row.
#[derive(Clone, Debug)]
pub struct BinnedRows {
    features: usize,
    /// Bins of a feature, the one of missing values included.
    bins: usize,
    cells: Vec<u8>,
}

/// Bin borders of every feature.
#[derive(Clone, Debug)]
pub struct Binner {
    edges: Vec<Vec<f32>>,
}

/// Bin of a value: 0 for missing, else 1 + the number of edges that it reaches.
fn bin_of(edges: &[f32], value: f32) -> u8 {
    if value.is_nan() {
        return 0;
    }
    // At most 62 edges, so it fits.
    u8::try_from(1 + edges.partition_point(|edge| *edge <= value)).unwrap_or(u8::MAX)
}

/// Edges between `bins` bins of about as many values each; fewer where values repeat.
fn edges_of(column: &[f32], bins: usize) -> Vec<f32> {
    let mut sorted: Vec<f32> = column.iter().copied().filter(|value| !value.is_nan()).collect();
    sorted.sort_unstable_by(f32::total_cmp);
    let mut edges: Vec<f32> = Vec::with_capacity(bins);
    for bin in 1..bins {
        let Some(value) = sorted.get(sorted.len() * bin / bins) else { continue };
        let is_lowest = sorted.first() == Some(value);
        if !is_lowest && edges.last().is_none_or(|last| value > last) {
            edges.push(*value);
        }
    }
    edges
}

impl BinnedRows {
    /// Puts columns of equal length into `bins` bins each, 2 to [`MAX_BINS`]; NaN is missing.
    ///
    /// # Errors
    /// [`ForecastError::Invalid`] when columns differ in length, or there is none.
    pub fn bin(columns: &[Vec<f32>], bins: usize) -> Result<(Binner, Self), ForecastError> {
        let bins = bins.clamp(2, MAX_BINS);
        let rows = columns.first().map_or(0, Vec::len);
        let is_even = columns.iter().all(|column| column.len() == rows);
        if columns.is_empty() || columns.len() > usize::from(u8::MAX) || !is_even {
            let problem = "the columns are not 1 to 255 of the same length";
            return Err(ForecastError::Invalid(problem.to_owned()));
        }
        let edges: Vec<Vec<f32>> = columns.iter().map(|column| edges_of(column, bins)).collect();
        let mut cells = vec![0; rows * columns.len()];
        for (feature, (column, edges)) in columns.iter().zip(&edges).enumerate() {
            let own = cells.iter_mut().skip(feature).step_by(columns.len());
            own.zip(column).for_each(|(cell, value)| *cell = bin_of(edges, *value));
        }
        Ok((Binner { edges }, Self { features: columns.len(), bins: bins + 1, cells }))
    }

    /// Rows.
    pub fn len(&self) -> usize {
        self.cells.len() / self.features
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.cells.is_empty()
    }

    /// Features of a row.
    pub(super) const fn features(&self) -> usize {
        self.features
    }

    /// Bins of a feature.
    pub(super) const fn bins(&self) -> usize {
        self.bins
    }

    /// The bins of one row; empty outside.
    pub(super) fn row(&self, index: usize) -> &[u8] {
        let from = index * self.features;
        self.cells.get(from..from + self.features).unwrap_or_default()
    }
}

impl Binner {
    /// Puts one row into bins, for [`super::QuantileForest::predict`].
    pub fn row(&self, features: &[f32], out: &mut Vec<u8>) {
        out.clear();
        out.extend(features.iter().zip(&self.edges).map(|(value, edges)| bin_of(edges, *value)));
    }
}
