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
