//! The agents on problems whose answers are known.

#![expect(clippy::cast_possible_truncation, reason = "an input needs few digits")]

mod cartpole;
mod decision_process;

use super::dqn::{Dqn, DqnSettings};
use super::environment::Environment;
use super::tabular::{QSettings, QTable};
use crate::chance::Chance;
use cartpole::CartPole;
use decision_process::DecisionProcess;

#[test]
fn q_learning_finds_the_policy_that_value_iteration_proves() {
    let process = DecisionProcess::random(12, 4, 5);
    let (exact, policy) = process.solve(0.9);
    let settings = QSettings { discount: 0.9, rate: 1.0, decay: 0.6, exploration: 1.0 };
    let mut table = QTable::new(12, 4, settings, 7);
    let (mut chance, mut state) = (Chance::new(8), 0);
    for _ in 0..3_000_000 {
        let action = table.act(state);
        let (reward, next) = process.sample(state, action, &mut chance);
        table.learn(state, action, reward as f32, Some(next));
        state = next;
    }
    for state in 0..12 {
        assert_eq!(table.greedy(state), policy[state], "state {state}: {:?}", table.values(state));
        for (found, exact) in table.values(state).iter().zip(&exact[state]) {
            assert!((f64::from(*found) - exact).abs() < 0.1, "state {state}: {found} for {exact}");
        }
    }
}

/// The same problem, with the state as one-hot input.
#[test]
fn dqn_finds_the_policy_that_value_iteration_proves() {
    let process = DecisionProcess::random(6, 3, 11);
    let (exact, policy) = process.solve(0.8);
    let mut environment = decision_process::Walk::new(process, 50);
    let settings = DqnSettings {
        discount: 0.8,
        returns: 1,
        rate: (2e-3, 1e-4),
        exploration: (1.0, 1.0),
        steps: 60_000,
        hidden: 32,
        ..DqnSettings::default()
    };
    let mut agent = Dqn::new(6, 3, settings, 2);
    train(&mut agent, &mut environment, 60_000, 3);
    for state in 0..6 {
        let one_hot: Vec<f32> = (0..6).map(|s| f32::from(u8::from(s == state))).collect();
        let found = agent.greedy(&one_hot);
        // Two actions may be worth nearly the same.
        let lost = exact[state][policy[state]] - exact[state][found];
        assert!(lost < 0.05, "state {state}: {found} instead of {} loses {lost}", policy[state]);
    }
}

/// Steps until the reward is whole, and how many an episode took at last.
fn train(agent: &mut Dqn, environment: &mut impl Environment, steps: usize, seed: u64) {
    let mut episode = 0;
    environment.reset(seed);
    for _ in 0..steps {
        let before = environment.observation().to_vec();
        let action = agent.act(&before);
        let step = environment.step(action);
        agent.learn(&before, action, step, environment.observation());
        if step.is_last() {
            episode += 1;
            environment.reset(seed + episode);
        }
    }
}

fn cart_settings() -> DqnSettings {
    DqnSettings {
        discount: 0.99,
        returns: 3,
        rate: (1e-3, 1e-4),
        remembered: 50_000,
        warm_up: 1_000,
        update_every: 2,
        exploration: (1.0, 0.02),
        explores_for: 10_000,
        steps: 60_000,
        ..DqnSettings::default()
    }
}

/// Mean length of 100 episodes of the greedy policy, on seeds that were not trained on.
fn cart_score(agent: &mut Dqn) -> f64 {
    let mut pole = CartPole::default();
    let mut steps = 0;
    for seed in 0..100 {
        pole.reset(1_000_000 + seed);
        loop {
            steps += 1;
            let action = agent.greedy(pole.observation());
            if pole.step(action).is_last() {
                break;
            }
        }
    }
    f64::from(steps) / 100.0
}

/// `CartPole-v1` counts as solved at a mean of 475 steps of 500.
#[test]
fn dqn_balances_the_pole() {
    let mut agent = Dqn::new(4, 2, cart_settings(), 1);
    let mut best = 0.0_f64;
    for round in 0..12 {
        train(&mut agent, &mut CartPole::default(), 5_000, 1 + 100_000 * round);
        best = best.max(cart_score(&mut agent));
        if best >= 475.0 {
            return;
        }
    }
    panic!("the best of twelve checks is {best} steps");
}

#[test]
fn the_same_seed_gives_the_same_weights_bit_for_bit() {
    let trained = |seed| {
        let mut agent = Dqn::new(4, 2, cart_settings(), seed);
        train(&mut agent, &mut CartPole::default(), 3_000, 5);
        agent.network().clone()
    };
    assert_eq!(trained(4), trained(4));
    assert_ne!(trained(4), trained(5));
}
