//! Steps a second of CPU time that a learner's environments take.
//!
//!     cargo bench -p foresail-aggregator --bench environment

#![expect(clippy::print_stdout, reason = "a bench prints its figures")]

use std::sync::Arc;
use std::time::Duration;

use foresail_aggregator::config::Config;
use foresail_aggregator::learning::environment::{
    Direct, Environment, Perturbation, Recording, Tuner,
};
use foresail_aggregator::learning::reward::Prices;
use foresail_aggregator::simulate::{Grid, Scenario, World};
use rustix::time::{ClockId, clock_gettime};

const CONFIG: &str = "
workloads:
  - namespace: default
    name: workload
    mode: active
    max_replicas: 1000
    objective: { quantile: 0.99, latency: 350ms }
    target_rps_per_replica: 60
    actuator: none
";

/// CPU time of this process, whatever else the machine does.
fn cpu() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
}

fn measure(name: &str, environment: &mut dyn Environment, steps: usize) {
    environment.reset(1);
    let (begin, mut seed, mut reward) = (cpu(), 1, 0.0);
    for number in 0..steps {
        let step = environment.step(number % environment.actions());
        reward += f64::from(step.reward);
        if step.is_last() {
            seed += 1;
            environment.reset(seed);
        }
    }
    let seconds = cpu().saturating_sub(begin).as_secs_f64();
    let mean = reward / steps as f64;
    println!("{name}: {:.0} steps a second (mean reward {mean:.2})", steps as f64 / seconds);
}

fn main() -> anyhow::Result<()> {
    let scenario = Scenario::default();
    let rate = |at: u32| 300.0 + 200.0 * (f64::from(at) / 900.0).sin() + f64::from(at % 40);
    let rates = (0..23_040).map(|at| Some(rate(at))).collect();
    let grid = Grid { first_index: 0, step: scenario.decision_interval, rates };
    let world = World::new(grid, &scenario);
    let prices = Prices::default();
    let mut direct = Direct::new(Arc::new(world.clone()), &scenario, prices);
    measure("the service alone", &mut direct, 10_000_000);
    let config = Config::from_yaml(CONFIG)?;
    let Some(config) = config.workloads.first() else { anyhow::bail!("no workload") };
    let recordings =
        Arc::new(vec![Recording::new(world.slice(0, 6_000), &scenario, config, &mut |_| {})]);
    let none = Perturbation::NONE;
    let mut tuner = Tuner::new(recordings, &scenario, config, prices, none, 960);
    measure("with the real decisions and their guards", &mut tuner, 200_000);
    Ok(())
}
