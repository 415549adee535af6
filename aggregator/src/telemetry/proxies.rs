//! The proxies of a workload: what each has sent, and how far its clock is off.

use std::collections::HashMap;
use std::time::Duration;

use foresail_wire::{Frame, Health};
use serde::{Deserialize, Serialize};

use super::Totals;
use crate::units::Timestamp;

/// The most proxy VMs that are known of one workload at a time.
pub const MAX_PROXIES: usize = 65_536;
/// A proxy that was silent for so long is forgotten, with the numbers it has sent.
const FORGET_AFTER: Duration = Duration::from_hours(1);
/// Differences below this are the network's, not the clock's.
const CLOCK_NOISE_MICROS: i64 = 100_000;
/// How much a proxy's smallest known delay is forgotten with each frame, so that a clock that is
/// set right is followed.
const DELAY_DRIFT_MICROS: i64 = 500;

/// One proxy VM.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proxy {
    /// Name of its replica.
    pub pod: String,
    /// Highest sequence number counted.
    pub sequence: u64,
    /// When its last frame was received.
    pub last_seen: Timestamp,
    /// Smallest time from sending to receiving seen lately, in µs: network delay plus how far
    /// the proxy's clock is behind. Negative when the clock is ahead.
    pub delay_micros: i64,
    /// Its running totals.
    pub health: Health,
    /// Number of its replica among those of the workload.
    pod_number: u32,
}

/// All proxies of a workload.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Proxies {
    by_instance: HashMap<u64, Proxy>,
    pod_numbers: HashMap<String, u32>,
}

impl Proxies {
    /// Whether a frame with this number was counted.
    pub(super) fn has_seen(&self, instance: u64, sequence: u64) -> bool {
        self.by_instance.get(&instance).is_some_and(|proxy| sequence <= proxy.sequence)
    }

    /// Takes note of a frame that will be counted; returns the number of its replica and what to
    /// add to its times. `None` when too many proxies are known.
    pub(super) fn hear(
        &mut self,
        frame: &Frame<'_>,
        received_at: Timestamp,
        totals: &mut Totals,
    ) -> Option<(u32, i64)> {
        let delay = i64::try_from(received_at.as_micros()).unwrap_or(i64::MAX)
            - i64::try_from(frame.sent_at_micros).unwrap_or(i64::MAX);
        let full = self.by_instance.len() >= MAX_PROXIES;
        let proxy = match self.by_instance.get_mut(&frame.instance) {
            Some(proxy) => proxy,
            None if full => return None,
            None => {
                let pod = frame.identity.pod.as_str();
                let next = u32::try_from(self.pod_numbers.len()).unwrap_or(u32::MAX);
                let pod_number = *self.pod_numbers.entry(pod.to_owned()).or_insert(next);
                self.by_instance.entry(frame.instance).or_insert(Proxy {
                    pod: pod.to_owned(),
                    // A proxy that is heard for the first time may have begun long ago.
                    sequence: frame.sequence - 1,
                    last_seen: received_at,
                    delay_micros: delay,
                    health: Health::default(),
                    pod_number,
                })
            }
        };
        totals.lost_frames += frame.sequence - proxy.sequence - 1;
        totals.overflowed += frame.health.overflowed.saturating_sub(proxy.health.overflowed);
        totals.merged_windows += frame.health.merged.saturating_sub(proxy.health.merged);
        totals.failed_sends += frame.health.failed_sends.saturating_sub(proxy.health.failed_sends);
        totals.unreadable += frame.health.unreadable.saturating_sub(proxy.health.unreadable);
        proxy.sequence = frame.sequence;
        proxy.last_seen = received_at;
        proxy.delay_micros = delay.min(proxy.delay_micros.saturating_add(DELAY_DRIFT_MICROS));
        proxy.health = frame.health;
        let is_clock = proxy.delay_micros.abs() > CLOCK_NOISE_MICROS;
        Some((proxy.pod_number, if is_clock { proxy.delay_micros } else { 0 }))
    }

    /// Forgets proxies that have been silent for an hour.
    pub(super) fn forget_silent(&mut self, now: Timestamp) {
        let before = self.by_instance.len();
        self.by_instance.retain(|_, proxy| now.since(proxy.last_seen) < FORGET_AFTER);
        if self.by_instance.len() < before && self.by_instance.is_empty() {
            self.pod_numbers.clear();
        }
    }

    /// All proxies, in no order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u64, &Proxy)> {
        self.by_instance.iter().map(|(instance, proxy)| (*instance, proxy))
    }
}
