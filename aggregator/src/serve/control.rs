//! The loop that decides for one workload: ask, look, decide, record, write.

mod policies;
mod versions;

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError, TryLockError};
use std::time::Duration;

use tokio::sync::{Semaphore, watch};

use super::SETTLED_AFTER;
use super::loops::Left;
use crate::actuate::{Acts, Actuation, Actuator, Outcome};
use crate::api::{App, Control, ControlCounters, in_full};
use crate::autoscaler::{Autoscaler, Snapshot, Step};
use crate::clock;
use crate::forecast::Drift;
use crate::ingest::{Record, Recorded, Workload};
use crate::journal::Observation;
use crate::safety::Approved;
use crate::shadow::Shadows;
use crate::sources::Source;
use crate::store::to_bytes;
use crate::telemetry::ReplicaStatus;
use crate::units::{Timestamp, micros};

/// Time for one decision, which takes microseconds.
const STEP_DEADLINE: Duration = Duration::from_secs(1);
/// A number that is reached already is written again after so long, in case it was changed.
const REFRESH: Duration = Duration::from_secs(30);
/// Steps of load after which it is stored again.
const SAVE_LOAD_EVERY: usize = 40;
/// What a loop may be late before it is taken for stuck.
const LATENESS: Duration = Duration::from_secs(10);

/// Decides for one workload.
pub(super) struct ControlLoop {
    app: Arc<App>,
    control: Arc<Control>,
    workload: Arc<Workload>,
    autoscaler: Arc<Mutex<Autoscaler>>,
    /// What the autoscaler is made from anew after a panic.
    last_good: Snapshot,
    source: Source,
    actuator: Actuator,
    refits: Arc<Semaphore>,
    /// Policies beside the one in charge; `None` after one of them failed.
    shadows: Option<Shadows>,
    /// The policy that the autoscaler follows; `None` for the workload's own settings.
    leader: Option<String>,
    /// Whether the scores must be stored at once.
    board_changed: bool,
    /// When it was last looked whether another version of a model is in use, and whether all of them
    /// could be had.
    versions: (Option<Timestamp>, bool),
    /// The change of the load that was last told of.
    drift: Option<Drift>,
    source_works: Option<bool>,
    last_write: Option<Timestamp>,
}

impl ControlLoop {
    /// The loop of a workload.
    pub(super) fn new(
        app: &Arc<App>,
        control: Arc<Control>,
        workload: Arc<Workload>,
        (autoscaler, shadows): (Autoscaler, Shadows),
        (source, actuator): (Source, Actuator),
        refits: &Arc<Semaphore>,
    ) -> Self {
        Self {
            app: Arc::clone(app),
            last_good: autoscaler.snapshot(),
            autoscaler: Arc::new(Mutex::new(autoscaler)),
            source,
            actuator,
            workload,
            control,
            refits: Arc::clone(refits),
            shadows: Some(shadows),
            leader: None,
            board_changed: false,
            versions: (None, true),
            drift: None,
            source_works: None,
            last_write: None,
        }
    }

    /// Decides just after each multiple of the decision interval until `stopped` changes.
    pub(super) async fn run(mut self, mut stopped: watch::Receiver<bool>) -> Left {
        let interval = self.control.config.decision_interval;
        self.refit();
        loop {
            let now = clock::now();
            let index = (now - SETTLED_AFTER).step_index(interval);
            let next = Timestamp::of_step(index + 1, interval) + SETTLED_AFTER;
            // Asking, deciding and writing are each bounded by less than an interval or a timeout.
            self.control.promise(next + 2 * interval + self.source.timeout() + LATENESS);
            tokio::select! {
                () = tokio::time::sleep(next.since(now)) => self.decide().await,
                _ = stopped.changed() => break,
            }
        }
        let load = self.lock().learned_load();
        let board = self.shadows.map(|shadows| shadows.board().clone()).unwrap_or_default();
        Left { snapshot: self.last_good, load, board }
    }

