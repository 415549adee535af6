//! How often each of a few small keys was seen: status codes, gRPC statuses, response flags.

use serde::{Deserialize, Serialize};

use crate::bounded;

/// Counts by key, ascending, at most `MAX` keys. Counts saturate.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(bound(serialize = "K: Serialize", deserialize = "K: Deserialize<'de>"))]
pub struct Counts<K, const MAX: usize>(
    #[serde(deserialize_with = "bounded::sequence::<_, _, MAX>")] Vec<(K, u32)>,
);

impl<K: Copy + Ord, const MAX: usize> Counts<K, MAX> {
    /// No counts.
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// Adds `count` to `key`. Of more than `MAX` keys the least stay, and what belongs to others
    /// goes to the greatest that stays: the total is kept, and the order of adding does not matter.
    pub fn add(&mut self, key: K, count: u32) {
        if count == 0 {
            return;
        }
        match self.0.binary_search_by_key(&key, |entry| entry.0) {
            Ok(at) => {
                if let Some(entry) = self.0.get_mut(at) {
                    entry.1 = entry.1.saturating_add(count);
                }
            }
            Err(at) => {
                self.0.insert(at, (key, count));
                if self.0.len() > MAX {
                    let beyond = self.0.pop().map_or(0, |entry| entry.1);
                    if let Some(last) = self.0.last_mut() {
                        last.1 = last.1.saturating_add(beyond);
                    }
                }
            }
        }
    }

    /// Adds all of `other`.
    pub fn merge(&mut self, other: &Self) {
        for (key, count) in other.iter() {
            self.add(key, count);
        }
    }

    /// Keys and their counts, ascending by key.
    pub fn iter(&self) -> impl Iterator<Item = (K, u32)> + '_ {
        self.0.iter().copied()
    }

    /// The count of one key; zero when it was never seen.
    pub fn get(&self, key: K) -> u32 {
        self.iter().find(|(k, _)| *k == key).map_or(0, |(_, count)| count)
    }

    /// The sum over all keys.
    pub fn total(&self) -> u64 {
        self.iter().map(|(_, count)| u64::from(count)).sum()
    }

    /// Whether nothing was counted.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a count stands at its limit, so that totals no longer add up.
    pub(crate) fn is_saturated(&self) -> bool {
        self.0.iter().any(|entry| entry.1 == u32::MAX)
    }

    /// Forgets all counts and keeps the memory.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// Whether keys ascend strictly and no count is zero, as every encoder must write them.
    pub(crate) fn is_canonical(&self) -> bool {
        self.0.windows(2).all(|pair| matches!(pair, [a, b] if a.0 < b.0))
            && self.0.iter().all(|entry| entry.1 > 0)
    }
}
