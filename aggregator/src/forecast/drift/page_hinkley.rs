//! The Page-Hinkley test (Page 1954; Hinkley 1971), on both sides, with fading sums.

use super::Detector;

/// When it speaks. Defaults are `river`'s.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PageHinkleySettings {
    /// Numbers before the first decision.
    pub least: u64,
    /// A change of the mean that is tolerated, in units of the stream.
    pub tolerated: f64,
    /// Sum of deviations beyond it that is a change, in units of the stream.
    pub threshold: f64,
    /// What a sum keeps at each number, 0 to 1.
    pub keeps: f64,
}

impl Default for PageHinkleySettings {
    fn default() -> Self {
        Self { least: 30, tolerated: 0.005, threshold: 50.0, keeps: 1.0 - 0.0001 }
    }
}

/// Sums of deviations from the running mean, and their turning points.
#[derive(Clone, Debug)]
pub struct PageHinkley {
    settings: PageHinkleySettings,
    count: u64,
    mean: f64,
    rising: f64,
    falling: f64,
    lowest: f64,
    highest: f64,
}

impl PageHinkley {
    /// Nothing seen yet.
    pub const fn new(settings: PageHinkleySettings) -> Self {
        Self {
            settings,
            count: 0,
            mean: 0.0,
            rising: 0.0,
            falling: 0.0,
            lowest: f64::INFINITY,
            // `river` begins here too, not at minus infinity.
            highest: -1.0,
        }
    }
}

impl Detector for PageHinkley {
    fn update(&mut self, value: f64) -> bool {
        if !value.is_finite() {
            return false;
        }
        let PageHinkleySettings { least, tolerated, threshold, keeps } = self.settings;
        self.count += 1;
        self.mean += (value - self.mean) / self.count as f64;
        let deviation = value - self.mean;
        self.rising = keeps * self.rising + deviation - tolerated;
        self.falling = keeps * self.falling + deviation + tolerated;
        self.lowest = self.lowest.min(self.rising);
        self.highest = self.highest.max(self.falling);
        let furthest = (self.rising - self.lowest).max(self.highest - self.falling);
        let is_change = self.count >= least && furthest > threshold;
        if is_change {
            *self = Self::new(self.settings);
        }
        is_change
    }
}
