//! The target of one `MeshAutoscaler`: what is known of it without asking, and the one place where
//! its replicas, or the floor under them, are written.

mod accounts;
mod resources;
mod telling;
mod write;

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use k8s_openapi::api::core::v1::ObjectReference;

use super::cache::Key;
use super::cluster::Cluster;
use super::facts::{HpaFacts, PodFacts, TargetFacts, target_key};
use super::resource::{Actuation, MeshAutoscaler, Mode};
use super::target::{Target, built_in};
use super::{KubernetesError, floor};
use crate::clock::{self, Stopwatch};
use crate::config::{ResourceTargets, TargetConfig, WorkloadConfig};
use crate::journal::ClusterFacts;
use crate::safety::{Contest, UNSCHEDULABLE_FOR};
use crate::telemetry::ReplicaStatus;
use crate::units::Timestamp;

pub use telling::Refusal;
pub use write::{Effect, Written};

/// Pods from which a start-up time is learned.
const LEARN_FROM: usize = 3;

/// The driver of one target; clones share it.
#[derive(Clone)]
pub struct Managed(Arc<Inner>);

struct Inner {
    cluster: Cluster,
    /// Namespace and name of the resource.
    key: Key,
    target: Target,
    config: TargetConfig,
    actuation: Actuation,
    acts: bool,
    /// Use of CPU and memory that is aimed at.
    resources: ResourceTargets,
    startup: Duration,
    about: ObjectReference,
    state: Mutex<State>,
}

/// What is remembered between decisions.
#[derive(Default)]
struct State {
    contest: Contest,
    /// What we wrote last, for as long as the watch may not have shown it.
    order: Option<Order>,
    /// The floor that we set last.
    floor: Option<u32>,
    merges: bool,
    refusal: Option<Refusal>,
    last: Option<Written>,
    seen: Option<Seen>,
    told: HashMap<String, Stopwatch>,
    /// Service accounts of the target's pods; empty while nothing is known of them.
    accounts: BTreeSet<String>,
    /// Whether the target is left to whoever had it before.
    resting: bool,
    /// Why it is not known what the pods use.
    no_use: Option<Refusal>,
}

/// A number that we wrote, and the version of the object with it.
#[derive(Clone, Debug)]
struct Order {
    value: u32,
    version: String,
}

impl Order {
    /// Whether an object of this version is older than what we wrote. Versions of one kind ascend.
    fn is_newer_than(&self, version: &str) -> bool {
        match (self.version.parse::<u64>(), version.parse::<u64>()) {
            (Ok(ours), Ok(seen)) => seen < ours,
            _ => false,
        }
    }
}

/// What was last seen of the target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Replicas that it is to have.
    pub replicas: u32,
    /// Own pods that serve.
    pub ready: u32,
    /// Median time from creation to Ready of its pods.
    pub startup: Option<Duration>,
}

impl fmt::Debug for Managed {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Managed").field(&self.0.key).finish()
    }
}

impl Managed {
    /// The driver of a resource's target, with the settings of its control loop. A pod that is not
    /// Ready within its start-up time is overdue.
    pub fn new(cluster: &Cluster, resource: &MeshAutoscaler, settings: &WorkloadConfig) -> Self {
        let meta = &resource.metadata;
        let namespace = meta.namespace.clone().unwrap_or_default();
        let reference = &resource.spec.scale_target_ref;
        let config = TargetConfig {
            api_version: reference.api_version.clone(),
            kind: reference.kind.clone(),
            name: reference.name.clone(),
        };
        let about = kube::Resource::object_ref(resource, &());
        Self(Arc::new(Inner {
            cluster: cluster.clone(),
            key: (namespace.clone(), meta.name.clone().unwrap_or_default()),
            target: Target::new(cluster.client().clone(), &namespace, &config),
            config,
            actuation: resource.spec.actuation,
            acts: matches!(resource.spec.mode, Mode::Active | Mode::Canary)
                && resource.spec.actuation != Actuation::None,
            resources: settings.resources,
            startup: settings.startup_time,
            about,
            state: Mutex::default(),
        }))
    }

