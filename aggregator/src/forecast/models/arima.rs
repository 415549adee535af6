//! ARIMA and seasonal ARIMA whose orders are chosen by themselves.
//!
//! Source: R. Hyndman and Y. Khandakar, "Automatic time series forecasting: the forecast package for
//! R", Journal of Statistical Software 27 (2008), section 3: differences by tests, orders by steps
//! that lower the corrected Akaike criterion. Parameters by conditional least squares, for short
//! series then by the exact likelihood.

mod differencing;
mod estimate;
mod kalman;
mod polynomial;

use std::collections::VecDeque;

use super::{Fit, Predict, Series, StepForecast, checked};
use crate::forecast::ForecastError;
use estimate::{Estimate, Orders};

/// Values below which nothing is fitted.
const NEEDED: usize = 10;
/// Newest values that are fitted to; older ones would not change the parameters.
const MOST: usize = 6_000;
/// Longest season that has parameters of its own.
const LONGEST_SEASON: usize = 24;
/// Orders at most, and seasonal ones.
const MOST_ORDERS: (usize, usize) = (5, 2);
/// Models tried at most.
const MOST_TRIED: usize = 60;

/// ARIMA(p, d, q)(P, D, Q) with a mean or a drift where they help.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arima {
    /// Steps of the season; without, or above 24, the model has no seasonal part.
    pub season: Option<usize>,
}

/// Orders, parameters, and the values that the next one depends on.
#[derive(Clone, Debug, PartialEq)]
pub struct FittedArima {
    orders: Orders,
    /// Weights of past values, nearest first: autoregression and differences in one.
    values: Vec<f64>,
    /// Weights of past errors, nearest first.
    errors: Vec<f64>,
    constant: f64,
    deviation: f64,
    /// Past values and errors, newest first.
    past_values: VecDeque<f64>,
    past_errors: VecDeque<f64>,
    /// Steps since the newest known value.
    age: usize,
}

impl FittedArima {
    /// Its orders, such as `(1,1,0)(0,1,0)[12]`.
    pub fn name(&self) -> String {
        self.orders.to_string()
    }
}

impl Fit for Arima {
    type Fitted = FittedArima;

    fn fit(&self, series: &Series<'_>) -> Result<FittedArima, ForecastError> {
        series.needs(NEEDED)?;
        let y = series.filled(self.season);
        let y = y.get(y.len().saturating_sub(MOST)..).unwrap_or_default();
        let season = self
            .season
            .filter(|m| (2..=LONGEST_SEASON).contains(m) && y.len() >= 3 * m)
            .unwrap_or(1);
        let seasonal = usize::from(season > 1 && differencing::has_season(y, season));
        let mut w = y.to_vec();
        if seasonal > 0 {
            w = differencing::difference(&w, season);
        }
        let mut regular = 0;
        while regular < 2 && w.len() > NEEDED && differencing::has_root(&w) {
            w = differencing::difference(&w, 1);
            regular += 1;
        }
        let orders = Orders { d: regular, seasonal_d: seasonal, season, ..Orders::default() };
        let best = select(&w, orders).ok_or(ForecastError::NotFinite { model: "arima" })?;
        Ok(FittedArima::new(y, best.refined(&w)))
    }
}

/// Steps from a few first orders to neighbours as long as the criterion falls.
fn select(w: &[f64], base: Orders) -> Option<Estimate> {
    let has_season = base.season > 1;
    let seasonal = |order: usize| if has_season { order } else { 0 };
    let may_have_constant = base.d + base.seasonal_d <= 1;
    let first = [(2, 2, 1, 1), (0, 0, 0, 0), (1, 0, 1, 0), (0, 1, 0, 1)].map(|(p, q, sp, sq)| {
        let (seasonal_p, seasonal_q) = (seasonal(sp), seasonal(sq));
        Orders { p, q, seasonal_p, seasonal_q, has_constant: may_have_constant, ..base }
    });
    let mut tried: Vec<Orders> = Vec::new();
    let mut best: Option<Estimate> = None;
    let mut attempt = |orders: Orders, best: &mut Option<Estimate>| {
        if tried.contains(&orders) || tried.len() >= MOST_TRIED {
            return false;
        }
        tried.push(orders);
        let Some(estimate) = Estimate::fit(w, orders) else { return false };
        let is_better = best.as_ref().is_none_or(|best| estimate.criterion < best.criterion);
        if is_better {
            *best = Some(estimate);
        }
        is_better
    };
    for orders in first {
        attempt(orders, &mut best);
    }
    attempt(Orders { has_constant: false, ..base }, &mut best);
    while let Some(orders) = best.as_ref().map(|best| best.orders) {
        let steps = neighbours(orders, has_season, may_have_constant);
        if !steps.into_iter().any(|orders| attempt(orders, &mut best)) {
            break;
        }
    }
    best
}

