//! What a workload takes when every window that is kept is there.

use std::time::Duration;

use anyhow::{Context, Result};
use foresail_aggregator::api::Control;
use foresail_aggregator::autoscaler::{Autoscaler, Snapshot};
use foresail_aggregator::config::{Config, WorkloadConfig};
use foresail_aggregator::ingest::{Engine, Workloads};
use foresail_aggregator::store::Store;
use foresail_aggregator::telemetry::{ReplicaStatus, Summary, Tier};
use foresail_aggregator::units::{Rps, Timestamp, WorkloadKey};
use foresail_wire::decode;

use crate::allocator::allocated_by;
use crate::fleet::{Fleet, PODS, Shape, T0, key};

/// Windows that are put into one workload before the next has its turn, so that the memory of all
/// grows together as it does in a running aggregator.
const TURN: usize = 512;
/// Seconds of frames: every window that takes late frames is open.
const OPEN_SECONDS: u32 = 12;
/// Decisions made, so that the guards remember as much as they ever do.
const DECISIONS: u32 = 25;
/// Workloads whose models are fitted: fitting all would take minutes and say the same.
const FITTED: usize = 20;
const KIB: f64 = 1024.0;

/// KiB of each workload.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Memory {
    /// Bytes held, of telemetry.
    pub(crate) telemetry: f64,
    /// Bytes held, of the autoscaler, its copy for a restart of it, and its models.
    pub(crate) autoscaler: f64,
    /// What the process grew by, of both without models.
    pub(crate) resident: f64,
}

/// Everything that is held of a workload beside telemetry.
struct Decider {
    autoscaler: Autoscaler,
    /// As the control loop keeps it.
    _last_good: Snapshot,
    _control: Control,
}

/// Fills everything of so many workloads.
pub(crate) fn run(workloads: usize) -> Result<Memory> {
    let fleet = Fleet::new(Shape::Typical, workloads);
    let keys: Vec<_> = (0..workloads).map(key).collect();
    let directory = tempfile::tempdir()?;
    let before = resident_kib()?;
    let (telemetry, engine) = allocated_by(|| -> Result<Engine> {
        let store = Store::open(&directory.path().join("state.redb"))?;
        let (engine, _) = Engine::open(store, &keys, workloads)?;
        fill_windows(engine.workloads(), &keys);
        play(&fleet, engine.workloads());
        Ok(engine)
    });
    let engine = engine?;
    let now = Timestamp::from_secs(T0 + u64::from(OPEN_SECONDS));
    let history = history(now);
    let config = config()?;
    let mut deciders = Vec::with_capacity(workloads);
    let (held, ()) = allocated_by(|| {
        for key in &keys {
            let config = WorkloadConfig { key: key.clone(), ..config.clone() };
            deciders.push(decider(engine.workloads(), config, &history, now));
        }
    });
    let resident = resident_kib()?.saturating_sub(before);
    let fitted = FITTED.min(workloads);
    let (models, ()) = allocated_by(|| deciders.iter_mut().take(fitted).for_each(fit));
    let kib = |bytes: usize, of: usize| bytes as f64 / KIB / of as f64;
    Ok(Memory {
        telemetry: kib(telemetry.held, workloads),
        autoscaler: kib(held.held + deciders.capacity() * size_of::<Decider>(), workloads)
            + kib(models.held, fitted),
        resident: resident as f64 / workloads as f64,
    })
}

/// Puts every window that is kept into every workload.
fn fill_windows(workloads: &Workloads, keys: &[WorkloadKey]) {
    let summary = Summary { rps: Some(120.0), coverage: Some(1.0), ..Summary::default() };
    for tier in Tier::ALL {
        let end = Timestamp::from_secs(T0).step_index(tier.step());
        let begin = end - tier.kept() as u64;
        for from in (begin..end).step_by(TURN) {
            for key in keys {
                let Some(workload) = workloads.get(&key.namespace, &key.name) else { continue };
                workload.with(|telemetry| {
                    for index in from..end.min(from + TURN as u64) {
                        telemetry.restore(tier, index, &summary);
                    }
                });
            }
        }
    }
}

/// Plays frames until as many windows are open as ever.
fn play(fleet: &Fleet, workloads: &Workloads) {
    let mut bytes = Vec::new();
    for second in 1..=OPEN_SECONDS {
        let now = Timestamp::from_secs(T0 + u64::from(second));
        for n in 0..fleet.len() {
            bytes.clear();
            fleet.write(n, second, now.as_micros(), &mut bytes);
            let frame = decode(&bytes).unwrap();
            let (namespace, name) = (&frame.identity.namespace, &frame.identity.workload);
            let workload = workloads.get(namespace.as_str(), name.as_str()).unwrap();
            workload.with(|telemetry| {
                telemetry.apply(&frame, now);
                telemetry.advance(now);
            });
        }
    }
}

/// More load than the forecast keeps with the default configuration: three days of minutes.
fn history(until: Timestamp) -> Vec<(Timestamp, Rps)> {
    let minute = Duration::from_mins(1);
    let last = until.step_index(minute);
    let rate = |index: u64| {
        let angle = (index % 1_440) as f64 / 1_440.0 * std::f64::consts::TAU;
        Rps::new(100.0 + 60.0 * angle.sin() + (index % 7) as f64).unwrap_or(Rps::ZERO)
    };
    (last - 3 * 1_440 - 100..=last)
        .map(|index| (Timestamp::of_step(index, minute), rate(index)))
        .collect()
}

/// The defaults, for a workload that is named later.
fn config() -> Result<WorkloadConfig> {
    let text = "workloads: [{namespace: demo, name: web, max_replicas: 50, actuator: none, \
                objective: {latency: 250ms}, target_rps_per_replica: 500}]";
    Config::from_yaml(text)?.workloads.pop().context("one workload")
}

fn decider(
    workloads: &Workloads,
    config: WorkloadConfig,
    history: &[(Timestamp, Rps)],
    now: Timestamp,
) -> Decider {
    let workload = workloads.get(&config.key.namespace, &config.key.name).unwrap();
    let begin = now - DECISIONS * config.decision_interval;
    let mut autoscaler = Autoscaler::new(&config, begin);
    autoscaler.load_history(history);
    let pods = PODS as u32;
    let replicas =
        ReplicaStatus { current_replicas: pods, ready_replicas: pods, ..ReplicaStatus::default() };
    let mut decision = None;
    for n in 1..=DECISIONS {
        let at = begin + n * config.decision_interval;
        let mut observation = workload.with(|telemetry| {
            telemetry.observe(now, now - config.decision_interval, Some(&replicas))
        });
        observation.newest = Some(at);
        decision = Some(autoscaler.step(at, &observation).decision);
    }
    Decider {
        _last_good: autoscaler.snapshot(),
        autoscaler,
        _control: Control::new(config, decision, None),
    }
}

fn fit(decider: &mut Decider) {
    if let Some(job) = decider.autoscaler.refit_job() {
        decider.autoscaler.install(job.run());
    }
}

/// Memory of this process, by the kernel's count.
fn resident_kib() -> Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}
