//! All models together: each corrected by its own past errors, and weighted, for each step ahead, by
//! how well it did lately.

mod tracker;
mod weights;

use std::collections::VecDeque;

use super::{Conformal, Fit, Knowledge, ModelKind, Predict, Series, StepForecast};
use crate::forecast::ForecastError;

use tracker::QuantileTracker;

pub use weights::Weights;

/// Values on which the weights of a freshly fitted ensemble are learned, at most.
const REPLAYED: usize = 300;

/// Models that forecast side by side, and the mean that learns whom to listen to.
#[derive(Debug)]
pub struct Crew {
    members: Vec<Member>,
    horizon: usize,
    weights: Weights,
    tracker: QuantileTracker,
    /// What was said and has not come yet: steps ago, each member's own path, and the calibrated.
    said: VecDeque<Said>,
}

#[derive(Debug)]
struct Member {
    model: Option<Box<dyn Predict>>,
    conformal: Conformal,
}

#[derive(Debug)]
struct Said {
    age: usize,
    raw: Vec<Option<Vec<StepForecast>>>,
    calibrated: Vec<Option<Vec<StepForecast>>>,
    mean: Option<Vec<StepForecast>>,
}

/// Forecasts of a crew.
#[derive(Clone, Debug, PartialEq)]
pub struct CrewForecast {
    /// Of each member, in their order; `None` for one that cannot.
    pub members: Vec<Option<Vec<StepForecast>>>,
    /// Their weighted mean; `None` when no member can.
    pub mean: Option<Vec<StepForecast>>,
}

impl Crew {
    /// `members` without a fit, for steps 1 to `horizon`.
    pub fn new(members: &[ModelKind], horizon: usize) -> Self {
        let member = || Member { model: None, conformal: Conformal::default() };
        Self {
            members: std::iter::repeat_with(member).take(members.len()).collect(),
            horizon,
            weights: Weights::new(
                members.len(),
                members.iter().position(|kind| *kind == ModelKind::Online),
            ),
            tracker: QuantileTracker::default(),
            said: VecDeque::new(),
        }
    }

    /// Puts a fitted model in a member's place, or takes it away; what was learned of it stays.
    pub fn install(&mut self, member: usize, model: Option<Box<dyn Predict>>) {
        if let Some(member) = self.members.get_mut(member) {
            member.model = model;
        }
    }

    /// A member's model.
    pub fn model(&self, member: usize) -> Option<&dyn Predict> {
        self.members.get(member)?.model.as_deref()
    }

    /// Forecasts, and remembers it until the values come.
    pub fn forecast(&mut self) -> CrewForecast {
        let said = self.say();
        let members = said.calibrated.clone();
        let mean = said.mean.as_ref().map(|mean| self.tracker.calibrate(mean));
        self.said.push_back(said);
        CrewForecast { members, mean }
    }

    fn say(&self) -> Said {
        let raw: Vec<_> = self
            .members
            .iter()
            .map(|member| member.model.as_ref()?.predict(self.horizon).ok())
            .collect();
        let calibrated: Vec<_> = raw
            .iter()
            .zip(&self.members)
            .map(|(path, member)| path.as_ref().map(|path| member.conformal.calibrate(path)))
            .collect();
        let mean = self.weights.combine(&calibrated, self.horizon);
        Said { age: 0, raw, calibrated, mean }
    }

    /// Takes the next value: everything that was said of it is compared with it.
    pub fn observe(&mut self, y: Option<f64>) {
        for said in &mut self.said {
            said.age += 1;
            let (Some(y), ahead) = (y.filter(|y| y.is_finite()), said.age) else { continue };
            for (member, path) in self.members.iter_mut().zip(&said.raw) {
                if let Some(step) = path.as_ref().and_then(|path| path.get(ahead - 1)) {
                    member.conformal.learn(ahead, step, y);
                }
            }
            self.weights.learn(ahead, &said.calibrated, y);
            if let Some(step) = said.mean.as_ref().and_then(|mean| mean.get(ahead - 1)) {
                self.tracker.learn(ahead, step, y);
            }
        }
        while self.said.front().is_some_and(|said| said.age >= self.horizon) {
            self.said.pop_front();
        }
        for member in &mut self.members {
            if let Some(model) = &mut member.model {
                model.observe(y);
            }
        }
    }
}

/// Every other model, weighted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ensemble {
    /// What the members know.
    pub knowledge: Knowledge,
}

/// The crew after the newest value.
#[derive(Debug)]
pub struct FittedEnsemble {
    crew: Crew,
}

impl Ensemble {
    /// The models that it consists of.
    pub fn members() -> impl Iterator<Item = ModelKind> {
        ModelKind::ALL.into_iter().filter(|kind| *kind != ModelKind::Ensemble)
    }

    fn install(&self, crew: &mut Crew, series: &Series<'_>, is_first: bool) {
        for (at, kind) in Self::members().enumerate() {
            let goes_on = !is_first && crew.model(at).is_some_and(Predict::is_online);
            if !goes_on {
                crew.install(at, kind.fit(series, &self.knowledge).ok());
            }
        }
    }
}

impl Fit for Ensemble {
    type Fitted = FittedEnsemble;

    fn fit(&self, series: &Series<'_>) -> Result<FittedEnsemble, ForecastError> {
        series.needs(2)?;
        let members: Vec<ModelKind> = Self::members().collect();
        let mut crew = Crew::new(&members, self.knowledge.horizon.max(1));
        let replayed = REPLAYED.min(series.y.len() / 4);
        let (before, newest) = series.y.split_at(series.y.len() - replayed);
        self.install(&mut crew, &Series { y: before, ..*series }, true);
        for y in newest {
            crew.forecast();
            crew.observe(*y);
        }
        self.install(&mut crew, series, false);
        Ok(FittedEnsemble { crew })
    }
}

impl Predict for FittedEnsemble {
    fn predict(&self, horizon: usize) -> Result<Vec<StepForecast>, ForecastError> {
        let mean = self.crew.say().mean.ok_or(ForecastError::NotFinite { model: "ensemble" })?;
        let mut path = self.crew.tracker.calibrate(&mean);
        let last = path.last().copied().ok_or(ForecastError::NotFinite { model: "ensemble" })?;
        path.resize(horizon, last);
        super::checked("ensemble", path)
    }

    fn observe(&mut self, y: Option<f64>) {
        self.crew.forecast();
        self.crew.observe(y);
    }
}
