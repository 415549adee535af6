//! The policies beside the one in charge: their versions, their turns, their scores.

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use super::{ControlLoop, SAVE_LOAD_EVERY};
use crate::api::ControlCounters;
use crate::journal::Observation;
use crate::models;
use crate::shadow::{Change, Moment, Shadow, Shadows};
use crate::store::to_bytes;
use crate::units::Timestamp;

/// Time between two looks at which versions of the models are in use.
const LOOK_EVERY: Duration = Duration::from_secs(10);

impl ControlLoop {
    /// Takes the versions of the models that were put in use since the last look. One that cannot be
    /// had is said, once, and the one before it goes on.
    pub(super) async fn renew(&mut self, now: Timestamp) {
        let (looked, works) = self.versions;
        if looked.is_some_and(|at| now.since(at) < LOOK_EVERY) {
            return;
        }
        let policies = self.shadows.iter().flat_map(Shadows::policies);
        let known: Vec<(String, u64)> = policies
            .filter_map(|policy| Some((policy.name().to_owned(), policy.version()?)))
            .collect();
        self.versions = (Some(now), works);
        if known.is_empty() {
            return;
        }
        let look = move || -> Vec<_> {
            known.iter().map(|(name, version)| models::newer(name, Some(*version))).collect()
        };
        let found = tokio::task::spawn_blocking(look).await.unwrap_or_default();
        self.versions.1 = found.iter().all(Result::is_ok);
        for policy in found {
            match policy {
                Ok(Some(policy)) => self.take(policy, now),
                Err(error) if works => {
                    let cause = &error as &dyn std::error::Error;
                    let workload = &self.workload.key;
                    tracing::error!(%workload, cause, "another version cannot be had");
                }
                Ok(None) | Err(_) => {}
            }
        }
    }

    fn take(&mut self, policy: Shadow, now: Timestamp) {
        let Some(shadows) = self.shadows.as_mut() else { return };
        let (workload, label) = (&self.workload.key, policy.label());
        tracing::info!(%workload, policy = label, "another version runs as a shadow");
        let change = shadows.replace(policy, now);
        self.board_changed = true;
        self.tell(change);
    }

    /// Says that a candidate has come to another stage.
    fn tell(&mut self, change: Option<Change>) {
        let Some(Change { candidate, from, to, reason }) = change else { return };
        let workload = &self.workload.key;
        tracing::info!(%workload, candidate, ?from, ?to, reason, "promotion");
        ControlCounters::add(&self.control.counters.promotions, to.name());
        self.board_changed = true;
    }

    /// Lets the policies beside this one decide on the same, on another thread: one that fails ends
    /// all of them, and nothing else.
    pub(super) async fn shadow(&mut self, now: Timestamp, observation: &Observation) {
        let Some(mut shadows) = self.shadows.take() else { return };
        let autoscaler = Arc::clone(&self.autoscaler);
        let observation = observation.clone();
        let stepped = tokio::task::spawn_blocking(move || {
            let (curve, safe, likely, startup) = {
                let autoscaler = autoscaler.lock().unwrap_or_else(PoisonError::into_inner);
                let curve = autoscaler.forecast().cloned();
                (curve, autoscaler.safe_rps(), autoscaler.likely_rps(), autoscaler.startup())
            };
            let curve = curve.as_ref();
            let observation = &observation;
            let moment = Moment { now, observation, curve, safe, likely, startup };
            let change = shadows.step(&moment);
            (shadows, change)
        });
        match stepped.await {
            Ok((shadows, change)) => {
                self.tell(change);
                let scores = shadows.board().scores(now);
                self.control.update(|status| status.shadows = Some(scores));
                self.shadows = Some(shadows);
            }
            Err(_) => self.failed_step("a shadow policy panicked; none runs until a restart"),
        }
    }

    /// Lets the autoscaler decide as the policy does whose turn it is.
    pub(super) fn follow(&mut self, now: Timestamp) {
        let leader = self.shadows.as_ref().map_or(&Shadow::Configured, |it| it.leader(now));
        let name = (!matches!(leader, Shadow::Configured)).then(|| leader.label());
        if name == self.leader {
            return;
        }
        if let Some(way) = leader.way(&self.control.config) {
            self.lock().take_way(way);
            self.leader = name;
        }
    }

    /// The scores of the policies beside this one, as often as the load, and when a candidate's stage
    /// has changed.
    pub(super) fn board_to_store(&mut self) -> Option<Vec<u8>> {
        let shadows = self.shadows.as_ref()?;
        let sequence = self.control.counters.decisions.load(Ordering::Relaxed);
        let is_due = sequence.is_multiple_of(SAVE_LOAD_EVERY as u64);
        (std::mem::take(&mut self.board_changed) || is_due).then_some(())?;
        to_bytes(shadows.board())
            .inspect_err(|error| {
                let cause = error as &dyn std::error::Error;
                tracing::error!(workload = %self.workload.key, cause, "the scores are not saved");
            })
            .ok()
    }
}
