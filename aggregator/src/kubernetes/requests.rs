//! What a pod requests of CPU and memory.

use k8s_openapi::api::core::v1::{PodSpec, ResourceRequirements};

use super::quantity::whole;
use crate::config::ResourceKind;

/// Requests of a pod: thousandths of a core, and bytes. `None` where a container requests none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Requests {
    cpu: Option<u64>,
    memory: Option<u64>,
}

impl Requests {
    /// Those of the pod itself, or the sum of its containers and of the init containers that stay.
    pub(super) fn of(spec: Option<&PodSpec>) -> Self {
        let sum = |kind: ResourceKind| {
            let spec = spec?;
            let stays = spec.init_containers.iter().flatten();
            let stays = stays.filter(|it| it.restart_policy.as_deref() == Some("Always"));
            let mut all = spec.containers.iter().chain(stays);
            request(spec.resources.as_ref(), kind).or_else(|| {
                all.try_fold(0, |sum, container| {
                    Some(request(container.resources.as_ref(), kind)? + sum)
                })
            })
        };
        Self { cpu: sum(ResourceKind::Cpu), memory: sum(ResourceKind::Memory) }
    }

    pub(super) const fn get(&self, kind: ResourceKind) -> Option<u64> {
        match kind {
            ResourceKind::Cpu => self.cpu,
            ResourceKind::Memory => self.memory,
        }
    }
}

fn request(resources: Option<&ResourceRequirements>, kind: ResourceKind) -> Option<u64> {
    let scale = match kind {
        ResourceKind::Cpu => 1e3,
        ResourceKind::Memory => 1.0,
    };
    whole(resources?.requests.as_ref()?.get(kind.name())?, scale)
}
