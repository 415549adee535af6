//! What a learned policy sees of a decision, and what its actions mean.

use crate::features::Feature;
use crate::policy::Situation;

/// Numbers of an observation.
pub const INPUTS: usize = 17;

const fn log(name: &'static str) -> Feature {
    Feature { name, unit: "ln of a ratio, -3 to 3" }
}

const fn share(name: &'static str) -> Feature {
    Feature { name, unit: "share of the replicas, -2 to 2" }
}

/// The numbers of an observation, in order. `replicas` counts starting ones, `ready` does not.
pub const SCHEMA: [Feature; INPUTS] = [
    log("load_over_ready"),
    log("median_at_lead_over_replicas"),
    log("p90_at_lead_over_replicas"),
    log("p98_at_lead_over_replicas"),
    log("p998_at_lead_over_replicas"),
    log("highest_p90_over_replicas"),
    share("starting"),
    share("predictive_minus_replicas"),
    share("reactive_minus_replicas"),
    share("answer_minus_needed"),
    log("load_over_last"),
    log("load_over_mean_20"),
    log("replicas_over_12"),
    log("risk_price_over_20"),
    Feature { name: "objective_missed", unit: "0 or 1" },
    Feature { name: "last_change", unit: "-1, 0 or 1" },
    Feature { name: "since_change", unit: "ln(1 + decisions), over 4" },
];

/// Corrections of the answer: a learned policy's actions, as shares of it; at least a replica each.
pub const CORRECTIONS: [f64; 6] = [-0.20, -0.08, 0.0, 0.08, 0.20, 0.45];
/// The one that leaves the answer as it is.
pub const KEEP: usize = 2;

/// Replicas of an action on an answer. An action that does not exist keeps it.
pub fn corrected(answer: u32, action: usize) -> u32 {
    let share = CORRECTIONS.get(action).copied().unwrap_or(0.0);
    let change = (f64::from(answer) * share.abs()).round().max(1.0);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a share of at most half of a number that fits"
    )]
    let change = change.min(f64::from(u32::MAX)) as u32;
    if share > 0.0 {
        answer.saturating_add(change)
    } else if share < 0.0 {
        answer.saturating_sub(change)
    } else {
        answer
    }
}

/// Bounds of the bins of a table's states.
const LOAD: [f32; 3] = [-0.5, -0.2, -0.05];
const AWAY: [f32; 4] = [-0.10, -0.02, 0.02, 0.10];
const WIDTH: [f32; 3] = [0.10, 0.25, 0.60];
/// States of a table.
pub const STATES: usize = 4 * 5 * 4 * 2;

/// The state of an observation: how full the ready replicas are, how far the forecast's answer is
/// away, how wide its tail is, and whether the objective was missed.
pub fn state(seen: &[f32; INPUTS]) -> usize {
    let [load, median, _, _, p998, _, _, away, ..] = *seen;
    let missed = seen.get(14).copied().unwrap_or(0.0);
    let bin = |bounds: &[f32], value: f32| bounds.iter().filter(|bound| value > **bound).count();
    let place = bin(&LOAD, load) * 5 + bin(&AWAY, away);
    (place * 4 + bin(&WIDTH, p998 - median)) * 2 + usize::from(missed > 0.5)
}

/// Remembers the little that an observation needs of the decisions before.
#[derive(Clone, Debug, Default)]
pub struct Viewer {
    last_rps: Option<f64>,
    mean_rps: Option<f64>,
    last_replicas: Option<u32>,
    change: f32,
    since_change: u32,
}

