//! What is known of one workload: windows of merged frames, and who was heard in them.
//!
//! Three tiers of closed windows (1 s, 15 s, 5 min) and the last ten seconds still open, so that
//! late frames land where they belong. Missing is not zero: every window has a coverage, and one
//! in which nobody was heard has no rate at all.

mod heat;
mod open;
mod proxies;
mod ring;
mod summary;
mod totals;

use std::time::Duration;

use foresail_wire::{Direction, Frame, LatencyHistogram};
use serde::{Deserialize, Serialize};

use crate::journal::{ClusterFacts, Observation};
use crate::units::{Ratio, Rps, Timestamp, micros};
use open::{Accumulator, OpenWindow, OpenWindows};
use proxies::Proxies;
use ring::Ring;

pub use heat::{HEAT_CELLS, Heat};
pub use proxies::{MAX_PROXIES, Proxy};
pub use summary::Summary;
pub use totals::{DirectionTotals, Totals};

/// How long a window stays open for late frames.
pub const LATE_LIMIT: Duration = Duration::from_secs(10);
/// A window counts for a decision when so much of the workload was heard.
pub const FULL_COVERAGE: f64 = 0.8;
/// How far a frame's window may reach beyond the moment it was sent.
const MAX_FUTURE: Duration = Duration::from_secs(1);
/// Time after a window's end in which the frames of all proxies have normally arrived.
const SETTLE: Duration = Duration::from_millis(300);

/// Length of the closed windows of a series, and how many are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Tier {
    /// 1 s for 15 min.
    Fine,
    /// 15 s for 24 h.
    Mid,
    /// 5 min for 28 days.
    Coarse,
}

impl Tier {
    /// All tiers, finest first.
    pub const ALL: [Self; 3] = [Self::Fine, Self::Mid, Self::Coarse];

    /// Length of a window.
    pub const fn step(self) -> Duration {
        match self {
            Self::Fine => Duration::from_secs(1),
            Self::Mid => Duration::from_secs(15),
            Self::Coarse => Duration::from_mins(5),
        }
    }

    /// How many windows are kept.
    pub const fn kept(self) -> usize {
        match self {
            Self::Fine => 900,
            Self::Mid => 5_760,
            Self::Coarse => 8_064,
        }
    }
}

/// A window that will not change any more.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Closed {
    /// Of which tier.
    pub tier: Tier,
    /// Number of the window since 1970: it begins at `index · tier.step()`.
    pub index: u64,
    /// What was seen in it.
    pub summary: Summary,
    /// How long its requests took; of the fine tier nothing.
    pub heat: Heat,
}

/// What became of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Applied {
    /// Counted. `late` requests came after their window had closed: they are in the totals only.
    Accepted {
        /// How many came too late for their window.
        late: u64,
    },
    /// Seen before; nothing was counted.
    Duplicate,
    /// Its window ends after it was sent; nothing was counted.
    FutureDated,
    /// As many proxies as are kept ([`MAX_PROXIES`]) are known already; nothing was counted.
    TooManyProxies,
}

/// Replica counts as a source gave them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplicaStatus {
    /// Replicas that exist.
    pub current_replicas: u32,
    /// Replicas that serve.
    pub ready_replicas: u32,
    /// Names of the replicas that serve, where the source tells them.
    #[serde(default)]
    pub ready_pods: Option<Vec<String>>,
    /// What a cluster says beside, where there is one.
    #[serde(default)]
    pub cluster: Option<ClusterFacts>,
}

/// The part of a workload's telemetry that only the newest frames change.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Volatile {
    open: OpenWindows,
    mid: Option<(u64, Accumulator)>,
    coarse: Option<(u64, Accumulator)>,
    proxies: Proxies,
    totals: Totals,
    ready_replicas: Option<u32>,
    desired_replicas: Option<u32>,
}

/// Telemetry of one workload.
#[derive(Debug)]
pub struct WorkloadTelemetry {
    volatile: Volatile,
    fine: Ring<summary::Full>,
    mid: Ring<summary::Compact>,
    coarse: Ring<summary::Compact>,
}

impl Default for WorkloadTelemetry {
    fn default() -> Self {
        Self::new()
    }
}

impl WorkloadTelemetry {
    /// Nothing known yet.
    pub fn new() -> Self {
        Self::from_volatile(Volatile::default())
    }

    /// Goes on from a stored state; closed windows are put back with
    /// [`WorkloadTelemetry::restore`].
    pub fn from_volatile(volatile: Volatile) -> Self {
        Self {
            volatile,
            fine: Ring::new(Tier::Fine.kept()),
            mid: Ring::new(Tier::Mid.kept()),
            coarse: Ring::new(Tier::Coarse.kept()),
        }
    }

    /// What must be stored beside the closed windows to go on from here.
    pub const fn volatile(&self) -> &Volatile {
        &self.volatile
    }

