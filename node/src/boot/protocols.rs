//! Makes the protocols and what stands behind them, and says on which listeners each is spoken.

use crate::context::Services;
use crate::net::ListenerSpec;

/// Starts what the protocols need and gives every protocol with its addresses.
pub fn start(services: &Services) -> Vec<ListenerSpec> {
    let _ = services;
    Vec::new()
}
