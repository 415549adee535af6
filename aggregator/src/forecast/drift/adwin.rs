//! ADWIN (Bifet and Gavaldà 2007): a window that grows while its parts agree, and loses its oldest
//! part when two of them do not. Kept in buckets of powers of two.

use std::collections::VecDeque;

use super::Detector;

/// When it speaks. Defaults are `river`'s.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdwinSettings {
    /// Probability of a false alarm that is accepted.
    pub delta: f64,
    /// Numbers between two looks.
    pub every: u64,
    /// Buckets of a size before the two oldest become one.
    pub buckets: usize,
    /// Numbers that each of two parts has at least.
    pub least_part: f64,
    /// Numbers before the first look.
    pub grace: f64,
}

impl Default for AdwinSettings {
    fn default() -> Self {
        Self { delta: 0.002, every: 32, buckets: 5, least_part: 5.0, grace: 10.0 }
    }
}

/// Sum and spread (sum of squared deviations) of some numbers.
#[derive(Clone, Copy, Debug, Default)]
struct Part {
    count: f64,
    sum: f64,
    spread: f64,
}

impl Part {
    fn mean(&self) -> f64 {
        self.sum / self.count
    }

    /// Spread between two parts.
    fn between(&self, other: &Self) -> f64 {
        let apart = self.mean() - other.mean();
        self.count * other.count * apart * apart / (self.count + other.count)
    }

    fn with(&self, other: &Self) -> Self {
        let between = if self.count > 0.0 && other.count > 0.0 { self.between(other) } else { 0.0 };
        Self {
            count: self.count + other.count,
            sum: self.sum + other.sum,
            spread: self.spread + other.spread + between,
        }
    }

    /// The rest when `other` goes.
    fn without(&self, other: &Self) -> Self {
        let rest = Self { count: self.count - other.count, sum: self.sum - other.sum, spread: 0.0 };
        let between = if rest.count > 0.0 { rest.between(other) } else { 0.0 };
        Self { spread: self.spread - other.spread - between, ..rest }
    }
}

/// The window.
#[derive(Clone, Debug)]
pub struct Adwin {
    settings: AdwinSettings,
    seen: u64,
    whole: Part,
    /// Buckets of one, two, four … numbers, the oldest of a size first.
    rows: Vec<VecDeque<Part>>,
}

impl Adwin {
    /// Nothing seen yet.
    pub const fn new(settings: AdwinSettings) -> Self {
        let whole = Part { count: 0.0, sum: 0.0, spread: 0.0 };
        Self { settings, seen: 0, whole, rows: Vec::new() }
    }

    /// Mean of the window; `None` while it is empty.
    pub fn mean(&self) -> Option<f64> {
        (self.whole.count > 0.0).then(|| self.whole.mean())
    }

    fn insert(&mut self, value: f64) {
        let one = Part { count: 1.0, sum: value, spread: 0.0 };
        self.whole = self.whole.with(&one);
        let mut carried = Some(one);
        for row in &mut self.rows {
            let Some(part) = carried.take() else { break };
            row.push_back(part);
            if row.len() > self.settings.buckets
                && let (Some(a), Some(b)) = (row.pop_front(), row.pop_front())
            {
                carried = Some(a.with(&b));
            }
        }
        if let Some(part) = carried {
            self.rows.push(VecDeque::from([part]));
        }
    }

    fn drop_oldest(&mut self) {
        let Some(row) = self.rows.last_mut() else { return };
        if let Some(oldest) = row.pop_front() {
            self.whole = self.whole.without(&oldest);
        }
        while self.rows.last().is_some_and(VecDeque::is_empty) {
            self.rows.pop();
        }
    }

    /// Whether some older part differs from the rest more than chance allows.
    fn has_cut(&self) -> bool {
        let (mut old, mut new) = (Part::default(), self.whole);
        for (size, row) in self.rows.iter().enumerate().rev() {
            for (at, part) in row.iter().enumerate() {
                old = old.with(part);
                new = new.without(part);
                if size == 0 && at + 1 == row.len() {
                    return false;
                }
                if self.differ(&old, &new) {
                    return true;
                }
            }
        }
        false
    }

    fn differ(&self, old: &Part, new: &Part) -> bool {
        let AdwinSettings { delta, least_part, .. } = self.settings;
        if old.count < least_part || new.count < least_part {
            return false;
        }
        let confidence = (2.0 * self.whole.count.ln() / delta).ln();
        let of = |count: f64| 1.0 / (count - least_part + 1.0);
        let share = of(old.count) + of(new.count);
        let variance = self.whole.spread / self.whole.count;
        let most = (2.0 * share * variance * confidence).sqrt() + 2.0 / 3.0 * confidence * share;
        (old.mean() - new.mean()).abs() > most
    }
}

impl Detector for Adwin {
    fn update(&mut self, value: f64) -> bool {
        if !value.is_finite() {
            return false;
        }
        self.seen += 1;
        self.insert(value);
        if !self.seen.is_multiple_of(self.settings.every) || self.whole.count <= self.settings.grace
        {
            return false;
        }
        let mut is_change = false;
        while self.has_cut() {
            is_change = true;
            self.drop_oldest();
        }
        if is_change {
            *self = Self::new(self.settings);
        }
        is_change
    }
}
