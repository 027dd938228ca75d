//! What tests, benchmarks and fault injection see a server with: small blocking mail clients, which speak plainly and say
//! exactly what came back, and what `mailnode status --json` tells. Knows nothing of how a node works.
#![forbid(unsafe_code)]

pub mod imap;
pub mod smtp;
mod view;

pub use view::View;
