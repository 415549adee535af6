//! Who of several aggregators acts: the holder of a Lease, for as long as it can be sure of it.
//!
//! A holder renews every 2 s and believes itself to be one for 8 s from the *sending* of the last
//! renewal that was confirmed. Another takes the lease when it has seen no renewal for 10 s of its
//! own steady clock. So the wall clocks may differ, and the old holder has stopped before the new
//! one begins. A write takes its own time limit out of the 8 s ([`Fence::time_to_write`]) and
//! carries the version of the object that it is about, so that one which arrives late is refused.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use k8s_openapi::jiff;
use kube::Client;
use kube::api::{Api, ObjectMeta, PostParams};
use tokio::sync::watch;

use super::KubernetesError;
use crate::clock::{self, Stopwatch};
use crate::journal::Pause;
use crate::units::Timestamp;

/// For how long a lease is good without a renewal.
pub const LEASE_DURATION: Duration = Duration::from_secs(10);
/// How long a holder believes in a renewal.
const TRUSTED_FOR: Duration = Duration::from_secs(8);
/// Time between renewals, and between looks at another's lease.
const RENEW_EVERY: Duration = Duration::from_secs(2);
/// Time for one answer.
const TIMEOUT: Duration = Duration::from_secs(2);
/// Annotation of the lease by which everything is paused: `in`, `out` or `all`.
pub const PAUSE_ANNOTATION: &str = "foresail.dev/pause";

/// What is known of the lease.
#[derive(Debug, Default)]
struct State {
    /// Since the sending of the last confirmed renewal.
    renewed: Option<Stopwatch>,
    holder: Option<String>,
    pause: Option<Pause>,
}

/// Says whether this process may write. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Fence(Arc<Mutex<State>>);

impl Fence {
    /// Time that a write may take from now; `None` when this process does not lead, or not for
    /// long enough to be sure of anything.
    pub fn time_to_write(&self) -> Option<Duration> {
        let renewed = self.lock().renewed?;
        let left = TRUSTED_FOR.checked_sub(renewed.elapsed())?;
        (left >= Duration::from_millis(500)).then_some(left)
    }

    /// Whether this process leads.
    pub fn leads(&self) -> bool {
        self.time_to_write().is_some()
    }

    /// Who leads, as far as is known.
    pub fn holder(&self) -> Option<String> {
        self.lock().holder.clone()
    }

    /// What is paused for all targets.
    pub fn pause(&self) -> Option<Pause> {
        self.lock().pause
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes and renews a lease.
pub struct Elector {
    api: Api<Lease>,
    name: String,
    identity: String,
    fence: Fence,
    /// The lease as last seen, and since when it has not changed.
    seen: Option<(Lease, Stopwatch)>,
    led: bool,
}

impl std::fmt::Debug for Elector {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Elector").field("identity", &self.identity).finish_non_exhaustive()
    }
}

impl Elector {
    /// For a lease that several processes share; `identity` is this one's alone.
    pub fn new(client: Client, namespace: &str, name: &str, identity: String) -> Self {
        let api = Api::namespaced(client, namespace);
        let fence = Fence::default();
        Self { api, name: name.to_owned(), identity, fence, seen: None, led: false }
    }

    /// Says whether this process may write.
    pub fn fence(&self) -> Fence {
        self.fence.clone()
    }

    /// Tries until `stopped` changes, then gives the lease back. A process that cannot renew, for
    /// whatever reason, leads no more.
    pub async fn run(mut self, mut stopped: watch::Receiver<bool>) {
        loop {
            let result = tokio::time::timeout(TIMEOUT, self.turn()).await;
            let result = result.unwrap_or(Err(KubernetesError::Timeout(TIMEOUT)));
            if let Err(error) = &result {
                let cause = error as &dyn std::error::Error;
                tracing::warn!(cause, "the lease is neither taken nor renewed");
                // What was seen may be old.
                self.seen = self.seen.take().filter(|_| !is_conflict(error));
            }
            let leads = self.fence.leads();
            if leads != std::mem::replace(&mut self.led, leads) {
                let holder = self.fence.holder();
                tracing::info!(
                    leads,
                    holder,
                    "{}",
                    if leads { "acts from now" } else { "acts no more" }
                );
            }
            tokio::select! {
                () = tokio::time::sleep(RENEW_EVERY) => {}
                _ = stopped.changed() => break,
            }
        }
        let leads = self.fence.leads();
        self.fence.lock().renewed = None;
        if leads && let Some((lease, _)) = self.seen.take() {
            let given_back = Self::held_by(lease, "", clock::now());
            let params = PostParams::default();
            let call = self.api.replace(&self.name, &params, &given_back);
            let _ = tokio::time::timeout(TIMEOUT, call).await;
        }
    }

