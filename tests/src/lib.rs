//! What whole-node tests and benchmarks share.
#![forbid(unsafe_code)]

pub mod client;
pub mod kills;
pub mod node;
pub mod programs;
