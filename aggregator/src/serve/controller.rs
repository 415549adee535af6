//! Obeys `MeshAutoscaler`s: one control loop for each that is valid, floors that are given back,
//! and a status that says what is.
//!
//! Every aggregator runs all loops and decides; the one that holds the lease writes.

mod floors;
mod report;
mod statuses;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::loops::Loops;
use super::shadows::shadows;
use crate::api::App;
use crate::clock::{self, Stopwatch};
use crate::config::WorkloadConfig;
use crate::kubernetes::resource::{self, InvalidSpec, MeshAutoscaler};
use crate::kubernetes::{Cluster, LeaderMark, Managed};
use crate::units::{Timestamp, WorkloadKey};
use floors::Floors;
use report::Subject;
use statuses::Statuses;

/// Time between looks at everything.
const TURN: Duration = Duration::from_secs(1);
/// How long a change waits for others.
const SETTLE: Duration = Duration::from_millis(100);
/// A loop goes on with another learned start-up time at most so often: nothing scales down for a
/// stabilization window then.
const RELEARN_AFTER: Duration = Duration::from_hours(1);

/// Namespace and name of a resource.
type Key = (String, String);

/// A resource with its control loop.
struct Running {
    resource: Arc<MeshAutoscaler>,
    config: WorkloadConfig,
    managed: Managed,
    since: Stopwatch,
    relearned: bool,
}

/// Starts, changes and ends control loops as the resources say.
pub(super) struct Controller {
    app: Arc<App>,
    cluster: Cluster,
    running: BTreeMap<Key, Running>,
    invalid: BTreeMap<Key, InvalidSpec>,
    floors: Floors,
    statuses: Statuses,
    mark: Option<LeaderMark>,
    /// Since when this process leads.
    leads_since: Option<Timestamp>,
    /// Workloads that the configuration file decides for.
    configured: BTreeSet<WorkloadKey>,
}

impl Controller {
    /// For a cluster that is watched already.
    pub(super) fn new(app: &Arc<App>, cluster: Cluster, configured: BTreeSet<WorkloadKey>) -> Self {
        Self {
            app: Arc::clone(app),
            floors: Floors::default(),
            statuses: Statuses::new(cluster.clone()),
            mark: LeaderMark::of_this_pod(cluster.client()),
            leads_since: None,
            cluster,
            running: BTreeMap::new(),
            invalid: BTreeMap::new(),
            configured,
        }
    }

    /// Runs until `stopped` changes, and gives the loops back.
    pub(super) async fn run(
        mut self,
        mut loops: Loops,
        mut stopped: watch::Receiver<bool>,
    ) -> Loops {
        loop {
            if let Some(mark) = &mut self.mark {
                mark.turn(self.cluster.fence().leads()).await;
            }
            if self.cluster.resources().is_synced() {
                self.reconcile(&mut loops).await;
                let leads = self.cluster.fence().leads();
                self.leads_since = leads.then(|| self.leads_since.unwrap_or_else(clock::now));
                if leads {
                    self.floors.turn(&self.cluster).await;
                    self.report().await;
                }
            }
            tokio::select! {
                () = self.cluster.resources().changed() => tokio::time::sleep(SETTLE).await,
                () = tokio::time::sleep(TURN) => {}
                _ = stopped.changed() => return loops,
            }
        }
    }

    /// Brings the loops in line with the resources.
    async fn reconcile(&mut self, loops: &mut Loops) {
        let resources = self.cluster.resources().all();
        let mut taken = self.configured.clone();
        let mut wanted = BTreeSet::new();
        let mut by_age: Vec<_> = resources.iter().collect();
        by_age.sort_by_key(|(key, resource)| {
            (resource.metadata.creation_timestamp.as_ref().map(|time| time.0), key.clone())
        });
        for (key, resource) in by_age {
            if resource.metadata.deletion_timestamp.is_some() {
                continue;
            }
            match self.settings(key, resource, &mut taken) {
                Ok(config) => {
                    self.invalid.remove(key);
                    wanted.insert(key.clone());
                    self.keep_running(key, resource, config, loops).await;
                }
                Err(error) => {
                    self.invalid.insert(key.clone(), error);
                }
            }
        }
        let gone: Vec<_> =
            self.running.keys().filter(|key| !wanted.contains(*key)).cloned().collect();
        for key in gone {
            if let Some(running) = self.running.remove(&key) {
                running.managed.release();
                loops.stop(&running.config.key).await;
                tracing::info!(namespace = key.0, name = key.1, "decides no longer");
            }
        }
        let exists: BTreeSet<_> = resources.iter().map(|(key, _)| key).collect();
        self.invalid.retain(|key, _| exists.contains(key));
        self.statuses.retain(|key| exists.contains(key));
    }

