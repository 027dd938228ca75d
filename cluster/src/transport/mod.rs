//! Traffic between nodes: QUIC with mutual TLS (I11), or what a simulation gives in its place ([`Network`]). Only this
//! folder names quinn.
//!
//! Calls and streams go out to peers by [`NodeId`] and come in to a [`Handler`]. Each side dials its own connections, two
//! per peer, so that bodies on the bulk lane cannot hold up heartbeats on the control lane. It knows nothing of what the
//! frames mean.
//!
//! ```text
//! stream   = version(1) service(1) frame*
//! frame    = length(4, big endian) bytes
//! call     = request frame; answered by one frame: status(1: 0 answered, 1 refused) bytes
//! hello    = version(1) instance(8), sent on a stream of its own by the member that dials, and then by the one that
//!            has let it in; the instance is drawn by each process
//! ```

mod accept;
mod complaints;
mod dial;
mod error;
mod frame;
mod given;
mod service;
mod settings;
mod stranger;
mod table;
#[cfg(test)]
mod tests;
mod twin;

pub use error::{CallError, JoinError, TransportError};
pub use frame::{Duplex, FrameReceiver, FrameSender};
pub use given::{FrameSink, FrameSource, MakeRequest, Network, Port, serve};
pub use service::{Lane, Service};
pub use stranger::ask_as_stranger;
pub use table::{Peer, PeerStatus};

use crate::authority::Authority;
use crate::limits::{CERTIFICATE_CHECK_INTERVAL, FAREWELL_TIMEOUT, FRAME_BYTES_MAX, HANDSHAKES_MAX, STRANGERS_MAX};
use crate::runtime::{self, Instant, timeout, timeout_at};
use bytes::Bytes;
use complaints::Complaints;
use dial::Dialer;
use error::Code;
use futures::future::BoxFuture;
use model::NodeId;
use parking_lot::Mutex;
use quinn::{Connection, Endpoint, TokioRuntime};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::SystemTime;
use table::Table;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use twin::{Instance, Refusals};

/// The version of everything in this folder; in the protocol name and in front of every stream.
const VERSION: u8 = 1;
/// The protocol of members (RFC 7301).
const MEMBER_PROTOCOL: &[u8] = b"mailnode/1";
/// The protocol of nodes that want to become members.
const JOIN_PROTOCOL: &[u8] = b"mailnode-join/1";

/// What a transport is made of.
pub struct TransportOptions {
    /// The UDP address of the cluster port; port 0 lets the kernel choose.
    pub bind: SocketAddr,
    /// What this node proves itself with.
    pub authority: Arc<Authority>,
    /// This node.
    pub node: NodeId,
    /// Carries out what peers ask.
    pub handler: Arc<dyn Handler>,
    /// What carries frames; QUIC when there is none.
    pub network: Option<Arc<dyn Network>>,
}

/// Carries out what other nodes ask. Every call and stream runs in a task of its own, which is dropped when this node
/// stops; a panic ends that call or stream alone.
pub trait Handler: Send + Sync + 'static {
    /// Answers a call; `Err` is told to the caller as [`CallError::Refused`]. It goes on when the caller has given up.
    fn call(&self, from: NodeId, service: Service, request: Bytes) -> BoxFuture<'_, Result<Bytes, String>>;

    /// Serves a long-lived stream until either side ends it.
    fn stream(&self, from: NodeId, service: Service, head: Bytes, duplex: Duplex) -> BoxFuture<'_, ()>;

    /// Answers a node that is no member. `binding` is keying material of this one connection (RFC 5705, RFC 8446 section
    /// 7.5), so that a proof made with it cannot be used on another.
    fn stranger(&self, binding: [u8; 32], request: Bytes) -> BoxFuture<'_, Result<Bytes, String>>;
}

/// This node's end of every connection. Clones are handles of the same one.
#[derive(Clone)]
pub struct Transport {
    node: NodeId,
    way: Way,
}

#[derive(Clone)]
enum Way {
    Quic(Arc<Shared>),
    Given(Arc<dyn Port>),
}

struct Shared {
    endpoint: Endpoint,
    authority: Arc<Authority>,
    handler: Arc<dyn Handler>,
    dialer: Dialer,
    table: Mutex<Table>,
    complaints: Complaints,
    /// This process among others of this node, which there should not be.
    instance: Instance,
    refusals: Arc<Refusals>,
    handshakes: Arc<Semaphore>,
    strangers: Arc<Semaphore>,
    stopping: CancellationToken,
    tasks: TaskTracker,
}

