//! Load in steps of equal length, with gaps where nothing was known.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::units::{Rps, Timestamp, micros};

/// The most steps that a series may hold.
pub const MAX_SERIES_STEPS: usize = 50_000;

/// Mean request rate per step, by the step's number since 1970; missing steps are gaps.
///
/// A copy shares the steps until one of the two completes another.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LoadSeries {
    step: Duration,
    capacity: usize,
    first: u64,
    #[serde(serialize_with = "write_values", deserialize_with = "read_values")]
    values: Arc<VecDeque<Value>>,
    /// The step that is still being filled: its number, requests, and µs that are covered.
    open: Option<(u64, f64, u64)>,
}

/// A rate, or a gap, which stands as NaN. f32 keeps seven digits in half the memory.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(from = "Option<f32>", into = "Option<f32>")]
struct Value(f32);

impl From<Option<f32>> for Value {
    fn from(value: Option<f32>) -> Self {
        Self(value.unwrap_or(f32::NAN))
    }
}

impl From<Value> for Option<f32> {
    fn from(value: Value) -> Self {
        Some(value.0).filter(|value| !value.is_nan())
    }
}

impl PartialEq for Value {
    fn eq(&self, other: &Self) -> bool {
        Option::from(*self) == Option::<f32>::from(*other)
    }
}

fn write_values<S: Serializer>(
    values: &Arc<VecDeque<Value>>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    values.as_ref().serialize(serializer)
}

fn read_values<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Arc<VecDeque<Value>>, D::Error> {
    VecDeque::deserialize(deserializer).map(Arc::new)
}

impl LoadSeries {
    /// An empty series that keeps the newest `capacity` steps.
    pub fn new(step: Duration, capacity: usize) -> Self {
        let capacity = capacity.clamp(4, MAX_SERIES_STEPS);
        Self { step, capacity, first: 0, values: Arc::default(), open: None }
    }

    /// Length of a step.
    pub const fn step(&self) -> Duration {
        self.step
    }

    /// Steps held, gaps included.
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether there is no step.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Number of the oldest step held.
    pub const fn first(&self) -> u64 {
        self.first
    }

    /// Number of the newest complete step.
    pub fn last(&self) -> Option<u64> {
        (self.first + self.values.len() as u64).checked_sub(1).filter(|_| !self.is_empty())
    }

    /// Value of a step; `None` for a gap and outside the series.
    pub fn get(&self, index: u64) -> Option<f64> {
        let at = usize::try_from(index.checked_sub(self.first)?).ok()?;
        Option::<f32>::from(*self.values.get(at)?).map(f64::from)
    }

    /// Mean of the `count` steps that end with `index`, over those that are known; `None` when
    /// fewer than half of them are.
    pub fn mean(&self, index: u64, count: u64) -> Option<f64> {
        let from = (index + 1).checked_sub(count)?;
        let (mut sum, mut known) = (0.0, 0_u64);
        for value in (from..=index).filter_map(|at| self.get(at)) {
            sum += value;
            known += 1;
        }
        (known * 2 >= count && known > 0).then(|| sum / known as f64)
    }

    /// Sets a complete step; steps skipped on the way are gaps. Steps before the newest are
    /// ignored, so that what was forecast from stays what it was.
    pub fn put(&mut self, index: u64, value: Option<f64>) {
        if self.values.is_empty() {
            self.first = index;
        }
        let Some(mut gap) = index.checked_sub(self.first + self.values.len() as u64) else {
            return;
        };
        if gap > self.capacity as u64 {
            self.values = Arc::default();
            self.first = index;
            gap = 0;
        }
        for _ in 0..gap {
            self.push(None);
        }
        #[expect(clippy::cast_possible_truncation, reason = "f32 keeps seven digits")]
        self.push(value.filter(|value| (0.0..=1e9).contains(value)).map(|value| value as f32));
    }

    fn push(&mut self, value: Option<f32>) {
        let values = Arc::make_mut(&mut self.values);
        if values.len() >= self.capacity {
            values.pop_front();
            self.first += 1;
        } else if values.len() == values.capacity() {
            let more = (values.len() / 4 + 64).min(self.capacity - values.len());
            values.reserve_exact(more);
        }
        values.push_back(value.into());
    }

