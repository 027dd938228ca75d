//! The door of this node: what other nodes ask goes to whoever answers it.

use crate::calls::Calls;
use crate::handle::{Cluster, Inner};
use crate::members::{Holdings, acquaint, admit, survey, sweep};
use crate::raft::{Address, Inbound, Replica, Replicas, Wire};
use crate::transport::{Duplex, Handler, Service};
use bytes::Bytes;
use futures::future::BoxFuture;
use model::{NodeId, codec};
use std::sync::{Arc, OnceLock, Weak};
use storage::Bodies;

/// Answers other nodes.
pub struct Front {
    inbound: Inbound,
    calls: Arc<Calls>,
    /// Set once this node has started. Weak: the cluster holds the transport, which holds this.
    cluster: OnceLock<Weak<Inner>>,
}

impl Front {
    /// Answers for `holdings` at once, and for the rest of the node after [`Self::open`].
    pub fn new(holdings: Arc<Holdings>, calls: Arc<Calls>, wire: Arc<Wire>, bodies: Arc<Bodies>) -> Arc<Self> {
        let inbound = Inbound::new(wire, bodies, Arc::new(Here(holdings)));
        Arc::new(Front { inbound, calls, cluster: OnceLock::new() })
    }

    /// The node has started.
    pub fn open(&self, cluster: &Cluster) {
        // Called once; a second call would say the same.
        let _ = self.cluster.set(Arc::downgrade(cluster.inner()));
    }

    fn cluster(&self) -> Result<Cluster, String> {
        let inner = self.cluster.get().and_then(Weak::upgrade);
        inner.map(Cluster::from_inner).ok_or_else(|| "the node is starting or stopping; ask again".into())
    }
}

impl Handler for Front {
    fn call(&self, from: NodeId, service: Service, request: Bytes) -> BoxFuture<'_, Result<Bytes, String>> {
        Box::pin(async move {
            if Inbound::serves(service) {
                return self.inbound.call(service, request).await;
            }
            if Calls::serves(service) {
                return self.calls.answer(from, service, request).await;
            }
            let cluster = self.cluster()?;
            match service {
                Service::Status => Ok(codec::encode(&survey::tell(&cluster)).into()),
                Service::Configure => sweep::answer(&cluster, &request).await,
                Service::Members => acquaint::answer(&cluster).await,
                _ => Err(format!("node {} asks for {service:?}, which is not answered here", from.0)),
            }
        })
    }

    fn stream(&self, from: NodeId, service: Service, head: Bytes, duplex: Duplex) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            if Inbound::serves(service) {
                self.inbound.stream(from, service, head, duplex).await;
            } else if Calls::serves(service) {
                self.calls.serve(from, service, head, duplex).await;
            }
        })
    }

    fn stranger(&self, binding: [u8; 32], request: Bytes) -> BoxFuture<'_, Result<Bytes, String>> {
        Box::pin(async move { admit::admit(&self.cluster()?, binding, &request).await })
    }
}

/// The replicas of this node, as consensus asks for them.
struct Here(Arc<Holdings>);

impl Replicas for Here {
    fn find(&self, address: Address) -> Option<Replica> {
        self.0.find(address.group, address.replica)
    }

    fn find_or_make(&self, address: Address) -> BoxFuture<'_, Result<Replica, String>> {
        Box::pin(self.0.find_or_make(address.group, address.replica))
    }
}
