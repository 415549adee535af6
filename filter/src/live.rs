//! Requests that have begun and not finished: a small table by the proxy's context id.
//!
//! Open addressing with linear probing, so that a request costs two memory accesses and no
//! allocation. The proxy numbers contexts one after the other, so the low bits spread them well.

use crate::plugin::Origin;

/// The most requests in flight that are followed one by one. Beyond it a request is counted only
/// when it finishes, and credited its whole duration then.
pub const MAX_LIVE: usize = 32_768;

const LEAST_SLOTS: usize = 256;

/// A request in flight.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Live {
    /// The root context that it belongs to, and which way it goes.
    pub origin: Origin,
    /// In-flight time that closed windows have counted for it already, µs.
    pub credited_micros: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    /// 0 is free: the proxy's context ids begin with 1.
    context_id: u32,
    // The parts of a `Live`, side by side: nested in one they would take half as much again.
    origin: Origin,
    credited_micros: u64,
}

/// All requests in flight, at most [`MAX_LIVE`].
#[derive(Debug, Default)]
pub struct LiveRequests {
    /// Empty, or a power of two of them, at most half in use.
    slots: Vec<Slot>,
    len: usize,
}

impl LiveRequests {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Follows a request. `false` when there is no room for it.
    #[inline]
    pub fn insert(&mut self, context_id: u32, origin: Origin) -> bool {
        if context_id == 0 || (self.len * 2 >= self.slots.len() && !self.grow()) {
            return false;
        }
        let index = self.find(context_id);
        if let Some(slot) = self.slots.get_mut(index) {
            if slot.context_id == 0 {
                self.len += 1;
            }
            *slot = Slot { context_id, origin, credited_micros: 0 };
        }
        true
    }

    /// Takes a request out.
    #[inline]
    pub fn remove(&mut self, context_id: u32) -> Option<Live> {
        let index = self.find(context_id);
        let slot = self.slots.get_mut(index)?;
        if slot.context_id != context_id || context_id == 0 {
            return None;
        }
        let live = Live { origin: slot.origin, credited_micros: slot.credited_micros };
        slot.context_id = 0;
        self.len -= 1;
        self.close_gap(index);
        Some(live)
    }

    /// Origin and credited time of all requests in flight, in no order.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (Origin, &mut u64)> {
        let used = self.slots.iter_mut().filter(|slot| slot.context_id != 0);
        used.map(|slot| (slot.origin, &mut slot.credited_micros))
    }

    /// Index of the slot that holds `context_id`, or of the free one where it belongs.
    #[inline]
    fn find(&self, context_id: u32) -> usize {
        let mask = self.slots.len().wrapping_sub(1);
        let mut index = context_id as usize & mask;
        while let Some(slot) = self.slots.get(index) {
            if slot.context_id == context_id || slot.context_id == 0 {
                break;
            }
            index = (index + 1) & mask;
        }
        index
    }

    /// Moves later slots of a run forward, so that no probe ends too early at the gap.
    fn close_gap(&mut self, mut gap: usize) {
        let mask = self.slots.len().wrapping_sub(1);
        let mut index = (gap + 1) & mask;
        while let Some(slot) = self.slots.get(index).copied().filter(|slot| slot.context_id != 0) {
            let home = slot.context_id as usize & mask;
            // It may move to the gap when its home is not between the gap (exclusive) and itself.
            if (index.wrapping_sub(home) & mask) >= (index.wrapping_sub(gap) & mask) {
                if let Some(free) = self.slots.get_mut(gap) {
                    *free = slot;
                }
                if let Some(moved) = self.slots.get_mut(index) {
                    moved.context_id = 0;
                }
                gap = index;
            }
            index = (index + 1) & mask;
        }
    }

    #[cold]
    fn grow(&mut self) -> bool {
        if self.len >= MAX_LIVE {
            return false;
        }
        let more = (self.slots.len() * 2).max(LEAST_SLOTS);
        let old = std::mem::replace(&mut self.slots, vec![Slot::default(); more]);
        for slot in old.into_iter().filter(|slot| slot.context_id != 0) {
            let index = self.find(slot.context_id);
            if let Some(free) = self.slots.get_mut(index) {
                *free = slot;
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_table_is_a_map(
            steps in prop::collection::vec((any::<bool>(), 1..700_u32, any::<bool>()), 0..2_000)
        ) {
            let mut table = LiveRequests::default();
            let mut map = HashMap::new();
            for (insert, id, spread) in steps {
                // Ids that differ by a power of two collide.
                let id = if spread { id << 10 } else { id };
                if insert {
                    prop_assert!(table.insert(id, Origin::default()));
                    map.insert(id, Live::default());
                } else {
                    prop_assert_eq!(table.remove(id), map.remove(&id));
                }
                prop_assert_eq!(table.len(), map.len());
            }
            prop_assert_eq!(table.iter_mut().count(), map.len());
            for id in map.into_keys() {
                prop_assert!(table.remove(id).is_some());
            }
            prop_assert!(table.is_empty());
        }
    }

    #[test]
    fn the_table_is_bounded() {
        let mut table = LiveRequests::default();
        let inserted = (1..=100_000).filter(|id| table.insert(*id, Origin::default())).count();
        assert_eq!(inserted, MAX_LIVE);
        assert!(table.slots.len() * size_of::<Slot>() <= 1 << 20);
        assert!(table.remove(1).is_some());
        assert!(table.insert(100_001, Origin::default()));
    }
}
