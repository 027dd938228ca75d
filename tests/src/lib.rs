//! What whole-node tests and benchmarks share.
#![forbid(unsafe_code)]

pub mod cluster;
pub mod kills;
pub mod node;
pub mod programs;
pub mod relay;
pub mod sim;
