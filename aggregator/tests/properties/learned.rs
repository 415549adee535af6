//! A learned policy, however bad its weights and whatever it is shown, leads to no unsafe order.
//!
//! `make shield` runs ten million steps; `FORESAIL_SHIELD_STEPS` says how many.

#![expect(clippy::print_stdout, reason = "how much was tried")]
#![expect(clippy::expect_used, clippy::indexing_slicing, reason = "a test fails by panicking")]
#![expect(clippy::cast_possible_truncation, reason = "numbers by chance")]

use std::sync::Arc;

use foresail_aggregator::autoscaler::Autoscaler;
use foresail_aggregator::forecast::Curve;
use foresail_aggregator::journal::Observation;
use foresail_aggregator::learning::adviser::Learned;
use foresail_aggregator::learning::model::{About, Brain, FORMAT, Kind, Model};
use foresail_aggregator::learning::network::{Network, Shape};
use foresail_aggregator::learning::reward::Prices;
use foresail_aggregator::learning::view::{CORRECTIONS, INPUTS};
use foresail_aggregator::policy::{Advice, Adviser, Situation, Standing};
use foresail_aggregator::units::{Ratio, Rps, Timestamp};

use crate::support::{BOUNDS, INTERVAL, WINDOW, at, config, observed};

/// Steps when nothing else is said.
const STEPS: u64 = 60_000;
/// Steps of one autoscaler before the next begins.
const LIFE: u64 = 2_000;

