//! Bounds of the HTTP side (I9), each with its reason.

use std::time::Duration;

/// Connections at a time: health checks and a few scrapers.
pub const CONNECTIONS_MAX: usize = 64;
/// How long one connection may live. It bounds a client that sends its request byte by byte, and one that never reads.
pub const CONNECTION_LIFETIME: Duration = Duration::from_secs(60);
/// The pause after a failed accept, so that the loop does not burn a processor.
pub const ACCEPT_FAILURE_PAUSE: Duration = Duration::from_millis(100);