/// Orders one step away.
fn neighbours(orders: Orders, has_season: bool, may_have_constant: bool) -> Vec<Orders> {
    let by = |order: usize, change: i8, most: usize| {
        order.checked_add_signed(isize::from(change)).filter(|order| *order <= most)
    };
    let (most, most_seasonal) = MOST_ORDERS;
    let mut steps = Vec::new();
    if has_season {
        for (dp, dq) in [(-1, 0), (0, -1), (1, 0), (0, 1), (-1, -1), (1, 1), (-1, 1), (1, -1)] {
            let p = by(orders.seasonal_p, dp, most_seasonal);
            let q = by(orders.seasonal_q, dq, most_seasonal);
            if let (Some(seasonal_p), Some(seasonal_q)) = (p, q) {
                steps.push(Orders { seasonal_p, seasonal_q, ..orders });
            }
        }
    }
    for (dp, dq) in [(-1, 0), (0, -1), (1, 0), (0, 1), (-1, -1), (1, 1), (-1, 1), (1, -1)] {
        if let (Some(p), Some(q)) = (by(orders.p, dp, most), by(orders.q, dq, most)) {
            steps.push(Orders { p, q, ..orders });
        }
    }
    if may_have_constant {
        steps.push(Orders { has_constant: !orders.has_constant, ..orders });
    }
    steps
}

impl FittedArima {
    fn new(y: &[f64], estimate: Estimate) -> Self {
        let Estimate { orders, point, deviation, .. } = estimate;
        let parts = orders.read(&point);
        let stationary: Vec<f64> =
            std::iter::once(1.0).chain(parts.ar.iter().map(|a| -a)).collect();
        let mut left = stationary.clone();
        for _ in 0..orders.d {
            left = polynomial::product(&left, &[1.0, -1.0]);
        }
        for _ in 0..orders.seasonal_d {
            left = polynomial::product(&left, &polynomial::seasonal_difference(orders.season));
        }
        let values: Vec<f64> = left.iter().skip(1).map(|a| -a).collect();
        let constant = parts.mean * stationary.iter().sum::<f64>();
        let mut fitted = Self {
            orders,
            past_values: VecDeque::from(vec![0.0; values.len()]),
            past_errors: VecDeque::from(vec![0.0; parts.ma.len()]),
            values,
            errors: parts.ma,
            constant,
            deviation,
            age: 0,
        };
        // Errors are worked out where all values that they depend on are known.
        let (before, rest) = y.split_at(fitted.values.len().min(y.len()));
        for y in before {
            fitted.take(*y, 0.0);
        }
        for y in rest {
            let error = y - fitted.next();
            fitted.take(*y, error);
        }
        fitted
    }

    fn next(&self) -> f64 {
        let dot = |weights: &[f64], past: &VecDeque<f64>| {
            weights.iter().zip(past).map(|(weight, value)| weight * value).sum::<f64>()
        };
        self.constant + dot(&self.values, &self.past_values) + dot(&self.errors, &self.past_errors)
    }

    fn take(&mut self, y: f64, error: f64) {
        self.past_values.push_front(y);
        self.past_values.truncate(self.values.len());
        self.past_errors.push_front(error);
        self.past_errors.truncate(self.errors.len());
    }

    /// Squared weights of the errors to come, summed up, for 1 step, 2 steps, …
    fn variances(&self, steps: usize) -> Vec<f64> {
        let mut weights: Vec<f64> = Vec::with_capacity(steps);
        let mut sum = 0.0;
        (0..steps)
            .map(|at| {
                let own =
                    if at == 0 { 1.0 } else { self.errors.get(at - 1).copied().unwrap_or(0.0) };
                let past = self.values.iter().zip(weights.iter().rev());
                let weight = own + past.map(|(a, weight)| a * weight).sum::<f64>();
                weights.push(weight);
                sum += weight * weight;
                sum
            })
            .collect()
    }
}

impl Predict for FittedArima {
    fn predict(&self, horizon: usize) -> Result<Vec<StepForecast>, ForecastError> {
        let mut ahead = self.clone();
        let variances = self.variances(self.age + horizon);
        let path = variances.into_iter().skip(self.age).map(|variance| {
            let mean = ahead.next();
            ahead.take(mean, 0.0);
            StepForecast::normal(mean, self.deviation * variance.sqrt())
        });
        checked("arima", path.collect())
    }

    fn observe(&mut self, y: Option<f64>) {
        let expected = self.next();
        // What was not measured is taken for what was expected.
        if let Some(y) = y.filter(|y| y.is_finite()) {
            self.age = 0;
            self.take(y, y - expected);
        } else {
            self.age += 1;
            self.take(expected, 0.0);
        }
    }
}

#[cfg(test)]
mod tests;
