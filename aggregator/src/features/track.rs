//! The load as the online models see it: logarithms on a regular grid, gaps filled.

use serde::{Deserialize, Serialize};

/// Expected requests per step below which a count says little: the offset's floor.
const FLOOR_COUNT: f64 = 0.3;
/// Share of the typical rate that the offset is.
const OFFSET_SHARE: f64 = 0.05;
/// Least offset in requests per second.
const LEAST_OFFSET: f64 = 1e-3;
/// Change of the offset below which it stays, so that what was learned stays comparable.
const OFFSET_SLACK: f64 = 1.5;

/// `x = ln(rate + offset)` per step, newest last. A gap carries the value before it and is marked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Track {
    capacity: usize,
    step_seconds: f64,
    /// Number of the oldest step held.
    first: u64,
    x: Vec<f32>,
    offset: f64,
    /// Ranges of steps (first, past the last) that were not measured, oldest first.
    gaps: Vec<(u64, u64)>,
    highest: f64,
}

impl Track {
    /// Keeps at least the newest `capacity` steps of `step_seconds`.
    pub fn new(capacity: usize, step_seconds: f64) -> Self {
        Self {
            capacity: capacity.max(8),
            step_seconds,
            first: 0,
            x: Vec::new(),
            offset: LEAST_OFFSET.max(FLOOR_COUNT / step_seconds),
            gaps: Vec::new(),
            highest: 0.0,
        }
    }

    /// Steps held.
    pub fn len(&self) -> usize {
        self.x.len()
    }

    /// Whether no step is held.
    pub fn is_empty(&self) -> bool {
        self.x.is_empty()
    }

    /// Number of the oldest step held.
    pub fn first(&self) -> u64 {
        self.first
    }

    /// Number of the newest step; `None` while empty.
    pub fn last(&self) -> Option<u64> {
        (!self.x.is_empty()).then(|| self.first + self.x.len() as u64 - 1)
    }

    /// All values, oldest first.
    pub fn values(&self) -> &[f32] {
        &self.x
    }

    /// Added to rates before the logarithm, in requests per second.
    pub fn offset(&self) -> f64 {
        self.offset
    }

    /// The highest rate ever seen, in requests per second.
    pub fn highest(&self) -> f64 {
        self.highest
    }

    /// Rate of a value on the grid, in requests per second.
    pub fn rate(&self, x: f64) -> f64 {
        (x.exp() - self.offset).max(0.0)
    }

    /// The measured rate of a step; `None` for a gap or outside.
    pub fn measured(&self, index: u64) -> Option<f64> {
        let at = usize::try_from(index.checked_sub(self.first)?).ok()?;
        let x = *self.x.get(at)?;
        (!self.is_gap(index)).then(|| self.rate(f64::from(x)))
    }

    /// Whether a step was not measured.
    pub fn is_gap(&self, index: u64) -> bool {
        let after = self.gaps.partition_point(|(from, _)| *from <= index);
        after.checked_sub(1).and_then(|at| self.gaps.get(at)).is_some_and(|(_, to)| index < *to)
    }

    /// Adds the step after the newest: its rate, or `None` for a gap.
    pub fn push(&mut self, index: u64, rate: Option<f64>) {
        let rate = rate.filter(|rate| (0.0..=1e12).contains(rate));
        if self.x.is_empty() {
            self.first = index;
        }
        if rate.is_none() {
            match self.gaps.last_mut() {
                Some((_, to)) if *to == index => *to += 1,
                _ => self.gaps.push((index, index + 1)),
            }
        }
        self.highest = self.highest.max(rate.unwrap_or(0.0));
        if self.x.len() < 40 || self.x.len().is_multiple_of(2_880) {
            self.adapt_offset(rate);
        }
        let x = rate.map_or_else(
            || self.x.last().copied().unwrap_or_else(|| narrow(self.offset.ln())),
            |rate| narrow((rate + self.offset).ln()),
        );
        if self.x.len() == self.x.capacity() {
            // Doubling would hold up to twice what is ever used, ten thousand times.
            self.x.reserve_exact(self.slack());
        }
        self.x.push(x);
        self.forget();
    }

    /// Steps more than the capacity after which old ones are forgotten, all at once.
    const fn slack(&self) -> usize {
        self.capacity / 8
    }

    fn forget(&mut self) {
        if self.x.len() <= self.capacity + self.slack() {
            return;
        }
        let surplus = self.x.len() - self.capacity;
        self.x.drain(..surplus);
        self.first += surplus as u64;
        let first = self.first;
        self.gaps.retain(|(_, to)| *to > first);
    }

    /// Lets the offset follow the typical rate; what is held is brought to the new one.
    fn adapt_offset(&mut self, newest: Option<f64>) {
        let mut rates: Vec<f64> = self
            .x
            .iter()
            .step_by(self.x.len() / 2_000 + 1)
            .map(|x| self.rate(f64::from(*x)))
            .collect();
        rates.extend(newest);
        if rates.is_empty() {
            return;
        }
        let middle = rates.len() / 2;
        let (_, median, _) = rates.select_nth_unstable_by(middle, f64::total_cmp);
        let floor = LEAST_OFFSET.max(FLOOR_COUNT / self.step_seconds);
        let wanted = (OFFSET_SHARE * *median).max(floor);
        let ratio = wanted / self.offset;
        if (OFFSET_SLACK.recip()..=OFFSET_SLACK).contains(&ratio) {
            return;
        }
        let old = self.offset;
        for x in &mut self.x {
            *x = narrow(((f64::from(*x).exp() - old).max(0.0) + wanted).ln());
        }
        self.offset = wanted;
    }
}

#[expect(clippy::cast_possible_truncation, reason = "f32 keeps seven digits in half the memory")]
fn narrow(value: f64) -> f32 {
    value as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_come_back_and_gaps_are_marked() {
        let mut track = Track::new(100, 15.0);
        for index in 10..50 {
            track.push(index, (index % 7 != 0).then_some(index as f64));
        }
        assert_eq!(track.last(), Some(49));
        for index in 10..50 {
            let measured = track.measured(index);
            assert_eq!(measured.is_some(), index % 7 != 0, "{index}");
            assert!(measured.is_none_or(|rate| (rate - index as f64).abs() < 1e-4), "{measured:?}");
        }
    }

    #[test]
    fn the_newest_are_kept() {
        let mut track = Track::new(100, 15.0);
        (0..1_000).for_each(|index| track.push(index, Some(1.0)));
        assert!((100..=113).contains(&track.len()), "{}", track.len());
        assert_eq!(track.last(), Some(999));
    }

    #[test]
    fn what_is_no_rate_is_a_gap() {
        let mut track = Track::new(100, 15.0);
        for (index, bad) in [f64::NAN, f64::INFINITY, -1.0].into_iter().enumerate() {
            track.push(index as u64, Some(bad));
            assert!(track.is_gap(index as u64));
        }
    }
}