    /// Puts a closed window back.
    pub fn restore(&mut self, tier: Tier, index: u64, summary: &Summary) {
        match tier {
            Tier::Fine => self.fine.put(index, summary.into()),
            Tier::Mid => self.mid.put(index, summary.into()),
            Tier::Coarse => self.coarse.put(index, summary.into()),
        }
    }

    /// Whether [`WorkloadTelemetry::apply`] would drop a frame as seen before.
    pub fn is_duplicate(&self, instance: u64, sequence: u64) -> bool {
        self.volatile.proxies.has_seen(instance, sequence)
    }

    /// Counts a frame, once: a frame whose sequence number was seen changes nothing.
    pub fn apply(&mut self, frame: &Frame<'_>, received_at: Timestamp) -> Applied {
        let state = &mut self.volatile;
        if state.proxies.has_seen(frame.instance, frame.sequence) {
            state.totals.duplicate_frames += 1;
            return Applied::Duplicate;
        }
        if frame.window.end_micros > frame.sent_at_micros.saturating_add(micros(MAX_FUTURE)) {
            state.totals.future_frames += 1;
            return Applied::FutureDated;
        }
        let Some((pod, offset_micros)) = state.proxies.hear(frame, received_at, &mut state.totals)
        else {
            return Applied::TooManyProxies;
        };
        let span = open::windows_of(frame.window, offset_micros);
        let late = state.open.add(frame, &span, pod, received_at);
        state.totals.add(frame, late);
        Applied::Accepted { late }
    }

    /// Takes note of the replica counts; they are kept with every window that closes from now on.
    pub fn set_replicas(&mut self, ready: Option<u32>, desired: Option<u32>) {
        self.volatile.ready_replicas = ready;
        self.volatile.desired_replicas = desired.or(self.volatile.desired_replicas);
        self.volatile.open.set_replicas(ready, self.volatile.desired_replicas);
    }

    /// Closes the windows for which late frames are no longer waited, and returns them.
    pub fn advance(&mut self, now: Timestamp) -> Vec<Closed> {
        let mut closed = Vec::new();
        let first_open = (now - LATE_LIMIT).step_index(Tier::Fine.step());
        while let Some((index, window)) = self.volatile.open.pop_before(first_open) {
            let expected = self.expected_pods(window.ready_replicas);
            let summary = window.summary(expected);
            self.fine.put(index, (&summary).into());
            closed.push(Closed { tier: Tier::Fine, index, summary, heat: Heat::default() });
            self.fold(Tier::Mid, index / 15, &window, expected, &mut closed);
            self.fold(Tier::Coarse, index / 300, &window, expected, &mut closed);
        }
        for (tier, length) in [(Tier::Mid, 15), (Tier::Coarse, 300)] {
            let slot = self.accumulator(tier);
            if slot.as_ref().is_some_and(|(index, _)| (index + 1) * length <= first_open) {
                self.close(tier, &mut closed);
            }
        }
        self.volatile.proxies.forget_silent(now);
        closed
    }

    /// Adds a closed fine window to the open window of a coarser tier, closing the one before it.
    fn fold(
        &mut self,
        tier: Tier,
        index: u64,
        window: &OpenWindow,
        expected: Option<u32>,
        closed: &mut Vec<Closed>,
    ) {
        if self.accumulator(tier).as_ref().is_some_and(|(open, _)| *open < index) {
            self.close(tier, closed);
        }
        let (_, accumulator) =
            self.accumulator(tier).get_or_insert_with(|| (index, Accumulator::default()));
        accumulator.add(window, expected);
    }

    fn close(&mut self, tier: Tier, closed: &mut Vec<Closed>) {
        if let Some((index, accumulator)) = self.accumulator(tier).take() {
            let summary = accumulator.summary(tier.step());
            self.restore(tier, index, &summary);
            let heat = Heat::of(accumulator.latency());
            closed.push(Closed { tier, index, summary, heat });
        }
    }

    fn accumulator(&mut self, tier: Tier) -> &mut Option<(u64, Accumulator)> {
        match tier {
            Tier::Coarse => &mut self.volatile.coarse,
            Tier::Fine | Tier::Mid => &mut self.volatile.mid,
        }
    }

    /// How many replicas should be heard: the Ready ones, else as many as were heard lately.
    fn expected_pods(&self, ready_replicas: Option<u32>) -> Option<u32> {
        ready_replicas.or_else(|| self.volatile.open.most_heard())
    }

