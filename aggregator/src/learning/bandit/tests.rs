//! Regret in environments whose best policy is known.

#![expect(clippy::print_stdout, reason = "figures are printed with `--nocapture`")]

use super::*;

/// Mean losses of five policies; policy 0 is the incumbent.
const MEANS: [f64; 5] = [0.40, 0.55, 0.25, 0.60, 0.45];

/// Losses by chance around means that turn round `switches` times.
struct World {
    chance: Chance,
    rounds: usize,
    switches: usize,
}

impl World {
    fn new(rounds: usize, switches: usize, seed: u64) -> Self {
        Self { chance: Chance::new(seed), rounds, switches }
    }

    fn means(&self, round: usize) -> [f64; 5] {
        let part = round * (self.switches + 1) / self.rounds;
        std::array::from_fn(|policy| MEANS[(policy + 3 * part) % 5])
    }

    fn losses(&mut self, round: usize) -> [f64; 5] {
        self.means(round).map(|mean| f64::from(u8::from(self.chance.uniform() < mean)))
    }
}

/// What is played, and what it came to.
#[derive(Debug)]
struct Played {
    /// Mean loss beyond that of each part's best policy, summed.
    regret: f64,
    /// Losses beyond the incumbent's, at their highest.
    worst_against_incumbent: f64,
    allowed_then: f64,
    switches: usize,
}

trait Chooser {
    fn choose(&mut self) -> usize;
    fn learn(&mut self, played: usize, losses: &[f64]);
    fn allowed(&self) -> f64;
}

macro_rules! chooser {
    ($kind:ty, $learn:expr) => {
        impl Chooser for $kind {
            fn choose(&mut self) -> usize {
                <$kind>::choose(self)
            }
            fn learn(&mut self, played: usize, losses: &[f64]) {
                let learn: fn(&mut $kind, usize, &[f64]) = $learn;
                learn(self, played, losses);
            }
            fn allowed(&self) -> f64 {
                self.budget().allowed()
            }
        }
    };
}
chooser!(Hedge, |own, played, losses| Hedge::learn(own, played, losses));
chooser!(Exp3, |own, played, losses| Exp3::learn(own, played, losses[played]));
chooser!(Thompson, |own, played, losses| Thompson::learn(own, played, losses[played]));

fn play(chooser: &mut dyn Chooser, mut world: World) -> Played {
    let mut found =
        Played { regret: 0.0, worst_against_incumbent: 0.0, allowed_then: 0.0, switches: 0 };
    let (mut against, mut last) = (0.0, 0);
    for round in 0..world.rounds {
        let played = chooser.choose();
        let (means, losses) = (world.means(round), world.losses(round));
        chooser.learn(played, &losses);
        found.regret += means[played] - means.iter().copied().fold(1.0, f64::min);
        against += losses[played] - losses[0];
        if against > found.worst_against_incumbent {
            (found.worst_against_incumbent, found.allowed_then) = (against, chooser.allowed());
        }
        found.switches += usize::from(played != last);
        last = played;
    }
    found
}

const OPEN: Budget = Budget::new(0, 1e9, 0.0);

fn hedge(rounds: usize, switches: usize, budget: Budget) -> Hedge {
    Hedge::new(
        5,
        HedgeSettings { floor: 0.0, ..HedgeSettings::for_rounds(5, rounds, switches) },
        budget,
        1,
    )
}

fn exp3(rounds: usize, switches: usize, budget: Budget) -> Exp3 {
    let blocks = rounds as f64 / 4.0;
    let share = switches as f64 / blocks;
    // With switches the logarithm is that of all sequences of policies (EXP3.S).
    let sequences = if switches == 0 { 5.0 } else { 5.0 * blocks };
    let rate = ((switches as f64 + 1.0) * f64::ln(sequences) / (5.0 * blocks)).sqrt();
    Exp3::new(5, Exp3Settings { rate, explores: rate, share, floor: 0.0, block: 4 }, budget, 1)
}

fn thompson(rounds: usize, switches: usize, budget: Budget) -> Thompson {
    let keeps = if switches == 0 { 1.0 } else { 1.0 - 1.0 / (rounds as f64 / 4.0).powf(0.6) };
    let settings = ThompsonSettings { keeps, spread: 0.25, floor: 0.0, switching: 0.01, block: 4 };
    Thompson::new(5, settings, budget, 1)
}