    /// The settings of a resource; the oldest of several with one target has it.
    fn settings(
        &self,
        key: &Key,
        resource: &MeshAutoscaler,
        taken: &mut BTreeSet<WorkloadKey>,
    ) -> Result<WorkloadConfig, InvalidSpec> {
        let learned = self.running.get(key).and_then(|running| {
            let now = Some(running.config.startup_time).filter(|_| running.relearned);
            if is_other(running) { running.managed.seen()?.startup } else { now }
        });
        let config = resource::settings(&key.0, &resource.spec, learned)?;
        if taken.insert(config.key.clone()) {
            Ok(config)
        } else {
            Err(InvalidSpec::taken(&config.key))
        }
    }

    async fn keep_running(
        &mut self,
        key: &Key,
        resource: &Arc<MeshAutoscaler>,
        config: WorkloadConfig,
        loops: &mut Loops,
    ) {
        let before = self.running.remove(key);
        let is_same = before.as_ref().is_some_and(|running| {
            running.config == config
                && running.resource.spec == resource.spec
                && running.resource.metadata.uid == resource.metadata.uid
        });
        if is_same && let Some(mut running) = before {
            running.resource = Arc::clone(resource);
            self.running.insert(key.clone(), running);
            return;
        }
        let shadows = match shadows(&config) {
            Ok(shadows) => shadows,
            Err(error) => {
                // Tried again each turn: a model's file may appear.
                self.invalid.insert(key.clone(), InvalidSpec::shadow(&error));
                if let Some(before) = before {
                    before.managed.release();
                    loops.stop(&before.config.key).await;
                }
                return;
            }
        };
        let mut managed = Managed::new(&self.cluster, resource, &config);
        let mut relearned = false;
        if let Some(before) = before {
            relearned = before.resource.spec == resource.spec || before.relearned;
            if before.config.key != config.key {
                loops.stop(&before.config.key).await;
            }
            managed = managed.after(&before.managed);
            before.managed.release();
        }
        tracing::info!(
            namespace = key.0, name = key.1, mode = ?resource.spec.mode,
            actuation = ?resource.spec.actuation, "decides"
        );
        let demoted = demoted(resource);
        loops.start_managed(config.clone(), managed.clone(), shadows, demoted).await;
        let (resource, since) = (Arc::clone(resource), Stopwatch::start());
        self.running.insert(key.clone(), Running { resource, config, managed, since, relearned });
    }

    /// Writes the statuses that have changed.
    async fn report(&mut self) {
        let now = clock::now();
        let since = self.leads_since.unwrap_or(now);
        let faults = self.app.kubernetes().map(|health| health.lately(now, since));
        let faults = faults.unwrap_or_default();
        for (key, resource) in self.cluster.resources().all() {
            let running = self.running.get(&key);
            let control = running.and_then(|it| self.app.controls.get(&it.config.key));
            let workload = running.and_then(|it| {
                let WorkloadKey { namespace, name } = &it.config.key;
                self.app.ingest.workloads().get(namespace, name)
            });
            let subject = Subject {
                resource: &resource,
                invalid: self.invalid.get(&key),
                managed: running.map(|running| &running.managed),
                control: control.as_deref(),
                workload: workload.as_deref(),
                pause: self.cluster.fence().pause(),
                faults: &faults,
            };
            self.statuses.offer(&key, &resource, subject.status(now));
        }
        self.statuses.flush().await;
    }
}

/// Why our turns have ended, as its status says: whoever led before has found so.
fn demoted(resource: &MeshAutoscaler) -> Option<&str> {
    resource.status.as_ref()?.canary.as_ref()?.demoted.as_deref()
}

/// Whether another start-up time was learned than the loop goes by.
fn is_other(running: &Running) -> bool {
    let Some(learned) = running.managed.seen().and_then(|seen| seen.startup) else { return false };
    let known = running.config.startup_time;
    let differs = learned.abs_diff(known) > (known / 2).max(Duration::from_secs(5));
    let is_due = !running.relearned || running.since.elapsed() >= RELEARN_AFTER;
    running.resource.spec.startup_time.is_none() && differs && is_due
}
