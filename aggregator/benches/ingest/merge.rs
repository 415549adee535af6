//! Decoding and merging, without sockets and without disk.

use std::hint::black_box;
use std::time::Duration;

use anyhow::Result;
use foresail_aggregator::ingest::{Engine, Workloads};
use foresail_aggregator::store::Store;
use foresail_aggregator::telemetry::Applied;
use foresail_aggregator::units::{Timestamp, WorkloadKey};
use foresail_wire::decode;

use crate::allocator::allocated_by;
use crate::fleet::{Fleet, Shape, T0, key};
use crate::{core_time, median};

/// Seconds played before the first that is measured: as many windows are then open as ever.
const WARM_UP: u32 = 12;
/// The fewest seconds that are measured.
const LEAST_ROUNDS: u32 = 5;

/// What a frame costs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cost {
    /// Frames in a second of one core.
    pub(crate) per_second: f64,
    /// Time to decode a frame.
    pub(crate) decode: Duration,
    /// Time to find its workload and merge it.
    pub(crate) merge: Duration,
    /// Time to close a window of a workload, once a second, for each frame that it took.
    pub(crate) close: Duration,
    /// Mean length.
    pub(crate) bytes: f64,
    /// Calls of the allocator.
    pub(crate) allocations: f64,
}

/// Plays seconds of a fleet for about `budget`.
pub(crate) fn run(shape: Shape, workloads: usize, budget: Duration) -> Result<Cost> {
    let fleet = Fleet::new(shape, workloads);
    let directory = tempfile::tempdir()?;
    let keys: Vec<_> = (0..workloads).map(key).collect();
    let store = Store::open(&directory.path().join("state.redb"))?;
    let (engine, _) = Engine::open(store, &keys, workloads)?;
    let mut player = Player::new(&fleet, engine.workloads(), &keys);
    for second in 1..=WARM_UP {
        player.play(second);
    }
    let mut rounds = Vec::new();
    let mut spent = Duration::ZERO;
    let mut second = WARM_UP;
    while spent < budget || second < WARM_UP + LEAST_ROUNDS {
        second += 1;
        let round = player.play(second);
        spent += round.iter().sum::<Duration>();
        rounds.push(round);
    }
    let frames = u32::try_from(fleet.len())?;
    let part = |n: usize| median(rounds.iter().map(|round| round[n])) / frames;
    let [decode, whole, close] = [0, 1, 2].map(part);
    let all = median(rounds.iter().map(|round| round[1] + round[2]));
    player.write(second + 1);
    let (allocated, ()) = allocated_by(|| {
        player.merge();
        player.close();
    });
    Ok(Cost {
        per_second: f64::from(frames) / all.as_secs_f64(),
        decode,
        merge: whole.saturating_sub(decode),
        close,
        bytes: fleet.mean_bytes(),
        allocations: allocated.calls as f64 / f64::from(frames),
    })
}

struct Player<'a> {
    fleet: &'a Fleet,
    workloads: &'a Workloads,
    keys: &'a [WorkloadKey],
    bytes: Vec<u8>,
    ends: Vec<usize>,
    now: Timestamp,
}

impl<'a> Player<'a> {
    fn new(fleet: &'a Fleet, workloads: &'a Workloads, keys: &'a [WorkloadKey]) -> Self {
        let now = Timestamp::from_secs(T0);
        Self { fleet, workloads, keys, bytes: Vec::new(), ends: Vec::new(), now }
    }

    /// A frame of each proxy: time to decode them all, to decode and merge them all, and to close
    /// the window that is no longer waited for, of every workload.
    fn play(&mut self, second: u32) -> [Duration; 3] {
        self.write(second);
        let decoded = core_time(|| {
            self.frames().for_each(|frame| {
                black_box(decode(black_box(frame)).is_ok());
            });
        });
        [decoded, core_time(|| self.merge()), core_time(|| self.close())]
    }

    fn write(&mut self, second: u32) {
        self.now = Timestamp::from_secs(T0 + u64::from(second));
        self.bytes.clear();
        self.ends.clear();
        for n in 0..self.fleet.len() {
            self.fleet.write(n, second, self.now.as_micros(), &mut self.bytes);
            self.ends.push(self.bytes.len());
        }
    }

    fn frames(&self) -> impl Iterator<Item = &[u8]> {
        let mut from = 0;
        self.ends.iter().map(move |end| &self.bytes[std::mem::replace(&mut from, *end)..*end])
    }

    fn merge(&self) {
        for bytes in self.frames() {
            let frame = decode(bytes).unwrap();
            let (namespace, name) = (&frame.identity.namespace, &frame.identity.workload);
            let workload = self.workloads.get(namespace.as_str(), name.as_str()).unwrap();
            let applied = workload.with(|telemetry| telemetry.apply(&frame, self.now));
            assert_eq!(applied, Applied::Accepted { late: 0 });
        }
    }

    fn close(&self) {
        for key in self.keys {
            let workload = self.workloads.get(&key.namespace, &key.name).unwrap();
            black_box(workload.with(|telemetry| telemetry.advance(self.now)));
        }
    }
}
