//! A decision for everybody.

use std::time::Duration;

use foresail_aggregator::autoscaler::Autoscaler;
use foresail_aggregator::clock;
use foresail_aggregator::journal::Observation;
use foresail_aggregator::units::{Ratio, Rps, Timestamp};

use crate::allocator::allocated_by;
use crate::replay::{config, rate};

/// Days after which an autoscaler holds all that it ever holds.
pub(crate) const DAYS: usize = 8;
const T0: u64 = 1_700_006_400;
/// Steps of a day.
const DAY: usize = 5_760;
const STEP: Duration = Duration::from_secs(15);
/// Steps after which the first trees are grown, and a few more.
const GROWN: usize = DAY * 3 / 2 + 40;

/// What a workload holds.
pub(crate) struct Grown {
    pub(crate) held: usize,
    /// Requests for memory a decision, those of growing trees included.
    pub(crate) allocations: f64,
    /// Mean time of growing trees.
    pub(crate) growing: Duration,
}

/// What a round took.
pub(crate) struct Round {
    pub(crate) threads: usize,
    pub(crate) took: Duration,
}

fn time(step: usize) -> Timestamp {
    Timestamp::from_secs(T0 + step as u64 * STEP.as_secs())
}

/// Lets an autoscaler decide on a step; `seed` makes its load another one.
fn decide(autoscaler: &mut Autoscaler, step: usize, seed: usize) -> u32 {
    let rps = rate(step / 4 + seed * 37) * (1.0 + (step % 4) as f64 / 100.0);
    let replicas = autoscaler.last_decision().map_or(12, |decision| decision.desired_replicas);
    let observation = Observation {
        newest: Some(time(step)),
        rps: Some(Rps::new(rps).unwrap()),
        p99_ms: Some(120.0),
        coverage: Some(Ratio::ONE),
        current_replicas: Some(replicas),
        ready_replicas: Some(replicas),
        ..Observation::default()
    };
    autoscaler.step(time(step), &observation).decision.desired_replicas
}

/// Decides `steps` times and grows trees when they are due; gives the time of that and how often.
fn warm(autoscaler: &mut Autoscaler, steps: usize, seed: usize) -> (Duration, u32) {
    let (mut growing, mut times) = (Duration::ZERO, 0);
    for step in 1..=steps {
        decide(autoscaler, step, seed);
        if let Some(job) = autoscaler.refit_job() {
            let watch = clock::Stopwatch::start();
            let refitted = job.run();
            growing += watch.elapsed();
            times += 1;
            autoscaler.install(refitted);
        }
    }
    (growing, times)
}

/// One workload over [`DAYS`].
pub(crate) fn one_week() -> Grown {
    let (allocated, (autoscaler, growing)) = allocated_by(|| {
        let mut autoscaler = Autoscaler::new(&config(), time(0));
        let (growing, times) = warm(&mut autoscaler, DAYS * DAY, 0);
        (autoscaler, growing / times.max(1))
    });
    drop(autoscaler);
    let allocations = allocated.calls as f64 / (DAYS * DAY) as f64;
    Grown { held: allocated.held, allocations, growing }
}

/// So many decisions over so many workloads, each old enough to have trees, on every core.
pub(crate) fn run(workloads: usize, decisions: usize) -> Round {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let mut all: Vec<Autoscaler> =
        (0..workloads).map(|_| Autoscaler::new(&config(), time(0))).collect();
    let share = workloads.div_ceil(threads).max(1);
    let in_parallel = |all: &mut Vec<Autoscaler>,
                       work: &(dyn Fn(&mut Autoscaler, usize) + Sync)| {
        std::thread::scope(|scope| {
            for (part, own) in all.chunks_mut(share).enumerate() {
                scope.spawn(move || {
                    for (at, autoscaler) in own.iter_mut().enumerate() {
                        work(autoscaler, part * share + at);
                    }
                });
            }
        });
    };
    in_parallel(&mut all, &|autoscaler, seed| _ = warm(autoscaler, GROWN, seed));
    let watch = clock::Stopwatch::start();
    for turn in 1..=decisions.div_ceil(workloads.max(1)) {
        in_parallel(&mut all, &|autoscaler, seed| _ = decide(autoscaler, GROWN + turn, seed));
    }
    Round { threads, took: watch.elapsed() }
}
