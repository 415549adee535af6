//! The forecast that decisions use, as one model among the others.

use super::series::step_seconds;
use super::{Fit, LEVELS, Predict, Series, StepForecast, checked};
use crate::forecast::online::{Online, OnlineSettings, Outlook};
use crate::forecast::{ForecastError, MAX_LEAD_STEPS};

/// Values below which it is not asked.
const NEEDED: usize = 20;
/// Seconds of a day.
const DAY: f64 = 86_400.0;

/// [`Online`] with all its parts, at some steps ahead; between them by straight lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Live {
    /// Steps ahead, at least 1; beyond four hours of minutes the last one stands.
    pub horizon: usize,
}

/// The state after the newest value.
#[derive(Debug)]
pub struct FittedLive {
    online: Online,
    next: u64,
    outlook: Outlook,
}

impl Fit for Live {
    type Fitted = FittedLive;

    fn fit(&self, series: &Series<'_>) -> Result<FittedLive, ForecastError> {
        series.needs(NEEDED)?;
        let horizon = self.horizon.clamp(1, MAX_LEAD_STEPS);
        let mut horizons: Vec<usize> = std::iter::successors(Some(1), |ahead| Some(ahead * 2))
            .take_while(|a| *a < horizon)
            .collect();
        horizons.push(horizon);
        let step_seconds = step_seconds(series.step);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "steps of a day; a float saturates"
        )]
        let day_steps = (DAY / step_seconds).round() as usize;
        let boosted = horizons.iter().copied().filter(|a| *a > 1 && a * 3 > horizon).collect();
        let settings = OnlineSettings { day_steps, step_seconds, horizons, boosted, without: None };
        let mut fitted = FittedLive {
            online: Online::new(settings),
            next: series.first,
            outlook: Outlook::default(),
        };
        (0..series.y.len()).for_each(|at| fitted.observe(series.value(at)));
        Ok(fitted)
    }
}

impl Predict for FittedLive {
    fn predict(&self, horizon: usize) -> Result<Vec<StepForecast>, ForecastError> {
        let known: Vec<(usize, StepForecast)> = self
            .outlook
            .horizons
            .iter()
            .map(|at| {
                let quantiles = LEVELS.map(|level| at.tail.exceeded_with(1.0 - level));
                (at.ahead, StepForecast { point: at.point, quantiles })
            })
            .collect();
        let step = |ahead: usize| {
            let after = known.partition_point(|(known, _)| *known < ahead);
            let high = known.get(after).or(known.last())?;
            let low = after.checked_sub(1).and_then(|before| known.get(before)).unwrap_or(high);
            let width = high.0.saturating_sub(low.0);
            let share =
                if width == 0 { 0.0 } else { (ahead.min(high.0) - low.0) as f64 / width as f64 };
            let between = |a: f64, b: f64| a + share * (b - a);
            let mut quantiles = low.1.quantiles;
            quantiles.iter_mut().zip(high.1.quantiles).for_each(|(a, b)| *a = between(*a, b));
            Some(StepForecast { point: between(low.1.point, high.1.point), quantiles })
        };
        let path: Option<Vec<_>> = (1..=horizon).map(step).collect();
        checked("online", path.ok_or(ForecastError::NotFinite { model: "online" })?)
    }

    fn observe(&mut self, y: Option<f64>) {
        self.outlook = self.online.observe(self.next, y);
        self.next += 1;
        if let Some(job) = self.online.grow_job()
            && let Ok(grown) = job.run()
        {
            self.online.install(grown);
        }
    }

    fn is_online(&self) -> bool {
        true
    }
}
