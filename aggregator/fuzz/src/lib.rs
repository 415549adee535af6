//! The aggregator's configuration and nothing else: its own files, by symbolic links.
//!
//! The whole aggregator brings a web server and a database along, which would take minutes to build
//! with coverage. Configuration is at the top of the flow, so all that it needs is `units`.

pub mod units;
pub mod config;
