//! Watches a load, and what was forecast of it, for changes that last.
//!
//! Two streams, each a number in about five minutes: how far the load is from what it was at this
//! time a day and a week ago, and how far the forecast errs, both in units of what is usual for the
//! workload. A change is what the test of Page and Hinkley ([`super::drift`]) finds in them.

use std::collections::VecDeque;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::drift::{Detector, PageHinkley, PageHinkleySettings};
use super::online::Outlook;
use crate::features::Calendar;
use crate::units::Timestamp;

/// Parts of an hour over which is averaged.
const PARTS: usize = 12;
/// The forecast so many steps ahead is watched, or the nearest below it: the farther, the longer it
/// takes to follow a change by itself.
const AHEAD: usize = 20;
/// Hours for which a change counts after it was last found.
const HOURS: usize = 3;
/// Days after which a stream is judged.
const LOAD_FROM: usize = 8;
const ERRORS_FROM: usize = 3;
/// What the usual size forgets, a part.
const SLOW: f64 = 1.0 / 2_016.0;
/// Sizes above this multiple of the usual count as this multiple.
const MOST: f64 = 8.0;

/// What has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stream {
    /// The forecast errs more than it did.
    Errors,
    /// The load is not what it was at this time of the days before.
    Load,
}

impl Stream {
    /// As it is shown.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Errors => "errors",
            Self::Load => "load",
        }
    }
}

/// A change that was found a while ago at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drift {
    /// Where.
    pub stream: Stream,
    /// When it was last found.
    pub since: Timestamp,
}

impl Drift {
    /// For a decision's reason.
    pub fn in_words(&self, now: Timestamp) -> String {
        let what = match self.stream {
            Stream::Errors => "the forecast errs more than it did",
            Stream::Load => "the load is not what it was at this time of the days before",
        };
        format!(
            "{what}, found {:.0} min ago; it does not scale in by itself",
            now.since(self.since).as_secs_f64() / 60.0
        )
    }
}

/// Mean of what was seen in a part.
#[derive(Clone, Copy, Debug, Default)]
struct Mean {
    sum: f64,
    count: f64,
}

impl Mean {
    fn add(&mut self, value: f64) {
        self.sum += value;
        self.count += 1.0;
    }

    fn take(&mut self) -> Option<f64> {
        let Self { sum, count } = std::mem::take(self);
        (count > 0.0).then(|| sum / count)
    }
}

/// A stream in units of its usual size.
#[derive(Clone, Debug)]
struct Watch {
    usual: f64,
    seen: f64,
    test: PageHinkley,
}

impl Watch {
    const fn new(settings: PageHinkleySettings) -> Self {
        Self { usual: 0.0, seen: 0.0, test: PageHinkley::new(settings) }
    }

    /// Takes the size of a deviation; whether a change is found with it, where it is `judged`.
    fn update(&mut self, size: f64, judged: bool) -> bool {
        let usual = self.usual.max(1e-6);
        self.seen += 1.0;
        let capped = if judged { size.min(MOST * usual) } else { size };
        self.usual += SLOW.max(1.0 / self.seen) * (capped - self.usual);
        judged && self.test.update((size / usual).min(MOST))
    }
}

/// The watch over one workload.
#[derive(Clone, Debug)]
pub(super) struct Vigil {
    day: usize,
    /// Steps in a part.
    part: usize,
    /// What was said of steps to come, as rates.
    said: VecDeque<(u64, f64)>,
    /// The part under way.
    number: Option<u64>,
    load: Mean,
    errors: Mean,
    /// Mean rates of the parts before it, newest last; of a gap none.
    rates: VecDeque<Option<f64>>,
    watches: [Watch; 2],
    steps: usize,
    found: Option<(Stream, u64)>,
}

/// When the load has changed, in parts and in units of its usual size. The sums do not fade: a fading
/// one that falls back after a burst would look like a change.
const LOAD: PageHinkleySettings =
    PageHinkleySettings { least: 12, tolerated: 2.0, threshold: 20.0, keeps: 1.0 };
/// The same of errors, which have bad hours of their own on a load that does not change.
const ERRORS: PageHinkleySettings =
    PageHinkleySettings { least: 12, tolerated: 3.0, threshold: 40.0, keeps: 1.0 };

impl Vigil {
    /// Knows nothing of a load with so many steps a day.
    pub(super) fn new(day_steps: usize) -> Self {
        let calendar = Calendar::new(day_steps);
        Self {
            day: calendar.day,
            part: (calendar.hour() / PARTS).max(1),
            said: VecDeque::new(),
            number: None,
            load: Mean::default(),
            errors: Mean::default(),
            rates: VecDeque::new(),
            watches: [Watch::new(ERRORS), Watch::new(LOAD)],
            steps: 0,
            found: None,
        }
    }

    /// Takes the newest step and what is forecast from it; whether a change is found with it.
    pub(super) fn observe(
        &mut self,
        index: u64,
        rate: Option<f64>,
        offset: f64,
        outlook: &Outlook,
    ) -> bool {
        let number = index / self.part as u64;
        let closes = self.number.replace(number).is_some_and(|before| before != number);
        let found = if closes { self.close(offset) } else { None };
        self.steps += 1;
        while let Some((target, median)) = self.said.front().copied().filter(|s| s.0 <= index) {
            self.said.pop_front();
            if let Some(rate) = rate.filter(|_| target == index) {
                self.errors.add(((rate + offset) / (median + offset)).ln().abs());
            }
        }
        if let Some(rate) = rate {
            self.load.add(rate);
        }
        if let Some(said) = outlook.horizons.iter().rfind(|said| said.ahead <= AHEAD) {
            self.said.push_back((index + said.ahead as u64, said.tail.median()));
        }
        if let Some(stream) = found {
            self.found = Some((stream, index));
        }
        found.is_some()
    }

    /// Ends a part.
    fn close(&mut self, offset: f64) -> Option<Stream> {
        let errors = self.errors.take();
        let rate = self.load.take();
        let away = rate.and_then(|rate| self.away((rate + offset).ln(), offset));
        self.rates.push_back(rate);
        if self.rates.len() > 7 * self.parts_of_day() + 1 {
            self.rates.pop_front();
        }
        let days = self.steps / self.day;
        let [of_errors, of_load] = &mut self.watches;
        let errors = errors.is_some_and(|size| of_errors.update(size, days >= ERRORS_FROM));
        let load = away.is_some_and(|size| of_load.update(size, days >= LOAD_FROM));
        if load { Some(Stream::Load) } else { errors.then_some(Stream::Errors) }
    }

    const fn parts_of_day(&self) -> usize {
        let parts = self.day / self.part;
        if parts == 0 { 1 } else { parts }
    }

    /// How far a part is from the nearer of the same a day and a week ago, on the log scale; `None`
    /// until both are known.
    fn away(&self, x: f64, offset: f64) -> Option<f64> {
        let day = self.parts_of_day();
        let before = |parts: usize| {
            let at = self.rates.len().checked_sub(parts)?;
            let rate = self.rates.get(at).copied().flatten()?;
            Some((x - (rate + offset).ln()).abs())
        };
        Some(before(day)?.min(before(7 * day)?))
    }

    /// The change that still counts.
    pub(super) fn drift(&self, newest: u64, step: Duration) -> Option<Drift> {
        let (stream, at) = self.found?;
        let lasts = (HOURS * Calendar::new(self.day).hour()) as u64;
        (newest.saturating_sub(at) < lasts)
            .then(|| Drift { stream, since: Timestamp::of_step(at + 1, step) })
    }
}
