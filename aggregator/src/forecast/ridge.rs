//! Ridge regression on lags and calendar features, one for each step ahead (direct forecast).

use smartcore::linalg::basic::arrays::Array;
use smartcore::linalg::basic::matrix::DenseMatrix;
use smartcore::linear::ridge_regression::{
    RidgeRegression, RidgeRegressionParameters, RidgeRegressionSolverName,
};

use super::{Fit, ForecastError, Predict};
use crate::features::{FEATURES, LoadSeries, Row, Standardizer, row};

/// The most rows that a regression is fitted on; longer series are thinned evenly.
const MAX_ROWS: usize = 2_000;
/// Rows for each feature below which a regression would learn the noise.
const ROWS_PER_FEATURE: usize = 5;
/// Penalty on z-scored features: small beside some hundred rows, enough against collinear lags.
const ALPHA: f64 = 1.0;

/// Ridge regression (Hoerl & Kennard 1970) by smartcore on [`FEATURES`].
#[derive(Clone, Copy, Debug)]
pub struct Ridge {
    season_steps: u64,
}

impl Ridge {
    /// A season of so many steps.
    pub const fn new(season_steps: u64) -> Self {
        Self { season_steps }
    }
}

/// One linear function for each step ahead.
#[derive(Clone, Debug)]
pub struct FittedRidge {
    season_steps: u64,
    steps: Vec<Linear>,
}

#[derive(Clone, Debug)]
struct Linear {
    scale: Standardizer,
    weights: Row,
    intercept: f64,
}

impl Fit for Ridge {
    type Fitted = FittedRidge;

    fn fit(&self, series: &LoadSeries, horizon: u64) -> Result<FittedRidge, ForecastError> {
        let steps = (1..=horizon).map(|ahead| fit_step(series, ahead, self.season_steps));
        Ok(FittedRidge { season_steps: self.season_steps, steps: steps.collect::<Result<_, _>>()? })
    }
}

fn fit_step(series: &LoadSeries, ahead: u64, season_steps: u64) -> Result<Linear, ForecastError> {
    let last = series.last().unwrap_or(0);
    let origins = (series.first() + season_steps)..=last.saturating_sub(ahead);
    let count = usize::try_from(origins.end().saturating_sub(*origins.start())).unwrap_or(0);
    let stride = count.div_ceil(MAX_ROWS).max(1);
    let mut rows = Vec::new();
    let mut targets = Vec::new();
    // The newest rows are taken for sure: thinning counts from the end.
    for origin in origins.rev().step_by(stride) {
        let known = row(series, origin, ahead, season_steps).zip(series.get(origin + ahead));
        if let Some((row, target)) = known {
            rows.push(row);
            targets.push(target);
        }
    }
    let needed = FEATURES.len() * ROWS_PER_FEATURE;
    if rows.len() < needed {
        return Err(ForecastError::TooShort { known: rows.len(), needed });
    }
    solve(&rows, &targets)
}

fn solve(rows: &[Row], targets: &[f64]) -> Result<Linear, ForecastError> {
    let unsolvable = |error: smartcore::error::Failed| ForecastError::Unsolvable(error.to_string());
    let scale = Standardizer::fit(rows);
    let scaled: Vec<Vec<f64>> = rows.iter().map(|row| scale.apply(row).to_vec()).collect();
    let matrix = DenseMatrix::from_2d_vec(&scaled).map_err(unsolvable)?;
    // smartcore fits an intercept only when it normalises by itself; z-scored rows and centred
    // targets need none.
    let mean = targets.iter().sum::<f64>() / targets.len().max(1) as f64;
    let centred: Vec<f64> = targets.iter().map(|target| target - mean).collect();
    let parameters = RidgeRegressionParameters::default()
        .with_alpha(ALPHA)
        .with_normalize(false)
        .with_solver(RidgeRegressionSolverName::Cholesky);
    let fitted = RidgeRegression::fit(&matrix, &centred, parameters).map_err(unsolvable)?;
    let mut weights = [0.0; FEATURES.len()];
    for (weight, fitted) in weights.iter_mut().zip(fitted.coefficients().iterator(0)) {
        *weight = *fitted;
    }
    Ok(Linear { scale, weights, intercept: mean })
}

impl Predict for FittedRidge {
    fn name(&self) -> &'static str {
        "ridge"
    }

    fn predict(&self, series: &LoadSeries, origin: u64, horizon: u64) -> Option<Vec<f64>> {
        let ahead = usize::try_from(horizon).ok()?;
        let steps = self.steps.get(..ahead)?;
        (1..)
            .zip(steps)
            .map(|(ahead, linear)| {
                let row = linear.scale.apply(&row(series, origin, ahead, self.season_steps)?);
                let sum: f64 = row.iter().zip(linear.weights).map(|(x, w)| x * w).sum();
                Some(sum + linear.intercept)
            })
            .collect()
    }
}
