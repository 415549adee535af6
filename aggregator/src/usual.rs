//! What a figure usually is: a mean that follows slowly one way and faster the other.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// How fast what is usual follows a figure above and below it.
#[derive(Clone, Copy, Debug)]
pub struct Paces {
    /// Upwards: what stays above is usual after about this long.
    pub up: Duration,
    /// Downwards.
    pub down: Duration,
}

/// The usual value of a figure.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Usual(Option<f64>);

impl Usual {
    /// What was usual before `value`, which held for `elapsed` and is learned; the first value is
    /// usual.
    pub fn follow(&mut self, value: f64, elapsed: Duration, paces: Paces) -> f64 {
        let usual = self.0.unwrap_or(value);
        let pace = if value > usual { paces.up } else { paces.down };
        let step = (elapsed.as_secs_f64() / pace.as_secs_f64()).min(1.0);
        self.0 = Some(usual + step * (value - usual));
        usual
    }
}
