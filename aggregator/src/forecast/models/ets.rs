//! Exponential smoothing whose form is chosen by itself.
//!
//! Source: R. Hyndman, A. Koehler, J. Ord and R. Snyder, "Forecasting with exponential smoothing: the
//! state space approach" (2008), chapters 2, 5 and 6: the innovations form, heuristic first states,
//! maximum likelihood, the corrected Akaike criterion, and the variances of table 6.1.

mod recursion;
mod start;

use super::nelder_mead::{Search, minimize};
use super::{Fit, Predict, Series, StepForecast, checked};
use crate::forecast::ForecastError;
use recursion::{Component, Form, Params, State, Trend};

/// Values below which nothing is fitted.
const NEEDED: usize = 8;
/// Longest season that has a state of its own; longer ones are for other models.
const LONGEST_SEASON: usize = 24;
/// Newest values that parameters are estimated from; older ones no longer weigh anything.
const MOST: usize = 6_000;
/// Values up to which the first states are estimated with the parameters, not only set.
const FEW: usize = 500;
/// Distance of the smoothing parameters from 0 and 1.
const EDGE: f64 = 1e-4;
/// Range of the damping parameter.
const DAMPING: (f64, f64) = (0.8, 0.98);

/// Error, trend and season additive or multiplicative, the trend damped or not: what fits best.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ets {
    /// Steps of the season; without, or above 24, no season is looked for.
    pub season: Option<usize>,
}

/// A form, its parameters and the state after the newest value.
#[derive(Clone, Debug, PartialEq)]
pub struct FittedEts {
    form: Form,
    params: Params,
    state: State,
    /// Deviation of the errors, relative ones where the error is multiplicative.
    deviation: f64,
    /// Steps since the newest known value.
    age: usize,
}

impl FittedEts {
    /// Its form as the literature writes it, such as `MAdM`.
    pub fn name(&self) -> String {
        self.form.name()
    }
}

impl Fit for Ets {
    type Fitted = FittedEts;

    fn fit(&self, series: &Series<'_>) -> Result<FittedEts, ForecastError> {
        series.needs(NEEDED)?;
        fit(&series.with_gaps(), self.season)
    }
}

/// Fits values with gaps as NaN.
pub(super) fn fit(y: &[f64], season: Option<usize>) -> Result<FittedEts, ForecastError> {
    // Before the first value there is nothing to smooth.
    let first = y.iter().position(|y| y.is_finite()).unwrap_or(y.len());
    let y = y.get(first.max(y.len().saturating_sub(MOST))..).unwrap_or_default();
    let known = y.iter().filter(|y| y.is_finite()).count();
    if known < NEEDED {
        return Err(ForecastError::TooShort { known, needed: NEEDED });
    }
    let season = season.filter(|m| (2..=LONGEST_SEASON).contains(m) && y.len() >= 3 * m);
    let is_positive = y.iter().all(|y| y.is_nan() || *y > 0.0);
    let mut best: Option<(f64, FittedEts)> = None;
    for form in Form::all(season.is_some(), is_positive) {
        let Some((criterion, fitted)) = estimate(y, known, form, season) else { continue };
        if best.as_ref().is_none_or(|(least, _)| criterion < *least) {
            best = Some((criterion, fitted));
        }
    }
    best.map(|(_, fitted)| fitted).ok_or(ForecastError::NotFinite { model: "ets" })
}

/// The parameters of a form, and its corrected Akaike criterion.
fn estimate(
    y: &[f64],
    known: usize,
    form: Form,
    season: Option<usize>,
) -> Option<(f64, FittedEts)> {
    let first = start::state(y, form, season.filter(|_| form.season != Component::None));
    let layout = Layout { form, free_states: y.len() <= FEW };
    let (guess, unit) = layout.guess(&first, y);
    let free = guess.len();
    let states = first.len(form);
    let k = (form.parameters() + states + 1) as f64;
    let n = known as f64;
    if n - k - 1.0 < 1.0 {
        return None;
    }
    let search = Search { size: 0.6, evaluations: 120 + 80 * free, tolerance: 1e-4 };
    let (point, likelihood) = minimize(&guess, search, |point| {
        let (params, mut state) = layout.read(point, &first, unit);
        recursion::run(y, form, &params, &mut state)
            .map_or(f64::INFINITY, |sums| sums.likelihood(form))
    });
    let (params, mut state) = layout.read(&point, &first, unit);
    let sums = recursion::run(y, form, &params, &mut state)?;
    let criterion = likelihood + 2.0 * k + 2.0 * k * (k + 1.0) / (n - k - 1.0);
    let freedom = (n - form.parameters() as f64).max(1.0);
    let deviation = (sums.squares / freedom).sqrt();
    let age = y.iter().rev().take_while(|y| y.is_nan()).count();
    let fitted = FittedEts { form, params, state, deviation, age };
    criterion.is_finite().then_some((criterion, fitted))
}

