//! Numbers that carry their unit and range, so that no bare float crosses a module's border.

use std::fmt;
use std::ops::{Add, Sub};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// A number is not in its type's range.
#[derive(Clone, Copy, Debug, PartialEq, Error)]
#[error("{value} is not {range}")]
pub struct OutOfRange {
    /// The number as given.
    pub value: f64,
    /// What is valid, in words.
    pub range: &'static str,
}

/// An instant: whole µs since 1970-01-01 UTC, by the aggregator's clock.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Timestamp(u64);

impl Timestamp {
    /// Takes µs since 1970.
    pub const fn from_micros(micros: u64) -> Self {
        Self(micros)
    }

    /// Takes whole seconds since 1970.
    pub const fn from_secs(secs: u64) -> Self {
        Self(secs.saturating_mul(1_000_000))
    }

    /// µs since 1970.
    pub const fn as_micros(self) -> u64 {
        self.0
    }

    /// Seconds since 1970, with fraction.
    pub fn as_secs_f64(self) -> f64 {
        self.0 as f64 / 1e6
    }

    /// Time from `earlier` to this instant; zero when `earlier` is later.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }

    /// The number of whole steps from 1970 to this instant.
    pub fn step_index(self, step: Duration) -> u64 {
        self.0 / micros(step).max(1)
    }

    /// The instant at which step `index` begins.
    pub fn of_step(index: u64, step: Duration) -> Self {
        Self(index.saturating_mul(micros(step)))
    }
}

/// A duration in whole µs; 584 thousand years at most.
pub fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

impl Add<Duration> for Timestamp {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(micros(duration)))
    }
}

impl Sub<Duration> for Timestamp {
    type Output = Self;

    fn sub(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(micros(duration)))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:.3}", self.as_secs_f64())
    }
}

/// Requests per second: finite, not negative.
#[derive(Clone, Copy, Debug, Default, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(try_from = "f64", into = "f64")]
pub struct Rps(f64);

impl Rps {
    /// No requests. Only a measurement may say so; missing data is `None`.
    pub const ZERO: Self = Self(0.0);

    /// Takes a finite number that is not negative.
    ///
    /// # Errors
    /// [`OutOfRange`] for NaN, infinite and negative numbers.
    pub fn new(value: f64) -> Result<Self, OutOfRange> {
        if (0.0..=f64::MAX).contains(&value) {
            Ok(Self(value))
        } else {
            Err(OutOfRange { value, range: "finite and at least 0" })
        }
    }

    /// Requests per second.
    pub const fn get(self) -> f64 {
        self.0
    }
}

impl TryFrom<f64> for Rps {
    type Error = OutOfRange;

    fn try_from(value: f64) -> Result<Self, Self::Error> {
        Self::new(value)
    }
}

impl From<Rps> for f64 {
    fn from(rps: Rps) -> Self {
        rps.0
    }
}

/// A share of a whole or a part of a distribution: 0 to 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(try_from = "f64", into = "f64")]
pub struct Ratio(f64);

impl Ratio {
    /// All of it.
    pub const ONE: Self = Self(1.0);
    /// None of it.
    pub const ZERO: Self = Self(0.0);

    /// Takes a number from 0 to 1.
    ///
    /// # Errors
    /// [`OutOfRange`] for any other number, NaN included.
    pub fn new(value: f64) -> Result<Self, OutOfRange> {
        if (0.0..=1.0).contains(&value) {
            Ok(Self(value))
        } else {
            Err(OutOfRange { value, range: "in 0 to 1" })
        }
    }

    /// `part` of `whole`, at most 1; `None` when the whole is zero.
    pub fn of(part: u64, whole: u64) -> Option<Self> {
        (whole > 0).then(|| Self((part as f64 / whole as f64).min(1.0)))
    }

    /// 0 to 1.
    pub const fn get(self) -> f64 {
        self.0
    }
}

impl TryFrom<f64> for Ratio {
    type Error = OutOfRange;

    fn try_from(value: f64) -> Result<Self, Self::Error> {
        Self::new(value)
    }
}

impl From<Ratio> for f64 {
    fn from(ratio: Ratio) -> Self {
        ratio.0
    }
}

/// A workload: its namespace and name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct WorkloadKey {
    /// Kubernetes namespace, or what stands for it.
    pub namespace: String,
    /// Name of the Deployment or other scaled object.
    pub name: String,
}

impl fmt::Display for WorkloadKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.namespace, self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_finite_and_not_negative() {
        for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -1.0] {
            assert!(Rps::new(bad).is_err(), "{bad} was taken");
        }
        assert!(Rps::new(0.0).is_ok_and(|rps| rps == Rps::ZERO));
    }

    #[test]
    fn a_ratio_lies_between_zero_and_one() {
        for bad in [f64::NAN, -0.1, 1.1] {
            assert!(Ratio::new(bad).is_err(), "{bad} was taken");
        }
        assert_eq!(Ratio::of(1, 0), None);
        assert_eq!(Ratio::of(1, 4).map(Ratio::get), Some(0.25));
    }

    #[test]
    fn time_before_1970_is_1970() {
        let early = Timestamp::from_secs(5) - Duration::from_secs(10);
        assert_eq!(early.as_micros(), 0);
        assert_eq!(early.since(Timestamp::from_secs(1)), Duration::ZERO);
    }

    #[test]
    fn steps_are_counted_from_1970() {
        let step = Duration::from_secs(15);
        assert_eq!(Timestamp::from_secs(44).step_index(step), 2);
        assert_eq!(Timestamp::of_step(2, step), Timestamp::from_secs(30));
    }
}
