//! What another autoscaler may ask of a workload: the desired replicas and the forecast, or why
//! they cannot be told.
//!
//! A figure is told only while it rests on fresh telemetry. Otherwise there is an error, never a
//! zero and never an old figure: whoever asks then keeps its replicas, or does what its own
//! fallback says.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use thiserror::Error;

use super::state::App;
use crate::journal::{Decision, ForecastUsed};
use crate::units::{Rps, Timestamp, WorkloadKey};

/// A figure of a workload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ScalingMetric {
    /// `foresail_desired_replicas`: replicas to have, as the last decision says.
    DesiredReplicas,
    /// `foresail_forecast_rps`: requests per second expected when a replica ordered now serves.
    ForecastRps,
    /// `foresail_forecast_rps_upper`: the upper quantile of the same.
    ForecastRpsUpper,
}

impl ScalingMetric {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::DesiredReplicas, Self::ForecastRps, Self::ForecastRpsUpper];
    /// Their names, for a remedy.
    pub const NAMES: &'static str =
        "foresail_desired_replicas, foresail_forecast_rps or foresail_forecast_rps_upper";

    /// Its name, everywhere the same.
    pub const fn name(self) -> &'static str {
        match self {
            Self::DesiredReplicas => "foresail_desired_replicas",
            Self::ForecastRps => "foresail_forecast_rps",
            Self::ForecastRpsUpper => "foresail_forecast_rps_upper",
        }
    }

    /// The metric of a name.
    pub fn by_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|metric| metric.name() == name)
    }
}

/// A figure that rests on fresh telemetry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScalingValue {
    /// Thousandths of a replica or of a request per second, rounded up.
    pub milli: u64,
    /// End of the newest telemetry that it rests on.
    pub at: Timestamp,
    /// Length of the telemetry that it looks at.
    pub window: Duration,
    /// Whether the decision has any replicas at all, whatever the metric. It has as long as
    /// `min_replicas` is at least one: of a workload without replicas nothing can be measured.
    pub is_active: bool,
}

/// Why a figure cannot be told.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum NoValue {
    /// Nothing is decided for it here. List it under `workloads`, or correct the name.
    #[error("nothing is decided for {0} here; is it among the workloads of this aggregator?")]
    NotManaged(WorkloadKey),
    /// No decision yet, which passes within a decision interval, or no telemetry for so long that
    /// its age is not known any longer. Look whether its proxies send frames.
    #[error("no telemetry of {0} is known; do its proxies send frames?")]
    Unknown(WorkloadKey),
    /// The newest telemetry is old. Look at the proxies, and at what lies between.
    #[error("the telemetry of {key} is {} s old, more than {} s", age.as_secs(), most.as_secs())]
    Stale {
        /// Whose.
        key: WorkloadKey,
        /// Age of the newest telemetry.
        age: Duration,
        /// Age up to which figures are told.
        most: Duration,
    },
    /// Desired replicas mean nothing where the present ones are not known. Give the workload the
    /// actuator `kubernetes`, in shadow mode where another autoscaler writes.
    #[error("the present replicas of {0} are not known; its actuator does not tell them")]
    ReplicasUnknown(WorkloadKey),
    /// The model is not ready.
    #[error("there is no forecast of {0} yet")]
    NoForecast(WorkloadKey),
}

impl NoValue {
    /// Stable name of the cause, for a metric's label.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::NotManaged(_) => "not_managed",
            Self::Unknown(_) => "unknown",
            Self::Stale { .. } => "stale",
            Self::ReplicasUnknown(_) => "replicas_unknown",
            Self::NoForecast(_) => "no_forecast",
        }
    }
}

