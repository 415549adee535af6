//! The newest so many windows of a tier, by their number since 1970.

use std::collections::VecDeque;

use super::summary::Packed;

/// Windows without gaps in their numbers; memory grows with what is held, to `capacity` windows.
#[derive(Debug)]
pub(super) struct Ring<T> {
    capacity: usize,
    first: u64,
    slots: VecDeque<T>,
}

impl<T: Packed> Ring<T> {
    /// Holds nothing yet and at most `capacity` windows.
    pub(super) const fn new(capacity: usize) -> Self {
        Self { capacity, first: 0, slots: VecDeque::new() }
    }

    /// Sets window `index`. Windows skipped on the way are missing; one older than all that may
    /// be kept is dropped.
    pub(super) fn put(&mut self, index: u64, window: T) {
        if self.slots.is_empty() {
            self.first = index;
        }
        if index < self.first {
            self.put_before(index, window);
            return;
        }
        let end = self.first + self.slots.len() as u64;
        if index.saturating_sub(end) >= self.capacity as u64 {
            self.slots.clear();
            self.first = index;
        }
        while self.first + (self.slots.len() as u64) < index {
            self.push(T::MISSING);
        }
        // Pushing may have dropped windows at the front.
        let at = usize::try_from(index - self.first).unwrap_or(usize::MAX);
        match self.slots.get_mut(at) {
            Some(slot) => *slot = window,
            None => self.push(window),
        }
    }

    /// Puts a window that is older than the oldest, as restoring out of order does.
    fn put_before(&mut self, index: u64, window: T) {
        let missing = usize::try_from(self.first - index).unwrap_or(usize::MAX);
        if missing.saturating_add(self.slots.len()) > self.capacity {
            return;
        }
        for _ in 1..missing {
            self.slots.push_front(T::MISSING);
        }
        self.slots.push_front(window);
        self.first = index;
    }

    fn push(&mut self, window: T) {
        if self.slots.len() == self.capacity {
            self.slots.pop_front();
            self.first += 1;
        } else if self.slots.len() == self.slots.capacity() {
            // Doubling would reserve up to twice what is ever held.
            let more = (self.slots.len() / 4 + 64).min(self.capacity - self.slots.len());
            self.slots.reserve_exact(more);
        }
        self.slots.push_back(window);
    }

    /// Windows that hold something, oldest first.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u64, T)> + '_ {
        (self.first..).zip(self.slots.iter().copied()).filter(|(_, window)| !window.is_missing())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Packed for u32 {
        const MISSING: Self = 0;

        fn is_missing(&self) -> bool {
            *self == 0
        }
    }

    fn held(ring: &Ring<u32>) -> Vec<(u64, u32)> {
        ring.iter().collect()
    }

    #[test]
    fn the_newest_windows_are_kept_and_gaps_are_missing() {
        let mut ring = Ring::new(4);
        for index in [10, 11, 13, 15] {
            ring.put(index, u32::try_from(index).unwrap());
        }
        assert_eq!(held(&ring), [(13, 13), (15, 15)]);
        ring.put(13, 99);
        assert_eq!(held(&ring), [(13, 99), (15, 15)]);
        ring.put(9, 9);
        assert_eq!(held(&ring), [(13, 99), (15, 15)]);
    }

    #[test]
    fn a_long_silence_forgets_everything_before_it() {
        let mut ring = Ring::new(4);
        ring.put(1, 1);
        ring.put(1 << 40, 7);
        assert_eq!(held(&ring), [(1 << 40, 7)]);
    }

    #[test]
    fn older_windows_can_be_put_back_before_newer_ones() {
        let mut ring = Ring::new(4);
        ring.put(5, 5);
        ring.put(3, 3);
        assert_eq!(held(&ring), [(3, 3), (5, 5)]);
    }
}