impl Transport {
    /// Opens the cluster port. Nobody is let in, and nobody can be called, before [`Self::set_peers`].
    pub async fn bind(options: TransportOptions) -> Result<Transport, TransportError> {
        let TransportOptions { bind, authority, node, handler, network } = options;
        if let Some(network) = network {
            let port = network.bind(bind, node, authority.node_key_hash(), handler)?;
            return Ok(Transport { node, way: Way::Given(port) });
        }
        let server = settings::server(&authority)?;
        let socket = std::net::UdpSocket::bind(bind).map_err(|error| TransportError::Bind { address: bind, error })?;
        let endpoint = settings::endpoint(&authority);
        let endpoint = Endpoint::new(endpoint, Some(server), socket, Arc::new(TokioRuntime));
        let endpoint = endpoint.map_err(|error| TransportError::Bind { address: bind, error })?;
        let (instance, refusals) = (Instance::draw().map_err(TransportError::Tls)?, Arc::<Refusals>::default());
        let shared = Arc::new(Shared {
            dialer: Dialer::new(endpoint.clone(), &authority, instance, refusals.clone())?,
            endpoint,
            authority,
            handler,
            table: Mutex::default(),
            complaints: Complaints::default(),
            instance,
            refusals,
            handshakes: Arc::new(Semaphore::new(HANDSHAKES_MAX)),
            strangers: Arc::new(Semaphore::new(STRANGERS_MAX)),
            stopping: CancellationToken::new(),
            tasks: TaskTracker::new(),
        });
        shared.clone().spawn(accept::run(shared.clone()));
        shared.clone().spawn(renew(shared.authority.clone()));
        Ok(Transport { node, way: Way::Quic(shared) })
    }

    /// Where the cluster port is.
    pub fn local_address(&self) -> SocketAddr {
        let unknown = SocketAddr::from(([0, 0, 0, 0], 0));
        match &self.way {
            Way::Quic(shared) => shared.endpoint.local_addr().unwrap_or(unknown),
            Way::Given(port) => port.local_address(),
        }
    }

    /// Waits until it is certain that another process runs as this node and its peers keep to that one: this process
    /// must not serve. Says why.
    pub async fn displaced(&self) -> String {
        match &self.way {
            Way::Quic(shared) => {
                let peer = shared.refusals.displaced().await;
                format!("node {} does not let this process in: {}", peer.0, twin::refusal(self.node))
            }
            Way::Given(_) => std::future::pending().await,
        }
    }

    /// Says who the peers are: whom to dial and whom to let in. Connections of others, and of peers whose key or address
    /// changed, are closed. This node itself may be in it and is passed over.
    pub fn set_peers(&self, mut peers: BTreeMap<NodeId, Peer>) {
        peers.remove(&self.node);
        match &self.way {
            Way::Quic(shared) => shared.table.lock().set(peers),
            Way::Given(port) => port.set_peers(peers),
        }
    }

    /// Asks a peer something and waits for its answer. Dropping the future leaves the outcome unknown.
    pub async fn call(
        &self,
        node: NodeId,
        service: Service,
        request: Bytes,
        deadline: Instant,
    ) -> Result<Bytes, CallError> {
        if request.len() > FRAME_BYTES_MAX {
            return Err(CallError::Refused(format!("a request of {} bytes is above the bound", request.len())));
        }
        let Duplex { mut sender, mut receiver } = self.open_stream(node, service, request, deadline).await?;
        sender.finish()?;
        let answer = match timeout_at(deadline, receiver.next()).await {
            Ok(answer) => answer.map_err(CallError::after_asking)?,
            Err(_) => return Err(CallError::Unknown(format!("node {} did not answer in time", node.0))),
        };
        let mut answer = answer.ok_or_else(|| CallError::Unknown("the answer is missing".into()))?;
        match answer.first().copied() {
            Some(frame::ANSWERED) => Ok(answer.split_off(1)),
            Some(frame::REFUSED) => Err(CallError::Refused(String::from_utf8_lossy(&answer.split_off(1)).into_owned())),
            _ => Err(CallError::Unknown("the answer has no known status".into())),
        }
    }

    /// Opens a long-lived stream with a peer. That it is open says nothing about whether the peer wants it: a peer that
    /// does not ends it.
    pub async fn open(
        &self,
        node: NodeId,
        service: Service,
        head: Bytes,
        deadline: Instant,
    ) -> Result<Duplex, CallError> {
        self.open_stream(node, service, head, deadline).await
    }

