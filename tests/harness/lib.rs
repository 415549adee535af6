//! What end-to-end tests, the demo and the benches share: real processes that never outlive their
//! owner, Envoy configurations, an upstream service, and an open-loop load generator.
//!
//! Nothing here is mocked: [`Envoy`] is Envoy, [`Aggregator`] is `foresail serve`.
#![expect(
    clippy::missing_errors_doc,
    reason = "any error here fails the run it belongs to, with its cause; nobody matches on it"
)]

pub mod aggregator;
pub mod api_proxy;
pub mod audit;
pub mod clock;
pub mod control_plane;
pub mod envoy;
pub mod frames;
pub mod http;
pub mod kubectl;
pub mod load;
pub mod paths;
pub mod ports;
pub mod process;
pub mod random;
pub mod service;
pub mod shop;
pub mod stage;
mod watchdog;
pub mod workdir;

pub use aggregator::Aggregator;
pub use api_proxy::{ApiProxy, Fault};
pub use control_plane::ControlPlane;
pub use envoy::{Authority, Cluster, Endpoints, Envoy, Listener, Node, Route, WasmFilter};
pub use frames::Frames;
pub use http::Http;
pub use load::{Load, Outcome, Results, Shot};
pub use process::{Process, Program};
pub use service::{Service, ServiceConfig};
pub use shop::Shop;
pub use stage::{Actor, Stage};
pub use workdir::WorkDir;
