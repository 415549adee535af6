//! The demo: a day of a small mesh, scaled ahead of its load and, for comparison, behind it.

fn main() {}
