//! What deciding costs: a replay, one decision, a round over many workloads, and their memory.
//!
//!     cargo bench -p foresail-aggregator --bench decide [-- PART...]
//!
//! Parts are `replay` and `round`; both unless named. `FORESAIL_BENCH_WORKLOADS` (default 100) is the
//! number of workloads with a state of their own in the round, which decides 10,000 times over them.

#![expect(clippy::print_stdout, reason = "a bench prints its figures")]
#![expect(clippy::unwrap_used, reason = "a bench fails by panicking")]

#[path = "../ingest/allocator.rs"]
mod allocator;
mod replay;
mod round;

use std::time::Duration;

use anyhow::{Context, Result};

/// Goals of the project.
const REPLAY_GOAL: Duration = Duration::from_secs(10);
const DECISION_GOAL_US: f64 = 1_000.0;
const ROUND_GOAL: Duration = Duration::from_secs(5);
const MEMORY_GOAL_GIB: f64 = 2.0;
/// Decisions of a round.
const ROUND: usize = 10_000;

fn main() -> Result<()> {
    // `cargo bench` adds `--bench`.
    let parts: Vec<String> =
        std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let wants = |part: &str| parts.is_empty() || parts.iter().any(|wanted| wanted == part);
    if wants("replay") {
        replay();
    }
    if wants("round") {
        let workloads = match std::env::var("FORESAIL_BENCH_WORKLOADS") {
            Ok(text) => text.parse().context("FORESAIL_BENCH_WORKLOADS is not a number")?,
            Err(_) => 100,
        };
        round(workloads);
    }
    Ok(())
}

fn replay() {
    for interval in [Duration::from_mins(1), Duration::from_secs(15)] {
        let replay = replay::run(interval);
        println!(
            "decide: 14 days at 1 min, decisions every {interval:?}, {} policies and the oracle: {:.1} s \
             on one core, growing trees included (goal < {REPLAY_GOAL:?}: {})",
            replay.policies,
            replay.took.as_secs_f64(),
            verdict(replay.took < REPLAY_GOAL),
        );
        println!(
            "decide: a forecast and a decision in it: p50 {:.0} us, p99 {:.0} us (goal p99 < \
             {DECISION_GOAL_US:.0} us: {})",
            replay.p50_us,
            replay.p99_us,
            verdict(replay.p99_us < DECISION_GOAL_US),
        );
    }
}

fn round(workloads: usize) {
    let grown = round::one_week();
    let gib = grown.held as f64 * ROUND as f64 / f64::from(1 << 30);
    println!(
        "decide: an autoscaler after {} days holds {:.0} KiB, so {ROUND} hold {gib:.1} GiB (goal < \
         {MEMORY_GOAL_GIB} GiB: {}); growing its trees takes {:.2} s once a day; {:.0} allocations a decision",
        round::DAYS,
        grown.held as f64 / 1024.0,
        verdict(gib < MEMORY_GOAL_GIB),
        grown.growing.as_secs_f64(),
        grown.allocations,
    );
    let round = round::run(workloads, ROUND);
    println!(
        "decide: a round of {ROUND} decisions over {workloads} workloads with trees on {} threads: \
         {:.2} s, {:.0} us each (goal < {ROUND_GOAL:?}: {})",
        round.threads,
        round.took.as_secs_f64(),
        round.took.as_secs_f64() * 1e6 * round.threads as f64 / ROUND as f64,
        verdict(round.took < ROUND_GOAL),
    );
}

const fn verdict(met: bool) -> &'static str {
    if met { "met" } else { "NOT met" }
}
