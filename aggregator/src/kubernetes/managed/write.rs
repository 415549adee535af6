//! The writes themselves: only for the time that the lease is sure to last, and only onto what was
//! seen.

use super::{KubernetesError, Managed, Order, floor};
use crate::clock;
use crate::kubernetes::facts::TargetFacts;
use crate::kubernetes::resource::{Actuation, FINALIZER};
use crate::safety::Approved;
use crate::units::Timestamp;

/// How often a write is tried again on a newer version of an object whose replicas are as we saw
/// them.
const TRIES: u32 = 3;

/// A change that was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// When.
    pub at: Timestamp,
    /// Replicas, or floor, before.
    pub from: u32,
    /// Replicas, or floor, after.
    pub to: u32,
    /// Why.
    pub reason: String,
}

/// What a write came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Written, and the API server says so.
    Written,
    /// It is as it should be.
    Unchanged,
    /// Another process leads.
    Standby,
    /// Somebody has scaled the target to zero.
    SwitchedOff,
    /// Nothing is written by this actuation.
    Nothing,
}

impl Managed {
    /// Carries out what was approved.
    ///
    /// # Errors
    /// When it is not certain that it was done.
    pub async fn write(&self, approved: &Approved, why: &str) -> Result<Effect, KubernetesError> {
        let result = self.attempt(approved.desired_replicas(), why).await;
        if let Err(error) = &result {
            self.refuse(error);
        }
        result
    }

    /// Leaves the target to whoever had it before: a floor is given back, and what others write is
    /// theirs to write.
    ///
    /// # Errors
    /// When it is not certain that it was done.
    pub async fn rest(&self, why: &str) -> Result<Effect, KubernetesError> {
        {
            let mut state = self.state();
            state.resting = true;
            state.contest.forget();
        }
        let result = self.give_back(why).await;
        if let Err(error) = &result {
            self.refuse(error);
        }
        result
    }

    async fn give_back(&self, why: &str) -> Result<Effect, KubernetesError> {
        let inner = &self.0;
        if inner.actuation != Actuation::HpaFloor {
            return Ok(Effect::Nothing);
        }
        if !inner.cluster.fence().leads() {
            return Ok(Effect::Standby);
        }
        let time = self.time()?;
        let (key, hpa) = self.hpa()?;
        let Some(owners) = hpa.users_min else { return Ok(Effect::Unchanged) };
        if self.ordered(&hpa.resource_version).is_some() {
            // The watch will show what we wrote; until then its version is not known.
            return Ok(Effect::Unchanged);
        }
        let write = floor::set(inner.cluster.client(), &key, &hpa, owners, owners);
        let result = tokio::time::timeout(time, write).await;
        let version = result.unwrap_or(Err(KubernetesError::Timeout(time)))?;
        self.state().floor = None;
        self.done(hpa.min, owners, version.unwrap_or_default(), why);
        Ok(Effect::Written)
    }

    async fn attempt(&self, desired: u32, why: &str) -> Result<Effect, KubernetesError> {
        let inner = &self.0;
        self.state().resting = false;
        if matches!(inner.actuation, Actuation::None | Actuation::ExternalMetric) {
            return Ok(Effect::Nothing);
        }
        if !inner.cluster.fence().leads() {
            return Ok(Effect::Standby);
        }
        let target = self.look().await?;
        // As HorizontalPodAutoscaler does: zero replicas mean that autoscaling is off.
        if target.replicas == 0 && self.ordered(&target.resource_version).is_none() {
            let note =
                "somebody has scaled the target to 0; it is left alone until it is scaled up";
            self.tell(false, "SwitchedOff", note, false);
            return Ok(Effect::SwitchedOff);
        }
        self.check(&target)?;
        if inner.actuation == Actuation::HpaFloor {
            return self.set_floor(desired, why).await;
        }
        let from = self.ordered(&target.resource_version).unwrap_or(target.replicas);
        if from == desired {
            return Ok(Effect::Unchanged);
        }
        self.take_removable(from.saturating_sub(desired))?;
        let version = self.scale(&target, from, desired).await?;
        self.done(from, desired, version, why);
        Ok(Effect::Written)
    }

