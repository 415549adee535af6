//! What is kept of a kind's objects: a few bytes of each, brought up to date by watches, so that a
//! decision asks the API server for nothing.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Debug;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use futures_util::{Stream, StreamExt, pin_mut};
use kube::runtime::{WatchStreamExt, watcher};
use tokio::sync::Notify;

/// Namespace and name.
pub(crate) type Key = (String, String);

/// What is kept of an object.
pub trait Kept: Send + Sync + 'static {
    /// Who it belongs to, to be found by: the uid of its controller, or what it is about.
    fn owner(&self) -> Option<&str>;
}

/// The objects of one kind that are kept.
#[derive(Debug)]
pub struct Cache<T> {
    kind: &'static str,
    inner: RwLock<Inner<T>>,
    /// Watches that have not listed everything yet.
    unsynced: AtomicUsize,
    changed: Notify,
}

#[derive(Debug)]
struct Inner<T> {
    objects: BTreeMap<Key, Arc<T>>,
    owned: HashMap<String, BTreeSet<Key>>,
}

impl<T: Kept> Cache<T> {
    /// An empty cache that `watches` streams are going to fill.
    pub fn new(kind: &'static str, watches: usize) -> Arc<Self> {
        Arc::new(Self {
            kind,
            inner: RwLock::new(Inner { objects: BTreeMap::new(), owned: HashMap::new() }),
            unsynced: AtomicUsize::new(watches),
            changed: Notify::new(),
        })
    }

    /// Whether everything was listed once.
    pub fn is_synced(&self) -> bool {
        self.unsynced.load(Ordering::Acquire) == 0
    }

    /// Returns after the next change.
    pub async fn changed(&self) {
        self.changed.notified().await;
    }

    /// The object of this name.
    pub fn get(&self, namespace: &str, name: &str) -> Option<Arc<T>> {
        self.read().objects.get(&(namespace.to_owned(), name.to_owned())).cloned()
    }

    /// All objects, by namespace and name.
    pub fn all(&self) -> Vec<(Key, Arc<T>)> {
        let inner = self.read();
        inner.objects.iter().map(|(key, object)| (key.clone(), Arc::clone(object))).collect()
    }

    /// What belongs to an owner, with names.
    pub fn owned_by(&self, owner: &str) -> Vec<(Key, Arc<T>)> {
        let inner = self.read();
        let keys = inner.owned.get(owner).into_iter().flatten();
        keys.filter_map(|key| Some((key.clone(), Arc::clone(inner.objects.get(key)?)))).collect()
    }

    fn read(&self) -> RwLockReadGuard<'_, Inner<T>> {
        self.inner.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Inner<T>> {
        self.inner.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Follows a watch for ever, with pauses that grow while it fails. `namespace` is what the
    /// watch is about; `None` for all.
    pub async fn follow<O: Debug>(
        self: Arc<Self>,
        namespace: Option<String>,
        stream: impl Stream<Item = watcher::Result<watcher::Event<O>>> + Send,
        keep: impl Fn(O) -> Option<(Key, T)> + Send,
    ) {
        let stream = stream.default_backoff();
        pin_mut!(stream);
        let mut first = true;
        let mut broken = false;
        let mut listed = BTreeSet::new();
        while let Some(event) = stream.next().await {
            match event {
                Ok(watcher::Event::Init) => listed.clear(),
                Ok(watcher::Event::InitApply(object)) => {
                    if let Some((key, kept)) = keep(object) {
                        listed.insert(key.clone());
                        self.write().insert(key, kept);
                    }
                }
                Ok(watcher::Event::InitDone) => {
                    self.write().retain(namespace.as_deref(), &listed);
                    listed.clear();
                    if std::mem::take(&mut first) {
                        self.unsynced.fetch_sub(1, Ordering::AcqRel);
                    }
                    if std::mem::take(&mut broken) {
                        tracing::info!(kind = self.kind, "watched again");
                    }
                    self.changed.notify_waiters();
                }
                Ok(watcher::Event::Apply(object)) => {
                    if let Some((key, kept)) = keep(object) {
                        self.write().insert(key, kept);
                    }
                    broken = false;
                    self.changed.notify_waiters();
                }
                Ok(watcher::Event::Delete(object)) => {
                    if let Some((key, _)) = keep(object) {
                        self.write().remove(&key);
                    }
                    self.changed.notify_waiters();
                }
                Err(error) => {
                    if !std::mem::replace(&mut broken, true) {
                        let cause = &error as &dyn std::error::Error;
                        tracing::warn!(
                            kind = self.kind,
                            cause,
                            "the watch broke; it is tried again"
                        );
                    }
                }
            }
        }
    }
}

impl<T: Kept> Inner<T> {
    fn insert(&mut self, key: Key, kept: T) {
        self.remove(&key);
        if let Some(owner) = kept.owner() {
            self.owned.entry(owner.to_owned()).or_default().insert(key.clone());
        }
        self.objects.insert(key, Arc::new(kept));
    }

