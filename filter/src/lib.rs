//! The proxy-wasm filter: counts what one proxy sees and tells the aggregator once a window.
//!
//! The modules stand in the order the data flows. All but the last are pure: they know neither the
//! clock nor the proxy, and what they want from it they ask through [`request::Request`]. `host` is
//! the only one that talks to the proxy, and exists on wasm alone.
//!
//! `filter/README.md` says what is counted where.

pub mod config;
pub mod identity;
pub mod routes;
pub mod request;
pub mod live;
pub mod recorder;
pub mod windows;
pub mod outbox;
pub mod plugin;

#[cfg(target_arch = "wasm32")]
mod host;
