//! HTTP endpoints of a node: health and metrics. Speaks to the node through the narrow [`Health`] trait; it must not
//! know the cluster, storage or consensus.
#![forbid(unsafe_code)]

mod limits;
mod listener;
mod routes;

pub use listener::Incoming;
pub use routes::router;

use listener::BoundedListener;
use std::io;
use std::sync::Arc;

/// What the endpoints ask the node.
pub trait Health: Send + Sync + 'static {
    /// Whether the node takes mail.
    ///
    /// # Errors
    /// In plain words why not.
    fn ready(&self) -> Result<(), String>;

    /// Counters in Prometheus' text exposition format, version 0.0.4.
    fn metrics(&self) -> String;
}

/// Serves until `stop`; requests on their way are answered.
///
/// # Errors
/// When the socket fails for good.
pub async fn serve(
    incoming: impl Incoming,
    health: Arc<dyn Health>,
    stop: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let service = router(health).into_make_service_with_connect_info::<listener::Peer>();
    axum::serve(BoundedListener::new(incoming), service).with_graceful_shutdown(stop).await
}
