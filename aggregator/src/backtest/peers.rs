//! The rival autoscalers, from their documented algorithms, as policies for the backtest.
//!
//! Each sees what its own metrics pipeline would show it ([`PeerView`]) and answers with a number
//! of replicas. All are deterministic, and hold when the metric that they need is missing.

mod arima;
mod aws;
mod crane;
mod hpa;
mod kpa;
mod phpa;
mod seasonal;
mod window;

use std::time::Duration;

use thiserror::Error;

use crate::units::Timestamp;

/// What a peer sees at the end of a step: no more than the real one's metrics would show it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PeerView {
    /// End of the step.
    pub now: Timestamp,
    /// Length of the step.
    pub step: Duration,
    /// Mean request rate of the whole workload over the step; `None` when it was not measured.
    pub rps: Option<f64>,
    /// Mean CPU of the ready pods over the step, 1.0 = the request.
    pub cpu_utilisation: Option<f64>,
    /// Pods that serve.
    pub ready: u32,
    /// Pods that serve or start.
    pub replicas: u32,
    /// Highest rate per pod at which the objective holds: what the operator knows.
    pub capacity_rps: f64,
    /// Time from ordering a pod to its serving.
    pub startup: Duration,
    /// Never fewer replicas.
    pub min: u32,
    /// Never more replicas.
    pub max: u32,
}

impl PeerView {
    /// A step of a workload whose replicas serve 10 requests a second safely and all are ready.
    #[cfg(test)]
    fn at(now: Timestamp, step: Duration, rps: Option<f64>, replicas: u32) -> Self {
        Self {
            now,
            step,
            rps,
            cpu_utilisation: None,
            ready: replicas,
            replicas,
            capacity_rps: 10.0,
            startup: Duration::from_mins(1),
            min: 1,
            max: 1000,
        }
    }

    /// Between the operator's bounds.
    fn bounded(&self, replicas: u32) -> u32 {
        replicas.clamp(self.min.min(self.max), self.max)
    }

    /// Rate per pod at a share of the safe one; `None` when that is no positive number.
    fn target_rps(&self, share: f64) -> Option<f64> {
        let target = self.capacity_rps * share;
        (f64::MIN_POSITIVE..=f64::MAX).contains(&target).then_some(target)
    }
}

/// An autoscaler that the product is compared with.
pub trait Peer: Send + Sync {
    /// Name in reports, as [`PeerKind::name`].
    fn name(&self) -> &'static str;

    /// Replicas to have from now on, between `view.min` and `view.max`. Called once a step, in
    /// order.
    fn desired(&mut self, view: &PeerView) -> u32;
}

/// No peer has this name.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("no peer is called {name}; known are {}", PeerKind::ALL.map(PeerKind::name).join(", "))]
pub struct UnknownPeer {
    /// The name as given.
    pub name: String,
}

/// The peers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum PeerKind {
    /// Kubernetes HPA on CPU utilisation.
    HpaCpu,
    /// Kubernetes HPA on the request rate (External metric, `AverageValue`).
    HpaRps,
    /// KEDA: HPA on a request rate that is read every 30 s.
    Keda,
    /// Knative's pod autoscaler on the request rate, with panic mode.
    Kpa,
    /// Predictive HPA on the request rate, linear regression on its own replica counts.
    PhpaLinear,
    /// Predictive HPA on the request rate, damped Holt on its own replica counts.
    PhpaHolt,
    /// Crane's effective HPA: HPA on the request rate and on its Fourier forecast.
    CraneEhpa,
    /// AWS predictive scaling, hourly, with target tracking.
    AwsPredictive,
    /// ARIMA on the last 30 steps, divided, rounded up, not damped.
    ArimaCeil,
    /// The same with the highest forecast to the lead and a window of 300 s.
    ArimaStab,
    /// The greater of the day's usual load and HPA on the request rate.
    SeasonalReactive,
    /// A fixed number for a share of the peak of the first two days.
    Static,
}