/// Regret at 4,000 and at 64,000 rounds: sixteen times the rounds, four times the root.
fn growth(make: &dyn Fn(usize) -> Box<dyn Chooser>, switches: usize) -> (f64, f64) {
    let at = |rounds: usize| {
        let runs = 5;
        let total: f64 = (0..runs)
            .map(|seed| play(&mut *make(rounds), World::new(rounds, switches, 100 + seed)).regret)
            .sum();
        total / f64::from(u32::try_from(runs).unwrap())
    };
    (at(4_000), at(64_000))
}

#[test]
fn regret_is_sublinear_where_the_best_policy_stays() {
    let of = [
        ("hedge", growth(&|t| Box::new(hedge(t, 0, OPEN)), 0), 200.0),
        ("exp3", growth(&|t| Box::new(exp3(t, 0, OPEN)), 0), 2_500.0),
        ("thompson", growth(&|t| Box::new(thompson(t, 0, OPEN)), 0), 400.0),
    ];
    for (name, (short, long), most) in of {
        println!("stationary {name}: regret {short:.0} in 4,000 rounds, {long:.0} in 64,000");
        assert!(long < 8.0 * short.max(10.0) && long < most, "{name}: {short} then {long}");
    }
}

#[test]
fn regret_is_sublinear_where_the_best_policy_changes() {
    let of = [
        ("hedge", growth(&|t| Box::new(hedge(t, 3, OPEN)), 3), 1_000.0),
        ("exp3", growth(&|t| Box::new(exp3(t, 3, OPEN)), 3), 6_000.0),
        ("thompson", growth(&|t| Box::new(thompson(t, 3, OPEN)), 3), 4_000.0),
    ];
    for (name, (short, long), most) in of {
        println!("switching {name}: regret {short:.0} in 4,000 rounds, {long:.0} in 64,000");
        assert!(long < 8.0 * short && long < most, "{name}: {short} then {long}");
    }
}

#[test]
fn it_is_never_worse_than_the_incumbent_by_more_than_the_budget() {
    // The incumbent is the best one: whatever is tried costs.
    let best = Budget::new(0, 5.0, 0.002);
    for seed in 0..20 {
        let mut chooser = Hedge::new(5, HedgeSettings::for_rounds(5, 5_000, 3), best, seed);
        // Parts 0 and 2 of five turn the means so that the incumbent is middling, then worst.
        let found = play(&mut chooser, World::new(5_000, 4, seed));
        assert!(found.worst_against_incumbent <= found.allowed_then + 1e-9, "{found:?}");
    }
    let none = Budget::new(0, 0.5, 0.0);
    let mut chooser = exp3(2_000, 0, none);
    let found = play(&mut chooser, World::new(2_000, 0, 3));
    assert_eq!((found.switches, found.worst_against_incumbent), (0, 0.0), "no budget, no trying");
}

#[test]
fn the_budget_holds_too_where_only_the_policy_in_charge_is_seen() {
    for seed in 0..20 {
        let settings =
            ThompsonSettings { keeps: 1.0, spread: 0.25, floor: 0.1, switching: 0.01, block: 4 };
        let mut chooser = Thompson::new(5, settings, Budget::new(0, 20.0, 0.005), seed);
        let found = play(&mut chooser, World::new(5_000, 0, seed));
        // Chance in the incumbent's own losses is not the chooser's: six of its deviations.
        assert!(found.worst_against_incumbent <= found.allowed_then + 60.0, "{found:?}");
        let used = chooser.budget().used();
        assert!(used <= chooser.budget().allowed() + 1e-9, "{used}");
    }
}

#[test]
fn hedge_switches_seldom() {
    let found = play(&mut hedge(20_000, 0, OPEN), World::new(20_000, 0, 9));
    println!("hedge: {} switches in 20,000 rounds", found.switches);
    assert!(found.switches < 250, "{found:?}");
}

#[test]
fn the_incumbent_keeps_its_floor_and_losses_that_are_no_numbers_are_the_greatest() {
    let mut chooser = Hedge::new(3, HedgeSettings { rate: 0.5, share: 0.0, floor: 0.1 }, OPEN, 1);
    for _ in 0..1_000 {
        chooser.learn(0, &[f64::NAN, 0.0, -5.0]);
    }
    let probabilities = chooser.probabilities();
    assert!((probabilities[0] - 0.1).abs() < 1e-9, "{probabilities:?}");
    assert!((probabilities.iter().sum::<f64>() - 1.0).abs() < 1e-9);
}
