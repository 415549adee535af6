//! What the frame promises: its bytes, its laws, and what it refuses.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]
#![expect(clippy::indexing_slicing, reason = "a test fails by panicking")]

mod arbitrary;
mod golden;
mod histogram;
mod hostile;
mod merge;
mod python;
mod round_trip;
mod samples;
mod written;
