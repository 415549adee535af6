//! The strongest waves of the spectrum, carried on.

use super::spread::deviation;
use super::{Fit, Predict, Series, StepForecast, checked};
use crate::forecast::ForecastError;
use crate::forecast::fourier::{Complex, inverse, transform};

/// Times the mean power that noise leaves in a wave for one to be kept.
const STRONG: f64 = 6.0;

/// Whole seasons without their weak waves, repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dsp {
    /// Steps of the season that is repeated.
    pub season: Option<usize>,
}

/// One course of all whole seasons, and the place of the next step in it.
#[derive(Clone, Debug, PartialEq)]
pub struct FittedDsp {
    course: Vec<f64>,
    place: usize,
    deviation: f64,
}

impl Fit for Dsp {
    type Fitted = FittedDsp;

    fn fit(&self, series: &Series<'_>) -> Result<FittedDsp, ForecastError> {
        let Some(season) = self.season.filter(|season| *season > 1) else {
            let problem = "the series has no season, and this model repeats one";
            return Err(ForecastError::Invalid(problem.to_owned()));
        };
        series.needs(season + 1)?;
        let y = series.filled(Some(season));
        let whole = y.len() / season * season;
        if whole < 2 * season {
            return Err(ForecastError::TooShort { known: y.len(), needed: 2 * season });
        }
        let signal = y.get(y.len() - whole..).unwrap_or_default();
        let course = strong_waves(signal);
        let errors: Vec<f64> = signal.iter().zip(&course).map(|(y, course)| y - course).collect();
        Ok(FittedDsp { course, place: 0, deviation: deviation(&errors) })
    }
}

/// The signal without waves that noise alone would have.
fn strong_waves(signal: &[f64]) -> Vec<f64> {
    let mut spectrum: Vec<Complex> = transform(signal);
    let power = |wave: &Complex| wave.0 * wave.0 + wave.1 * wave.1;
    // The median of exponential powers is ln 2 of their mean.
    let mut powers: Vec<f64> = spectrum.iter().skip(1).map(power).collect();
    let middle = powers.len() / 2;
    let noise = if powers.is_empty() {
        0.0
    } else {
        let (_, median, _) = powers.select_nth_unstable_by(middle, f64::total_cmp);
        *median / std::f64::consts::LN_2
    };
    for wave in spectrum.iter_mut().skip(1) {
        if power(wave) < STRONG * noise {
            *wave = (0.0, 0.0);
        }
    }
    inverse(&spectrum)
}

impl Predict for FittedDsp {
    fn predict(&self, horizon: usize) -> Result<Vec<StepForecast>, ForecastError> {
        let step = |after: usize| {
            let place = (self.place + after) % self.course.len().max(1);
            let mean = self.course.get(place).copied().unwrap_or(f64::NAN);
            StepForecast::normal(mean, self.deviation)
        };
        checked("dsp", (0..horizon).map(step).collect())
    }

    fn observe(&mut self, _: Option<f64>) {
        self.place = (self.place + 1) % self.course.len().max(1);
    }
}
