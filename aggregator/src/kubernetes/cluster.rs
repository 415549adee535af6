//! The cluster as this process sees it: one watch a kind, shared by all targets, and the means to
//! write that all of them share.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Debug;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use k8s_openapi::jiff;
use kube::api::{Api, ObjectMeta, PostParams};
use kube::core::{ApiResource, DynamicObject, PartialObjectMeta};
use kube::runtime::watcher;
use kube::{Client, Resource, ResourceExt};
use serde::de::DeserializeOwned;
use tokio::task::AbortHandle;

use super::cache::{Cache, Kept, Key};
use super::facts::{HpaFacts, PodFacts, SetFacts, TargetFacts};
use super::lease::Fence;
use super::resource::MeshAutoscaler;
use super::usage::Usage;
use super::{FIELD_MANAGER, KubernetesError};
use crate::clock;
use crate::config::KubernetesConfig;
use crate::safety::BlastLedger;
use crate::units::Timestamp;

/// How long a watch lasts before it is begun again, so that one that hangs is found out.
const WATCH_SECONDS: u32 = 240;

/// Pauses after each try to publish an event; the last is given up.
const EVENT_PAUSES: [Duration; 4] =
    [Duration::from_secs(1), Duration::from_secs(3), Duration::from_secs(9), Duration::ZERO];

/// What is known of a cluster; clones share it.
#[derive(Clone)]
pub struct Cluster(Arc<Inner>);

struct Inner {
    client: Client,
    namespaces: Vec<Option<String>>,
    identity: String,
    fence: Fence,
    resources: Arc<Cache<MeshAutoscaler>>,
    pods: Arc<Cache<PodFacts>>,
    sets: Arc<Cache<SetFacts>>,
    hpas: Arc<Cache<HpaFacts>>,
    usage: Usage,
    /// By kind; begun when the first target of a kind is seen.
    targets: Mutex<BTreeMap<String, Arc<Cache<TargetFacts>>>>,
    ledger: Mutex<BlastLedger>,
    /// Pods of each target that is written.
    managed: Mutex<HashMap<Key, u32>>,
    watches: Mutex<Vec<AbortHandle>>,
}

