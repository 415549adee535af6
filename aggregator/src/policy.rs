//! From what is known to a proposal: what each signal asks for, before any guard.
//!
//! The reactive answer is target tracking on requests per second per ready replica; the predictive
//! one holds what the forecast makes worth having at the price of risk. Neither knows the other, and
//! neither can fail the other.

mod advice;
mod priced;
mod pricing;
mod resources;
mod risk;

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::config::{Objective, ScaleIn, WorkloadConfig};
use crate::forecast::{Curve, lead_steps};
use crate::journal::{ForecastUsed, Observation, Signal};
use crate::units::{Ratio, Rps, Timestamp};
use priced::View;

pub use advice::{Advice, Adviser, Situation, Standing};
pub use priced::Priced;
pub use risk::RiskPrice;

/// Window of the burst signal; telemetry measures its rate over as long.
pub const BURST_WINDOW: Duration = Duration::from_secs(6);
/// Without a forecast the reactive answer keeps this share of the measured rate in reserve.
const BLIND_RESERVE: f64 = 0.25;

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
    /// The most that the use of CPU and memory asks for.
    pub resources: Option<u32>,
    /// What a learned policy asks for.
    pub learned: Option<Advice>,
    /// Replicas that the measured load needs, nothing in reserve: the floor of a learned policy.
    pub needed: Option<u32>,
    /// The forecast that was looked at.
    pub forecast: Option<ForecastUsed>,
    /// Whether the forecast may scale in below the reactive answer.
    pub scale_in: ScaleIn,
    /// Whether the objective was missed since the last decision; `None` when that is not known.
    pub missed: Option<bool>,
    /// What a ready replica is taken to serve safely.
    pub capacity: Rps,
}

impl Proposal {
    /// The answer: the highest signal; once the forecast was promoted for scale-in, the forecast
    /// the burst and the use of CPU and memory. `None` when no signal has one. A learned policy moves it within the
    /// limits of its [`Standing`], and says nothing where the others say nothing.
    pub fn answer(&self) -> Option<u32> {
        let answer = self.without_advice()?;
        let observed = if self.is_promoted() { None } else { self.reactive };
        let floor = observed.max(self.needed).max(self.burst).max(self.resources).unwrap_or(answer);
        Some(advice::apply(self.learned, answer, floor))
    }

    /// The answer without the learned policy.
    pub fn without_advice(&self) -> Option<u32> {
        let observed = if self.is_promoted() { None } else { self.reactive };
        observed.max(self.predictive).max(self.burst).max(self.resources)
    }

    /// Whether the answer is that of a forecast which was promoted for scale-in.
    pub fn is_promoted(&self) -> bool {
        self.scale_in == ScaleIn::Forecast && self.predictive.is_some()
    }

    /// The highest answer without the forecast.
    pub fn without_forecast(&self) -> Option<u32> {
        self.reactive.max(self.burst).max(self.resources)
    }
}

/// What was learned of a workload, and is expected of it.
#[derive(Clone, Copy, Debug)]
pub struct Known<'a> {
    /// What a ready replica serves safely.
    pub capacity: Rps,
    /// Time from ordering a replica until it serves.
    pub startup: Duration,
    /// The forecast, if there is one.
    pub curve: Option<&'a Curve>,
}

/// What the policy remembers of a workload.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Policy {
    priced: Priced,
    /// Whether the price of risk learns.
    is_fixed: bool,
}

impl Policy {
    /// A policy whose price of risk does not learn, for a curve of cost against risk.
    pub fn with_price(price: f64) -> Self {
        Self { priced: Priced::new(RiskPrice::fixed(price)), is_fixed: true }
    }

    /// A policy whose price of risk learns to keep a budget.
    pub fn for_budget(budget: Ratio) -> Self {
        Self { priced: Priced::new(RiskPrice::for_budget(budget.get())), is_fixed: false }
    }

    /// The price of risk.
    pub fn risk_price(&self) -> f64 {
        self.priced.price().get()
    }

    /// Asks every signal.
    pub fn propose(
        &mut self,
        config: &WorkloadConfig,
        now: Timestamp,
        observation: &Observation,
        known: Known<'_>,
    ) -> Proposal {
        let missed = misses(&config.objective, observation);
        self.learn(config, observation, missed);
        let Known { capacity, curve, .. } = known;
        let predictive =
            curve.and_then(|curve| self.predictive(config, now, observation, &known, curve));
        let reactive = reactive(config, observation, capacity, predictive.is_none());
        let burst = burst(config, observation, capacity);
        let (predictive, forecast) = predictive.unzip();
        // Alone they only raise.
        let resources =
            resources::signals(config, observation, reactive.is_none() && predictive.is_none());
        let signals = [reactive.as_ref(), predictive.as_ref(), burst.as_ref()];
        Proposal {
            resources: resources.iter().map(|signal| signal.desired_replicas).max(),
            signals: signals.into_iter().flatten().chain(&resources).cloned().collect(),
            reactive: reactive.map(|signal| signal.desired_replicas),
            predictive: predictive.map(|signal| signal.desired_replicas),
            burst: burst.map(|signal| signal.desired_replicas),
            learned: None,
            needed: observation.rps.map(|rps| replicas_for(rps.get(), capacity.get())),
            forecast,
            // A forecast that was promoted on another load must be so again.
            scale_in: match curve.and_then(|curve| curve.drift) {
                Some(_) => ScaleIn::Observed,
                None => config.scale_in,
            },
            missed,
            capacity,
        }
    }

