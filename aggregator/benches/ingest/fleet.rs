//! Proxies of many workloads, and the frames that they send.

use axum::body::Bytes;
use foresail_aggregator::units::{Timestamp, WorkloadKey};
use foresail_wire::{
    Digits, Direction, Frame, Health, Identity, LatencyHistogram, Series, SeriesKey, Text, Window,
    encode,
};

/// Proxy VMs of each workload: five pods, each with two workers.
pub(crate) const PODS: usize = 5;
const WORKERS: usize = 2;
/// First of the seconds that are played.
pub(crate) const T0: u64 = 1_700_000_000;
/// Sequence numbers and times that stand in a template; the search for them finds no others.
const SEQUENCE: u32 = 0xA1B2_C3D4;
const START: u64 = 0x0006_0A24_1122_3344;
const END: u64 = 0x0006_0A24_1132_7584;
const SENT: u64 = 0x0006_0A24_1133_1234;

/// What a frame is like.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Shape {
    /// One series of 50 buckets: a sidecar without route labels.
    Typical,
    /// 64 series of 20 buckets: every route labelled.
    ManySeries,
}

/// A frame's bytes, in which number and times can be exchanged.
struct Template {
    bytes: Vec<u8>,
    at: [usize; 4],
}

/// All proxies, in such an order that neighbours belong to different workloads.
pub(crate) struct Fleet {
    templates: Vec<Template>,
}

impl Fleet {
    /// The proxies of so many workloads.
    pub(crate) fn new(shape: Shape, workloads: usize) -> Self {
        let vms = 0..PODS * WORKERS;
        let proxies = vms.flat_map(|vm| (0..workloads).map(move |workload| (workload, vm)));
        Self { templates: proxies.map(|(workload, vm)| template(shape, workload, vm)).collect() }
    }

    /// How many proxies there are.
    pub(crate) const fn len(&self) -> usize {
        self.templates.len()
    }

    /// Mean length of a frame.
    pub(crate) fn mean_bytes(&self) -> f64 {
        let all: usize = self.templates.iter().map(|template| template.bytes.len()).sum();
        all as f64 / self.templates.len() as f64
    }

    /// Appends the frame of proxy `n` for the second that ends at `end_micros`.
    pub(crate) fn write(&self, n: usize, sequence: u32, end_micros: u64, to: &mut Vec<u8>) {
        let template = &self.templates[n];
        let from = to.len();
        to.extend_from_slice(&template.bytes);
        let frame = &mut to[from..];
        let [number, start, end, sent] = template.at;
        frame[number..number + 4].copy_from_slice(&(1 << 16 | sequence).to_le_bytes());
        for (at, micros) in [(start, end_micros - 1_000_000), (end, end_micros), (sent, end_micros)]
        {
            frame[at..at + 8].copy_from_slice(&micros.to_le_bytes());
        }
    }

    /// Frame `n` of all, as a request's body: proxies take turns, and number their frames.
    pub(crate) fn next_body(&self, n: u64, now: Timestamp) -> Bytes {
        let proxies = self.templates.len() as u64;
        let proxy = (n % proxies) as usize;
        let sequence = (n / proxies) as u32 + 1;
        let mut bytes = Vec::with_capacity(self.templates[proxy].bytes.len());
        self.write(proxy, sequence, now.as_micros(), &mut bytes);
        bytes.into()
    }
}

/// Name of a workload.
pub(crate) fn key(workload: usize) -> WorkloadKey {
    WorkloadKey {
        namespace: format!("team-{:02}", workload % 20),
        name: format!("service-{workload:05}"),
    }
}

fn template(shape: Shape, workload: usize, vm: usize) -> Template {
    let key = key(workload);
    let seed = (workload * 64 + vm) as u64;
    let mut series = match shape {
        Shape::Typical => vec![series("", 50, 700 + workload as u16 % 300, seed)],
        Shape::ManySeries => (0..64_u16)
            .map(|n| series(&format!("/api/v1/resource-{n:02}/{{id}}"), 20, 600 + 11 * n, seed))
            .collect(),
    };
    series.sort_by(|a, b| a.key.cmp(&b.key));
    let frame = Frame {
        identity: Identity {
            namespace: Text::truncated(key.namespace),
            workload: Text::truncated(key.name.clone()),
            pod: Text::truncated(format!("{}-7d9f8b6c5-x2k4{}", key.name, vm / WORKERS)),
            revision: Text::truncated("v2"),
        },
        instance: random(seed) | 1 << 63,
        sequence: u64::from(SEQUENCE),
        window: Window { start_micros: START, end_micros: END },
        sent_at_micros: SENT,
        health: Health::default(),
        series,
    };
    let bytes = encode(&frame).unwrap();
    let at = [
        find(&bytes, &SEQUENCE.to_le_bytes()),
        find(&bytes, &START.to_le_bytes()),
        find(&bytes, &END.to_le_bytes()),
        find(&bytes, &SENT.to_le_bytes()),
    ];
    Template { bytes, at }
}

fn find(bytes: &[u8], mark: &[u8]) -> usize {
    let mut found = (0..bytes.len()).filter(|at| bytes[*at..].starts_with(mark));
    let at = found.next().unwrap();
    assert_eq!(found.next(), None, "a template's marks are unique");
    at
}

/// As in the golden file of a typical frame; which of three neighbours a bucket is, and how often
/// it was hit, differs from proxy to proxy.
fn series(route: &str, buckets: u16, first: u16, seed: u64) -> Series<'static> {
    let hit = (0..buckets).map(|n| {
        let chance = random(seed << 8 | u64::from(n));
        let index = first + 3 * n + (chance % 3) as u16;
        (index, 1 + 400 / (1 + u32::from(n.abs_diff(12))) + (chance >> 32) as u32 % 8)
    });
    let latency = LatencyHistogram::from_buckets(Digits::DEFAULT, hit).unwrap();
    let requests = u32::try_from(latency.total()).unwrap();
    let mut series = Series {
        key: SeriesKey {
            direction: Direction::Inbound,
            destination: Text::default(),
            route: Text::truncated(route.to_owned()),
        },
        in_flight: 14,
        concurrency_micros: 13_482_911,
        latency,
        ..Series::default()
    };
    series.codes.add(200, requests - 40);
    series.codes.add(404, 28);
    series.codes.add(503, 12);
    series
}

/// `SplitMix64` (Steele, Lea & Flood 2014): the same numbers in each run.
pub(crate) const fn random(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}