    async fn decide(&mut self) {
        let replicas = self.poll().await;
        let now = clock::now();
        let Some((since, observation)) = self.observe(now, replicas.as_ref()) else { return };
        self.judge(now, since, &observation);
        self.renew(now).await;
        let acts = self.follow(now, replicas.as_ref());
        let Some((step, snapshot)) = self.step(now, observation).await else {
            self.leader = None;
            return;
        };
        self.last_good = snapshot;
        let decision = &step.decision;
        let counters = &self.control.counters;
        counters.decisions.fetch_add(1, Ordering::Relaxed);
        for guard in &decision.guards {
            ControlCounters::add(&counters.guards, guard.guard.clone());
        }
        let ready = replicas.as_ref().map(|status| status.ready_replicas);
        self.workload.with(|telemetry| {
            telemetry.set_replicas(ready, Some(decision.desired_replicas));
        });
        let (curve, scores, capacity) = {
            let autoscaler = self.lock();
            (autoscaler.forecast().cloned(), autoscaler.scores(), autoscaler.capacity().cloned())
        };
        if let Some(drift) = curve.as_ref().and_then(|curve| curve.drift)
            && self.drift.replace(drift) != Some(drift)
        {
            ControlCounters::add(&counters.drifts, drift.stream.name());
        }
        self.control.update(|status| {
            status.replicas = replicas;
            status.decision = Some(decision.clone());
            status.forecast = curve;
            status.scores = scores;
            status.capacity = capacity;
        });
        self.record(&step).await;
        self.app.events.decision(&self.workload.key, decision);
        if let Some(approved) = &step.approved {
            self.write((now, acts), approved, &step).await;
        }
        self.shadow(now, &step.decision.observation).await;
        self.refit();
    }

    /// Asks for the replica counts. Says when asking begins to fail and when it works again.
    async fn poll(&mut self) -> Option<ReplicaStatus> {
        let result = self.source.poll().await;
        let polls = &self.control.counters.polls;
        let works = result.is_ok();
        let changed = self.source_works != Some(works);
        self.source_works = Some(works);
        match result {
            Ok(status) => {
                if changed && status.is_some() {
                    tracing::info!(workload = %self.workload.key, "replica counts are known");
                }
                ControlCounters::add(polls, "ok");
                status
            }
            Err(error) => {
                ControlCounters::add(polls, error.kind());
                if changed {
                    let cause = &error as &dyn std::error::Error;
                    tracing::warn!(workload = %self.workload.key, cause, "replica counts are unknown");
                }
                None
            }
        }
    }

    /// What the decision may know; `None` while a step that overran its deadline still runs.
    fn observe(
        &self,
        now: Timestamp,
        replicas: Option<&ReplicaStatus>,
    ) -> Option<(Timestamp, Observation)> {
        let until = match self.autoscaler.try_lock() {
            Ok(autoscaler) => autoscaler.observed_until(),
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner().observed_until(),
            Err(TryLockError::WouldBlock) => {
                self.failed_step("the step before has not ended");
                return None;
            }
        };
        let since = until.unwrap_or(now - self.control.config.decision_interval);
        Some((since, self.workload.with(|telemetry| telemetry.observe(now, since, replicas))))
    }