    /// Whether the objective held since the last decision, for the price of risk. What replicas
    /// could not help is not learned: a miss at the upper bound.
    fn learn(&mut self, config: &WorkloadConfig, observation: &Observation, missed: Option<bool>) {
        let (Some(rps), Some(missed)) = (observation.rps, missed) else { return };
        let is_capped = observation.current_replicas.is_some_and(|n| n >= config.max_replicas);
        let is_ours = !missed || !is_capped;
        if is_ours && !self.is_fixed {
            self.priced.learn(missed, rps.get(), config.objective.budget.get());
        }
    }

    /// Replicas at the price of risk, over every step that a decision now can still change.
    fn predictive(
        &mut self,
        config: &WorkloadConfig,
        now: Timestamp,
        observation: &Observation,
        known: &Known<'_>,
        curve: &Curve,
    ) -> Option<(Signal, ForecastUsed)> {
        let rps = observation.rps?.get();
        let capacity = known.capacity;
        let ready = observation.ready_replicas.unwrap_or(0);
        let latency = config.objective.latency;
        let view = View {
            rps,
            backlog: priced::backlog(observation.concurrency, ready, capacity.get(), latency),
            capacity: capacity.get(),
            points: &curve.points,
            lead: lead_steps(known.startup, config.forecast.step),
            replicas: observation.current_replicas?,
            profile: config.profile,
            without: config.without,
        };
        let answer = self.priced.answer(&view)?;
        let deciding = answer.deciding;
        let horizon = deciding.at.since(now);
        let reason = format!(
            "forecast p{:.0} {:.1} rps in {:.0} s / {:.1} rps per replica at risk price {:.0}: \
             {} are worth having ({})",
            config.forecast.quantile.get() * 100.0,
            deciding.upper.get(),
            horizon.as_secs_f64(),
            capacity.get(),
            self.risk_price(),
            answer.worth,
            curve.model
        );
        let signal = Signal { name: "predictive".into(), desired_replicas: answer.desired, reason };
        let used = ForecastUsed {
            model: curve.model.clone(),
            horizon,
            point: deciding.point,
            upper: deciding.upper,
        };
        Some((signal, used))
    }
}

/// Whether the objective was missed since the last decision; `None` while its quantile, or the
/// nearest above it that is measured, is not known.
pub fn misses(objective: &Objective, observation: &Observation) -> Option<bool> {
    let quantile = objective.quantile.get();
    let latency_ms = if quantile <= 0.5 {
        observation.p50_ms
    } else if quantile <= 0.95 {
        observation.p95_ms
    } else {
        observation.p99_ms
    };
    Some(latency_ms? > objective.latency.as_secs_f64() * 1e3)
}

/// Target tracking (`HorizontalPodAutoscaler`: `ceil(ready · (rate per ready replica / target))`):
/// within the tolerance the replicas stay as they are. When nobody forecasts (`is_blind`), a
/// reserve is kept.
fn reactive(
    config: &WorkloadConfig,
    observation: &Observation,
    capacity: Rps,
    is_blind: bool,
) -> Option<Signal> {
    let rps = observation.rps?.get();
    let reserve = if is_blind { BLIND_RESERVE } else { 0.0 };
    let target = capacity.get() / (1.0 + reserve);
    let needed = replicas_for(rps, target);
    let (current, ready) = (observation.current_replicas, observation.ready_replicas);
    if let (Some(current), Some(ready @ 1..)) = (current, ready) {
        let ratio = rps / (target * f64::from(ready));
        if (ratio - 1.0).abs() <= config.tolerance {
            let reason = format!(
                "{rps:.1} rps over {ready} ready is within {:.0} % of {target:.1} rps per replica",
                config.tolerance * 100.0
            );
            return Some(Signal { name: "reactive".into(), desired_replicas: current, reason });
        }
    }
    let reason = format!("{rps:.1} rps / {target:.1} rps per replica");
    // Replicas that start count as idle on the way up: too many of them is no reason to end some
    // while those that serve have too much.
    let too_few_ready =
        ready.is_some_and(|ready| rps > target * f64::from(ready)) && current > ready;
    let kept = if too_few_ready { current.unwrap_or(0) } else { 0 };
    Some(Signal { name: "reactive".into(), desired_replicas: needed.max(kept), reason })
}

/// Burst mode (Knative `pkg/autoscaler/scaling/autoscaler.go`: panic at twice the capacity).
fn burst(config: &WorkloadConfig, observation: &Observation, capacity: Rps) -> Option<Signal> {
    let rps = observation.burst_rps?.get();
    let ready = f64::from(observation.ready_replicas?.max(1));
    let target = capacity.get();
    let load = rps / (target * ready);
    (load >= config.burst.threshold).then(|| Signal {
        name: "burst".into(),
        desired_replicas: replicas_for(rps, target),
        reason: format!("{rps:.1} rps in {BURST_WINDOW:?} is {load:.1} times the capacity"),
    })
}

/// Replicas that serve a rate at the target, begun ones counted.
pub(crate) fn replicas_for(rps: f64, target: f64) -> u32 {
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
