//! What end-to-end tests, the demo and the benches share.
