//! Who decides and whether it is carried out: turns, candidates, and the policies that run beside.

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};

use super::{ControlLoop, SAVE_LOAD_EVERY};
use crate::actuate::Acts;
use crate::api::ControlCounters;
use crate::config::Mode;
use crate::journal::Observation;
use crate::shadow::{Change, Moment, News, Shadow};
use crate::store::to_bytes;
use crate::telemetry::ReplicaStatus;
use crate::units::Timestamp;

impl ControlLoop {
    /// Lets the autoscaler decide as the policy does whose turn it is, and says whether that is
    /// carried out.
    pub(super) fn follow(&mut self, now: Timestamp, replicas: Option<&ReplicaStatus>) -> Acts {
        let leader = self.shadows.as_ref().map_or(&Shadow::Configured, |it| it.leader(now));
        let name = (!matches!(leader, Shadow::Configured)).then(|| leader.label());
        if name != self.leader
            && let Some(way) = leader.way(&self.control.config)
        {
            self.lock().take_way(way);
            self.leader = name;
        }
        let (acts, handed_back) = self.turn(now, replicas);
        self.lock().take_turn(acts == Acts::Now, handed_back);
        self.control.update(|status| status.rests = acts == Acts::NotNow || handed_back.is_some());
        acts
    }

    /// Whether decisions are carried out at `now`, and the replicas that whoever scaled before has to
    /// have back first.
    fn turn(&self, now: Timestamp, replicas: Option<&ReplicaStatus>) -> (Acts, Option<u32>) {
        match self.control.config.mode {
            Mode::Shadow => (Acts::Never, None),
            Mode::Active => (Acts::Now, None),
            Mode::Canary => {
                // Where the turns are lost it is never ours.
                let Some(shadows) = &self.shadows else { return (Acts::NotNow, None) };
                if shadows.acts(now) {
                    return (Acts::Now, None);
                }
                let lacks =
                    |before: &u32| replicas.is_some_and(|status| status.current_replicas < *before);
                let before = shadows.hands_back(now).filter(lacks);
                match before.filter(|_| self.actuator.hands_back()) {
                    Some(before) => (Acts::Now, Some(before)),
                    None => (Acts::NotNow, None),
                }
            }
        }
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
            let news = shadows.step(&moment);
            (shadows, news)
        });
        match stepped.await {
            Ok((shadows, news)) => {
                if let Some(news) = news {
                    self.tell(&news);
                }
                let scores = shadows.scores(now);
                self.control.update(|status| status.shadows = Some(scores));
                self.shadows = Some(shadows);
            }
            Err(_) => self.failed_step("a shadow policy panicked; none runs until a restart"),
        }
    }

    pub(super) fn tell(&mut self, news: &News) {
        let workload = &self.workload.key;
        match news {
            News::Stage(Change { candidate, from, to, reason }) => {
                tracing::info!(%workload, candidate, ?from, ?to, reason, "promotion");
                ControlCounters::add(&self.control.counters.promotions, to.name());
            }
            News::Demoted(reason) => {
                tracing::warn!(%workload, reason, "mode canary: decisions are carried out no longer");
                ControlCounters::add(&self.control.counters.promotions, "demoted");
            }
        }
        if let Some(managed) = self.control.managed() {
            managed.tell_news(news);
        }
        self.board_changed = true;
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