    /// Goes on with what another driver of the same resource remembers, but for a contest, which
    /// its owner has settled by editing the resource.
    #[must_use]
    pub fn after(self, before: &Self) -> Self {
        {
            let old = before.state();
            let mut new = self.state();
            new.order.clone_from(&old.order);
            new.floor = old.floor;
            new.last.clone_from(&old.last);
            new.resting = old.resting;
        }
        self
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether what is written are replicas.
    pub fn writes_replicas(&self) -> bool {
        self.0.actuation == Actuation::Scale
    }

    /// Why nothing can be written, if so.
    pub fn refusal(&self) -> Option<Refusal> {
        self.state().refusal.clone()
    }

    /// What was written last.
    pub fn last_written(&self) -> Option<Written> {
        self.state().last.clone()
    }

    /// What was last seen.
    pub fn seen(&self) -> Option<Seen> {
        self.state().seen
    }

    /// Whether somebody else writes the target's replicas again and again.
    pub fn is_contested(&self) -> bool {
        self.state().contest.is_contested()
    }

    /// Takes the target's pods out of those that are counted together, because it is written no
    /// longer.
    pub fn release(&self) {
        self.0.cluster.note_managed(&self.0.key, 0);
    }

    /// The replicas and what speaks against changing them. Asks the API server only for kinds that
    /// are not watched.
    ///
    /// # Errors
    /// When nothing certain is known.
    pub async fn status(&self) -> Result<ReplicaStatus, KubernetesError> {
        let now = clock::now();
        let looked = self.look().await;
        let result = looked.and_then(|target| self.status_of(&target, now));
        if let Err(error) = &result {
            self.refuse(error);
        }
        result
    }

    /// The target as it is.
    async fn look(&self) -> Result<TargetFacts, KubernetesError> {
        let inner = &self.0;
        inner.cluster.listed()?;
        let none = || KubernetesError::NoTarget { target: inner.target.name() };
        if let Some(resource) = built_in(&inner.config) {
            let targets = inner.cluster.targets(&resource);
            if !targets.is_synced() {
                return Err(KubernetesError::NotListed("targets"));
            }
            let target = targets.get(&inner.key.0, &inner.config.name).ok_or_else(none)?;
            return Ok(TargetFacts::clone(&target));
        }
        let scale = inner
            .target
            .read()
            .await
            .map_err(|error| if error.code() == Some(404) { none() } else { error })?;
        let missing = |field| KubernetesError::Incomplete { target: inner.target.name(), field };
        let replicas = scale.spec.and_then(|spec| spec.replicas).unwrap_or(0);
        Ok(TargetFacts {
            uid: scale.metadata.uid.ok_or_else(|| missing("uid"))?,
            replicas: u32::try_from(replicas).unwrap_or(0),
            rollout: false,
            resource_version: scale.metadata.resource_version.unwrap_or_default(),
            writer: None,
            account: None,
        })
    }

    fn status_of(
        &self,
        target: &TargetFacts,
        now: Timestamp,
    ) -> Result<ReplicaStatus, KubernetesError> {
        let inner = &self.0;
        self.note_accounts(target);
        let pods = self.pods(&target.uid);
        let ready: Vec<String> = pods
            .iter()
            .filter(|(_, pod)| pod.is_ready())
            .map(|((_, name), _)| name.clone())
            .collect();
        let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        let replicas = self.ordered(&target.resource_version).unwrap_or(target.replicas);
        let seen = Seen { replicas, ready: count(ready.len()), startup: startup_of(&pods) };
        let controlled = match inner.actuation {
            Actuation::HpaFloor => self.floor_now()?,
            _ => replicas,
        };
        if inner.acts && inner.actuation == Actuation::Scale && !self.state().resting {
            self.watch_for_others(now, target, replicas);
        }
        if inner.acts {
            inner.cluster.note_managed(&inner.key, replicas);
        }
        let overdue = |(_, pod): &&(Key, Arc<PodFacts>)| pod.is_overdue(now, inner.startup);
        let stuck = |(_, pod): &&(Key, Arc<PodFacts>)| {
            pod.unschedulable_for(now).is_some_and(|time| time >= UNSCHEDULABLE_FOR)
        };
        let facts = ClusterFacts {
            rollout: target.rollout,
            overdue_pods: count(pods.iter().filter(overdue).count()),
            unschedulable_pods: count(pods.iter().filter(stuck).count()),
            removable_pods: inner.acts.then(|| inner.cluster.removable(now)),
            contested: self.is_contested(),
            pause: inner.cluster.fence().pause(),
            replicas: Some(replicas),
            cpu: None,
            memory: None,
        };
        let facts = self.with_use(facts, &pods, now);
        let mut state = self.state();
        state.seen = Some(seen);
        // What stood against looking no longer does; what stands against writing shows itself.
        state.refusal = None;
        drop(state);
        if inner.acts
            && let Err(error) = self.check(target)
        {
            self.refuse(&error);
        }
        Ok(ReplicaStatus {
            current_replicas: controlled,
            ready_replicas: seen.ready,
            ready_pods: Some(ready),
            cluster: Some(facts),
        })
    }

    /// What stands against writing, whatever is to be written.
    fn check(&self, target: &TargetFacts) -> Result<(), KubernetesError> {
        if target.replicas == 0 {
            return Ok(());
        }
        match self.0.actuation {
            Actuation::Scale => match self.hpas().first() {
                Some((key, hpa)) => Err(KubernetesError::Conflict {
                    name: match &hpa.made_by {
                        Some(maker) => format!("{} (of {maker})", key.1),
                        None => key.1.clone(),
                    },
                }),
                None => Ok(()),
            },
            Actuation::HpaFloor => self.hpa().map(drop),
            Actuation::ExternalMetric | Actuation::None => Ok(()),
        }
    }

    /// The target's own pods.
    fn pods(&self, uid: &str) -> Vec<(Key, Arc<PodFacts>)> {
        let cluster = &self.0.cluster;
        let mut pods = cluster.pods().owned_by(uid);
        for (_, set) in cluster.sets().owned_by(uid) {
            pods.extend(cluster.pods().owned_by(&set.uid));
        }
        pods
    }

    /// The autoscalers of Kubernetes on the target.
    fn hpas(&self) -> Vec<(Key, Arc<HpaFacts>)> {
        let Inner { key, config, cluster, .. } = &*self.0;
        cluster.hpas().owned_by(&target_key(&key.0, &config.kind, &config.name))
    }

    /// The one that a floor stands under.
    fn hpa(&self) -> Result<(Key, Arc<HpaFacts>), KubernetesError> {
        let mut hpas = self.hpas().into_iter();
        let first = hpas.next();
        if let Some((key, _)) = hpas.next() {
            return Err(KubernetesError::Conflict { name: key.1 });
        }
        first.ok_or_else(|| KubernetesError::NoHpa { target: self.0.target.name() })
    }

    fn floor_now(&self) -> Result<u32, KubernetesError> {
        let (_, hpa) = self.hpa()?;
        Ok(self.ordered(&hpa.resource_version).unwrap_or(hpa.min))
    }

    /// What we wrote, as long as the watch shows an older version.
    fn ordered(&self, version: &str) -> Option<u32> {
        let mut state = self.state();
        match &state.order {
            Some(order) if order.is_newer_than(version) => Some(order.value),
            Some(_) => {
                state.order = None;
                None
            }
            None => None,
        }
    }

    fn watch_for_others(&self, now: Timestamp, target: &TargetFacts, replicas: u32) {
        let (is_foreign, contested) = {
            let mut state = self.state();
            let before = state.contest.is_contested();
            let is_foreign = state.contest.saw(now, replicas);
            (is_foreign, state.contest.is_contested() && !before)
        };
        let who = target.writer.as_deref().unwrap_or("somebody else");
        if is_foreign {
            self.tell(false, "ForeignWrite", &format!("{who} set {replicas} replicas"), true);
        }
        if contested {
            let note = format!(
                "{who} has set the replicas three times in ten minutes; nothing is changed until \
                 this resource is edited"
            );
            self.tell(true, "Contested", &note, true);
        }
    }
}

/// The median time from creation to Ready.
fn startup_of(pods: &[(Key, Arc<PodFacts>)]) -> Option<Duration> {
    let mut times: Vec<Duration> = pods.iter().filter_map(|(_, pod)| pod.startup()).collect();
    if times.len() < LEARN_FROM {
        return None;
    }
    times.sort_unstable();
    times.get(times.len() / 2).copied()
}
