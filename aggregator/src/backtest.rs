//! Recorded load replayed through the real decisions, through the peers, and against the oracle.

mod ablation;
pub mod accuracy;
pub mod choice;
pub mod decider;
pub mod gate;
pub mod oracle;
pub mod peers;
pub mod report;
pub mod run;
pub mod score;
pub mod trace;