    /// One look or one renewal.
    async fn turn(&mut self) -> Result<(), KubernetesError> {
        let watch = Stopwatch::start();
        let known = self.seen.as_ref().map(|(lease, _)| lease.clone());
        let mine = known.filter(|lease| holder(lease) == Some(self.identity.as_str()));
        let lease = match mine {
            // Nobody else may have written it, or the version does not fit.
            Some(lease) => lease,
            None => match self.api.get_opt(&self.name).await? {
                Some(lease) => lease,
                None => return self.create(watch).await,
            },
        };
        self.note(&lease);
        if !self.may_take(&lease) {
            self.fence.lock().renewed = None;
            return Ok(());
        }
        let lease = Self::held_by(lease, &self.identity, clock::now());
        let params = PostParams::default();
        let lease = self.api.replace(&self.name, &params, &lease).await?;
        self.confirmed(&lease, watch);
        Ok(())
    }

    async fn create(&mut self, watch: Stopwatch) -> Result<(), KubernetesError> {
        let metadata = ObjectMeta { name: Some(self.name.clone()), ..ObjectMeta::default() };
        let lease = Lease { metadata, spec: None };
        let lease = Self::held_by(lease, &self.identity, clock::now());
        let lease = self.api.create(&PostParams::default(), &lease).await?;
        self.confirmed(&lease, watch);
        Ok(())
    }

    fn confirmed(&mut self, lease: &Lease, sent: Stopwatch) {
        self.note(lease);
        self.fence.lock().renewed = Some(sent);
    }

    /// Takes note of the lease as it is now.
    fn note(&mut self, lease: &Lease) {
        let pause = lease.metadata.annotations.as_ref().and_then(|all| all.get(PAUSE_ANNOTATION));
        let mut state = self.fence.lock();
        state.holder = holder(lease).map(str::to_owned);
        state.pause = pause.map(|word| match word.as_str() {
            "in" => Pause::In,
            "out" => Pause::Out,
            // A word that is not known was meant to stop something.
            _ => Pause::All,
        });
        drop(state);
        let version = |lease: &Lease| lease.metadata.resource_version.clone();
        let is_same = self.seen.as_ref().is_some_and(|(seen, _)| version(seen) == version(lease));
        if !is_same {
            self.seen = Some((lease.clone(), Stopwatch::start()));
        }
    }

    /// Whether it is ours, nobody's, or its holder's time is over by our clock.
    fn may_take(&self, lease: &Lease) -> bool {
        let Some(holder) = holder(lease) else { return true };
        if holder == self.identity {
            return true;
        }
        let spec = lease.spec.as_ref();
        let seconds = spec.and_then(|spec| spec.lease_duration_seconds).unwrap_or(0);
        let theirs = Duration::from_secs(u64::try_from(seconds).unwrap_or(0));
        let unchanged = self.seen.as_ref().map(|(_, since)| since.elapsed());
        unchanged.is_some_and(|unchanged| unchanged >= theirs.max(LEASE_DURATION))
    }

    /// The lease with another holder.
    fn held_by(mut lease: Lease, identity: &str, now: Timestamp) -> Lease {
        let time = i64::try_from(now.as_micros())
            .ok()
            .and_then(|micros| jiff::Timestamp::from_microsecond(micros).ok())
            .map(MicroTime);
        let before = lease.spec.take().unwrap_or_default();
        let changes = before.holder_identity.as_deref() != Some(identity);
        let transitions = before.lease_transitions.unwrap_or(0) + i32::from(changes);
        lease.spec = Some(LeaseSpec {
            holder_identity: Some(identity.to_owned()),
            lease_duration_seconds: i32::try_from(LEASE_DURATION.as_secs()).ok(),
            acquire_time: if changes { time.clone() } else { before.acquire_time },
            renew_time: time,
            lease_transitions: Some(transitions),
            ..LeaseSpec::default()
        });
        lease
    }
}

fn holder(lease: &Lease) -> Option<&str> {
    lease.spec.as_ref()?.holder_identity.as_deref().filter(|holder| !holder.is_empty())
}

/// Whether somebody else wrote the object in between, or made it, or deleted it.
fn is_conflict(error: &KubernetesError) -> bool {
    matches!(error.code(), Some(404 | 409))
}

/// Whether the holder of a lease has let it lapse, by the wall clock: for those who look once.
pub fn has_lapsed(lease: &Lease, now: Timestamp) -> bool {
    let spec = lease.spec.as_ref();
    let renewed = spec.and_then(|spec| spec.renew_time.as_ref());
    let renewed = renewed.and_then(|time| u64::try_from(time.0.as_microsecond()).ok());
    let Some(renewed) = renewed.filter(|_| holder(lease).is_some()) else { return true };
    now.since(Timestamp::from_micros(renewed)) > LEASE_DURATION
}
