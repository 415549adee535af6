//! The forecast that decisions use: learned a step at a time, a few horizons, whole tails.
//!
//! Point experts with online weights; a learned scale and a decayed error distribution around
//! them; boosted quantile trees, refitted now and then, mixed in by how well they do.

mod boosted;
mod challenge;
mod experts;
mod histogram;
mod lane;
mod score;
pub(in crate::forecast) mod least_squares;
mod spread;

use super::ForecastError;
use super::tail::Tail;
use crate::config::Part;
use crate::features::{self, Calendar, LINEAR, Origin, Scanner, Track};
use boosted::{BoostJob, LEVELS, Record, Scratch, Trees};
use challenge::Challenge;
use experts::Smoothers;
use lane::{Lane, Now};
use score::Watch;

pub use experts::EXPERT_NAMES;
pub use score::Score;

/// Steps between two solutions of the regressions.
const SOLVE_EVERY: u64 = 60;
/// Above this multiple of the highest load ever seen no forecast goes.
const HIGHEST_FACTOR: f64 = 2.0;

/// A forecast of one step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Horizon {
    /// Steps ahead of the newest one.
    pub ahead: usize,
    /// Expected rate (the median on the log scale), in requests per second.
    pub point: f64,
    /// What it may exceed.
    pub tail: Tail,
    /// Share of the boosted trees in it, 0 to 1.
    pub boosted_share: f64,
}

/// Forecasts at every horizon, nearest first.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outlook {
    /// Nearest first.
    pub horizons: Vec<Horizon>,
}

/// Settings of the online forecast.
#[derive(Clone, Debug, PartialEq)]
pub struct OnlineSettings {
    /// Steps of a day.
    pub day_steps: usize,
    /// Length of a step in seconds.
    pub step_seconds: f64,
    /// Horizons in steps, ascending.
    pub horizons: Vec<usize>,
    /// Those of them at which trees are grown; empty for none.
    pub boosted: Vec<usize>,
    /// A part that is left out.
    pub without: Option<Part>,
}

/// What the lanes and records use.
struct Parts {
    learned_scale: bool,
    experts: bool,
    recalibration: bool,
}

impl Parts {
    fn of(settings: &OnlineSettings) -> Self {
        let has = |part| settings.without != Some(part);
        Self {
            learned_scale: has(Part::Scale),
            experts: has(Part::Experts),
            recalibration: has(Part::Recalibration),
        }
    }
}

/// Online forecast of one workload.
#[derive(Debug)]
pub struct Online {
    settings: OnlineSettings,
    calendar: Calendar,
    track: Track,
    scanner: Scanner,
    smoothers: Smoothers,
    lanes: Vec<Lane>,
    trees: Vec<Trees>,
    /// Those before them: the mean of two days' trees errs less than either.
    trees_before: Vec<Trees>,
    /// Trees that may take their place.
    challenge: Option<Challenge>,
    /// Whether a challenger is to be grown at once.
    wants_challenge: bool,
    records: Vec<Record>,
    watches: Vec<Watch>,
    scratch: Scratch,
    steps: u64,
    next_boost: u64,
    offset: f64,
}

/// Trees that were grown, for [`Online::install`].
#[derive(Debug)]
pub struct Grown {
    trees: Vec<Trees>,
    is_challenge: bool,
}

/// The work of growing trees; runs on any thread.
#[derive(Debug)]
pub struct GrowJob {
    job: BoostJob,
    is_challenge: bool,
}

impl GrowJob {
    /// Grows the trees.
    ///
    /// # Errors
    /// [`ForecastError::TooShort`] and others of the fit.
    pub fn run(&self) -> Result<Grown, ForecastError> {
        Ok(Grown { trees: self.job.run()?, is_challenge: self.is_challenge })
    }
}

impl Online {
    /// Begins knowing nothing.
    pub fn new(settings: OnlineSettings) -> Self {
        let calendar = Calendar::new(settings.day_steps);
        Self {
            calendar,
            track: Track::new(calendar.memory(), settings.step_seconds),
            scanner: Scanner::default(),
            smoothers: Smoothers::default(),
            lanes: Vec::new(),
            trees: Vec::new(),
            trees_before: Vec::new(),
            challenge: None,
            wants_challenge: false,
            records: Vec::new(),
            watches: Vec::new(),
            scratch: Scratch::default(),
            steps: 0,
            next_boost: first_boost(calendar),
            offset: f64::NAN,
            settings,
        }
    }

