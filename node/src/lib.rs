//! The node: actors, listeners, TLS, policy and the command line of the `mailnode` binary.
//! `boot` wires everything; nothing in other crates knows this one.
#![forbid(unsafe_code)]

pub mod admin;
pub mod boot;
mod children;
pub mod cli;
pub mod config;
pub mod context;
pub mod ids;
pub mod imap;
pub mod limits;
pub mod metrics;
pub mod net;
pub mod queue;
pub mod runtime;
pub mod services;
pub mod smtp;
pub mod telemetry;
pub mod tls;
