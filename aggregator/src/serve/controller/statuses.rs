//! Writes statuses: only what changed, what matters at once and figures now and then, and never
//! more than the API server should be asked for.

use std::collections::BTreeMap;
use std::time::Duration;

use kube::api::{Api, Patch, PatchParams};
use serde_json::json;

use super::Key;
use super::report::{differs_in_figures, differs_in_kind};
use crate::clock::Stopwatch;
use crate::kubernetes::Cluster;
use crate::kubernetes::resource::{MeshAutoscaler, MeshAutoscalerStatus};

/// Figures alone are written at most so often for one resource.
const FIGURES_EVERY: Duration = Duration::from_mins(1);
/// The same resource is written at most so often.
const AT_MOST_EVERY: Duration = Duration::from_secs(1);
/// A write that failed is not tried again before.
const RETRY_AFTER: Duration = Duration::from_secs(10);
/// Writes a turn, of what matters and of figures.
const A_TURN: (usize, usize) = (20, 2);
/// Time for all writes of a turn.
const TIMEOUT: Duration = Duration::from_secs(3);
/// Manager of the status, so that it does not take the fields of a spec.
const MANAGER: &str = "foresail-status";

/// Statuses that wait to be written.
pub(super) struct Statuses {
    cluster: Cluster,
    written: BTreeMap<Key, Last>,
    waiting: BTreeMap<Key, Waiting>,
}

/// A status to be written.
struct Waiting {
    matters: bool,
    /// Version of the resource that it is about: a write that arrives late is refused.
    version: Option<String>,
    status: MeshAutoscalerStatus,
}

/// The last write.
struct Last {
    at: Stopwatch,
    worked: bool,
    /// Version of the resource with what was written last, which a watch may show later, or not at
    /// all while it is broken.
    version: Option<String>,
}

impl Statuses {
    pub(super) const fn new(cluster: Cluster) -> Self {
        Self { cluster, written: BTreeMap::new(), waiting: BTreeMap::new() }
    }

    /// Forgets what `exists` does not know.
    pub(super) fn retain(&mut self, exists: impl Fn(&Key) -> bool) {
        self.written.retain(|key, _| exists(key));
        self.waiting.retain(|key, _| exists(key));
    }

    /// Takes a status; whether and when it is written is decided here.
    pub(super) fn offer(
        &mut self,
        key: &Key,
        resource: &MeshAutoscaler,
        status: MeshAutoscalerStatus,
    ) {
        let none = MeshAutoscalerStatus::default();
        let there = resource.status.as_ref().unwrap_or(&none);
        let since = self.written.get(key).map(|last| (last.at.elapsed(), last.worked));
        let matters = differs_in_kind(there, &status);
        let wait = match since {
            None => Duration::ZERO,
            Some((_, false)) => RETRY_AFTER,
            Some((_, true)) if matters => AT_MOST_EVERY,
            Some((_, true)) => FIGURES_EVERY,
        };
        let is_due = since.is_none_or(|(elapsed, _)| elapsed >= wait);
        if is_due && (matters || differs_in_figures(there, &status)) {
            let ours = self.written.get(key).and_then(|last| last.version.as_deref());
            let version = newer(resource.metadata.resource_version.as_deref(), ours);
            self.waiting.insert(key.clone(), Waiting { matters, version, status });
        } else {
            self.waiting.remove(key);
        }
    }

    /// Writes some of what waits.
    pub(super) async fn flush(&mut self) {
        let pick = |matters: bool, most: usize| {
            let waiting = self.waiting.iter().filter(move |(_, it)| it.matters == matters);
            waiting.take(most).map(|(key, _)| key.clone()).collect::<Vec<_>>()
        };
        let mut keys = pick(true, A_TURN.0);
        keys.extend(pick(false, A_TURN.1));
        let limit = Stopwatch::start();
        for key in keys {
            let Some(left) = TIMEOUT.checked_sub(limit.elapsed()) else { return };
            let Some(waiting) = self.waiting.remove(&key) else { continue };
            let Some(leads_for) = self.cluster.fence().time_to_write() else { return };
            let write = self.write(&key, &waiting);
            let mut version = None;
            let worked = match tokio::time::timeout(left.min(leads_for), write).await {
                Ok(Ok(written)) => {
                    version = written;
                    true
                }
                Ok(Err(error)) => {
                    let cause = &error as &dyn std::error::Error;
                    tracing::warn!(
                        namespace = key.0,
                        name = key.1,
                        cause,
                        "the status is not written"
                    );
                    false
                }
                Err(_) => false,
            };
            self.written.insert(key, Last { at: Stopwatch::start(), worked, version });
        }
    }

    /// Writes one, and gives the resource's version with it where it is known.
    async fn write(&self, key: &Key, waiting: &Waiting) -> Result<Option<String>, kube::Error> {
        let api: Api<MeshAutoscaler> = Api::namespaced(self.cluster.client().clone(), &key.0);
        let patch = json!({
            "apiVersion": "foresail.dev/v1alpha1",
            "kind": "MeshAutoscaler",
            "metadata": {"name": key.1, "resourceVersion": waiting.version},
            "status": waiting.status,
        });
        let parameters = PatchParams::apply(MANAGER).force();
        match api.patch_status(&key.1, &parameters, &Patch::Apply(patch)).await {
            Ok(written) => Ok(written.metadata.resource_version),
            // Deleted or changed since; the watch will show how, and the next turn writes again.
            Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// The newer of two versions of an object, which ascend.
fn newer(seen: Option<&str>, ours: Option<&str>) -> Option<String> {
    let number = |version: Option<&str>| version.and_then(|it| it.parse::<u64>().ok());
    let is_ours = number(ours) > number(seen) && seen.is_some();
    (if is_ours { ours } else { seen }).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_we_wrote_last_counts_until_a_watch_shows_something_newer() {
        assert_eq!(newer(Some("99"), Some("100")).as_deref(), Some("100"));
        assert_eq!(newer(Some("101"), Some("100")).as_deref(), Some("101"));
        assert_eq!(newer(Some("99"), None).as_deref(), Some("99"));
        assert_eq!(newer(None, Some("100")), None);
    }
}