    async fn open_stream(
        &self,
        node: NodeId,
        service: Service,
        first: Bytes,
        deadline: Instant,
    ) -> Result<Duplex, CallError> {
        let shared = match &self.way {
            Way::Quic(shared) => shared,
            Way::Given(port) => return port.open(node, service, first, deadline).await,
        };
        let opening = async {
            let connection = shared.connection(node, service.lane(), deadline).await?;
            let (send, receive) = connection.open_bi().await.map_err(CallError::before_asking)?;
            let mut sender = FrameSender::new(send);
            sender.set_priority(service);
            sender.begin(&[VERSION, service as u8], first).await?;
            Ok(Duplex { sender, receiver: FrameReceiver::new(receive, FRAME_BYTES_MAX) })
        };
        let opened = timeout_at(deadline, opening).await;
        opened.unwrap_or_else(|_| Err(CallError::Unreachable(format!("node {} was not reached in time", node.0))))
    }

    /// How the peers stand, by node.
    pub fn peers(&self) -> Vec<PeerStatus> {
        match &self.way {
            Way::Quic(shared) => shared.table.lock().status(),
            Way::Given(port) => port.peers(),
        }
    }

    /// What QUIC keeps.
    #[cfg(test)]
    fn quic(&self) -> &Arc<Shared> {
        match &self.way {
            Way::Quic(shared) => shared,
            Way::Given(_) => panic!("this test is about QUIC"),
        }
    }

    /// Closes every connection and the port. What peers were asking is dropped.
    pub async fn shutdown(&self) {
        let shared = match &self.way {
            Way::Quic(shared) => shared,
            Way::Given(port) => return port.shutdown().await,
        };
        shared.stopping.cancel();
        shared.table.lock().set(BTreeMap::new());
        shared.endpoint.close(Code::Stopping.number(), b"the node is stopping");
        shared.tasks.close();
        shared.tasks.wait().await;
        // Peers that are gone never hear the farewell.
        let _ = timeout(FAREWELL_TIMEOUT, shared.endpoint.wait_idle()).await;
    }
}

impl Shared {
    async fn connection(
        self: &Arc<Self>,
        node: NodeId,
        lane: Lane,
        deadline: Instant,
    ) -> Result<Connection, CallError> {
        let outgoing = self.table.lock().outgoing(node);
        let outgoing = outgoing.ok_or_else(|| CallError::Unreachable(format!("node {} is no known peer", node.0)))?;
        outgoing.connection(self, lane, deadline).await
    }

    /// Makes sure that a connection with this process of a node leaves no other one of it connected; an error when
    /// another one is alive.
    async fn know_process(&self, node: NodeId, instance: Instance) -> Result<(), String> {
        let rivals = self.table.lock().rivals(node, instance);
        self.outlive(node, &rivals).await
    }

    /// Closes the connections of a process that has ended; an error when it has not.
    async fn outlive(&self, node: NodeId, rivals: &[Connection]) -> Result<(), String> {
        if twin::is_alive(rivals).await {
            return Err(twin::refusal(node));
        }
        rivals
            .iter()
            .for_each(|rival| rival.close(Code::Replaced.number(), b"a newer process of this node took its place"));
        Ok(())
    }

    /// Runs a task until it ends or the transport stops.
    fn spawn(self: Arc<Self>, task: impl Future<Output = ()> + Send + 'static) {
        let stopping = self.stopping.clone();
        let running = async move {
            tokio::select! {
                biased;
                () = stopping.cancelled() => {}
                () = task => {}
            }
        };
        runtime::spawn(self.tasks.track_future(running));
    }
}

/// Keeps the certificate good. The next connections show the new one; those that stand go on.
async fn renew(authority: Arc<Authority>) {
    loop {
        crate::runtime::sleep(CERTIFICATE_CHECK_INTERVAL).await;
        let authority = authority.clone();
        match crate::runtime::blocking(move || authority.renew_if_due(SystemTime::now())).await {
            Ok(Ok(true)) => tracing::info!("the node's cluster certificate was renewed"),
            Ok(Ok(false)) => {}
            Ok(Err(error)) => tracing::error!(%error, "the node's cluster certificate cannot be renewed"),
            Err(error) => tracing::error!(%error, "renewing the node's cluster certificate was cut short"),
        }
    }
}
