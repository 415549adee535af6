//! The control loops: one for each workload that is decided for; they come and go.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde::de::DeserializeOwned;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;

use super::control::ControlLoop;
use crate::actuate::Actuator;
use crate::api::{App, Control};
use crate::autoscaler::{Autoscaler, Snapshot};
use crate::clock;
use crate::config::WorkloadConfig;
use crate::forecast::Load;
use crate::ingest::{Restored, Workload};
use crate::kubernetes::Managed;
use crate::shadow::{Board, Shadow, Shadows};
use crate::sources::{Clients, Source};
use crate::store::from_bytes;
use crate::units::{Rps, Timestamp, WorkloadKey};

/// What a loop leaves behind for the one after it.
pub(super) struct Left {
    /// State of its autoscaler.
    pub(super) snapshot: Snapshot,
    /// The load that it learned from.
    pub(super) load: Load,
    /// The scores of the policies beside it.
    pub(super) board: Board,
}

struct Running {
    stop: watch::Sender<bool>,
    ended: JoinHandle<Left>,
}

/// All control loops.
pub(super) struct Loops {
    app: Arc<App>,
    clients: Clients,
    /// One fit at a time.
    refits: Arc<Semaphore>,
    restored: Restored,
    running: BTreeMap<WorkloadKey, Running>,
}

impl Loops {
    /// None yet; `restored` is what the store knows of earlier ones.
    pub(super) fn new(app: Arc<App>, clients: Clients, restored: Restored) -> Self {
        let refits = Arc::new(Semaphore::new(1));
        Self { app, clients, refits, restored, running: BTreeMap::new() }
    }

    /// Shows what is stored of a workload until its loop begins.
    pub(super) async fn announce(&self, config: &WorkloadConfig) {
        let Some(workload) = self.app.ingest.workload(config.key.clone()).await else { return };
        let decision = self.restored.decisions.get(&workload.id).cloned();
        self.app.controls.insert(Arc::new(Control::new(config.clone(), decision, None)));
    }

    /// Begins to decide for a workload, or goes on with other settings. `samples` is recorded load
    /// for a workload of which none is known.
    pub(super) async fn start(
        &mut self,
        config: WorkloadConfig,
        samples: &[(Timestamp, Rps)],
        shadows: Vec<Shadow>,
    ) {
        let (namespace, clients) = (&config.key.namespace, &self.clients);
        let source = Source::new(&config.actuator, namespace, clients);
        let actuator = Actuator::new(&config.actuator, namespace, clients);
        self.start_with(config, samples, (shadows, None), (source, actuator)).await;
    }

    /// The same for the target of a `MeshAutoscaler`; `demoted` says why another aggregator has ended
    /// our turns in mode canary.
    pub(super) async fn start_managed(
        &mut self,
        config: WorkloadConfig,
        managed: Managed,
        shadows: Vec<Shadow>,
        demoted: Option<&str>,
    ) {
        let (source, actuator) = (Source::Managed(managed.clone()), Actuator::Managed(managed));
        self.start_with(config, &[], (shadows, demoted), (source, actuator)).await;
    }

    async fn start_with(
        &mut self,
        config: WorkloadConfig,
        samples: &[(Timestamp, Rps)],
        (shadows, demoted): (Vec<Shadow>, Option<&str>),
        ways: (Source, Actuator),
    ) {
        let key = config.key.clone();
        let Some(workload) = self.app.ingest.workload(key.clone()).await else { return };
        let before = self.stop(&key).await;
        let (snapshot, load, board) = match before {
            Some(Left { snapshot, load, board }) => (Some(snapshot), Some(load), Some(board)),
            None => (
                stored(&mut self.restored.autoscalers, "autoscalers", &workload),
                stored(&mut self.restored.loads, "loads", &workload),
                stored(&mut self.restored.boards, "boards", &workload),
            ),
        };
        let now = clock::now();
        let mut shadows = Shadows::new(&config, shadows, board.unwrap_or_default(), now);
        if let Some(reason) = demoted {
            shadows.demote(reason);
        }
        let mut autoscaler = match snapshot {
            Some(snapshot) => Autoscaler::restore(&config, snapshot, load.as_ref(), now),
            None => Autoscaler::new(&config, now),
        };
        if autoscaler.needs_history() {
            autoscaler.load_history(samples);
        }
        let decision = self.restored.decisions.remove(&workload.id);
        let managed = match &ways.0 {
            Source::Managed(managed) => Some(managed.clone()),
            _ => None,
        };
        let control = Arc::new(Control::new(config, decision, managed));
        self.app.controls.insert(Arc::clone(&control));
        let made = ControlLoop::new(
            &self.app,
            control,
            workload,
            (autoscaler, shadows),
            ways,
            &self.refits,
        );
        let (stop, stopped) = watch::channel(false);
        let ended = tokio::spawn(made.run(stopped));
        self.running.insert(key, Running { stop, ended });
    }

    /// Decides no longer for a workload; it is still watched. Gives what its loop had learned.
    pub(super) async fn stop(&mut self, key: &WorkloadKey) -> Option<Left> {
        let Running { stop, ended } = self.running.remove(key)?;
        self.app.controls.remove(key);
        let _ = stop.send(true);
        match ended.await {
            Ok(left) => Some(left),
            Err(error) => {
                let cause = &error as &dyn std::error::Error;
                tracing::error!(workload = %key, cause, "the loop failed; the next begins anew");
                None
            }
        }
    }

    /// Lets every loop finish the decision that it makes, for at most `grace`. What is shown of
    /// them stays.
    pub(super) async fn stop_all(&mut self, grace: Duration) {
        let running = std::mem::take(&mut self.running);
        for running in running.values() {
            let _ = running.stop.send(true);
        }
        let aborts: Vec<_> = running.values().map(|running| running.ended.abort_handle()).collect();
        let all = async {
            for running in running.into_values() {
                let _ = running.ended.await;
            }
        };
        if tokio::time::timeout(grace, all).await.is_err() {
            aborts.iter().for_each(tokio::task::AbortHandle::abort);
        }
    }
}

/// A stored part of an autoscaler, or its scores. One that cannot be read is said and done without:
/// without an autoscaler the guards begin anew, and nothing scales down for a stabilization window.
fn stored<T: DeserializeOwned>(
    rows: &mut std::collections::HashMap<u32, Vec<u8>>,
    table: &'static str,
    workload: &Workload,
) -> Option<T> {
    let row = rows.remove(&workload.id)?;
    from_bytes(table, &row)
        .inspect_err(|error| {
            let cause = error as &dyn std::error::Error;
            tracing::error!(workload = %workload.key, table, cause, "it begins anew");
        })
        .ok()
}