    /// The load as far as it is known.
    pub const fn track(&self) -> &Track {
        &self.track
    }

    /// What learns takes memory: only once there is something to learn.
    fn begin(&mut self) {
        let Parts { learned_scale, experts, recalibration } = Parts::of(&self.settings);
        let day = self.calendar.day;
        let lane = |ahead: &usize| Lane::new(*ahead, day, learned_scale, experts);
        self.lanes = self.settings.horizons.iter().map(lane).collect();
        let record = |ahead: &usize| Record::new(*ahead, day, recalibration);
        self.records = self.settings.boosted.iter().map(record).collect();
        self.watches = self.settings.horizons.iter().copied().map(Watch::new).collect();
    }

    /// Takes in the step `index`, `None` where nothing was measured, and forecasts from it.
    pub fn observe(&mut self, index: u64, rate: Option<f64>) -> Outlook {
        if self.lanes.is_empty() {
            self.begin();
        }
        self.track.push(index, rate);
        let values = self.track.values();
        let Some(at) = values.len().checked_sub(1) else { return Outlook::default() };
        if self.offset.total_cmp(&self.track.offset()).is_ne() {
            self.offset = self.track.offset();
            self.scanner.restart_sums(values, at.saturating_sub(1));
        }
        self.scanner.advance(values, at);
        let x = features::value(values, at).unwrap_or_default();
        self.smoothers.observe(x);
        let known = (!self.track.is_gap(index)).then_some(x);
        for lane in &mut self.lanes {
            lane.learn(self.calendar, index, known);
        }
        for record in &mut self.records {
            record.learn(index, known);
        }
        for watch in &mut self.watches {
            watch.learn(index, known);
        }
        self.judge(index, known);
        self.steps += 1;
        if self.steps.is_multiple_of(SOLVE_EVERY)
            || (self.steps < 240 && self.steps.is_multiple_of(20))
        {
            self.lanes.iter_mut().for_each(Lane::refit);
        }
        self.forecast(index, at)
    }

    /// Lets the challenger take over where it does better, and go where it does not.
    fn judge(&mut self, index: u64, x: Option<f64>) {
        let Some(challenge) = &mut self.challenge else { return };
        challenge.learn(index, x);
        let Some(wins) = challenge.verdict() else { return };
        if let Some(challenge) = self.challenge.take().filter(|_| wins) {
            self.trees = challenge.into_trees();
            self.trees_before.clear();
        }
    }

    /// The load has changed: what is learned from it is to challenge the trees in use.
    pub fn want_challenge(&mut self) {
        self.wants_challenge = !self.trees.is_empty();
    }

    fn forecast(&mut self, index: u64, at: usize) -> Outlook {
        let values = self.track.values();
        let mut lags = [0.0; LINEAR];
        self.scanner.lags(values, at, &mut lags);
        let now = Now {
            values,
            at,
            index,
            calendar: self.calendar,
            scanner: &self.scanner,
            smoothers: &self.smoothers,
            lags,
        };
        let ceiling = (HIGHEST_FACTOR * self.track.highest() + self.track.offset()).ln();
        let mut horizons = Vec::with_capacity(self.lanes.len());
        for (lane, watch) in self.lanes.iter_mut().zip(&mut self.watches) {
            let linear = lane.forecast(&now);
            let ahead = lane.ahead();
            let origin = Origin { calendar: self.calendar, index, ahead };
            let grown = [&self.trees, &self.trees_before]
                .map(|trees| trees.iter().find(|trees| trees.ahead() == ahead));
            let record = self.records.iter_mut().find(|record| record.ahead() == ahead);
            let (mut tail, mut point, mut share, mut boosted) =
                (linear.tail, linear.point, 0.0, None);
            if let (Some(quantiles), Some(record)) =
                (grown_quantiles(grown, &now, &origin, &mut self.scratch), record)
            {
                let origin_of = (&now, &origin, &mut self.scratch);
                if let Some(challenge) = &mut self.challenge {
                    challenged(challenge, index, quantiles, origin_of);
                }
                let said = record.tail(&quantiles);
                record.remember(index, quantiles, linear.tail);
                share = record.share(self.calendar.day);
                for (linear, boosted) in tail.iter_mut().zip(said) {
                    *linear += share * (boosted - *linear);
                }
                point += share * (quantiles.first().copied().unwrap_or(point) - point);
                boosted = Some(said);
            }
            watch.say(index, &linear.tail, boosted.as_ref(), &tail);
            let rates = tail.map(|x| self.track.rate(x.min(ceiling)));
            if let Some(tail) = Tail::new(rates) {
                let point = self.track.rate(point.min(ceiling));
                horizons.push(Horizon { ahead, point, tail, boosted_share: share });
            }
        }
        Outlook { horizons }
    }

