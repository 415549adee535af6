//! What was experienced, and the returns of several steps that are made of it.

use std::collections::VecDeque;

use crate::learning::environment::Step;

/// One experience: what was seen, done and got, and what stands for all that came after.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Experience<'a> {
    pub(super) before: &'a [f32],
    pub(super) action: usize,
    /// Discounted sum of the rewards between the two observations.
    pub(super) reward: f32,
    /// What the value of `after` counts; 0 when nothing came after.
    pub(super) discount: f32,
    pub(super) after: &'a [f32],
}

/// The last experiences, in a ring.
#[derive(Clone, Debug)]
pub(super) struct Replay {
    inputs: usize,
    capacity: usize,
    next: usize,
    before: Vec<f32>,
    after: Vec<f32>,
    rest: Vec<(usize, f32, f32)>,
}

impl Replay {
    pub(super) const fn new(capacity: usize, inputs: usize) -> Self {
        Self { inputs, capacity, next: 0, before: Vec::new(), after: Vec::new(), rest: Vec::new() }
    }

    pub(super) const fn len(&self) -> usize {
        self.rest.len()
    }

    fn push(&mut self, experience: Experience<'_>) {
        let Experience { before, action, reward, discount, after } = experience;
        let rest = (action, reward, discount);
        if self.rest.len() < self.capacity {
            self.before.extend_from_slice(before);
            self.after.extend_from_slice(after);
            self.rest.push(rest);
            return;
        }
        let place = self.next * self.inputs;
        let slots = place..place + self.inputs;
        for (all, one) in [(&mut self.before, before), (&mut self.after, after)] {
            if let Some(slot) = all.get_mut(slots.clone()) {
                slot.copy_from_slice(one);
            }
        }
        if let Some(slot) = self.rest.get_mut(self.next) {
            *slot = rest;
        }
        self.next = (self.next + 1) % self.capacity.max(1);
    }

    pub(super) fn get(&self, at: usize) -> Option<Experience<'_>> {
        let slots = at * self.inputs..(at + 1) * self.inputs;
        let (action, reward, discount) = *self.rest.get(at)?;
        let (before, after) = (self.before.get(slots.clone())?, self.after.get(slots)?);
        Some(Experience { before, action, reward, discount, after })
    }
}

/// Steps that wait for the rewards after them.
#[derive(Clone, Debug)]
pub(super) struct Returns {
    steps: usize,
    discount: f32,
    waiting: VecDeque<(Vec<f32>, usize, f32)>,
}

impl Returns {
    pub(super) fn new(steps: usize, discount: f32) -> Self {
        Self { steps: steps.max(1), discount, waiting: VecDeque::new() }
    }

    /// Adds a step, and remembers what is complete with it.
    pub(super) fn add(
        &mut self,
        before: &[f32],
        action: usize,
        step: Step,
        after: &[f32],
        replay: &mut Replay,
    ) {
        self.waiting.push_back((before.to_vec(), action, step.reward));
        if step.is_last() {
            while !self.waiting.is_empty() {
                self.complete(step.terminated, after, replay);
            }
        } else if self.waiting.len() >= self.steps {
            self.complete(false, after, replay);
        }
    }

    fn complete(&mut self, terminated: bool, after: &[f32], replay: &mut Replay) {
        let (mut reward, mut weight) = (0.0, 1.0);
        for (_, _, one) in &self.waiting {
            reward += weight * one;
            weight *= self.discount;
        }
        let Some((before, action, _)) = self.waiting.pop_front() else { return };
        let discount = if terminated { 0.0 } else { weight };
        replay.push(Experience { before: &before, action, reward, discount, after });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(reward: f32, terminated: bool) -> Step {
        Step { reward, terminated, truncated: false }
    }

    #[test]
    fn returns_add_up_discounted_and_end_with_the_episode() {
        let (mut replay, mut returns) = (Replay::new(10, 1), Returns::new(3, 0.5));
        for at in 0..4_u8 {
            let (before, after) = ([f32::from(at)], [f32::from(at + 1)]);
            returns.add(&before, 0, step(1.0, at == 3), &after, &mut replay);
        }
        let all: Vec<(f32, f32, f32, f32)> = (0..replay.len())
            .map(|at| replay.get(at).unwrap())
            .map(|e| (e.before[0], e.reward, e.discount, e.after[0]))
            .collect();
        // Two whole returns, then what the end cut short, without anything after it.
        let expected = [
            (0.0, 1.75, 0.125, 3.0),
            (1.0, 1.75, 0.0, 4.0),
            (2.0, 1.5, 0.0, 4.0),
            (3.0, 1.0, 0.0, 4.0),
        ];
        assert_eq!(all, expected);
    }

    #[test]
    fn the_oldest_experience_goes_first() {
        let (mut replay, mut returns) = (Replay::new(2, 1), Returns::new(1, 0.9));
        for at in 0..3_u8 {
            returns.add(&[f32::from(at)], 0, step(0.0, false), &[9.0], &mut replay);
        }
        let mut seen: Vec<f32> = (0..2).map(|at| replay.get(at).unwrap().before[0]).collect();
        seen.sort_by(f32::total_cmp);
        assert_eq!(seen, [1.0, 2.0]);
    }
}
