//! What a policy beside the one in charge is said to achieve, against what it achieves in charge of the
//! same load.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]
#![expect(clippy::print_stdout, reason = "the figures are printed")]

use std::time::Duration;

use foresail_aggregator::autoscaler::Autoscaler;
use foresail_aggregator::backtest::choice::Choice;
use foresail_aggregator::backtest::decider::{Decider, Seen};
use foresail_aggregator::backtest::peers::PeerView;
use foresail_aggregator::config::{CapacitySource, Config, Mode, ScaleIn, WorkloadConfig};
use foresail_aggregator::shadow::{Board, Moment, Score, Shadow, Shadows};
use foresail_aggregator::simulate::{Cluster, Grid, Scenario, World};
use foresail_aggregator::units::Timestamp;

const STEP: Duration = Duration::from_secs(15);
const DAY: usize = 5_760;
/// 2026-01-05, a Monday.
const FIRST: u64 = 1_767_571_200 / 15;

/// Two days with a morning, noise, and a crowd at noon of the second.
fn load() -> Vec<Option<f64>> {
    let mut state = 11_u64;
    let mut noise = move || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as f64 / f64::from(1_u32 << 31) - 0.5
    };
    (0..2 * DAY)
        .map(|at| {
            let phase = at as f64 / DAY as f64 * std::f64::consts::TAU;
            let crowd = if (DAY + DAY / 2..DAY + DAY / 2 + 40).contains(&at) { 220.0 } else { 0.0 };
            Some((300.0 - 180.0 * phase.cos() + crowd) * (1.0 + 0.2 * noise()))
        })
        .collect()
}

fn config(capacity: CapacitySource, guess: f64) -> WorkloadConfig {
    let text = format!(
        "
workloads:
  - namespace: shop
    name: web
    max_replicas: 200
    objective: {{ latency: 350ms, quantile: 0.99 }}
    target_rps_per_replica: {guess}
    startup_time: 60s
    actuator: none
"
    );
    let mut config = Config::from_yaml(&text).unwrap().workloads.remove(0);
    config.capacity = capacity;
    config.scale_in = ScaleIn::Forecast;
    config.mode = Mode::Active;
    config
}

/// Who is in charge.
enum Charge {
    Foresail,
    Another(Decider),
}

/// Both days under one policy: as it was measured on the second, and what was said of the shadow.
fn two_days(
    scenario: &Scenario,
    config: &WorkloadConfig,
    mut charge: Charge,
    shadow: Choice,
) -> (Score, Score, Score) {
    let grid = Grid { first_index: FIRST, step: STEP, rates: load() };
    let world = World::new(grid, scenario);
    let start = Timestamp::of_step(FIRST, STEP);
    let mut foresail = Autoscaler::new(config, start);
    let mut shadows = Shadows::new(config, vec![Shadow::Known(shadow)], Board::default(), start);
    let mut cluster = Cluster::new(scenario, 12);
    for at in 0..world.filled.len() {
        let now = Timestamp::of_step(FIRST + at as u64 + 1, STEP);
        let outcome = cluster.step(&world, at);
        let observation = cluster.observation(&world, at, &outcome, now);
        let own = foresail.step(now, &observation).decision.desired_replicas;
        if let Some(job) = foresail.refit_job() {
            foresail.install(job.run());
        }
        shadows.step(&Moment {
            now,
            observation: &observation,
            curve: foresail.forecast(),
            safe: foresail.safe_rps(),
            likely: foresail.likely_rps(),
            startup: foresail.startup(),
        });
        cluster.order(match &mut charge {
            Charge::Foresail => own,
            Charge::Another(decider) => decider.decide(&Seen {
                observation: &observation,
                curve: None,
                peer: PeerView {
                    now,
                    step: STEP,
                    rps: world.grid.rates[at],
                    cpu_utilisation: Some(outcome.utilisation),
                    ready: cluster.ready(),
                    replicas: cluster.replicas(),
                    capacity_rps: world.replica.capacity_rps,
                    startup: scenario.startup,
                    min: 1,
                    max: 200,
                },
            }),
        });
    }
    let now = Timestamp::of_step(FIRST + 2 * DAY as u64, STEP) - Duration::from_secs(1);
    let day = shadows.board().scores(now).windows.remove(1);
    (day.measured.unwrap(), day.modelled.unwrap(), day.policies[shadow.name()])
}

fn say(who: &str, score: &Score) {
    println!(
        "  {who:<22} {:>6.2} % violations, {:>5.1} pod-hours, {:.3} of the oracle's",
        score.violation * 100.0,
        score.pod_hours,
        score.cost_over_oracle
    );
}

/// Relative distance of two figures.
fn apart(a: f64, b: f64) -> f64 {
    (a / b - 1.0).abs()
}

#[test]
fn what_is_said_of_a_shadow_is_what_it_does_in_charge() {
    let scenario = Scenario { capacity_rps: Some(27.0), ..Scenario::default() };
    let hpa = Choice::parse("hpa-cpu").unwrap();
    for (name, capacity, guess) in
        [("given", CapacitySource::Fixed, 27.0), ("learned", CapacitySource::Learned, 20.0)]
    {
        let config = config(capacity, guess);
        let peer = hpa.decider(&config, Timestamp::of_step(FIRST, STEP), None);
        let (actual, modelled, said) =
            two_days(&scenario, &config, Charge::Another(peer), Choice::Foresail);
        let (in_charge, ..) = two_days(&scenario, &config, Charge::Foresail, Choice::Foresail);
        println!("capacity {name}, the second day");
        say("hpa-cpu in charge", &actual);
        say("the same, modelled", &modelled);
        say("foresail beside it", &said);
        say("foresail in charge", &in_charge);
        assert!(apart(said.pod_hours, in_charge.pod_hours) < 0.1, "{name}");
        // A capacity that is learned under another's cautious hand is a guess where it was never
        // tried, and with it the violations.
        if capacity == CapacitySource::Fixed {
            assert!(apart(said.violation, in_charge.violation) < 0.1, "{said:?} {in_charge:?}");
            assert!(apart(modelled.violation, actual.violation) < 0.2, "{modelled:?} {actual:?}");
        }
    }
}
