//! Has a stream of numbers changed? Three detectors, with the decisions of Python's `river` 0.26.1
//! on the same streams (`tests/drift.rs`, `make drift-compare`).

mod adwin;
mod kolmogorov;
mod kswin;
mod page_hinkley;

pub use adwin::{Adwin, AdwinSettings};
pub use kswin::{Kswin, KswinSettings};
pub use page_hinkley::{PageHinkley, PageHinkleySettings};

/// Watches a stream.
pub trait Detector {
    /// Takes the next number; whether a change is found with it. After a change the detector
    /// begins anew. A number that is not finite is not taken.
    fn update(&mut self, value: f64) -> bool;
}