    /// Counts the requests since the last decision as served within the objective or not.
    fn judge(&self, now: Timestamp, since: Timestamp, seen: &Observation) {
        let objective = &self.control.config.objective;
        let latency = self.workload.with(|telemetry| telemetry.recent_latency(since));
        let reached = latency.quantile(objective.quantile.get());
        let (Some(rps), Some(reached)) = (seen.rps, reached) else { return };
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a rate is finite and not negative, and a cast saturates"
        )]
        let requests = (rps.get() * now.since(since).as_secs_f64()).round() as u64;
        self.control.counters.judge(requests, reached > micros(objective.latency));
    }

    /// Decides, on another thread and within a deadline.
    async fn step(&self, now: Timestamp, observation: Observation) -> Option<(Step, Snapshot)> {
        let autoscaler = Arc::clone(&self.autoscaler);
        let step = tokio::task::spawn_blocking(move || {
            let mut autoscaler = autoscaler.lock().unwrap_or_else(PoisonError::into_inner);
            let step = autoscaler.step(now, &observation);
            (step, autoscaler.snapshot())
        });
        match tokio::time::timeout(STEP_DEADLINE, step).await {
            Ok(Ok(done)) => Some(done),
            Ok(Err(_)) => {
                self.failed_step("the step panicked; the autoscaler begins anew, reactive first");
                let fresh = {
                    let learned = self.lock().learned_load();
                    let config = &self.control.config;
                    Autoscaler::restore(config, self.last_good.clone(), Some(&learned), now)
                };
                *self.lock() = fresh;
                None
            }
            Err(_) => {
                self.failed_step("the step took more than a second; nothing was decided");
                None
            }
        }
    }

    fn failed_step(&self, problem: &str) {
        self.control.counters.failed_steps.fetch_add(1, Ordering::Relaxed);
        tracing::error!(workload = %self.workload.key, "{problem}");
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Autoscaler> {
        self.autoscaler.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts the decision on disk before it is acted on. A disk that fails does not keep a
    /// workload from being scaled: it is said, and the decision is written when the disk works.
    async fn record(&mut self, step: &Step) {
        let autoscaler = to_bytes(&self.last_good)
            .inspect_err(|error| {
                let cause = error as &dyn std::error::Error;
                tracing::error!(workload = %self.workload.key, cause, "the autoscaler is not saved");
            })
            .ok();
        let record = Record {
            workload: self.workload.id,
            decision: Some(step.decision.clone()),
            autoscaler,
            load: self.load_to_store(),
            board: self.board_to_store(),
        };
        let recorded = tokio::time::timeout(STEP_DEADLINE, self.app.ingest.record(record)).await;
        if recorded != Ok(Recorded::Durable) {
            self.control.counters.unrecorded.fetch_add(1, Ordering::Relaxed);
            tracing::error!(
                workload = %self.workload.key,
                decision = step.decision.sequence,
                "the decision is acted on and not yet on disk"
            );
        }
    }

    /// The learned load, now and then: it is large and changes little.
    fn load_to_store(&self) -> Option<Vec<u8>> {
        let autoscaler = self.lock();
        let steps = autoscaler.load().len();
        if steps == 0 || (steps > SAVE_LOAD_EVERY && !steps.is_multiple_of(SAVE_LOAD_EVERY)) {
            return None;
        }
        to_bytes(&autoscaler.learned_load())
            .inspect_err(|error| {
                let cause = error as &dyn std::error::Error;
                tracing::error!(workload = %self.workload.key, cause, "the load is not saved");
            })
            .ok()
    }

    /// Writes when something is to change, and now and then when not.
    async fn write(&mut self, (now, acts): (Timestamp, Acts), approved: &Approved, step: &Step) {
        let is_due = self.last_write.is_none_or(|last| now.since(last) >= REFRESH);
        let changes = approved.desired_replicas() != approved.current_replicas();
        if !changes && !is_due && !self.actuator.knows() {
            return;
        }
        let config = &self.control.config;
        let key = &self.workload.key;
        let budget = config.decision_interval;
        let result = self.actuator.write(acts, key, approved, &step.decision, budget).await;
        let at = clock::now();
        if matches!(result, Ok(Outcome::Unchanged)) {
            return;
        }
        let (label, error) = match &result {
            Ok(outcome) => {
                self.last_write = Some(at);
                (outcome.name(), None)
            }
            Err(error) => {
                // The next decision tries again.
                self.last_write = None;
                let cause = error as &dyn std::error::Error;
                let desired = approved.desired_replicas();
                tracing::warn!(workload = %key, desired, cause, "scaling is not confirmed");
                (error.kind(), Some(in_full(error)))
            }
        };
        ControlCounters::add(&self.control.counters.writes, label);
        let actuation = Actuation {
            at,
            desired_replicas: approved.desired_replicas(),
            result: if error.is_some() { "error" } else { label },
            error,
        };
        self.control.update(|status| status.actuation = Some(actuation));
    }

    /// Fits the models when it is due, one workload at a time, beside the decisions.
    fn refit(&self) {
        let Some(job) = self.lock().refit_job() else { return };
        let autoscaler = Arc::clone(&self.autoscaler);
        let refits = Arc::clone(&self.refits);
        let control = Arc::clone(&self.control);
        let key = self.workload.key.clone();
        tokio::spawn(async move {
            let Ok(_turn) = refits.acquire().await else { return };
            let watch = clock::Stopwatch::start();
            let fitted = tokio::task::spawn_blocking(move || job.run()).await;
            let mut autoscaler = autoscaler.lock().unwrap_or_else(PoisonError::into_inner);
            if let Ok(refitted) = fitted {
                for error in refitted.errors() {
                    tracing::info!(workload = %key, %error, "a model is not fitted yet");
                }
                tracing::debug!(workload = %key, elapsed = ?watch.elapsed(), "models fitted");
                autoscaler.install(refitted);
            } else {
                control.counters.failed_refits.fetch_add(1, Ordering::Relaxed);
                tracing::error!(workload = %key, "fitting panicked; decisions are reactive only");
                autoscaler.model_failed("fitting panicked".to_owned());
            }
        });
    }
}