impl Viewer {
    /// What is seen, in the order of [`SCHEMA`]; every number is finite. `None` when there is no
    /// rate, no replica count, or no forecast to correct.
    pub fn see(&mut self, situation: &Situation<'_>) -> Option<[f32; INPUTS]> {
        let observation = situation.observation;
        let rps = observation.rps?.get();
        let replicas = observation.current_replicas?.max(1);
        let ready = observation.ready_replicas.unwrap_or(replicas).max(1);
        let curve = situation.curve?;
        let proposal = situation.proposal;
        let answer = proposal.without_advice()?;
        let lead = crate::forecast::lead_steps(situation.startup, situation.config.forecast.step);
        let at_lead = curve.points.iter().find(|point| point.ahead >= lead)?;
        self.remember(rps, replicas);
        let capacity = situation.capacity.get();
        let served = f64::from(replicas) * capacity;
        let exceeded = |alpha: f64| log_ratio(at_lead.tail.exceeded_with(alpha), served);
        let highest = curve.points.iter().map(|point| point.tail.exceeded_with(0.1));
        let relative = |other: Option<u32>| {
            other.map_or(0.0, |other| share_of(f64::from(other) - f64::from(replicas), replicas))
        };
        let needed = proposal.needed.unwrap_or(answer);
        Some([
            log_ratio(rps, f64::from(ready) * capacity),
            log_ratio(at_lead.tail.median(), served),
            exceeded(0.1),
            exceeded(0.02),
            exceeded(0.002),
            log_ratio(highest.fold(0.0, f64::max), served),
            share_of(f64::from(replicas.saturating_sub(ready)), replicas),
            relative(proposal.predictive),
            relative(proposal.reactive),
            share_of(f64::from(answer) - f64::from(needed), replicas),
            log_ratio(rps, self.last_rps.unwrap_or(rps)),
            log_ratio(rps, self.mean_rps.unwrap_or(rps)),
            log_ratio(f64::from(replicas), 12.0),
            log_ratio(situation.risk_price, 20.0),
            f32::from(u8::from(proposal.missed == Some(true))),
            self.change,
            (self.since_change as f32).ln_1p() / 4.0,
        ])
        .inspect(|_| self.last_rps = Some(rps))
    }

    fn remember(&mut self, rps: f64, replicas: u32) {
        let mean = self.mean_rps.unwrap_or(rps);
        self.mean_rps = Some(mean + (rps - mean) / 20.0);
        let before = self.last_replicas.replace(replicas).unwrap_or(replicas);
        if replicas == before {
            self.since_change = self.since_change.saturating_add(1);
        } else {
            self.change = if replicas > before { 1.0 } else { -1.0 };
            self.since_change = 0;
        }
    }
}

/// Bounded, so that no load, however absurd, leaves what was trained on by far.
#[expect(clippy::cast_possible_truncation, reason = "an input needs few digits")]
fn log_ratio(a: f64, b: f64) -> f32 {
    let ratio = (a.max(1e-9) / b.max(1e-9)).ln();
    if ratio.is_nan() { 0.0 } else { ratio.clamp(-3.0, 3.0) as f32 }
}

#[expect(clippy::cast_possible_truncation, reason = "an input needs few digits")]
fn share_of(number: f64, of: u32) -> f32 {
    (number / f64::from(of.max(1))).clamp(-2.0, 2.0) as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_action_moves_at_least_a_replica_and_keep_moves_none() {
        let of = |answer| std::array::from_fn::<u32, 6, _>(|action| corrected(answer, action));
        assert_eq!(of(10), [8, 9, 10, 11, 12, 15]);
        assert_eq!(of(1), [0, 0, 1, 2, 2, 2]);
        assert_eq!(of(100), [80, 92, 100, 108, 120, 145]);
        assert_eq!(corrected(u32::MAX, 5), u32::MAX);
        assert_eq!((CORRECTIONS[KEEP], corrected(10, 99)), (0.0, 10));
    }

    #[test]
    fn every_observation_has_a_state() {
        let mut seen = [3.0; INPUTS];
        seen[1] = -3.0;
        assert_eq!((state(&seen), state(&[-3.0; INPUTS])), (STATES - 1, 0));
        assert_eq!(state(&[f32::NAN; INPUTS]), 0);
    }

    #[test]
    fn what_is_seen_is_bounded() {
        let bounded = [(f64::MAX, 0.0, 3.0), (0.0, 1e300, -3.0), (f64::NAN, 1.0, -3.0)];
        for (a, b, expected) in bounded {
            assert!((log_ratio(a, b) - expected).abs() < 1e-6, "{a} {b}");
        }
        assert_eq!((share_of(1e300, 0), share_of(-5.0, 2)), (2.0, -2.0));
    }
}
