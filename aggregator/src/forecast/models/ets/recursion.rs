#![expect(clippy::indexing_slicing, reason = "the place in the season is kept below its length")]
//! One step after the other: the innovations form of exponential smoothing.

/// How a component joins the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Component {
    /// Not at all.
    None,
    /// Added.
    Additive,
    /// Multiplied.
    Multiplicative,
}

/// The trend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trend {
    /// A level only.
    None,
    /// A slope that goes on.
    Additive,
    /// A slope that fades.
    Damped,
}

/// A form of exponential smoothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Form {
    /// Additive or multiplicative.
    pub(super) error: Component,
    /// The trend.
    pub(super) trend: Trend,
    /// The season.
    pub(super) season: Component,
}

impl Form {
    /// The forms that are stable: no multiplicative trend, and a multiplicative season only with a
    /// multiplicative error; multiplicative ones only for positive values.
    pub(super) fn all(has_season: bool, is_positive: bool) -> impl Iterator<Item = Self> {
        use Component::{Additive, Multiplicative, None};
        let errors = [Additive, Multiplicative];
        let seasons = [None, Additive, Multiplicative];
        errors.into_iter().flat_map(move |error| {
            seasons.into_iter().flat_map(move |season| {
                let trends = [Trend::None, Trend::Additive, Trend::Damped];
                let can = (has_season || season == None)
                    && (is_positive || (error == Additive && season != Multiplicative))
                    && !(error == Additive && season == Multiplicative);
                trends.into_iter().filter(move |_| can).map(move |trend| Self {
                    error,
                    trend,
                    season,
                })
            })
        })
    }

    /// Smoothing and damping parameters.
    pub(super) fn parameters(self) -> usize {
        let trend = match self.trend {
            Trend::None => 0,
            Trend::Additive => 1,
            Trend::Damped => 2,
        };
        1 + trend + usize::from(self.season != Component::None)
    }

    /// As the literature writes it.
    pub(super) fn name(self) -> String {
        let letter = |component| match component {
            Component::None => "N",
            Component::Additive => "A",
            Component::Multiplicative => "M",
        };
        let trend = match self.trend {
            Trend::None => "N",
            Trend::Additive => "A",
            Trend::Damped => "Ad",
        };
        format!("{}{trend}{}", letter(self.error), letter(self.season))
    }
}

/// Smoothing of the level, the slope and the season, and the slope's damping.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Params {
    pub(super) alpha: f64,
    pub(super) beta: f64,
    pub(super) gamma: f64,
    pub(super) phi: f64,
}

/// Level, slope, and the season from the next step on.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct State {
    pub(super) level: f64,
    pub(super) slope: f64,
    /// The season's values; the next step's stands at `place`.
    pub(super) seasons: Vec<f64>,
    pub(super) place: usize,
}

impl State {
    /// Steps of the season; `None` without one.
    pub(super) fn season(&self) -> Option<usize> {
        Some(self.seasons.len()).filter(|m| *m > 0)
    }

    /// States that were estimated.
    pub(super) fn len(&self, form: Form) -> usize {
        1 + usize::from(form.trend != Trend::None) + self.seasons.len().saturating_sub(1)
    }

    /// Moves the states by `values` units each, in the order level, slope, season; the season's last
    /// value balances the others. Slopes and multiplicative seasons move by small parts.
    pub(super) fn move_by(&mut self, mut values: impl Iterator<Item = f64>, form: Form, unit: f64) {
        let mut next = || values.next().unwrap_or(0.0);
        self.level += unit * next();
        if form.trend != Trend::None {
            self.slope += 0.1 * unit * next();
        }
        let unit = match form.season {
            Component::Multiplicative => unit / self.level.abs().max(unit),
            _ => unit,
        };
        let Some((last, others)) = self.seasons.split_last_mut() else { return };
        for season in others {
            let change = 0.3 * unit * next();
            *season += change;
            *last -= change;
        }
    }

    /// The point `ahead` steps after the newest.
    pub(super) fn ahead(&self, form: Form, phi: f64, ahead: usize) -> f64 {
        let steps = ahead as f64;
        let damped = if form.trend == Trend::Damped {
            phi * (1.0 - phi.powf(steps)) / (1.0 - phi)
        } else {
            steps
        };
        let trend = self.level + damped * self.slope;
        let Some(m) = self.season() else { return trend };
        let season = self.seasons[(self.place + ahead - 1) % m];
        if form.season == Component::Multiplicative { trend * season } else { trend + season }
    }
}

/// What a run over values gives.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Sums {
    /// Squared errors, relative ones where the error is multiplicative.
    pub(super) squares: f64,
    /// Logarithms of the sizes of the one-step forecasts.
    logs: f64,
    /// Values compared.
    count: usize,
}

impl Sums {
    /// Minus twice the log likelihood, up to a constant.
    pub(super) fn likelihood(&self, form: Form) -> f64 {
        let logs = if form.error == Component::Multiplicative { 2.0 * self.logs } else { 0.0 };
        self.count as f64 * self.squares.max(1e-300).ln() + logs
    }
}

/// Takes values, gaps as NaN; `None` when a multiplicative form leaves the positive numbers.
pub(super) fn run(y: &[f64], form: Form, params: &Params, state: &mut State) -> Option<Sums> {
    let Params { alpha, beta, gamma, phi } = *params;
    let is_relative = form.error == Component::Multiplicative;
    let mut sums = Sums { squares: 0.0, logs: 0.0, count: 0 };
    // The product of several forecasts, so that few logarithms are taken.
    let mut product = 1.0_f64;
    let m = state.seasons.len();
    let (mut level, mut slope, mut place) = (state.level, state.slope, state.place);
    for y in y {
        let trend = level + phi * slope;
        let season = if m > 0 { state.seasons[place] } else { 0.0 };
        let mean = match form.season {
            Component::None => trend,
            Component::Additive => trend + season,
            Component::Multiplicative => trend * season,
        };
        let error = if y.is_nan() { 0.0 } else { y - mean };
        if !y.is_nan() {
            sums.count += 1;
            if is_relative {
                if mean < 1e-8 {
                    return None;
                }
                let relative = error / mean;
                sums.squares += relative * relative;
                product *= mean;
                if !(1e-100..1e100).contains(&product) {
                    sums.logs += product.ln();
                    product = 1.0;
                }
            } else {
                sums.squares += error * error;
            }
        }
        let of_level = match form.season {
            Component::Multiplicative => {
                if season < 1e-8 || trend < 1e-8 {
                    return None;
                }
                state.seasons[place] = season + gamma * error / trend;
                error / season
            }
            Component::Additive => {
                state.seasons[place] = season + gamma * error;
                error
            }
            Component::None => error,
        };
        level = trend + alpha * of_level;
        slope = phi * slope + beta * of_level;
        if m > 0 {
            place = if place + 1 == m { 0 } else { place + 1 };
        }
    }
    (state.level, state.slope, state.place) = (level, slope, place);
    sums.logs += product.ln();
    (level.is_finite() && slope.is_finite()).then_some(sums)
}