/// How a point of the search stands for parameters and first states.
struct Layout {
    form: Form,
    free_states: bool,
}

impl Layout {
    /// Where the search begins, and the unit of the states in it.
    fn guess(&self, first: &State, y: &[f64]) -> (Vec<f64>, f64) {
        let has_season = self.form.season != Component::None;
        // Usual first values: 0.3 of the level, a tenth of that of the slope, and so on.
        let mut guess = vec![logit(if has_season { 0.2 } else { 0.5 })];
        if self.form.trend != Trend::None {
            guess.push(logit(0.1));
        }
        if has_season {
            guess.push(logit(0.05));
        }
        if self.form.trend == Trend::Damped {
            guess.push(logit(0.8));
        }
        let changes = y.windows(2).filter_map(|pair| match pair {
            [a, b] => Some((b - a).abs()).filter(|change| change.is_finite()),
            _ => None,
        });
        let (sum, count) = changes.fold((0.0, 0.0), |(sum, count), c| (sum + c, count + 1.0));
        let unit = f64::max(sum / f64::max(count, 1.0), 1e-9);
        if self.free_states {
            guess.resize(guess.len() + first.len(self.form), 0.0);
        }
        (guess, unit)
    }

    fn read(&self, point: &[f64], first: &State, unit: f64) -> (Params, State) {
        let mut values = point.iter().copied();
        let mut share = |used: bool| {
            let value = if used { values.next() } else { None };
            value.map(|x| EDGE + (1.0 - 2.0 * EDGE) / (1.0 + (-x).exp()))
        };
        let alpha = share(true).unwrap_or(0.5);
        let beta = share(self.form.trend != Trend::None).map_or(0.0, |share| share * alpha);
        let gamma =
            share(self.form.season != Component::None).map_or(0.0, |share| share * (1.0 - alpha));
        let (low, high) = DAMPING;
        let phi = share(self.form.trend == Trend::Damped).map_or(1.0, |s| low + (high - low) * s);
        let mut state = first.clone();
        state.move_by(values, self.form, unit);
        (Params { alpha, beta, gamma, phi }, state)
    }
}

fn logit(share: f64) -> f64 {
    (share / (1.0 - share)).ln()
}

impl Predict for FittedEts {
    fn predict(&self, horizon: usize) -> Result<Vec<StepForecast>, ForecastError> {
        let Params { alpha, beta, gamma, phi } = self.params;
        let mut path = Vec::with_capacity(horizon);
        // Sum of squared weights of the errors to come, and damping summed up.
        let (mut weights, mut damped, mut power) = (1.0, 0.0, 1.0);
        for ahead in 1..=self.age + horizon {
            if ahead > self.age {
                let mean = self.state.ahead(self.form, phi, ahead - self.age);
                let size =
                    if self.form.error == Component::Multiplicative { mean.abs() } else { 1.0 };
                path.push(StepForecast::normal(mean, self.deviation * size * f64::sqrt(weights)));
            }
            power *= phi;
            damped += power;
            let is_season = self.state.season().is_some_and(|m| ahead.is_multiple_of(m));
            let weight = alpha + beta * damped + if is_season { gamma } else { 0.0 };
            weights += weight * weight;
        }
        checked("ets", path)
    }

    fn observe(&mut self, y: Option<f64>) {
        let y = y.filter(|y| y.is_finite()).unwrap_or(f64::NAN);
        self.age = if y.is_nan() { self.age + 1 } else { 0 };
        _ = recursion::run(&[y], self.form, &self.params, &mut self.state);
    }
}

#[cfg(test)]
pub(super) mod tests;