/// `SplitMix64`.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, count: u64) -> u64 {
        self.next() % count
    }

    fn uniform(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// Asks for the number of replicas that does most harm, or for anything at all.
#[derive(Debug)]
struct Hostile(u64);

impl Adviser for Hostile {
    fn advise(&mut self, situation: &Situation<'_>) -> Option<u32> {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let overloaded = situation.proposal.missed == Some(true);
        match self.0 >> 61 {
            0 => None,
            1 => Some(u32::MAX),
            2 => Some(u32::try_from(self.0 >> 40).unwrap()),
            // Under load nothing, without load everything.
            _ => Some(if overloaded { 0 } else { (self.0 >> 63) as u32 * 1_000 }),
        }
    }
}

/// A model whose weights are by chance, huge, or no numbers.
fn harmful(chance: &mut Chance) -> Model {
    let shape = Shape { inputs: INPUTS, hidden: 8, actions: CORRECTIONS.len() };
    let sort = chance.below(4);
    let mut weight = || -> f32 {
        let by_chance = (chance.uniform() * 4.0 - 2.0) as f32;
        match (sort, chance.below(50)) {
            (1, 0) => f32::NAN,
            (2, 0) => f32::INFINITY,
            (3, _) => by_chance * f32::MAX,
            _ => by_chance,
        }
    };
    let parameters = (0..shape.parameters()).map(|_| weight()).collect();
    let (schema, corrections) = Model::schema();
    let about = About {
        format: FORMAT,
        kind: Kind::Dqn,
        version: String::new(),
        schema,
        corrections,
        margin: [0.0, -1e9, f32::NAN][usize::try_from(chance.below(3)).unwrap()],
        prices: Prices::default(),
        seed: 0,
        steps: 0,
        data: vec![],
        fingerprint: String::new(),
        validation_cost_ratio: f64::NAN,
    };
    Model { about, brain: Brain::Network(Network::from_parameters(shape, parameters).unwrap()) }
}

fn adviser(chance: &mut Chance) -> Box<dyn Adviser> {
    if chance.below(2) == 0 {
        return Box::new(Hostile(chance.next()));
    }
    Box::new(Learned::new(Arc::new(harmful(chance))))
}

/// A load that wanders, and how often what is shown of it is none that a service has.
struct Load {
    rps: f64,
    most: f64,
    hostility: f64,
}

impl Load {
    fn new(chance: &mut Chance) -> Self {
        let hostility = [0.0, 0.002, 0.02, 0.5][chance.below(4) as usize];
        Self { rps: 100.0, most: 20.0 + 380.0 * chance.uniform(), hostility }
    }

    /// Mostly small steps, now and then anywhere.
    fn wander(&mut self, chance: &mut Chance) {
        let to = self.most * chance.uniform();
        let share = if chance.below(40) == 0 { 1.0 } else { 0.05 };
        self.rps += share * (to - self.rps);
    }
}

fn seen(chance: &mut Chance, now: Timestamp, replicas: u32, load: &mut Load) -> Observation {
    load.wander(chance);
    let mut seen = observed(now, load.rps, replicas);
    if chance.uniform() >= load.hostility {
        return seen;
    }
    seen.ready_replicas = Some(replicas.saturating_sub(chance.below(4) as u32));
    match chance.below(11) {
        0 => seen.newest = None,
        1 => seen.newest = Some(at(chance.below(1 << 20))),
        2 => seen.rps = None,
        3 => seen.rps = Rps::new(1e12).ok(),
        4 => seen.coverage = Ratio::new(chance.uniform()).ok(),
        5 | 6 => (seen.p95_ms, seen.p99_ms) = (Some(900.0), Some(f64::NAN)),
        7 => seen.current_replicas = None,
        8 => seen.current_replicas = Some(chance.next() as u32),
        9 => seen.burst_rps = Rps::new(chance.uniform() * 5_000.0).ok(),
        10 => (seen.p50_ms, seen.concurrency) = (Some(f64::NAN), Some(f64::INFINITY)),
        _ => {}
    }
    seen
}

/// One workload, and its adviser.
struct Watched {
    autoscaler: Autoscaler,
    adviser: Box<dyn Adviser>,
    standing: Standing,
    /// Until when nothing may be lowered.
    calm_until: Timestamp,
    /// How often advice was given.
    advised: u64,
}

impl Watched {
    fn check(&mut self, now: Timestamp, seen: &Observation, curve: Option<&Curve>) -> u32 {
        let considered = self.autoscaler.consider(now, seen, curve);
        let replicas = self.adviser.advise(&self.autoscaler.situation(&considered));
        let advice = replicas.map(|replicas| Advice { replicas, standing: self.standing });
        self.advised += u64::from(advice.is_some());
        // The same state decides twice: once as if nobody had learned anything.
        let plain = self.autoscaler.would_decide(&considered, None);
        let step = self.autoscaler.conclude(considered, advice);
        let (desired, alone) = (step.decision.desired_replicas, plain.desired_replicas);
        let context = || format!("{advice:?}\n{:?}\n{plain:?}", step.decision);
        assert!((BOUNDS.0..=BOUNDS.1).contains(&desired), "out of bounds: {}", context());
        assert_eq!(step.approved.is_some(), plain.approved.is_some(), "{}", context());
        assert_eq!(step.decision.without_forecast, plain.without_forecast);
        let believed = seen.believed(now);
        let Some(current) = believed.current_replicas else { return desired };
        let current = current.clamp(BOUNDS.0, BOUNDS.1);
        if self.standing == Standing::Raises {
            assert!(desired >= alone, "lowered before promotion: {}", context());
        }
        let fresh = believed.newest.is_some_and(|newest| now.since(newest).as_secs() <= 30);
        let covered = believed.coverage.is_some_and(|coverage| coverage.get() >= 0.8);
        let missed = believed.p95_ms.is_some_and(|latency| latency > 250.0);
        if !fresh || !covered || missed {
            self.calm_until = now + std::time::Duration::from_secs(8 * INTERVAL);
        }
        if now < self.calm_until {
            assert!(desired >= current.min(BOUNDS.1), "lowered in distrust: {}", context());
        }
        if desired < current {
            let needed = believed.rps.map_or(0.0, |rps| rps.get() / 10.0 - 1e-9).ceil();
            let floor = needed.min(f64::from(alone)).min(f64::from(BOUNDS.1));
            assert!(f64::from(desired) >= floor, "below the measured load: {}", context());
        }
        desired
    }
}

fn steps() -> u64 {
    let given = std::env::var("FORESAIL_SHIELD_STEPS").ok();
    given.map_or(STEPS, |text| text.parse().expect("FORESAIL_SHIELD_STEPS is a number of steps"))
}

#[test]
fn no_weights_and_no_observations_lead_to_an_unsafe_order() {
    let mut chance = Chance(7);
    let (mut done, mut raised, mut lowered) = (0_u64, 0_u64, 0_u64);
    while done < steps() {
        let standing = [Standing::Raises, Standing::Promoted][chance.below(2) as usize];
        let scale_in = ["observed", "forecast"][chance.below(2) as usize];
        let config = config(scale_in);
        let mut forecaster = Autoscaler::new(&config, at(0));
        let mut watched = Watched {
            autoscaler: Autoscaler::new(&config, at(0)),
            adviser: adviser(&mut chance),
            standing,
            calm_until: at(WINDOW),
            advised: 0,
        };
        let mut load = Load::new(&mut chance);
        let mut replicas = 10;
        // A short forecast, over and over: what matters here is what is made of it.
        for number in 1..=LIFE {
            let now = at(number * INTERVAL);
            let observation = seen(&mut chance, now, replicas, &mut load);
            if number < 40 {
                let rate = Rps::new(100.0 + 50.0 * chance.uniform()).ok();
                forecaster.learn_rate(at((number - 1) * INTERVAL), now, rate);
            }
            let curve = forecaster.forecast().filter(|_| chance.below(10) > 0);
            let before = watched.advised;
            let desired = watched.check(now, &observation, curve);
            if watched.advised > before {
                raised += u64::from(desired > replicas);
                lowered += u64::from(desired < replicas);
            }
            replicas = desired;
        }
        done += LIFE;
    }
    println!("{done} steps; advice was followed up {raised} times and down {lowered} times");
    assert!(raised > done / 100 && lowered > done / 1_000, "{raised} {lowered}");
}
