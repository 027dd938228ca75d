//! The actor of one listening socket: an accept task takes permits and hands sockets to it, it starts session actors.
//! Sessions that fail are reported and change nothing else; an accept task that fails is started again after a pause,
//! and the sessions go on.

use super::session_actor::{SessionActor, SessionStart};
use super::{Balancers, BoundListener, Gate, Permit, Permits, Protocol, Refused, SessionContext, SessionId};
use crate::limits::ACCEPT_FAILURE_PAUSE;
use crate::metrics::Metrics;
use crate::tls::Tls;
use futures::FutureExt;
use ractor::{Actor, ActorProcessingErr, ActorRef, SupervisionEvent};
use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

/// A protocol and where it is to be spoken.
#[derive(Clone)]
pub struct ListenerSpec {
    /// The name in the table of listeners, such as `submissions`.
    pub name: &'static str,
    /// Addresses to bind.
    pub addresses: Vec<SocketAddr>,
    /// How it is protected.
    pub security: Security,
    /// What is spoken.
    pub protocol: Arc<dyn Protocol>,
    /// Peers that speak for others and say for whom.
    pub balancers: Balancers,
}

/// How connections of a listener are protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Security {
    /// Not at all.
    Plain,
    /// Plain at first; the protocol can upgrade.
    StartTls,
    /// TLS from the first byte (RFC 8314).
    Implicit,
}

/// See the module.
pub struct ListenerActor;

/// What a listener starts from; kept by the supervisor to start it again.
#[derive(Clone)]
pub struct ListenerStart {
    /// What and how.
    pub spec: ListenerSpec,
    /// The bound socket.
    pub bound: BoundListener,
    /// Shared with all listeners.
    pub permits: Permits,
    /// For handshakes.
    pub tls: Tls,
    /// Counts sessions.
    pub metrics: Arc<Metrics>,
    /// Whether sessions are taken.
    pub gate: Gate,
    /// The next session's number, shared with all listeners.
    pub next_session: Arc<AtomicU64>,
}

/// The right to be a session.
pub struct Admission {
    permit: Permit,
    /// Cancelled when the session is to end.
    stop: CancellationToken,
}

/// What the accept task tells.
pub enum ListenerMessage {
    /// A connection with the right to exist.
    Accepted(TcpStream, SocketAddr, Admission),
    /// The accept task ended although the node is not stopping.
    AcceptFailed,
    /// The pause after that is over.
    AcceptAgain,
}

/// What the actor remembers.
pub struct ListenerState {
    start: ListenerStart,
    /// Dropping it stops accepting.
    accepting: AbortOnDropHandle<()>,
}

impl Actor for ListenerActor {
    type Msg = ListenerMessage;
    type State = ListenerState;
    type Arguments = ListenerStart;

    async fn pre_start(
        &self,
        myself: ActorRef<ListenerMessage>,
        start: ListenerStart,
    ) -> Result<ListenerState, ActorProcessingErr> {
        let accepting = accept_in_task(&myself, &start);
        Ok(ListenerState { start, accepting })
    }

    async fn handle(
        &self,
        myself: ActorRef<ListenerMessage>,
        message: ListenerMessage,
        state: &mut ListenerState,
    ) -> Result<(), ActorProcessingErr> {
        let (stream, peer, Admission { permit, stop }) = match message {
            ListenerMessage::Accepted(stream, peer, admission) => (stream, peer, admission),
            ListenerMessage::AcceptFailed => {
                tracing::error!(listener = state.start.spec.name, "the accept task failed and is started again");
                // The timer lives no longer than this actor: a message to a stopped one goes nowhere.
                drop(myself.send_after(ACCEPT_FAILURE_PAUSE, || ListenerMessage::AcceptAgain));
                return Ok(());
            }
            ListenerMessage::AcceptAgain => {
                state.accepting = accept_in_task(&myself, &state.start);
                return Ok(());
            }
        };
        let start = &state.start;
        let id = SessionId(start.next_session.fetch_add(1, Ordering::Relaxed));
        let session = SessionStart {
            stream,
            permit,
            relayed: start.spec.balancers.contains(peer.ip()),
            protocol: Arc::clone(&start.spec.protocol),
            security: start.spec.security,
            tls: start.tls.clone(),
            metrics: Arc::clone(&start.metrics),
            context: SessionContext { id, peer, stop },
        };
        if let Err(error) = SessionActor::spawn_linked(None, SessionActor, session, myself.get_cell()).await {
            tracing::error!(listener = start.spec.name, %error, "a session could not be started");
        }
        Ok(())
    }

