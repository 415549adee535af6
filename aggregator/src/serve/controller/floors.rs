//! Floors are given back when nobody wants them any longer: on pause, on deletion, when the
//! actuation changes, and after a leader that could not do it itself.

use std::collections::BTreeSet;

use crate::clock::Stopwatch;
use crate::kubernetes::resource::{Actuation, FINALIZER, MeshAutoscaler, Mode};
use crate::kubernetes::{Cluster, KubernetesError, give_back, set_finalizer, target_key};

/// How long a call that failed is not tried again.
const RETRY_AFTER: std::time::Duration = std::time::Duration::from_secs(5);

/// Gives floors back, and keeps the finalizers that make sure of it.
#[derive(Default)]
pub(super) struct Floors {
    failed: Option<Stopwatch>,
}

impl Floors {
    /// One look at all resources and all floors; only the leader calls it.
    pub(super) async fn turn(&mut self, cluster: &Cluster) {
        if self.failed.is_some_and(|at| at.elapsed() < RETRY_AFTER) || !cluster.hpas().is_synced() {
            return;
        }
        self.failed = None;
        let resources = cluster.resources().all();
        let wants: Vec<_> = resources.iter().filter(|(_, it)| wants_floor(it)).collect();
        for (_, resource) in &wants {
            if !has_finalizer(resource) {
                let result = set_finalizer(cluster.client(), resource, true).await;
                self.note(result);
            }
        }
        let claimed: BTreeSet<String> = wants.iter().map(|(_, it)| target_of(it)).collect();
        for (key, hpa) in cluster.hpas().all() {
            if hpa.users_min.is_none() || claimed.contains(hpa.target()) {
                continue;
            }
            if !cluster.fence().leads() {
                return;
            }
            tracing::info!(namespace = key.0, name = key.1, "the floor is given back");
            let result = give_back(cluster.client(), &key, &hpa).await;
            self.note(result);
        }
        for (_, resource) in &resources {
            if wants_floor(resource) || !has_finalizer(resource) {
                continue;
            }
            let floors = cluster.hpas().owned_by(&target_of(resource));
            if floors.iter().all(|(_, hpa)| hpa.users_min.is_none()) {
                let result = set_finalizer(cluster.client(), resource, false).await;
                self.note(result);
            }
        }
    }

    fn note(&mut self, result: Result<(), KubernetesError>) {
        if let Err(error) = result {
            let cause = &error as &dyn std::error::Error;
            tracing::warn!(cause, "a floor or its finalizer is not as it should be; tried again");
            self.failed = Some(Stopwatch::start());
        }
    }
}

fn wants_floor(resource: &MeshAutoscaler) -> bool {
    resource.spec.actuation == Actuation::HpaFloor
        && matches!(resource.spec.mode, Mode::Active | Mode::Canary)
        && resource.metadata.deletion_timestamp.is_none()
}

fn has_finalizer(resource: &MeshAutoscaler) -> bool {
    resource.metadata.finalizers.iter().flatten().any(|name| name == FINALIZER)
}

/// As the autoscalers of Kubernetes are found.
fn target_of(resource: &MeshAutoscaler) -> String {
    let target = &resource.spec.scale_target_ref;
    let namespace = resource.metadata.namespace.as_deref().unwrap_or_default();
    target_key(namespace, &target.kind, &target.name)
}
