//! The handles that drivers and actors are given when `boot` makes them. A bundle, not a service: it has no methods,
//! and whoever needs one handle takes that handle, not the bundle.

use crate::config::Config;
use crate::metrics::Metrics;
use crate::net::Gate;
use crate::services::directory::Directory;
use crate::services::passwords::Passwords;
use crate::tls::Tls;
use cluster::{Clock, Cluster};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// What there is to work with. Each handle is cheap to clone.
#[derive(Clone)]
pub struct Services {
    /// Agreement, rows and bodies.
    pub cluster: Cluster,
    /// Where addresses lead.
    pub directory: Directory,
    /// Who may log in.
    pub passwords: Passwords,
    /// For STARTTLS.
    pub tls: Tls,
    /// This machine's settings.
    pub config: Arc<Config>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Counters.
    pub metrics: Arc<Metrics>,
    /// Whether sessions are taken.
    pub gate: Gate,
    /// Whether a majority of the directory answered when it was last asked.
    pub in_touch: Arc<AtomicBool>,
    /// Cancelled when the node stops: background work ends.
    pub stop: CancellationToken,
    /// Background work that `boot` waits for when it stops.
    pub tasks: TaskTracker,
}