    fn take_removable(&self, pods: u32) -> Result<(), KubernetesError> {
        if self.0.cluster.take_removable(clock::now(), pods) {
            Ok(())
        } else {
            Err(KubernetesError::BlastRadius)
        }
    }

    /// Writes the replicas onto the version that was seen; onto a newer one only when its replicas
    /// are the same.
    async fn scale(
        &self,
        target: &TargetFacts,
        from: u32,
        desired: u32,
    ) -> Result<String, KubernetesError> {
        let ours = self.state().order.as_ref().map(|order| order.version.clone());
        let mut version = ours.unwrap_or_else(|| target.resource_version.clone());
        for _ in 0..TRIES {
            let applies = !self.state().merges;
            let time = self.time()?;
            let write = self.0.target.write(desired, &version, applies);
            let result = tokio::time::timeout(time, write)
                .await
                .unwrap_or(Err(KubernetesError::Timeout(time)));
            match result {
                Ok(written) => return Ok(written.unwrap_or_default()),
                // The kind's scale knows no server-side apply.
                Err(error) if applies && matches!(error.code(), Some(405 | 415)) => {
                    self.state().merges = true;
                }
                Err(error) if error.code() == Some(409) => {
                    let now = self.0.target.read().await?;
                    let replicas = now.spec.and_then(|spec| spec.replicas);
                    if replicas.and_then(|n| u32::try_from(n).ok()) != Some(from) {
                        return Err(KubernetesError::Moved(self.0.target.name()));
                    }
                    version = now.metadata.resource_version.unwrap_or_default();
                }
                Err(error) => return Err(error),
            }
        }
        Err(KubernetesError::Moved(self.0.target.name()))
    }

    /// What the lease leaves for a write.
    fn time(&self) -> Result<std::time::Duration, KubernetesError> {
        let time = self.0.cluster.fence().time_to_write();
        time.ok_or(KubernetesError::NotLeading)
    }

    async fn set_floor(&self, desired: u32, why: &str) -> Result<Effect, KubernetesError> {
        let inner = &self.0;
        let resource = inner.cluster.resources().get(&inner.key.0, &inner.key.1);
        let finalizers = resource.as_ref().and_then(|it| it.metadata.finalizers.as_deref());
        if !finalizers.unwrap_or_default().iter().any(|name| name == FINALIZER) {
            return Err(KubernetesError::NoFinalizer);
        }
        let (key, hpa) = self.hpa()?;
        if self.ordered(&hpa.resource_version).is_some() {
            // The watch will show what we wrote; until then its version is not known.
            return Ok(Effect::Unchanged);
        }
        let owners = hpa.owners_min(self.state().floor);
        let wish = desired.clamp(owners, hpa.max.max(owners));
        if hpa.min == wish && (wish == owners) == hpa.users_min.is_none() {
            self.state().floor = Some(wish);
            return Ok(Effect::Unchanged);
        }
        self.take_removable(hpa.min.saturating_sub(wish))?;
        let time = self.time()?;
        let write = floor::set(inner.cluster.client(), &key, &hpa, owners, wish);
        let result = tokio::time::timeout(time, write).await;
        let version = match result.unwrap_or(Err(KubernetesError::Timeout(time))) {
            Err(error) if error.code() == Some(409) => return Err(KubernetesError::Moved(key.1)),
            other => other?,
        };
        self.state().floor = Some(wish);
        self.done(hpa.min, wish, version.unwrap_or_default(), why);
        Ok(Effect::Written)
    }

    /// Remembers what was written, and tells it.
    fn done(&self, from: u32, to: u32, version: String, why: &str) {
        let is_floor = self.0.actuation == Actuation::HpaFloor;
        {
            let mut state = self.state();
            if !is_floor {
                state.contest.wrote(to);
            }
            state.order = Some(Order { value: to, version });
            state.refusal = None;
            let reason = why.to_owned();
            state.last = Some(Written { at: clock::now(), from, to, reason });
        }
        let what = if is_floor { "minReplicas" } else { "replicas" };
        let reason = match (is_floor, to > from) {
            (false, true) => "ScaledUp",
            (false, false) => "ScaledDown",
            (true, true) => "FloorRaised",
            (true, false) => "FloorLowered",
        };
        self.tell(false, reason, &format!("{what} {from} -> {to}: {why}"), true);
    }
}
