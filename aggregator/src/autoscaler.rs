//! The one decision function: [`Autoscaler::step`].
//!
//! The controller, the demo, the simulator and the backtest all call it; nobody has a second copy.
//! It is deterministic: the same observations at the same times give the same decisions, bit for
//! bit, as long as refits are installed between the same steps.

mod advised;
mod warm;

use std::fmt::Write;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::capacity::{CapacityLearner, Evidence, Expectation, Outside, StartupTimes, slow_share};
use crate::config::{CapacitySource, Mode, Profile, ScaleIn, WorkloadConfig};
use crate::features::Track;
use crate::forecast::online::Score;
use crate::forecast::{Curve, Forecaster, Load, RefitJob, Refitted};
use crate::journal::{Decision, GuardRecord, Observation, Signal};
use crate::policy::{Adviser, Policy, Proposal, Standing};
use crate::safety::{Approved, MIN_COVERAGE, Safety, Verdict};
use crate::units::{Ratio, Rps, Timestamp};
use warm::Warm;

pub use advised::Considered;

/// A decision, and what may be written of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// What was decided and why.
    pub decision: Decision,
    /// What actuation may write; `None` when nothing may be.
    pub approved: Option<Approved>,
}

/// What of a workload's settings another policy may replace.
#[derive(Debug)]
pub struct Way {
    /// How patient the predictive answer is.
    pub profile: Profile,
    /// What may scale in.
    pub scale_in: ScaleIn,
    /// A learned policy that corrects the answer, and how far it is trusted.
    pub adviser: Option<(Box<dyn Adviser>, Standing)>,
}

impl Way {
    /// That of the settings.
    pub const fn of(config: &WorkloadConfig) -> Self {
        Self { profile: config.profile, scale_in: config.scale_in, adviser: None }
    }
}

/// State of an autoscaler that survives a restart, but for the load it learned from: see
/// [`Autoscaler::learned_load`].
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Snapshot {
    sequence: u64,
    observed_until: Option<Timestamp>,
    safety: Safety,
    policy: Policy,
    capacity: Option<CapacityLearner>,
    outside: Outside,
    startups: StartupTimes,
    last_decision: Option<Decision>,
}

/// Decides for one workload.
#[derive(Debug)]
pub struct Autoscaler {
    config: WorkloadConfig,
    sequence: u64,
    observed_until: Option<Timestamp>,
    safety: Safety,
    policy: Policy,
    /// Where it is learned.
    capacity: Option<CapacityLearner>,
    outside: Outside,
    startups: StartupTimes,
    warm: Warm,
    expectation: Expectation,
    forecaster: Forecaster,
    curve: Option<Curve>,
    last_decision: Option<Decision>,
    fault: Option<String>,
    adviser: Option<(Box<dyn Adviser>, Standing)>,
}

impl Autoscaler {
    /// Begins at `now` knowing nothing.
    pub fn new(config: &WorkloadConfig, now: Timestamp) -> Self {
        Self {
            config: config.clone(),
            sequence: 0,
            observed_until: None,
            safety: Safety::new(now),
            policy: Policy::for_budget(config.objective.budget),
            capacity: (config.capacity == CapacitySource::Learned)
                .then(|| CapacityLearner::new(config.target_rps_per_replica)),
            outside: Outside::default(),
            startups: StartupTimes::default(),
            warm: Warm::default(),
            expectation: Expectation::new(&config.objective),
            forecaster: Forecaster::new(config),
            curve: None,
            last_decision: None,
            fault: None,
            adviser: None,
        }
    }

    /// The same with a price of risk that does not learn, for a curve of cost against risk.
    #[must_use]
    pub fn with_price(mut self, price: f64) -> Self {
        self.policy = Policy::with_price(price);
        self
    }

    /// Decides in another way from now on; what was learned, and every guard, stays.
    pub fn take_way(&mut self, way: Way) {
        self.config.profile = way.profile;
        self.config.scale_in = way.scale_in;
        self.adviser = way.adviser;
    }

    /// Says whether the next decision is carried out, and which replicas somebody else has to have back
    /// before; see [`Safety::hand_back`].
    pub const fn take_turn(&mut self, acts: bool, handed_back: Option<u32>) {
        self.config.mode = if acts { Mode::Active } else { Mode::Shadow };
        self.safety.hand_back(handed_back);
    }

    /// Takes what another autoscaler of the same workload has learned: what a ready replica serves
    /// safely, where that is not learned here, and how long one takes to serve.
    pub const fn set_known(&mut self, safe: Rps, startup: Duration) {
        self.config.target_rps_per_replica = safe;
        self.config.startup_time = startup;
    }