    /// Adds a measured rate over an interval; steps that end within it are complete. A step of
    /// which less than half was measured is a gap. Returns how many steps were completed.
    pub fn add(&mut self, from: Timestamp, to: Timestamp, rate: Rps) -> usize {
        let step = micros(self.step).max(1);
        let before = self.last();
        // An interval longer than the series says nothing about its beginning.
        let reach = self.step.saturating_mul(u32::try_from(self.capacity).unwrap_or(u32::MAX));
        let mut at = from.as_micros().max((to - reach).as_micros());
        while at < to.as_micros() {
            let index = at / step;
            let until = ((index + 1) * step).min(to.as_micros());
            if self.open.is_some_and(|(open, _, _)| open != index) {
                self.close();
            }
            let (_, requests, covered) = self.open.get_or_insert((index, 0.0, 0));
            *requests += rate.get() * (until - at) as f64 / 1e6;
            *covered += until - at;
            if until == (index + 1) * step {
                self.close();
            }
            at = until;
        }
        let advanced = self.last().unwrap_or(0).saturating_sub(before.unwrap_or(0));
        usize::try_from(advanced).unwrap_or(usize::MAX)
    }

    fn close(&mut self) {
        if let Some((index, requests, covered)) = self.open.take() {
            let known = covered * 2 >= micros(self.step);
            self.put(index, known.then(|| requests / (covered as f64 / 1e6)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Timestamp {
        Timestamp::from_micros(millis * 1_000)
    }

    #[test]
    fn rates_are_averaged_over_steps_by_time() {
        let mut series = LoadSeries::new(Duration::from_secs(2), 10);
        series.add(at(4_000), at(5_000), Rps::new(10.0).unwrap());
        assert_eq!(series.last(), None);
        series.add(at(5_000), at(8_000), Rps::new(20.0).unwrap());
        assert_eq!((series.get(2), series.get(3)), (Some(15.0), Some(20.0)));
    }

    #[test]
    fn what_was_not_measured_is_a_gap_and_not_zero() {
        let mut series = LoadSeries::new(Duration::from_secs(2), 10);
        series.add(at(0), at(2_000), Rps::new(10.0).unwrap());
        series.add(at(7_500), at(8_000), Rps::new(10.0).unwrap());
        assert_eq!(series.last(), Some(3));
        assert_eq!([1, 2, 3].map(|index| series.get(index)), [None, None, None]);
        assert_eq!(series.mean(3, 4), None);
    }

    #[test]
    fn the_newest_steps_are_kept() {
        let mut series = LoadSeries::new(Duration::from_secs(1), 4);
        (0..9).for_each(|index| series.put(index, Some(index as f64)));
        assert_eq!((series.first(), series.last(), series.len()), (5, Some(8), 4));
        series.put(3, Some(99.0));
        assert_eq!(series.get(5), Some(5.0));
        series.put(1_000, Some(1.0));
        assert_eq!((series.first(), series.len()), (1_000, 1));
    }

    #[test]
    fn a_copy_keeps_what_it_was_and_is_stored_with_its_gaps() {
        let mut series = LoadSeries::new(Duration::from_secs(1), 4);
        series.put(1, Some(1.5));
        series.put(3, Some(2.5));
        let copy = series.clone();
        series.put(4, Some(9.0));
        assert_eq!((copy.len(), series.len()), (3, 4));
        let stored = serde_json::to_value(&copy).unwrap();
        assert_eq!(stored["values"], serde_json::json!([1.5, null, 2.5]));
        assert_eq!(serde_json::from_value::<LoadSeries>(stored).unwrap(), copy);
        assert_eq!(size_of::<Value>(), 4);
    }

    #[test]
    fn a_rate_that_is_no_number_never_enters() {
        let mut series = LoadSeries::new(Duration::from_secs(1), 4);
        series.put(1, Some(f64::NAN));
        series.put(2, Some(-1.0));
        assert_eq!((series.get(1), series.get(2)), (None, None));
    }
}
