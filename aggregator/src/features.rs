//! What the models see of a workload's load: a regular grid, its calendar, and rows of features.

mod accumulator;
mod calendar;
mod rows;
mod track;

pub use accumulator::Accumulator;
pub use track::Track;

pub(crate) use calendar::Calendar;
pub(crate) use rows::{
    BOOSTED, LINEAR, LINEAR_WITHOUT_SEASONS, Origin, Scanner, increment, seasons, value,
};

/// A feature: its name and its unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Feature {
    /// Stable name.
    pub name: &'static str,
    /// Unit; `ln(rps)` differences are relative changes.
    pub unit: &'static str,
}

const fn log(name: &'static str) -> Feature {
    Feature { name, unit: "ln(rps) difference" }
}

const fn phase(name: &'static str) -> Feature {
    Feature { name, unit: "share of the cycle, 0 to 1" }
}

/// The features of a boosted row, in order.
pub const SCHEMA: [Feature; BOOSTED] = [
    log("lag_0"),
    log("lag_1"),
    log("lag_2"),
    log("lag_3"),
    log("mean_8"),
    log("mean_16"),
    log("mean_32"),
    log("mean_64"),
    log("mean_128"),
    log("mean_240"),
    log("increment_1_day"),
    log("increment_2_days"),
    log("increment_7_days"),
    log("linear_forecast"),
    phase("phase_of_day"),
    phase("phase_of_hour"),
    phase("phase_of_half_hour"),
    phase("phase_of_quarter_hour"),
    phase("phase_of_five_minutes"),
    Feature { name: "change_0.3", unit: "ln of mean |ln(rps) difference|" },
    Feature { name: "change_0.15", unit: "ln of mean |ln(rps) difference|" },
    Feature { name: "change_0.05", unit: "ln of mean |ln(rps) difference|" },
    Feature { name: "change_0.01", unit: "ln of mean |ln(rps) difference|" },
    Feature { name: "level", unit: "ln(rps)" },
    log("highest_of_hour"),
    log("hour_before"),
    log("hour_before_highest"),
    log("day_before"),
    log("day_before_highest"),
    log("week_before"),
    log("week_before_highest"),
    log("day_before_next_highest"),
    log("day_before_smoothed"),
];
