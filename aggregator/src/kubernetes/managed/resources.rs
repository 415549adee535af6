//! What a target's pods use of CPU and memory, where its resource aims at something.

use std::sync::Arc;

use super::{Managed, Refusal};
use crate::config::ResourceKind;
use crate::journal::ClusterFacts;
use crate::kubernetes::cache::Key;
use crate::kubernetes::facts::PodFacts;
use crate::kubernetes::usage::{NoUse, count};
use crate::units::Timestamp;

impl Managed {
    /// Why it is not known what the target's pods use, where that is wanted.
    pub fn no_use(&self) -> Option<Refusal> {
        self.state().no_use.clone()
    }

    /// Adds what the pods use. What is not known is told, and left out.
    pub(super) fn with_use(
        &self,
        mut facts: ClusterFacts,
        pods: &[(Key, Arc<PodFacts>)],
        now: Timestamp,
    ) -> ClusterFacts {
        let inner = &self.0;
        if !inner.resources.is_any() {
            return facts;
        }
        let samples = inner.cluster.usage().of(&inner.key.0);
        let mut problem = samples.as_ref().err().cloned();
        for kind in ResourceKind::ALL {
            let (Some(_), Ok(samples)) = (inner.resources.of(kind), &samples) else { continue };
            let all = pods.iter().map(|((_, name), pod)| (name.as_str(), &**pod));
            let seen = count(kind, all, samples, now).map_err(|error| problem = Some(error)).ok();
            match kind {
                ResourceKind::Cpu => facts.cpu = seen,
                ResourceKind::Memory => facts.memory = seen,
            }
        }
        self.note_use(problem);
        facts
    }

    fn note_use(&self, problem: Option<NoUse>) {
        let refusal = problem
            .map(|problem| Refusal { reason: problem.reason(), message: problem.to_string() });
        self.state().no_use.clone_from(&refusal);
        // What was not asked yet passes by itself.
        let told = refusal.filter(|refusal| refusal.reason != NoUse::NotAsked.reason());
        if let Some(refusal) = told {
            self.tell(true, "NoResourceMetrics", &refusal.message, false);
        }
    }
}