impl App {
    /// A figure of a workload at `now`.
    ///
    /// The last decision is told while the telemetry it rests on is younger than the workload's
    /// `staleness.hold_after` and a decision interval; so a decision that is not renewed, for
    /// whatever reason, ends by itself.
    ///
    /// # Errors
    /// [`NoValue`] when it is not known now.
    pub fn scaling_value(
        &self,
        key: &WorkloadKey,
        metric: ScalingMetric,
        now: Timestamp,
    ) -> Result<ScalingValue, NoValue> {
        let control = self.controls.get(key).ok_or_else(|| NoValue::NotManaged(key.clone()))?;
        let config = &control.config;
        let most = config.staleness.hold_after + config.decision_interval;
        control.read(|status| {
            let unknown = || NoValue::Unknown(key.clone());
            let decision = status.decision.as_ref().ok_or_else(unknown)?;
            let at = decision.observation.newest.ok_or_else(unknown)?;
            let age = now.since(at);
            if age > most {
                return Err(NoValue::Stale { key: key.clone(), age, most });
            }
            let milli = figure(key, metric, decision, status.rests)?;
            let is_active = decision.desired_replicas > 0;
            Ok(ScalingValue { milli, at, window: config.decision_interval, is_active })
        })
    }
}

/// A figure of a decision, in thousandths. In the turn of whoever scaled the workload before (`rests`)
/// it is what would be told if there were no forecast: he has an answer, and no help of ours.
fn figure(
    key: &WorkloadKey,
    metric: ScalingMetric,
    decision: &Decision,
    rests: bool,
) -> Result<u64, NoValue> {
    let forecast = |of: fn(&ForecastUsed) -> Rps| {
        let used = decision.forecast.as_ref().ok_or_else(|| NoValue::NoForecast(key.clone()))?;
        Ok(if rests { decision.observation.rps.unwrap_or_else(|| of(used)) } else { of(used) })
    };
    match metric {
        ScalingMetric::DesiredReplicas => {
            if decision.observation.current_replicas.is_none() {
                return Err(NoValue::ReplicasUnknown(key.clone()));
            }
            let of_it = if rests { decision.without_forecast } else { decision.desired_replicas };
            Ok(u64::from(of_it) * 1000)
        }
        ScalingMetric::ForecastRps => forecast(|used| used.point).map(milli),
        ScalingMetric::ForecastRpsUpper => forecast(|used| used.upper).map(milli),
    }
}

/// Thousandths of a request per second, rounded up; at most what fits a signed number.
fn milli(rps: Rps) -> u64 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a rate is finite and not negative, and the cast saturates"
    )]
    let milli = (rps.get() * 1000.0).ceil() as u64;
    milli.min(i64::MAX.unsigned_abs())
}

/// Who asked for figures, and what became of it, since the process started.
#[derive(Debug, Default)]
pub struct Questions(Mutex<BTreeMap<(&'static str, &'static str), u64>>);

impl Questions {
    /// Counts a question `from` an interface by its answer: `ok`, or the kind of its error.
    pub fn count(&self, from: &'static str, answer: &'static str) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *counts.entry((from, answer)).or_default() += 1;
    }

    /// All counts.
    pub fn all(&self) -> BTreeMap<(&'static str, &'static str), u64> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::Observation;

    #[test]
    fn in_the_turn_of_another_autoscaler_it_is_told_what_there_is_without_a_forecast() {
        let key = WorkloadKey { namespace: "shop".to_owned(), name: "web".to_owned() };
        let rps = |value| Rps::new(value).unwrap();
        let decision = Decision {
            sequence: 1,
            at: Timestamp::from_secs(1),
            observation: Observation {
                rps: Some(rps(52.5)),
                current_replicas: Some(6),
                ..Observation::default()
            },
            signals: Vec::new(),
            forecast: Some(ForecastUsed {
                model: "ensemble".to_owned(),
                horizon: Duration::from_mins(1),
                point: rps(80.0),
                upper: rps(95.0),
            }),
            proposed_replicas: 10,
            guards: Vec::new(),
            desired_replicas: 10,
            without_forecast: 7,
            reason: String::new(),
        };
        let told = |rests| {
            ScalingMetric::ALL.map(|metric| figure(&key, metric, &decision, rests).unwrap())
        };
        assert_eq!(told(false), [10_000, 80_000, 95_000]);
        assert_eq!(told(true), [7_000, 52_500, 52_500]);
    }
}
