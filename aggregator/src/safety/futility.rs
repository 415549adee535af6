//! Replicas that do not help \[9\]: two raises without a gain in latency, and no more are added for
//! the same load until something changes.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::journal::Observation;
use crate::policy::Proposal;
use crate::units::Timestamp;

/// A raise is judged by the latency this long after its replicas became ready: queues have drained
/// and caches are warm by then.
const SETTLED: Duration = Duration::from_mins(1);
/// A latency below this share of that before the raise is a gain.
const GAIN: f64 = 0.95;
/// Raises without a gain until it is called futile.
const RAISES: u32 = 2;
/// How long that holds before it is tried again.
const HOLD: Duration = Duration::from_mins(15);

/// Follows raises while the objective is missed though replicas have no more than they can serve.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Futility {
    /// Replicas and latency before the raise that is judged, and since when its replicas serve.
    raise: Option<Raise>,
    /// Ready replicas and latency of the last look.
    last: Option<(u32, f64)>,
    futile: u32,
    held: Option<Held>,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Raise {
    since: Timestamp,
    latency_ms: f64,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Held {
    until: Timestamp,
    replicas: u32,
    rps: f64,
}

impl Futility {
    /// Takes a look; the most replicas that still make sense, while raises are futile.
    pub(super) fn limit(
        &mut self,
        now: Timestamp,
        seen: &Observation,
        asked: &Proposal,
    ) -> Option<u32> {
        let (Some(rps), Some(ready @ 1..)) = (seen.rps, seen.ready_replicas) else { return None };
        let latency_ms = seen.p99_ms.or(seen.p95_ms).or(seen.p50_ms)?;
        let has_enough = rps.get() <= f64::from(ready) * asked.capacity.get();
        if asked.missed != Some(true) || !has_enough {
            *self = Self::default();
            return None;
        }
        if let Some((before, latency_before)) = self.last.replace((ready, latency_ms))
            && ready > before
            && self.raise.is_none()
        {
            self.raise = Some(Raise { since: now, latency_ms: latency_before });
        }
        if let Some(raise) = self.raise.filter(|raise| now.since(raise.since) >= SETTLED) {
            self.raise = None;
            let gained = latency_ms < raise.latency_ms * GAIN;
            self.futile = if gained { 0 } else { self.futile + 1 };
            if self.futile >= RAISES {
                let replicas = seen.current_replicas.unwrap_or(ready).max(ready);
                self.held = Some(Held { until: now + HOLD, replicas, rps: rps.get() });
            }
        }
        let held = self.held.filter(|held| now < held.until);
        if held.is_none() && self.held.take().is_some() {
            self.futile = 0;
        }
        held.map(|held| held.most(rps.get()))
    }
}

impl Held {
    /// The replicas that more load asks for in the same proportion.
    fn most(&self, rps: f64) -> u32 {
        let growth = (rps / self.rps.max(1e-9)).max(1.0);
        let most = (f64::from(self.replicas) * growth).ceil().min(f64::from(u32::MAX));
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "clamped to the type's range by the line above"
        )]
        {
            most as u32
        }
    }
}