impl PeerKind {
    /// All of them, in the order of reports.
    pub const ALL: [Self; 12] = [
        Self::HpaCpu,
        Self::HpaRps,
        Self::Keda,
        Self::Kpa,
        Self::PhpaLinear,
        Self::PhpaHolt,
        Self::CraneEhpa,
        Self::AwsPredictive,
        Self::ArimaCeil,
        Self::ArimaStab,
        Self::SeasonalReactive,
        Self::Static,
    ];

    /// Finds a peer by [`PeerKind::name`].
    ///
    /// # Errors
    /// [`UnknownPeer`] with the names there are.
    pub fn parse(name: &str) -> Result<Self, UnknownPeer> {
        let found = Self::ALL.into_iter().find(|kind| kind.name() == name);
        found.ok_or_else(|| UnknownPeer { name: name.to_owned() })
    }

    /// Name in reports and on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::HpaCpu => "hpa-cpu",
            Self::HpaRps => "hpa-rps",
            Self::Keda => "keda",
            Self::Kpa => "kpa",
            Self::PhpaLinear => "phpa-linear",
            Self::PhpaHolt => "phpa-holt",
            Self::CraneEhpa => "crane-ehpa",
            Self::AwsPredictive => "aws-predictive",
            Self::ArimaCeil => "arima-ceil",
            Self::ArimaStab => "arima-stab",
            Self::SeasonalReactive => "seasonal-reactive",
            Self::Static => "static",
        }
    }

    /// Values to sweep the knob over, ascending, in steps of 0.05.
    ///
    /// What the knob means: for [`PeerKind::HpaCpu`] the target utilisation, 1.0 = the request; for
    /// [`PeerKind::Static`] the share of the peak that is covered; for all others the share of
    /// [`PeerView::capacity_rps`] that one pod is given, which may be above 1: the averages that
    /// they look at hide peaks.
    pub fn knobs(self) -> Vec<f64> {
        let (first, last) = match self {
            Self::HpaCpu => (5, 19),
            Self::Static => (6, 40),
            _ => (6, 24),
        };
        (first..=last).map(|twentieth| f64::from(twentieth) / 20.0).collect()
    }

    /// The knob that stands for the peer "as configured".
    ///
    /// A CPU target of 70 %; for the others the rate at which a pod whose objective holds to some
    /// 80 % of saturation is as busy, 0.85 of the safe rate; for a fixed number the peak itself.
    pub const fn default_knob(self) -> f64 {
        match self {
            Self::HpaCpu => 0.7,
            Self::Static => 1.0,
            _ => 0.85,
        }
    }

    /// A peer that knows nothing yet, with a knob as in [`PeerKind::knobs`].
    ///
    /// A knob below 0.01, infinite or NaN is taken as 0.01. `steps_per_day`: a day over
    /// [`PeerView::step`], which must then be the same in every call.
    pub fn build(self, knob: f64, steps_per_day: usize) -> Box<dyn Peer> {
        match self {
            Self::HpaCpu => Box::new(hpa::HpaCpu::new(knob)),
            Self::HpaRps => Box::new(hpa::HpaRps::new(knob)),
            Self::Keda => Box::new(hpa::HpaRps::keda(knob)),
            Self::Kpa => Box::new(kpa::Kpa::new(knob)),
            Self::PhpaLinear => Box::new(phpa::Phpa::linear(knob)),
            Self::PhpaHolt => Box::new(phpa::Phpa::holt(knob)),
            Self::CraneEhpa => Box::new(crane::CraneEhpa::new(knob, steps_per_day)),
            Self::AwsPredictive => Box::new(aws::AwsPredictive::new(knob)),
            Self::ArimaCeil => Box::new(arima::Arima::ceil(knob)),
            Self::ArimaStab => Box::new(arima::Arima::stab(knob)),
            Self::SeasonalReactive => {
                Box::new(seasonal::SeasonalReactive::new(knob, steps_per_day))
            }
            Self::Static => Box::new(seasonal::Static::new(knob, steps_per_day)),
        }
    }
}

#[cfg(test)]
mod tests;
