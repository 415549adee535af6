//! Frames come in, are written down, counted once, and answered.
//!
//! One thread does it all, so the order in which frames are committed is the order in which they
//! are applied and the order in which a restart applies them again. It takes whatever waits as
//! one batch and pays for one `fsync`.

mod counters;
mod engine;
mod replay;
mod thread;
mod workloads;

pub use counters::{Counters, FrameResult};
pub use engine::{Answer, Engine, Received, Record};
pub use replay::Restored;
pub use thread::{Ingest, IngestThread, MAX_QUEUED_BYTES, MAX_QUEUED_FRAMES, Recorded, start};
pub use workloads::{Workload, Workloads};
