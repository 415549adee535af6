//! What the aggregator can take: frames in a second, bytes and allocations a frame, memory a workload,
//! and how long a sender waits for its answer.
//!
//!     cargo bench -p foresail-aggregator --bench ingest [-- PART...]
//!
//! Parts are `merge`, `histogram`, `memory`, `latency` and `http`; all unless named.
//! `FORESAIL_BENCH_SECONDS` (default 2) is the time for each figure, and 1 or less is a quick look:
//! a tenth of the workloads too.

#![expect(clippy::print_stdout, reason = "a bench prints its figures")]
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a bench fails by panicking")]
#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "counts of a bench, far below any limit"
)]

mod allocator;
mod fleet;
mod histogram;
mod http;
mod latency;
mod memory;
mod merge;

use std::time::Duration;

use anyhow::{Context, Result};
use rustix::time::{ClockId, clock_gettime};

use fleet::{Fleet, Shape};

const MEMORY_GOAL_KIB: f64 = 200.0;
const WAIT_GOAL: Duration = Duration::from_millis(100);

struct Settings {
    each: Duration,
    workloads: usize,
    parts: Vec<String>,
}

impl Settings {
    fn read() -> Result<Self> {
        let seconds = match std::env::var("FORESAIL_BENCH_SECONDS") {
            Ok(text) => text.parse().context("FORESAIL_BENCH_SECONDS is not a number")?,
            Err(_) => 2.0,
        };
        let workloads = if seconds > 1.0 { 10_000 } else { 1_000 };
        // `cargo bench` adds `--bench`.
        let parts = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
        Ok(Self { each: Duration::from_secs_f64(seconds), workloads, parts })
    }

    fn wants(&self, part: &str) -> bool {
        self.parts.is_empty() || self.parts.iter().any(|wanted| wanted == part)
    }
}

fn main() -> Result<()> {
    let settings = Settings::read()?;
    // First: what the process then grows by is not memory that an earlier part gave back.
    if settings.wants("memory") {
        memory(&settings)?;
    }
    let rate = merge(&settings)?;
    if settings.wants("histogram") {
        histogram()?;
    }
    if settings.wants("latency") {
        latency(&settings, rate / 2.0)?;
    }
    if settings.wants("http") {
        http(&settings)?;
    }
    Ok(())
}

/// Returns the frames of the typical kind in a second.
fn merge(settings: &Settings) -> Result<f64> {
    let mut typical = None;
    for (shape, workloads, title) in
        [(Shape::Typical, 1_000, "50 buckets"), (Shape::ManySeries, 100, "64 series of 20 buckets")]
    {
        let cost = merge::run(shape, workloads, settings.each)?;
        println!(
            "ingest: {} frames/s decoded and merged on one core ({title}, {:.0} bytes, {:.1} \
             allocations a frame; decode {:?}, merge {:?}, close {:?})",
            grouped(cost.per_second),
            cost.bytes,
            cost.allocations,
            cost.decode,
            cost.merge,
            cost.close,
        );
        typical.get_or_insert(cost.per_second);
    }
    typical.context("a shape")
}

fn histogram() -> Result<()> {
    let compared = histogram::run()?;
    println!(
        "ingest: merging 50 buckets takes {:?} sparse and {:?} with hdrhistogram's dense add: {:.3} of it",
        compared.sparse, compared.dense, compared.ratio
    );
    Ok(())
}

fn memory(settings: &Settings) -> Result<()> {
    let memory = memory::run(settings.workloads)?;
    let all = memory.telemetry + memory.autoscaler;
    println!(
        "ingest: memory {all:.0} KiB a workload at {} workloads with every window kept (goal <= \
         {MEMORY_GOAL_KIB:.0} KiB: {}): telemetry {:.1}, autoscaler with full load series {:.1}; \
         resident {:.0}",
        grouped(settings.workloads as f64),
        verdict(all <= MEMORY_GOAL_KIB),
        memory.telemetry,
        memory.autoscaler,
        memory.resident,
    );
    Ok(())
}

fn latency(settings: &Settings, half: f64) -> Result<()> {
    let fleet = Fleet::new(Shape::Typical, settings.workloads);
    let try_rate = |rate: f64| -> Result<bool> {
        let length = settings.each + Duration::from_millis(1_500);
        let waits = latency::in_process(&fleet, settings.workloads, rate, length)?;
        println!(
            "ingest: at {} frames/s ({:.0} % of that half), request p50 {:?}, p99 {:?}, {} refused \
             (in process: submit to durable acknowledgement; {:.0} frames a commit; the ingest \
             thread took {:?} a frame, and waited {:.0} % of its time for a core)",
            grouped(rate),
            rate / half * 100.0,
            waits.quantile(0.5),
            waits.quantile(0.99),
            waits.refused,
            waits.frames_per_commit,
            waits.core_time_per_frame,
            waits.thread.denied() * 100.0,
        );
        Ok(waits.keeps(WAIT_GOAL))
    };
    let mut rate = half;
    let mut keeps = try_rate(rate)?;
    for _ in 0..4 {
        if keeps {
            break;
        }
        rate /= 1.5;
        keeps = try_rate(rate)?;
    }
    if keeps {
        println!("ingest: p99 below {WAIT_GOAL:?} up to {} frames/s at least", grouped(rate));
    }
    Ok(())
}

fn http(settings: &Settings) -> Result<()> {
    let aggregator = http::Aggregator::start(Fleet::new(Shape::Typical, 1_000))?;
    let length = settings.each + Duration::from_millis(1_500);
    let (_, most) = aggregator.load(None, length)?;
    let (waits, rate) = aggregator.load(Some(most / 2.0), length)?;
    println!(
        "ingest: over HTTP {} requests/s at most (client and server share the cores); at half of it \
         ({} answered), request p50 {:?}, p99 {:?}, {} refused",
        grouped(most),
        grouped(rate),
        waits.quantile(0.5),
        waits.quantile(0.99),
        waits.refused,
    );
    aggregator.stop()
}

const fn verdict(met: bool) -> &'static str {
    if met { "met" } else { "NOT met" }
}

fn median<T: Copy + PartialOrd>(values: impl Iterator<Item = T>) -> T {
    let mut values: Vec<_> = values.collect();
    values.sort_by(|a, b| a.partial_cmp(b).unwrap());
    values[values.len() / 2]
}

/// A whole number with commas.
fn grouped(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// What `work` takes of a core; other programs on it do not count.
fn core_time(work: impl FnOnce()) -> Duration {
    let read = || Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).unwrap_or_default();
    let before = read();
    work();
    read().saturating_sub(before)
}