impl Debug for Cluster {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Cluster")
            .field("identity", &self.0.identity)
            .finish_non_exhaustive()
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        let watches = self.watches.get_mut().unwrap_or_else(PoisonError::into_inner);
        watches.iter().for_each(AbortHandle::abort);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Cluster {
    /// Begins to watch. `identity` is this process's name in events.
    pub fn watch(
        client: Client,
        config: &KubernetesConfig,
        identity: String,
        fence: Fence,
    ) -> Self {
        let mut namespaces: Vec<_> = config.namespaces.iter().cloned().map(Some).collect();
        if namespaces.is_empty() {
            namespaces.push(None);
        }
        let watches = namespaces.len();
        let cluster = Self(Arc::new(Inner {
            client,
            namespaces,
            identity,
            fence,
            resources: Cache::new("MeshAutoscaler", watches),
            pods: Cache::new("Pod", watches),
            sets: Cache::new("ReplicaSet", watches),
            hpas: Cache::new("HorizontalPodAutoscaler", watches),
            usage: Usage::default(),
            targets: Mutex::default(),
            ledger: Mutex::new(BlastLedger::new(config.blast_radius)),
            managed: Mutex::default(),
            watches: Mutex::default(),
        }));
        let resource = |resource: MeshAutoscaler| {
            Some(((resource.namespace()?, resource.name_any()), resource))
        };
        cluster.follow(&cluster.0.resources, resource);
        cluster.follow(&cluster.0.pods, PodFacts::keep);
        cluster.follow(&cluster.0.hpas, HpaFacts::keep);
        cluster.follow::<PartialObjectMeta<ReplicaSet>, _>(&cluster.0.sets, SetFacts::keep);
        let usage = cluster.0.usage.clone();
        cluster.spawn(usage.follow(cluster.0.client.clone(), config.namespaces.is_empty()));
        cluster
    }

    /// Keeps a kind up to date.
    fn follow<O, T: Kept>(&self, cache: &Arc<Cache<T>>, keep: fn(O) -> Option<(Key, T)>)
    where
        O: Resource<DynamicType = (), Scope = kube::core::NamespaceResourceScope>
            + Clone
            + DeserializeOwned
            + Debug
            + Send
            + Sync
            + 'static,
    {
        for namespace in &self.0.namespaces {
            let api: Api<O> = self.api_in(namespace.as_deref());
            let stream = watcher::watcher(api, watch_config());
            self.spawn(Arc::clone(cache).follow(namespace.clone(), stream, keep));
        }
    }

    fn api_in<O>(&self, namespace: Option<&str>) -> Api<O>
    where
        O: Resource<DynamicType = (), Scope = kube::core::NamespaceResourceScope>,
    {
        let client = self.0.client.clone();
        match namespace {
            Some(namespace) => Api::namespaced(client, namespace),
            None => Api::all(client),
        }
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        lock(&self.0.watches).push(tokio::spawn(task).abort_handle());
    }

    /// The targets of a kind, which are watched from now on.
    pub(super) fn targets(&self, resource: &ApiResource) -> Arc<Cache<TargetFacts>> {
        let mut targets = lock(&self.0.targets);
        if let Some(cache) = targets.get(&resource.kind) {
            return Arc::clone(cache);
        }
        let cache = Cache::new("target", self.0.namespaces.len());
        targets.insert(resource.kind.clone(), Arc::clone(&cache));
        drop(targets);
        for namespace in &self.0.namespaces {
            let client = self.0.client.clone();
            let api: Api<DynamicObject> = match namespace {
                Some(namespace) => Api::namespaced_with(client, namespace, resource),
                None => Api::all_with(client, resource),
            };
            let stream = watcher::watcher(api, watch_config());
            self.spawn(
                Arc::clone(&cache)
                    .follow(namespace.clone(), stream, |object| TargetFacts::keep(&object)),
            );
        }
        cache
    }

    /// The client of all calls.
    pub fn client(&self) -> &Client {
        &self.0.client
    }

    /// Says whether this process may write.
    pub fn fence(&self) -> &Fence {
        &self.0.fence
    }

    /// All resources.
    pub fn resources(&self) -> &Cache<MeshAutoscaler> {
        &self.0.resources
    }

    pub(super) fn pods(&self) -> &Cache<PodFacts> {
        &self.0.pods
    }

    pub(super) fn sets(&self) -> &Cache<SetFacts> {
        &self.0.sets
    }

    /// All `HorizontalPodAutoscaler`s.
    pub fn hpas(&self) -> &Cache<HpaFacts> {
        &self.0.hpas
    }

    /// What pods use.
    pub(super) fn usage(&self) -> &Usage {
        &self.0.usage
    }

    /// What is not listed yet.
    pub(super) fn listed(&self) -> Result<(), KubernetesError> {
        let inner = &self.0;
        for (kind, synced) in [
            ("pods", inner.pods.is_synced()),
            ("replicasets", inner.sets.is_synced()),
            ("horizontalpodautoscalers", inner.hpas.is_synced()),
        ] {
            if !synced {
                return Err(KubernetesError::NotListed(kind));
            }
        }
        Ok(())
    }

    /// Takes note of how many pods a target that is written has; 0 when it is written no longer.
    pub(super) fn note_managed(&self, key: &Key, pods: u32) {
        let mut managed = lock(&self.0.managed);
        if pods == 0 {
            managed.remove(key);
        } else {
            managed.insert(key.clone(), pods);
        }
    }

    fn managed_pods(&self) -> u32 {
        lock(&self.0.managed).values().sum()
    }

    /// How many pods may go now.
    pub(super) fn removable(&self, now: Timestamp) -> u32 {
        let managed = self.managed_pods();
        lock(&self.0.ledger).left(now, managed)
    }

    /// Takes pods out of what may go.
    pub(super) fn take_removable(&self, now: Timestamp, pods: u32) -> bool {
        let managed = self.managed_pods();
        lock(&self.0.ledger).take(now, managed, pods)
    }

    /// Publishes an event about an object, when this process leads; one that fails is only logged.
    pub fn publish(&self, about: ObjectReference, warns: bool, reason: &str, note: &str) {
        if !self.0.fence.leads() {
            return;
        }
        let Ok(micros) = i64::try_from(clock::now().as_micros()) else { return };
        let Ok(now) = jiff::Timestamp::from_microsecond(micros) else { return };
        let namespace = about.namespace.clone().unwrap_or_default();
        let name = about.name.clone().unwrap_or_default();
        let note = note.chars().take(1_000).collect();
        let event = Event {
            metadata: ObjectMeta {
                name: Some(format!("{name}.{micros:x}{:x}", fingerprint(reason))),
                namespace: Some(namespace.clone()),
                ..ObjectMeta::default()
            },
            action: Some("Autoscale".to_owned()),
            event_time: Some(MicroTime(now)),
            note: Some(note),
            reason: Some(reason.to_owned()),
            regarding: Some(about),
            reporting_controller: Some(format!("{FIELD_MANAGER}.dev/{FIELD_MANAGER}")),
            reporting_instance: Some(self.0.identity.clone()),
            type_: Some(if warns { "Warning" } else { "Normal" }.to_owned()),
            ..Event::default()
        };
        let api: Api<Event> = Api::namespaced(self.0.client.clone(), &namespace);
        tokio::spawn(async move {
            for pause in EVENT_PAUSES {
                let Err(error) = api.create(&PostParams::default(), &event).await else { return };
                if is_refused(&error) || pause.is_zero() {
                    let cause = &error as &dyn std::error::Error;
                    tracing::warn!(cause, "an event is not published");
                    return;
                }
                tokio::time::sleep(pause).await;
            }
        });
    }
}

/// Whether trying again is in vain: a right is missing, or the event is known already.
fn is_refused(error: &kube::Error) -> bool {
    let kube::Error::Api(status) = error else { return false };
    (400..500).contains(&status.code) && status.code != 429
}

/// Keeps two events of the same microsecond apart.
fn fingerprint(text: &str) -> u8 {
    text.bytes().fold(0, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte))
}

fn watch_config() -> watcher::Config {
    watcher::Config::default().timeout(WATCH_SECONDS)
}
