//! The commands beside `serve`: decisions and comparisons without a mesh.

pub mod backtest;
pub mod decide;