    fn remove(&mut self, key: &Key) {
        let Some(old) = self.objects.remove(key) else { return };
        let Some(owner) = old.owner() else { return };
        if let Some(keys) = self.owned.get_mut(owner) {
            keys.remove(key);
            if keys.is_empty() {
                self.owned.remove(owner);
            }
        }
    }

    /// Forgets what a list of a namespace does not have.
    fn retain(&mut self, namespace: Option<&str>, listed: &BTreeSet<Key>) {
        let is_gone = |key: &&Key| {
            namespace.is_none_or(|namespace| key.0 == namespace) && !listed.contains(*key)
        };
        let gone: Vec<_> = self.objects.keys().filter(is_gone).cloned().collect();
        for key in gone {
            self.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::stream;

    struct Pod(String);

    impl Kept for Pod {
        fn owner(&self) -> Option<&str> {
            Some(&self.0)
        }
    }

    fn key(namespace: &str, name: &str) -> Key {
        (namespace.to_owned(), name.to_owned())
    }

    fn names(cache: &Cache<Pod>, owner: &str) -> Vec<String> {
        cache.owned_by(owner).into_iter().map(|((_, name), _)| name).collect()
    }

    async fn fill(
        cache: &Arc<Cache<Pod>>,
        namespace: Option<&str>,
        events: Vec<watcher::Event<(Key, &'static str)>>,
    ) {
        let stream = stream::iter(events.into_iter().map(Ok));
        let keep = |(key, owner): (Key, &str)| Some((key, Pod(owner.to_owned())));
        Arc::clone(cache).follow(namespace.map(str::to_owned), stream, keep).await;
    }

    #[tokio::test]
    async fn a_new_list_forgets_what_it_does_not_have_in_its_own_namespace_only() {
        use watcher::Event::{Apply, Delete, Init, InitApply, InitDone};
        let cache = Cache::new("Pod", 2);
        let list = vec![
            Init,
            InitApply((key("a", "1"), "web")),
            InitApply((key("a", "2"), "web")),
            InitDone,
            Apply((key("a", "1"), "other")),
        ];
        fill(&cache, Some("a"), list).await;
        assert!(!cache.is_synced(), "the other namespace is not listed yet");
        let other = vec![Init, InitApply((key("b", "1"), "web")), InitDone];
        fill(&cache, Some("b"), other).await;
        assert!(cache.is_synced());
        assert_eq!(
            (names(&cache, "web"), names(&cache, "other")),
            (vec!["2".into(), "1".into()], vec!["1".into()])
        );

        let again = vec![Init, InitApply((key("a", "3"), "web")), InitDone];
        fill(&cache, Some("a"), again).await;
        assert_eq!(cache.all().len(), 2);
        assert!(names(&cache, "other").is_empty());
        fill(&cache, Some("b"), vec![Delete((key("b", "1"), "web"))]).await;
        assert_eq!(names(&cache, "web"), ["3"]);
    }
}
