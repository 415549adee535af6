//! What a regression sees of a load series: lags, means, the same phase of past seasons, and where
//! in the season the target lies.

mod series;

pub use series::{LoadSeries, MAX_SERIES_STEPS};

/// Names of the features of one row, in order; all in requests per second but the last two.
pub const FEATURES: [&str; 8] = [
    "last",
    "mean_4",
    "mean_16",
    "season_target",
    "season_origin",
    "season_target_before",
    "phase_sin",
    "phase_cos",
];

/// One row: see [`FEATURES`].
pub type Row = [f64; FEATURES.len()];

/// The row for forecasting step `origin + ahead` from what is known at the end of step `origin`.
///
/// `None` when a value it needs is missing: the last four steps, or the season before.
pub fn row(series: &LoadSeries, origin: u64, ahead: u64, season_steps: u64) -> Option<Row> {
    let target = origin + ahead;
    let last = series.get(origin)?;
    let season_target = around(series, target.checked_sub(season_steps)?)?;
    let season_origin = around(series, origin.checked_sub(season_steps)?)?;
    let before = target.checked_sub(2 * season_steps).and_then(|index| around(series, index));
    let phase = (target % season_steps) as f64 / season_steps as f64 * std::f64::consts::TAU;
    Some([
        last,
        series.mean(origin, 4)?,
        series.mean(origin, 16)?,
        season_target,
        season_origin,
        before.unwrap_or(season_target),
        phase.sin(),
        phase.cos(),
    ])
}

/// Mean of a step and its two neighbours: one noisy step of last season is a poor witness.
fn around(series: &LoadSeries, index: u64) -> Option<f64> {
    series.mean(index + 1, 3)
}

/// How a training set was scaled: z-scores, kept beside the model that was trained on them.
#[derive(Clone, Debug, PartialEq)]
pub struct Standardizer {
    mean: Row,
    deviation: Row,
}

impl Standardizer {
    /// Learns mean and deviation of each feature; a feature that never varies keeps a deviation
    /// of 1, so that it becomes 0.
    pub fn fit(rows: &[Row]) -> Self {
        let count = rows.len().max(1) as f64;
        let mut mean = [0.0; FEATURES.len()];
        let mut deviation = [0.0; FEATURES.len()];
        for row in rows {
            mean.iter_mut().zip(row).for_each(|(sum, value)| *sum += value / count);
        }
        for row in rows {
            for ((sum, value), mean) in deviation.iter_mut().zip(row).zip(mean) {
                *sum += (value - mean) * (value - mean) / count;
            }
        }
        for value in &mut deviation {
            *value = if *value > 1e-12 { value.sqrt() } else { 1.0 };
        }
        Self { mean, deviation }
    }

    /// The row in deviations from the mean.
    pub fn apply(&self, row: &Row) -> Row {
        let mut scaled = *row;
        for ((value, mean), deviation) in scaled.iter_mut().zip(self.mean).zip(self.deviation) {
            *value = (*value - mean) / deviation;
        }
        scaled
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_row_looks_one_season_back_from_its_target() {
        let mut series = LoadSeries::new(Duration::from_secs(1), 100);
        for index in 0..30 {
            series.put(index, Some(index as f64));
        }
        let row = row(&series, 25, 3, 10).unwrap();
        assert_eq!(row[..6], [25.0, 23.5, 17.5, 18.0, 15.0, 8.0]);
    }

    #[test]
    fn a_missing_value_makes_no_row() {
        let mut series = LoadSeries::new(Duration::from_secs(1), 100);
        for index in 0..30 {
            series.put(index, (index != 25).then_some(1.0));
        }
        assert_eq!(row(&series, 25, 1, 10), None);
        assert!(row(&series, 24, 1, 10).is_some());
    }

    #[test]
    fn standardized_rows_have_mean_zero_and_deviation_one() {
        let rows: Vec<Row> = (0..50).map(|i| [f64::from(i); FEATURES.len()]).collect();
        let scale = Standardizer::fit(&rows);
        let scaled: Vec<f64> = rows.iter().map(|row| scale.apply(row)[0]).collect();
        let mean = scaled.iter().sum::<f64>() / 50.0;
        let variance = scaled.iter().map(|value| value * value).sum::<f64>() / 50.0;
        assert!(mean.abs() < 1e-9 && (variance - 1.0).abs() < 1e-9, "{mean} {variance}");
        let constant = Standardizer::fit(&[[5.0; 8]]).apply(&[5.0; 8]);
        assert!(constant.iter().all(|value| value.abs() < 1e-12), "{constant:?}");
    }
}