    /// How each horizon's forecast has been doing, nearest first.
    pub fn scores(&self) -> Vec<Score> {
        let score = |(watch, lane): (&Watch, &Lane)| {
            let record = self.records.iter().find(|record| record.ahead() == lane.ahead());
            let has_trees = self.trees.iter().any(|trees| trees.ahead() == lane.ahead());
            let share = record.filter(|_| has_trees).map(|it| it.share(self.calendar.day));
            watch.score(lane.weights(), share.unwrap_or(0.0))
        };
        self.watches.iter().zip(&self.lanes).map(score).collect()
    }

    /// The work of growing trees, when it is due.
    pub fn grow_job(&mut self) -> Option<GrowJob> {
        let is_due = self.steps >= self.next_boost;
        let is_challenge = self.wants_challenge && !is_due;
        if self.settings.boosted.is_empty() || !(is_due || is_challenge) {
            return None;
        }
        self.wants_challenge = false;
        if is_due {
            self.next_boost = next_boost(self.steps, self.calendar);
        }
        let first = self.track.first();
        let horizons = self
            .lanes
            .iter()
            .filter(|lane| self.settings.boosted.contains(&lane.ahead()))
            .map(|lane| (lane.ahead(), lane.linear_weights().to_vec()));
        let job = BoostJob {
            values: self.track.values().to_vec(),
            first,
            gaps: (0..self.track.len() as u64).map(|at| self.track.is_gap(first + at)).collect(),
            calendar: self.calendar,
            horizons: horizons.collect(),
        };
        Some(GrowJob { job, is_challenge })
    }

    /// Takes grown trees, a challenger on trial; what the old ones' errors taught stays.
    pub fn install(&mut self, grown: Grown) {
        if grown.is_challenge {
            self.challenge = Some(Challenge::new(grown.trees, self.calendar.hour()));
        } else {
            self.trees_before = std::mem::replace(&mut self.trees, grown.trees);
        }
    }
}

/// Notes what champion and challenger say of the same step.
fn challenged(
    challenge: &mut Challenge,
    index: u64,
    champion: [f64; LEVELS.len()],
    (now, origin, scratch): (&Now<'_>, &Origin, &mut Scratch),
) {
    let Some(trees) = challenge.trees(origin.ahead) else { return };
    let challenger = trees.quantiles(now.scanner, now.values, now.at, origin, scratch);
    challenge.say(index + origin.ahead as u64, champion, challenger);
}

/// What the trees say: those of now, and the mean with those before them where there are any.
fn grown_quantiles(
    [trees, before]: [Option<&Trees>; 2],
    now: &Now<'_>,
    origin: &Origin,
    scratch: &mut Scratch,
) -> Option<[f64; LEVELS.len()]> {
    let mut quantiles = trees?.quantiles(now.scanner, now.values, now.at, origin, scratch);
    if let Some(before) = before {
        let older = before.quantiles(now.scanner, now.values, now.at, origin, scratch);
        for (quantile, older) in quantiles.iter_mut().zip(older) {
            *quantile = f64::midpoint(*quantile, older);
        }
    }
    Some(quantiles)
}

/// Steps after which trees are grown for the first time.
fn first_boost(calendar: Calendar) -> u64 {
    calendar.day as u64 * 3 / 2
}

/// When they are grown next: daily.
fn next_boost(steps: u64, calendar: Calendar) -> u64 {
    steps + calendar.day as u64
}

#[cfg(test)]
mod tests;