    /// What a decision at `now` may know: everything after `since` that has settled.
    ///
    /// Without a window in which enough of the workload was heard, windows in which anybody was
    /// heard count, and `coverage` says how little that is.
    pub fn observe(
        &self,
        now: Timestamp,
        since: Timestamp,
        replicas: Option<&ReplicaStatus>,
    ) -> Observation {
        // A replica that became Ready since the last look cannot have reported a whole window yet.
        let ready = replicas.map(|status| status.ready_replicas);
        let ready_before = self.volatile.ready_replicas;
        let expected =
            self.expected_pods(ready.map(|ready| ready.min(ready_before.unwrap_or(ready))));
        let settled = self.volatile.open.settled(now, expected);
        let newest = settled
            .clone()
            .last()
            .map(|(index, _)| Timestamp::of_step(index + 1, Tier::Fine.step()));
        let counted = settled
            .clone()
            .filter(|(index, _)| Timestamp::of_step(*index, Tier::Fine.step()) >= since);
        let mut sum = Accumulator::default();
        let full = counted.clone().any(|(_, window)| window.coverage(expected) >= FULL_COVERAGE);
        for (_, window) in counted {
            if !full || window.coverage(expected) >= FULL_COVERAGE {
                sum.add(window, expected);
            }
        }
        let millis = |micros: u32| f64::from(micros) / 1e3;
        let summary = sum.summary(sum.length());
        Observation {
            newest,
            rps: summary.rps.and_then(|rps| Rps::new(f64::from(rps)).ok()),
            burst_rps: self.burst_rps(now, expected),
            p50_ms: summary.p50_micros.map(millis),
            p95_ms: summary.p95_micros.map(millis),
            p99_ms: summary.p99_micros.map(millis),
            error_ratio: summary.error_ratio.and_then(|r| Ratio::new(f64::from(r)).ok()),
            concurrency: summary.concurrency.map(f64::from),
            outbound_concurrency: sum.outbound_concurrency(),
            coverage: summary.coverage.and_then(|c| Ratio::new(f64::from(c)).ok()),
            current_replicas: replicas.map(|status| status.current_replicas),
            ready_replicas: replicas.map(|status| status.ready_replicas),
            cluster: replicas.and_then(|status| status.cluster.clone()),
        }
    }

    /// Mean rate of the last six settled windows.
    fn burst_rps(&self, now: Timestamp, expected: Option<u32>) -> Option<Rps> {
        let since = (now - Duration::from_secs(7)).step_index(Tier::Fine.step());
        let (mut windows, mut requests) = (0_u32, 0.0);
        for (index, window) in self.volatile.open.settled(now, expected) {
            if index >= since && window.coverage(expected) >= FULL_COVERAGE {
                windows += 1;
                requests += window.requests;
            }
        }
        #[expect(
            clippy::cast_possible_truncation,
            reason = "as exact as the figures of windows are"
        )]
        let rps = (windows > 0).then(|| (requests / f64::from(windows)) as f32)?;
        Rps::new(f64::from(rps)).ok()
    }

    /// All windows of a tier, oldest first, with their begin; of the fine tier also those that are
    /// over at `now` and still take late frames. Windows in which nothing is known are left out.
    pub fn summaries(&self, tier: Tier, now: Timestamp) -> Vec<(Timestamp, Summary)> {
        self.summaries_in(tier, now, |_| true)
    }

    /// Those of them whose begin is `wanted`.
    pub fn summaries_in(
        &self,
        tier: Tier,
        now: Timestamp,
        wanted: impl Fn(Timestamp) -> bool,
    ) -> Vec<(Timestamp, Summary)> {
        let step = tier.step();
        let begin = |index| Some(Timestamp::of_step(index, step)).filter(|begin| wanted(*begin));
        match tier {
            Tier::Mid => {
                let windows = self.mid.iter();
                windows.filter_map(|(i, packed)| Some((begin(i)?, packed.into()))).collect()
            }
            Tier::Coarse => {
                let windows = self.coarse.iter();
                windows.filter_map(|(i, packed)| Some((begin(i)?, packed.into()))).collect()
            }
            Tier::Fine => {
                let closed = self.fine.iter();
                let closed = closed.filter_map(|(i, packed)| Some((begin(i)?, packed.into())));
                let expected = self.expected_pods(self.volatile.ready_replicas);
                let open = self.volatile.open.settled(now, expected).filter_map(|(i, window)| {
                    let expected = self.expected_pods(window.ready_replicas);
                    Some((begin(i)?, window.summary(expected)))
                });
                closed.chain(open).collect()
            }
        }
    }

    /// Latencies of inbound requests in the windows that are still open and begin at `since` or
    /// later.
    pub fn recent_latency(&self, since: Timestamp) -> LatencyHistogram {
        let mut merged = LatencyHistogram::default();
        for (index, window) in self.volatile.open.iter() {
            if Timestamp::of_step(index, Tier::Fine.step()) >= since {
                merged.merge(&window.latency);
            }
        }
        merged
    }

    /// Everything ever counted.
    pub const fn totals(&self) -> &Totals {
        &self.volatile.totals
    }

    /// The proxies known now, by instance.
    pub fn proxies(&self) -> impl Iterator<Item = (u64, &Proxy)> {
        self.volatile.proxies.iter()
    }
}

/// Only requests to the workload are its load.
pub(crate) fn is_load(direction: Direction) -> bool {
    direction == Direction::Inbound
}

#[cfg(test)]
mod tests;
