//! What holds of every decision, whatever comes.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod forbidden;
mod hostile;
mod learned;
mod monotone;
mod repeatable;
mod support;