    /// One for one: a session that ends or fails concerns nobody else.
    async fn handle_supervisor_evt(
        &self,
        _: ActorRef<ListenerMessage>,
        event: SupervisionEvent,
        state: &mut ListenerState,
    ) -> Result<(), ActorProcessingErr> {
        if let SupervisionEvent::ActorFailed(_, error) = event {
            tracing::error!(listener = state.start.spec.name, %error, "a session actor failed");
        }
        Ok(())
    }
}

/// Accepts in a task of its own, since a handler must not wait; a panic there is told to the actor.
fn accept_in_task(listener: &ActorRef<ListenerMessage>, start: &ListenerStart) -> AbortOnDropHandle<()> {
    let (listener, start) = (listener.clone(), start.clone());
    AbortOnDropHandle::new(tokio::spawn(async move {
        let accepting = AssertUnwindSafe(accept_loop(listener.clone(), start));
        if accepting.catch_unwind().await.is_err() {
            // Fails only when the actor is gone.
            let _ = listener.cast(ListenerMessage::AcceptFailed);
        }
    }))
}

async fn accept_loop(listener: ActorRef<ListenerMessage>, start: ListenerStart) {
    loop {
        let accepted = tokio::select! {
            () = start.gate.stop().cancelled() => return,
            accepted = start.bound.socket.accept() => accepted,
        };
        let (stream, peer) = match accepted {
            Ok((stream, peer)) => (stream, SocketAddr::new(peer.ip().to_canonical(), peer.port())),
            Err(error) => {
                tracing::warn!(listener = start.spec.name, %error, "accept failed");
                tokio::time::sleep(ACCEPT_FAILURE_PAUSE).await;
                continue;
            }
        };
        match admit(&start, peer) {
            Ok(admission) => {
                if listener.cast(ListenerMessage::Accepted(stream, peer, admission)).is_err() {
                    return;
                }
            }
            Err(reason) => {
                match reason {
                    // Expected while an operator drains the node.
                    Refused::Closed => tracing::debug!(listener = start.spec.name, %peer, "sent elsewhere"),
                    _ => tracing::warn!(listener = start.spec.name, %peer, ?reason, "connection refused"),
                }
                turn_away(&stream, start.spec.security, &*start.spec.protocol, reason);
            }
        }
    }
}

fn admit(start: &ListenerStart, peer: SocketAddr) -> Result<Admission, Refused> {
    let stop = start.gate.enter().ok_or(Refused::Closed)?;
    let relayed = start.spec.balancers.contains(peer.ip());
    let permit = if relayed { start.permits.take_uncounted() } else { start.permits.take(peer.ip()) };
    Ok(Admission { permit: permit?, stop })
}

/// Says the protocol's word for "come back later" into the fresh socket's empty buffer, never waiting for the peer.
pub(super) fn turn_away(stream: &TcpStream, security: Security, protocol: &dyn Protocol, reason: Refused) {
    if security != Security::Implicit {
        let line = if reason == Refused::Closed { protocol.closed_line() } else { protocol.busy_line() };
        // A peer that cannot even take one line learns it from the closed connection.
        let _ = stream.try_write(line.as_bytes());
    }
}
