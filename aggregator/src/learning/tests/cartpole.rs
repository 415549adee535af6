//! The cart and the pole of Barto, Sutton and Anderson (1983), with the constants, the bounds and
//! the 500 steps of Gymnasium's `CartPole-v1`.

use crate::chance::Chance;
use crate::learning::environment::{Environment, Step};

/// A cart on a track with a pole that must not fall.
#[derive(Clone, Debug, Default)]
pub(super) struct CartPole {
    /// Place, speed, angle, speed of the angle.
    state: [f64; 4],
    seen: [f32; 4],
    steps: usize,
}

impl CartPole {
    fn look(&mut self) {
        self.seen = self.state.map(|value| value as f32);
    }
}

impl Environment for CartPole {
    fn inputs(&self) -> usize {
        4
    }

    fn actions(&self) -> usize {
        2
    }

    fn reset(&mut self, seed: u64) {
        let mut chance = Chance::new(seed);
        self.state = std::array::from_fn(|_| chance.uniform() * 0.1 - 0.05);
        self.steps = 0;
        self.look();
    }

    fn observation(&self) -> &[f32] {
        &self.seen
    }

    fn step(&mut self, action: usize) -> Step {
        let [place, speed, angle, spin] = self.state;
        let (cart, pole, half_length, gravity, seconds) = (1.0, 0.1, 0.5, 9.8, 0.02);
        let force = if action == 1 { 10.0 } else { -10.0 };
        let (sin, cos) = angle.sin_cos();
        let push = (force + pole * half_length * spin * spin * sin) / (cart + pole);
        let turn = (gravity * sin - cos * push)
            / (half_length * (4.0 / 3.0 - pole * cos * cos / (cart + pole)));
        let pull = push - pole * half_length * turn * cos / (cart + pole);
        self.state = [
            place + seconds * speed,
            speed + seconds * pull,
            angle + seconds * spin,
            spin + seconds * turn,
        ];
        self.steps += 1;
        self.look();
        let fallen = self.state[0].abs() > 2.4 || self.state[2].abs() > 12.0_f64.to_radians();
        Step { reward: 1.0, terminated: fallen, truncated: self.steps >= 500 && !fallen }
    }
}