    /// Goes on at `now` from a stored state; the configuration may have changed since.
    pub fn restore(
        config: &WorkloadConfig,
        snapshot: Snapshot,
        load: Option<&Load>,
        now: Timestamp,
    ) -> Self {
        let fresh = Self::new(config, now);
        let forecaster = fresh.forecaster;
        Self {
            sequence: snapshot.sequence,
            observed_until: snapshot.observed_until,
            safety: snapshot.safety.restarted(now),
            policy: snapshot.policy,
            // Only where it is to be learned now; what was learned before goes on.
            capacity: fresh.capacity.map(|begin| snapshot.capacity.unwrap_or(begin)),
            outside: snapshot.outside,
            startups: snapshot.startups,
            forecaster: match load {
                Some(load) => forecaster.with_load(load),
                None => forecaster,
            },
            last_decision: snapshot.last_decision,
            ..fresh
        }
    }

    /// What must be stored to go on from here.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot {
            sequence: self.sequence,
            observed_until: self.observed_until,
            safety: self.safety.clone(),
            policy: self.policy.clone(),
            capacity: self.capacity.clone(),
            outside: self.outside.clone(),
            startups: self.startups.clone(),
            last_decision: self.last_decision.clone(),
        }
    }

    /// The workload's settings.
    pub const fn config(&self) -> &WorkloadConfig {
        &self.config
    }

    /// Gives the forecast recorded load to begin with; ignored once load is known.
    pub fn load_history(&mut self, samples: &[(Timestamp, Rps)]) {
        self.forecaster.load_history(samples);
    }

    /// Whether no load is known at all, so that a recorded history would be of use.
    pub fn needs_history(&self) -> bool {
        self.load().is_empty()
    }

    /// The load that must be stored beside the [`Snapshot`]; large, and worth storing now and then
    /// rather than at every decision.
    pub fn learned_load(&self) -> Load {
        self.forecaster.load()
    }

    /// End of the telemetry that the last step looked at: the next observation begins here.
    pub const fn observed_until(&self) -> Option<Timestamp> {
        self.observed_until
    }

    /// The newest forecast.
    pub const fn forecast(&self) -> Option<&Curve> {
        self.curve.as_ref()
    }

    /// How well the forecast has been doing at each horizon.
    pub fn scores(&self) -> Vec<Score> {
        self.forecaster.scores()
    }

    /// What was learned of a replica's capacity; `None` where it is given.
    pub const fn capacity(&self) -> Option<&CapacityLearner> {
        self.capacity.as_ref()
    }

    /// The load that the forecast learns from.
    pub const fn load(&self) -> &Track {
        self.forecaster.track()
    }

    /// The newest decision.
    pub const fn last_decision(&self) -> Option<&Decision> {
        self.last_decision.as_ref()
    }

    /// The work of fitting the models anew, when it is due. Run it anywhere; decisions go on with
    /// the models there are.
    pub fn refit_job(&mut self) -> Option<RefitJob> {
        self.forecaster.refit_job()
    }

    /// Takes newly fitted models.
    pub fn install(&mut self, refitted: Refitted) {
        self.fault = None;
        self.forecaster.install(refitted);
    }

    /// Says that fitting failed beyond an error; decisions are reactive only until the next fit.
    pub fn model_failed(&mut self, fault: String) {
        self.fault = Some(fault);
    }

    /// Decides on what is known at `now`.
    ///
    /// Of a faulty observation only what can be believed counts: see [`Observation::believed`].
    pub fn step(&mut self, now: Timestamp, observation: &Observation) -> Step {
        let observation = observation.believed(now);
        self.learn(now, &observation);
        let fault = self.update_curve();
        self.decide(now, &observation, fault)
    }

    /// Learns a rate that was measured over an interval, and forecasts: what
    /// [`Autoscaler::step`] does before it decides.
    pub fn learn_rate(&mut self, from: Timestamp, to: Timestamp, rate: Option<Rps>) {
        if let Some(rate) = rate {
            self.forecaster.observe(from, to, rate);
        }
        _ = self.update_curve();
    }

    /// What a ready replica is taken to serve safely.
    pub fn safe_rps(&self) -> Rps {
        let given = self.config.target_rps_per_replica;
        self.capacity.as_ref().map_or(given, CapacityLearner::safe_rps)
    }

    /// What a ready replica most likely serves safely: as likely more as less.
    pub fn likely_rps(&self) -> Rps {
        let given = self.config.target_rps_per_replica;
        let half = Ratio::new(0.5).unwrap_or(Ratio::ONE);
        self.capacity.as_ref().map_or(given, |capacity| capacity.credible_rps(half))
    }

    /// Time from ordering a replica until it serves: what was given, or what was measured where that
    /// is longer by more than one look at the replicas can be off.
    pub fn startup(&self) -> Duration {
        let given = self.config.startup_time;
        let measured = self.startups.usual().unwrap_or(given);
        if measured > given + self.config.decision_interval { measured } else { given }
    }

    /// Learns from the replica counts: start-up times, deploys, and whether those that serve are warm.
    fn learn_replicas(&mut self, now: Timestamp, observation: &Observation) {
        let (Some(current), Some(ready)) =
            (observation.current_replicas, observation.ready_replicas)
        else {
            return;
        };
        self.startups.observe(now, current, ready);
        let rollout = observation.cluster.as_ref().is_some_and(|facts| facts.rollout);
        let begins = self.warm.observe(now, ready, rollout);
        if let Some(capacity) = self.capacity.as_mut().filter(|_| begins) {
            capacity.deployed();
        }
    }

    /// Learns from the latency at the load since the last decision.
    fn learn_capacity(&mut self, now: Timestamp, observation: &Observation) {
        let Some(capacity) = self.capacity.as_mut().filter(|_| self.warm.is_warm(now)) else {
            return;
        };
        let latency = self.config.objective.latency;
        let Observation { p50_ms, p95_ms, p99_ms, .. } = *observation;
        let slow_share = slow_share(p50_ms, p95_ms, p99_ms, latency);
        let (Some(rps), Some(ready @ 1..), Some(slow_share)) =
            (observation.rps, observation.ready_replicas, slow_share)
        else {
            return;
        };
        let evidence = Evidence {
            rps_per_replica: rps.get() / f64::from(ready),
            requests: rps.get() * self.config.decision_interval.as_secs_f64(),
            slow_share,
        };
        capacity.observe(&self.expectation, &evidence);
    }

    /// The price of risk at the moment, in replicas for a replica's worth of load at risk.
    pub fn risk_price(&self) -> f64 {
        self.policy.risk_price()
    }

    /// Decides as [`Autoscaler::step`] does, with the forecast that another autoscaler made of the
    /// same load: many policies are compared on one forecast.
    pub fn step_with(
        &mut self,
        now: Timestamp,
        observation: &Observation,
        curve: Option<&Curve>,
    ) -> Step {
        self.curve = curve.cloned();
        self.decide(now, &observation.believed(now), None)
    }

    /// Adds what was measured since the last step to the load that the forecast learns from.
    fn learn(&mut self, now: Timestamp, observation: &Observation) {
        let Some(newest) = observation.newest.filter(|newest| *newest <= now) else { return };
        let interval = self.config.decision_interval;
        let since = self.observed_until.unwrap_or(newest - interval);
        if newest <= since {
            return;
        }
        // A rate is a mean over the last interval; over a longer silence it says nothing.
        let covered = if newest.since(since) > 3 * interval.max(Duration::from_secs(5)) {
            newest - interval
        } else {
            since
        };
        self.observed_until = Some(newest);
        let trusted = observation.coverage.is_some_and(|c| c.get() >= MIN_COVERAGE);
        if let Some(rps) = observation.rps.filter(|_| trusted) {
            self.forecaster.observe(covered, newest, rps);
        }
    }

    /// Forecasts anew; a fault leaves no curve and is said.
    fn update_curve(&mut self) -> Option<String> {
        if let Some(fault) = &self.fault {
            self.curve = None;
            return Some(fault.clone());
        }
        match self.forecaster.forecast() {
            Ok(curve) => {
                self.curve = curve;
                None
            }
            Err(error) => {
                self.curve = None;
                Some(error.to_string())
            }
        }
    }

    fn record(
        &mut self,
        now: Timestamp,
        observation: &Observation,
        proposal: Proposal,
        verdict: &Verdict,
        fault: Option<String>,
    ) -> Decision {
        self.sequence += 1;
        let mut guards = verdict.guards.clone();
        if let Some(fault) = fault {
            guards.push(remark("model_fault", verdict, format!("reactive only: {fault}")));
        }
        if let Some(drift) = self.curve.as_ref().and_then(|curve| curve.drift) {
            guards.push(remark("drift", verdict, drift.in_words(now)));
        }
        let proposed = proposal.answer().unwrap_or(verdict.desired_replicas);
        Decision {
            sequence: self.sequence,
            at: now,
            observation: observation.clone(),
            reason: reason(&proposal.signals, proposed, &guards, verdict.desired_replicas),
            signals: proposal.signals,
            forecast: proposal.forecast,
            proposed_replicas: proposed,
            guards,
            desired_replicas: verdict.desired_replicas,
            without_forecast: verdict.without_forecast,
        }
    }
}

/// What is to be known of a decision beside the guards that changed it.
fn remark(name: &str, verdict: &Verdict, reason: String) -> GuardRecord {
    let replicas = verdict.desired_replicas;
    GuardRecord { guard: name.to_owned(), from_replicas: replicas, to_replicas: replicas, reason }
}

/// The decision in one sentence: the signal that asked for most, and the guards that changed it.
fn reason(signals: &[Signal], proposed: u32, guards: &[GuardRecord], desired: u32) -> String {
    let leading = signals.iter().find(|signal| signal.desired_replicas == proposed);
    let mut text = leading.map_or_else(
        || "nothing is known of the load".to_owned(),
        |signal| format!("{}: {} = {proposed}", signal.name, signal.reason),
    );
    for guard in guards {
        text.push_str("; ");
        text.push_str(&guard.guard);
        if guard.from_replicas != guard.to_replicas {
            _ = write!(text, " {} -> {}", guard.from_replicas, guard.to_replicas);
        }
        _ = write!(text, " ({})", guard.reason);
    }
    _ = write!(text, "; desired {desired}");
    text
}

#[cfg(test)]
mod tests;
