//! A replay over time, in some hundred buckets of equal length: what a picture shows.

use std::collections::VecDeque;

use super::contender::{Contender, Served};
use crate::backtest::report::{Replicas, Timeline};
use crate::forecast::Curve;
use crate::simulate::World;
use crate::units::Timestamp;

/// The most buckets of a timeline.
const BUCKETS: usize = 480;

/// Collects a timeline.
pub(super) struct Buckets {
    timeline: Timeline,
    per_bucket: usize,
    shown: Vec<Option<usize>>,
    /// For when, and what was expected: forecasts whose time has not come.
    ahead: VecDeque<(Timestamp, f64)>,
}

impl Buckets {
    pub(super) fn new(world: &World, contenders: &[Contender]) -> Self {
        let per_bucket = world.filled.len().div_ceil(BUCKETS).max(1);
        let first_scored = world.grid.first_index + world.warm_up_steps as u64;
        let mut timeline = Timeline {
            scored_from: Timestamp::of_step(first_scored, world.grid.step).as_secs_f64(),
            ..Timeline::default()
        };
        let mut shown = Vec::new();
        for contender in contenders {
            shown.push(contender.is_default().then(|| {
                let policy = contender.name().to_owned();
                timeline.policies.push(Replicas { policy, ..Replicas::default() });
                timeline.policies.len() - 1
            }));
        }
        Self { timeline, per_bucket, shown, ahead: VecDeque::new() }
    }

    /// Opens the bucket of a step, if it begins one, and adds its load and the replicas it required.
    pub(super) fn begin(&mut self, at: usize, world: &World, required: &[u32]) {
        let (rate, need) = (world.filled.get(at), required.get(at));
        let (Some(rate), Some(need)) = (rate, need) else { return };
        let start = Timestamp::of_step(world.grid.first_index + at as u64, world.grid.step);
        if at.is_multiple_of(self.per_bucket) {
            self.timeline.t.push(start.as_secs_f64());
            self.timeline.rps.push(0.0);
            self.timeline.forecast.push(None);
            self.timeline.required.push(0.0);
            for policy in &mut self.timeline.policies {
                policy.replicas.push(0.0);
                policy.violated.push(0.0);
            }
        }
        #[expect(clippy::cast_possible_truncation, reason = "for a picture")]
        if let (Some(rps), Some(required)) =
            (self.timeline.rps.last_mut(), self.timeline.required.last_mut())
        {
            *rps = rps.max(*rate as f32);
            *required = required.max(*need as f32);
        }
        self.come_true(start + world.grid.step);
    }

    /// Takes what is expected at the end of a forecast.
    pub(super) fn expect(&mut self, curve: Option<&Curve>) {
        if let Some(last) = curve.and_then(|curve| curve.points.last()) {
            self.ahead.push_back((last.at, last.point.get()));
        }
    }

    /// Adds the forecasts whose time has come to the bucket that is open.
    fn come_true(&mut self, end: Timestamp) {
        while let Some((_, expected)) = self.ahead.pop_front_if(|(at, _)| *at <= end) {
            #[expect(clippy::cast_possible_truncation, reason = "for a picture")]
            if let Some(last) = self.timeline.forecast.last_mut() {
                *last = Some(last.unwrap_or(0.0).max(expected as f32));
            }
        }
    }

    /// Adds what a contender's step came to.
    pub(super) fn add(&mut self, which: usize, served: Served) {
        let Some(slot) = self.shown.get(which).copied().flatten() else { return };
        let Some(policy) = self.timeline.policies.get_mut(slot) else { return };
        let share = 1.0 / self.per_bucket as f32;
        if let Some(last) = policy.replicas.last_mut() {
            *last += served.replicas as f32 * share;
        }
        if let Some(last) = policy.violated.last_mut() {
            *last += f32::from(u8::from(served.violated)) * share;
        }
    }

    pub(super) fn finish(self) -> Timeline {
        self.timeline
    }
}
