//! Merges what the filters see, forecasts, decides and scales.
//!
//! Data flows one way, and the modules stand in its order; a test (`tests/layering.rs`) keeps
//! imports pointing upward.

// Core: pure. No clock, no I/O, no randomness of its own.
pub mod units;
pub mod chance;
pub mod queueing;
pub mod usual;
pub mod journal;
pub mod config;
pub mod telemetry;
pub mod capacity;
pub mod features;
pub mod forecast;
pub mod policy;
pub mod safety;
pub mod autoscaler;

// Offline: the same decisions on recorded or invented load.
pub mod simulate;
pub mod learning;
pub mod backtest;
pub mod shadow;

// Shell: sockets, clock, disk.
pub mod clock;
pub mod models;
pub mod store;
pub mod ingest;
pub mod kubernetes;
pub mod sources;
pub mod actuate;
pub mod api;
pub mod serve;
pub mod commands;
