//! The node: actors, listeners, TLS, policy and the command line of the `mailnode` binary.
//! `boot` wires everything; nothing in other crates knows this one.
#![forbid(unsafe_code)]

pub mod config;
pub mod ids;
pub mod limits;
pub mod metrics;
pub mod net;
pub mod services;
pub mod tls;
