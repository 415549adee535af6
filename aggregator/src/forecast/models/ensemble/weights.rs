//! Whom to listen to, learned a value at a time.
//!
//! Exponential weights on the gradient of the pinball loss, with forgetting. Sources: N. Cesa-Bianchi
//! and G. Lugosi, "Prediction, learning, and games" (2006), sections 2.2 and 2.5; J. Berrisch and F. Ziel, "CRPS learning" (Journal
//! of Econometrics 237, 2023). Each step ahead has weights of its own; the quantiles share them, because
//! far ones are hit too seldom to learn from.

use crate::forecast::models::{LEVELS, StepForecast};

/// What is kept of past losses, a value: the best model changes.
const KEEP: f64 = 0.999;
/// Times the rate that is best against the worst of opponents: loads are not that.
const RATE: f64 = 4.0;
/// Share that every model has in any case, of an equal one.
const SHARE: f64 = 0.005;
/// Weight that the favourite begins with: on most loads no other single model does better.
const FAVOURITE: f64 = 0.5;

/// Weights for each step ahead.
#[derive(Clone, Debug, PartialEq)]
pub struct Weights {
    members: usize,
    favourite: Option<usize>,
    lanes: Vec<Vec<Account>>,
}

/// How one member did at one step ahead, over all quantiles, against the mean.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Account {
    /// Sum of losses relative to the mean's, old ones fading.
    loss: f64,
    /// Sum of their squares.
    square: f64,
}

impl Weights {
    /// All alike but for the favourite, if there is one.
    pub const fn new(members: usize, favourite: Option<usize>) -> Self {
        Self { members, favourite, lanes: Vec::new() }
    }

    /// Logarithm of what a member begins with.
    fn prior(&self, member: usize) -> f64 {
        let others = self.members.saturating_sub(1).max(1) as f64;
        match self.favourite {
            Some(favourite) if favourite == member => FAVOURITE.ln(),
            Some(_) => ((1.0 - FAVOURITE) / others).ln(),
            None => 0.0,
        }
    }

    /// The weighted mean of the members' paths; `None` when there is none.
    pub fn combine(
        &self,
        paths: &[Option<Vec<StepForecast>>],
        horizon: usize,
    ) -> Option<Vec<StepForecast>> {
        (0..horizon).map(|at| self.mean(at, paths)).collect()
    }

    fn mean(&self, at: usize, paths: &[Option<Vec<StepForecast>>]) -> Option<StepForecast> {
        let steps: Vec<Option<&StepForecast>> =
            paths.iter().map(|path| path.as_ref()?.get(at)).collect();
        let mut mean = **steps.iter().flatten().next()?;
        let weights = self.at(at, &steps);
        for (level, quantile) in mean.quantiles.iter_mut().enumerate() {
            let value = |step: &StepForecast| step.quantiles.get(level).copied().unwrap_or(0.0);
            *quantile = weighted(&weights, &steps, value);
        }
        mean.point = weighted(&weights, &steps, |step| step.point);
        mean.quantiles.sort_unstable_by(f64::total_cmp);
        Some(mean)
    }

    /// Weights of the members at a step (from 0), adding up to 1; 0 for absent ones.
    fn at(&self, at: usize, steps: &[Option<&StepForecast>]) -> Vec<f64> {
        let accounts = self.lanes.get(at);
        let count = steps.iter().flatten().count().max(1) as f64;
        let account = |member: usize| {
            accounts.and_then(|accounts| accounts.get(member)).copied().unwrap_or_default()
        };
        // One rate for all, set by the member that differs most: a mean of two can be best.
        let square = (0..self.members).map(|member| account(member).square).fold(1e-9, f64::max);
        let rate = RATE * (count.ln().max(0.7) / square).sqrt().min(1.0);
        let log = |member: usize| self.prior(member) - rate * account(member).loss;
        let logs: Vec<f64> = (0..self.members).map(log).collect();
        let highest = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let mut weights: Vec<f64> = logs
            .iter()
            .zip(steps)
            .map(|(log, step)| if step.is_some() { (log - highest).exp() } else { 0.0 })
            .collect();
        let sum = weights.iter().sum::<f64>();
        for (weight, step) in weights.iter_mut().zip(steps) {
            let learned = if sum > 0.0 { *weight / sum } else { 1.0 / count };
            let present = f64::from(u8::from(step.is_some()));
            *weight = present * ((1.0 - SHARE) * learned + SHARE / count);
        }
        weights
    }

    /// Compares the members' forecasts of a value, made `ahead` steps before, with it.
    pub fn learn(&mut self, ahead: usize, paths: &[Option<Vec<StepForecast>>], y: f64) {
        let Some(at) = ahead.checked_sub(1) else { return };
        let Some(mean) = self.mean(at, paths) else { return };
        let scale = mean.scale();
        if self.lanes.len() <= at {
            let members = self.members;
            self.lanes.resize_with(at + 1, || vec![Account::default(); members]);
        }
        let Some(lane) = self.lanes.get_mut(at) else { return };
        for (account, path) in lane.iter_mut().zip(paths) {
            let Some(step) = path.as_ref().and_then(|path| path.get(at)) else {
                account.add(0.0);
                continue;
            };
            let quantiles = step.quantiles.iter().zip(mean.quantiles).zip(LEVELS);
            // The slope of the mean's pinball loss: which way it should have been moved.
            let losses = quantiles.map(|((value, middle), tau)| {
                let slope = f64::from(u8::from(y < middle)) - tau;
                slope * (value - middle) / scale
            });
            account.add(losses.sum::<f64>().clamp(-10.0, 10.0));
        }
    }
}

impl Account {
    fn add(&mut self, loss: f64) {
        self.loss = KEEP * self.loss + loss;
        self.square = KEEP * self.square + loss * loss;
    }
}

fn weighted(
    weights: &[f64],
    steps: &[Option<&StepForecast>],
    value: impl Fn(&StepForecast) -> f64,
) -> f64 {
    let present = weights.iter().zip(steps).filter_map(|(weight, step)| Some((weight, (*step)?)));
    present.map(|(weight, step)| weight * value(step)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::forecast::models::tests::Chance;

    #[test]
    fn the_better_model_gets_the_say_and_loses_it_when_it_is_worse() {
        let mut weights = Weights::new(3, None);
        let mut chance = Chance::new(1);
        let said = |center: f64| Some(vec![StepForecast::normal(center, 1.0)]);
        let mut run = |weights: &mut Weights, truth: f64| {
            let paths = [said(0.0), said(5.0), None];
            for _ in 0..2_000 {
                weights.learn(1, &paths, truth + chance.normal());
            }
            weights.combine(&paths, 1).unwrap()[0].median()
        };
        assert!(run(&mut weights, 0.0) < 0.2);
        assert!(run(&mut weights, 5.0) > 4.8);
        let between = run(&mut weights, 2.5);
        assert!((between - 2.5).abs() < 0.5, "a mean of both is best: {between}");
    }

    #[test]
    fn the_favourite_has_half_the_say_until_something_is_known() {
        let paths = [0.0, 4.0, 0.0].map(|center| Some(vec![StepForecast::normal(center, 1.0)]));
        let median = Weights::new(3, Some(1)).combine(&paths, 1).unwrap()[0].median();
        assert!((median - 2.0).abs() < 0.02, "{median}");
    }

    #[test]
    fn nobody_gives_nothing() {
        assert_eq!(Weights::new(2, Some(1)).combine(&[None, None], 3), None);
    }
}
