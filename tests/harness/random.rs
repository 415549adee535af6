//! Seeded draws: the same seed gives the same load and the same service times.

use std::time::Duration;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// A generator that is the same on every machine for the same seed.
pub fn seeded(seed: u64) -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(seed)
}

/// A draw from the standard normal distribution (Box and Muller's method).
pub fn normal(random: &mut ChaCha8Rng) -> f64 {
    let (radius, angle): (f64, f64) = (random.random(), random.random());
    (-2.0 * (1.0 - radius).ln()).sqrt() * (std::f64::consts::TAU * angle).cos()
}

/// Log-normal times, as service times of real services are: many short, few long.
#[derive(Clone, Copy, Debug)]
pub struct LogNormal {
    mu: f64,
    sigma: f64,
}

impl LogNormal {
    /// With the given mean, and `sigma`, the standard deviation of the logarithm.
    pub fn new(mean: Duration, sigma: f64) -> Self {
        Self { mu: mean.as_secs_f64().ln() - sigma * sigma / 2.0, sigma }
    }

    /// One draw.
    pub fn sample(self, random: &mut ChaCha8Rng) -> Duration {
        Duration::from_secs_f64((self.mu + self.sigma * normal(random)).exp())
    }
}

/// Poisson arrivals over `length` whose rate per second changes with time, by thinning: drawn at
/// the constant rate `peak`, each kept with probability `rate / peak`. `rate` must not exceed `peak`.
pub fn arrivals(
    random: &mut ChaCha8Rng,
    length: Duration,
    peak: f64,
    rate: impl Fn(Duration) -> f64,
) -> Vec<Duration> {
    let mut arrivals = Vec::new();
    let mut at = 0.0;
    loop {
        at -= (1.0 - random.random::<f64>()).ln() / peak;
        if at >= length.as_secs_f64() {
            return arrivals;
        }
        let instant = Duration::from_secs_f64(at);
        if random.random::<f64>() * peak < rate(instant) {
            arrivals.push(instant);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrivals_follow_the_rate_and_the_seed() {
        let rate = |at: Duration| if at < Duration::from_secs(50) { 40.0 } else { 200.0 };
        let draw = || arrivals(&mut seeded(7), Duration::from_secs(100), 200.0, rate);
        let (first, second) = (draw(), draw());
        assert_eq!(first, second);
        let early = first.iter().filter(|at| at.as_secs() < 50).count();
        let late = first.len() - early;
        // Means 2,000 and 10,000; four standard deviations are 179 and 400.
        assert!(early.abs_diff(2_000) < 179, "{early}");
        assert!(late.abs_diff(10_000) < 400, "{late}");
    }

    #[test]
    fn service_times_have_the_mean_that_was_asked_for() {
        let times = LogNormal::new(Duration::from_millis(60), 0.5);
        let mut random = seeded(1);
        let sum: f64 = (0..20_000).map(|_| times.sample(&mut random).as_secs_f64()).sum();
        assert!((sum / 20_000.0 - 0.060).abs() < 0.001, "{sum}");
    }
}
