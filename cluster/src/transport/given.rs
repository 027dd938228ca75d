//! The way for another network than QUIC, as a simulation gives one: the same calls and streams, and what an error means
//! (I8) stays the same. Who is let in, and what is lost or late, is the network's own.

use crate::runtime::Instant;
use crate::transport::error::{CallError, JoinError};
use crate::transport::frame::{Duplex, FrameReceiver, FrameSender};
use crate::transport::service::Service;
use crate::transport::table::{Peer, PeerStatus};
use crate::transport::{Handler, TransportError};
use bytes::Bytes;
use futures::future::BoxFuture;
use model::NodeId;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

/// Makes a stranger's request from the keying material of its connection.
pub type MakeRequest<'a> = Box<dyn FnOnce([u8; 32]) -> Bytes + Send + 'a>;

/// Carries what nodes say to each other.
pub trait Network: Send + Sync + 'static {
    /// Opens the cluster port of a node, which proves itself with the key of this hash.
    fn bind(
        &self,
        address: SocketAddr,
        node: NodeId,
        key: [u8; 32],
        handler: Arc<dyn Handler>,
    ) -> Result<Arc<dyn Port>, TransportError>;

    /// Asks whoever listens at `address` as a node that is no member.
    fn ask<'a>(
        &'a self,
        address: &'a str,
        request: MakeRequest<'a>,
        deadline: Instant,
    ) -> BoxFuture<'a, Result<Bytes, JoinError>>;
}

/// The cluster port of one node.
pub trait Port: Send + Sync + 'static {
    /// Where it is.
    fn local_address(&self) -> SocketAddr;

    /// Says who the peers are: whom to reach and whom to let in. The node itself is not among them.
    fn set_peers(&self, peers: BTreeMap<NodeId, Peer>);

    /// How the peers stand, by node.
    fn peers(&self) -> Vec<PeerStatus>;

    /// Opens a stream for `service` with a first frame.
    fn open(
        &self,
        node: NodeId,
        service: Service,
        first: Bytes,
        deadline: Instant,
    ) -> BoxFuture<'_, Result<Duplex, CallError>>;

    /// Closes everything.
    fn shutdown(&self) -> BoxFuture<'_, ()>;
}

/// The sending end of a stream. When it is dropped before [`Self::finish`], the peer is told that it was given up.
pub trait FrameSink: Send + Sync {
    /// Sends a frame.
    fn send(&mut self, frame: Bytes) -> BoxFuture<'_, Result<(), CallError>>;

    /// Says that no frame follows.
    fn finish(&mut self) -> Result<(), CallError>;

    /// Waits until the peer no longer wants what is sent, or cannot be reached any more.
    fn stopped(&self) -> BoxFuture<'_, ()>;
}

/// The receiving end of a stream.
pub trait FrameSource: Send + Sync {
    /// The next frame; `None` when the peer has finished. Cancel-safe.
    fn next(&mut self) -> BoxFuture<'_, Result<Option<Bytes>, CallError>>;
}

impl Duplex {
    /// A stream of another network.
    pub fn given(sink: Box<dyn FrameSink>, source: Box<dyn FrameSource>) -> Self {
        Duplex { sender: FrameSender::given(sink), receiver: FrameReceiver::given(source) }
    }
}

/// Carries out a stream that has come in on another network: reads its first frame and hands it to `handler`.
pub async fn serve(handler: &dyn Handler, from: NodeId, service: Service, mut duplex: Duplex) {
    let Ok(Some(first)) = duplex.receiver.next().await else { return };
    if service.is_stream() {
        return handler.stream(from, service, first, duplex).await;
    }
    let answer = handler.call(from, service, first).await;
    // Whoever asked may be gone.
    let _ = duplex.sender.answer(answer).await;
}
