//! From what is known to a proposal: what each signal asks for, before any guard.
//!
//! The reactive answer is target tracking on requests per second per ready replica; the forecast
//! is a floor over it. Neither knows the other, and neither can fail the other.

use std::time::Duration;

use crate::config::WorkloadConfig;
use crate::forecast::Curve;
use crate::journal::{ForecastUsed, Observation, Signal};
use crate::units::Timestamp;

/// Window of the burst signal; telemetry measures its rate over as long.
pub const BURST_WINDOW: Duration = Duration::from_secs(6);

/// What the signals ask for.
#[derive(Clone, Debug, PartialEq)]
pub struct Proposal {
    /// All signals that had an answer.
    pub signals: Vec<Signal>,
    /// What target tracking asks for; `None` without a measured rate.
    pub reactive: Option<u32>,
    /// What the forecast asks for; `None` without a forecast.
    pub predictive: Option<u32>,
    /// What the short window asks for when it sees a burst.
    pub burst: Option<u32>,
    /// The forecast that was looked at.
    pub forecast: Option<ForecastUsed>,
}

impl Proposal {
    /// The highest answer; `None` when no signal has one.
    pub fn highest(&self) -> Option<u32> {
        self.reactive.max(self.predictive).max(self.burst)
    }

    /// The highest answer without the forecast.
    pub fn without_forecast(&self) -> Option<u32> {
        self.reactive.max(self.burst)
    }
}

/// Asks every signal.
pub fn propose(
    config: &WorkloadConfig,
    now: Timestamp,
    observation: &Observation,
    curve: Option<&Curve>,
) -> Proposal {
    let reactive = reactive(config, observation);
    let predictive = curve.and_then(|curve| predictive(config, now, curve));
    let burst = burst(config, observation);
    let (predictive, forecast) = predictive.unzip();
    let signals = [reactive.as_ref(), predictive.as_ref(), burst.as_ref()];
    Proposal {
        signals: signals.into_iter().flatten().cloned().collect(),
        reactive: reactive.map(|signal| signal.desired_replicas),
        predictive: predictive.map(|signal| signal.desired_replicas),
        burst: burst.map(|signal| signal.desired_replicas),
        forecast,
    }
}

/// Target tracking (`HorizontalPodAutoscaler`: `ceil(ready · (rate per ready replica / target))`):
/// within the tolerance the replicas stay as they are.
fn reactive(config: &WorkloadConfig, observation: &Observation) -> Option<Signal> {
    let rps = observation.rps?.get();
    let target = config.target_rps_per_replica.get();
    let needed = replicas_for(rps, target);
    let (current, ready) = (observation.current_replicas, observation.ready_replicas);
    if let (Some(current), Some(ready @ 1..)) = (current, ready) {
        let ratio = rps / (target * f64::from(ready));
        if (ratio - 1.0).abs() <= config.tolerance {
            let reason = format!(
                "{rps:.1} rps over {ready} ready is within {:.0} % of {target} rps per replica",
                config.tolerance * 100.0
            );
            return Some(Signal { name: "reactive".into(), desired_replicas: current, reason });
        }
    }
    let reason = format!("{rps:.1} rps / {target} rps per replica");
    Some(Signal { name: "reactive".into(), desired_replicas: needed, reason })
}

/// Replicas for the highest upper bound from now until replicas ordered now would serve.
fn predictive(
    config: &WorkloadConfig,
    now: Timestamp,
    curve: &Curve,
) -> Option<(Signal, ForecastUsed)> {
    let lead = config.startup_time + config.decision_interval;
    let until = now + lead + config.forecast.step;
    let ahead = curve.points.iter().filter(|point| point.at > now && point.at <= until);
    let peak = ahead.max_by(|a, b| a.upper.get().total_cmp(&b.upper.get()))?;
    let target = config.target_rps_per_replica.get();
    let horizon = peak.at.since(now);
    let reason = format!(
        "forecast p{:.0} {:.1} rps in {:.0} s / {target} rps per replica ({})",
        config.forecast.quantile.get() * 100.0,
        peak.upper.get(),
        horizon.as_secs_f64(),
        curve.model
    );
    let signal = Signal {
        name: "predictive".into(),
        desired_replicas: replicas_for(peak.upper.get(), target),
        reason,
    };
    let used =
        ForecastUsed { model: curve.model.clone(), horizon, point: peak.point, upper: peak.upper };
    Some((signal, used))
}

/// Burst mode (Knative `pkg/autoscaler/scaling/autoscaler.go`: panic at twice the capacity).
fn burst(config: &WorkloadConfig, observation: &Observation) -> Option<Signal> {
    let rps = observation.burst_rps?.get();
    let ready = f64::from(observation.ready_replicas?.max(1));
    let target = config.target_rps_per_replica.get();
    let load = rps / (target * ready);
    (load >= config.burst.threshold).then(|| Signal {
        name: "burst".into(),
        desired_replicas: replicas_for(rps, target),
        reason: format!("{rps:.1} rps in {BURST_WINDOW:?} is {load:.1} times the capacity"),
    })
}

/// Replicas that serve a rate at the target, begun ones counted.
fn replicas_for(rps: f64, target: f64) -> u32 {
    // A hair above a whole number is rounding, not load.
    let replicas = (rps / target - 1e-9).ceil().clamp(0.0, f64::from(u32::MAX));
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "clamped to the type's range by the line above"
    )]
    {
        replicas as u32
    }
}
