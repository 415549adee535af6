//! The one place where the harness asks the machine for the time of day.
//!
//! Intervals are measured with `tokio::time::Instant`.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Time since 1970.
#[expect(clippy::disallowed_methods, reason = "end-to-end runs happen in real time")]
pub fn unix_time() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}
