//! Windows: where the wall clock is cut, and when to look at it next.

use std::time::Duration;

use foresail_wire::Window;

/// Cuts time at multiples of an interval, so that the windows of all proxies line up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WindowClock {
    interval_micros: u64,
    start_micros: u64,
}

impl WindowClock {
    /// Begins the first window at `now`; it is shorter than the others.
    pub fn new(interval: Duration, now_micros: u64) -> Self {
        Self { interval_micros: micros(interval), start_micros: now_micros }
    }

    /// Changes the interval; the window that is open ends at a multiple of the new one.
    pub fn set_interval(&mut self, interval: Duration) {
        self.interval_micros = micros(interval);
    }

    /// Ends the open window when its end has come. A proxy that was held up gets one long window;
    /// a clock that was set back gets one of the usual length, and windows go on from there.
    pub fn close(&mut self, now_micros: u64) -> Option<Window> {
        let boundary = now_micros - now_micros % self.interval_micros;
        let set_back = now_micros.saturating_add(self.interval_micros) < self.start_micros;
        if boundary <= self.start_micros && !set_back {
            return None;
        }
        if set_back {
            self.start_micros = boundary.saturating_sub(self.interval_micros);
        }
        let window = Window { start_micros: self.start_micros, end_micros: boundary };
        self.start_micros = boundary;
        (window.start_micros < window.end_micros).then_some(window)
    }

    /// How long from `now` until the open window ends, in whole milliseconds, rounded up.
    pub fn until_close(&self, now_micros: u64) -> Duration {
        let left = self.interval_micros - now_micros % self.interval_micros;
        Duration::from_millis(left.div_ceil(1_000))
    }
}

fn micros(interval: Duration) -> u64 {
    u64::try_from(interval.as_micros()).unwrap_or(u64::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000;

    fn clock(now: u64) -> WindowClock {
        WindowClock::new(Duration::from_secs(1), now)
    }

    #[test]
    fn windows_end_at_multiples_of_the_interval() {
        let mut clock = clock(10 * SECOND + 300_000);
        assert_eq!(clock.until_close(10 * SECOND + 300_500), Duration::from_millis(700));
        assert_eq!(clock.close(11 * SECOND - 1), None);
        let first = clock.close(11 * SECOND + 4_000).unwrap();
        assert_eq!((first.start_micros, first.end_micros), (10 * SECOND + 300_000, 11 * SECOND));
        assert_eq!(clock.close(11 * SECOND + 4_000), None);
        assert_eq!(clock.until_close(11 * SECOND + 4_000), Duration::from_millis(996));
    }

    #[test]
    fn a_proxy_that_was_held_up_gets_one_long_window() {
        let mut clock = clock(10 * SECOND);
        let window = clock.close(15 * SECOND + 1).unwrap();
        assert_eq!((window.start_micros, window.end_micros), (10 * SECOND, 15 * SECOND));
    }

    #[test]
    fn a_clock_that_was_set_back_goes_on_from_there() {
        let mut clock = clock(100 * SECOND);
        assert_eq!(clock.close(99 * SECOND + 1), None, "less than a window: wait for it");
        let window = clock.close(50 * SECOND + 7).unwrap();
        assert_eq!((window.start_micros, window.end_micros), (49 * SECOND, 50 * SECOND));
        assert!(clock.close(51 * SECOND).is_some());
    }

    #[test]
    fn another_interval_takes_over_at_its_own_multiple() {
        let mut clock = clock(10 * SECOND);
        clock.set_interval(Duration::from_secs(5));
        assert_eq!(clock.close(14 * SECOND), None);
        assert_eq!(clock.close(15 * SECOND).unwrap().end_micros, 15 * SECOND);
    }
}
