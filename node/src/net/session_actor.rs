//! The actor of one connection: supervises the driver task that owns the socket, and writes the session's log line.
//! No bytes of a session pass through actor messages.

use super::listener::{Security, turn_away};
use super::{Connection, Origin, Permit, Protocol, SessionContext, SessionEnd, SessionId, SessionSummary, proxy};
use crate::metrics::Metrics;
use crate::tls::Tls;
use futures::FutureExt;
use ractor::{Actor, ActorProcessingErr, ActorRef, SupervisionEvent};
use std::any::Any;
use std::io;
use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Instant;
use tokio::net::TcpStream;
use tokio_util::task::AbortOnDropHandle;

/// See the module.
pub struct SessionActor;

/// What a session starts from.
pub struct SessionStart {
    /// The accepted socket.
    pub stream: TcpStream,
    /// Its right to exist.
    pub permit: Permit,
    /// Whether the peer is a balancer: it must say first for whom it speaks.
    pub relayed: bool,
    /// What is spoken on it.
    pub protocol: Arc<dyn Protocol>,
    /// Whether a handshake comes first.
    pub security: Security,
    /// For the handshake.
    pub tls: Tls,
    /// Counts sessions.
    pub metrics: Arc<Metrics>,
    /// Handed to the driver.
    pub context: SessionContext,
}

/// What the driver task tells.
pub enum SessionMessage {
    /// It ended.
    Ended(Box<Ended>),
}

/// A session at its end.
pub struct Ended {
    /// Who it was with: the client, also behind a balancer.
    peer: SocketAddr,
    /// A balancer looked whether the node lives; of no interest in the log.
    is_check: bool,
    summary: SessionSummary,
}

/// What the actor remembers.
pub struct SessionState {
    protocol: &'static str,
    id: SessionId,
    started: Instant,
    metrics: Arc<Metrics>,
    /// Dropping it ends the driver, so a killed actor leaves no task behind.
    _driver: AbortOnDropHandle<()>,
    _permit: Arc<Permit>,
}

impl Actor for SessionActor {
    type Msg = SessionMessage;
    type State = SessionState;
    type Arguments = SessionStart;

    async fn pre_start(
        &self,
        myself: ActorRef<SessionMessage>,
        start: SessionStart,
    ) -> Result<SessionState, ActorProcessingErr> {
        let (protocol, id, metrics) = (start.protocol.name(), start.context.id, Arc::clone(&start.metrics));
        let permit = Arc::new(start.permit);
        let opening = Opening {
            stream: start.stream,
            relayed: start.relayed,
            permit: Arc::clone(&permit),
            protocol: start.protocol,
            security: start.security,
            tls: start.tls,
            context: start.context,
        };
        let driver = tokio::spawn(async move {
            let mut ended = Ended { peer: opening.context.peer, is_check: false, summary: SessionSummary::default() };
            let session = AssertUnwindSafe(opening.drive(&mut ended));
            let summary = session.catch_unwind().await.unwrap_or_else(panicked);
            ended.summary = summary;
            // Fails only when the actor is already gone, and then nobody is left to tell.
            let _ = myself.cast(SessionMessage::Ended(Box::new(ended)));
        });
        let driver = AbortOnDropHandle::new(driver);
        let started = Instant::now();
        Ok(SessionState { protocol, id, started, metrics, _driver: driver, _permit: permit })
    }

    async fn handle(
        &self,
        myself: ActorRef<SessionMessage>,
        SessionMessage::Ended(ended): SessionMessage,
        state: &mut SessionState,
    ) -> Result<(), ActorProcessingErr> {
        log(state, &ended);
        count(&state.metrics, &ended.summary);
        myself.stop(None);
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        _: ActorRef<SessionMessage>,
        _: SupervisionEvent,
        _: &mut SessionState,
    ) -> Result<(), ActorProcessingErr> {
        Ok(())
    }
}

/// What the driver task starts from.
struct Opening {
    stream: TcpStream,
    relayed: bool,
    permit: Arc<Permit>,
    protocol: Arc<dyn Protocol>,
    security: Security,
    tls: Tls,
    context: SessionContext,
}

impl Opening {
    /// Learns who the client is, makes the handshake if one comes first, and lets the protocol talk.
    async fn drive(self, ended: &mut Ended) -> SessionSummary {
        let stop = self.context.stop.clone();
        let opened = tokio::select! {
            () = stop.cancelled() => Err(SessionEnd::Stopped),
            opened = self.open(ended) => opened,
        };
        match opened {
            Ok((protocol, connection, context)) => protocol.serve(connection, context).await,
            Err(end) => SessionSummary { end, ..SessionSummary::default() },
        }
    }

    async fn open(self, ended: &mut Ended) -> Result<(Arc<dyn Protocol>, Connection, SessionContext), SessionEnd> {
        let broken = |error: io::Error| SessionEnd::Broken(error.to_string());
        let Opening { stream, relayed, permit, protocol, security, tls, context } = self;
        let connection = if relayed {
            let origin = proxy::read_header(&stream).await.map_err(broken)?;
            ended.is_check = origin == Origin::Balancer;
            if let Origin::Client { source, .. } = origin {
                ended.peer = source;
                if let Err(reason) = permit.count(source.ip()) {
                    turn_away(&stream, security, &*protocol, reason);
                    return Err(SessionEnd::Refused("too many sessions of this address"));
                }
            }
            Connection::accept_relayed(stream, origin)
        } else {
            Connection::accept(stream)
        };
        let mut connection = connection.map_err(broken)?;
        if security == Security::Implicit {
            connection = connection.start_tls(&tls).await.map_err(broken)?;
        }
        Ok((protocol, connection, SessionContext { peer: ended.peer, ..context }))
    }
}

fn panicked(payload: Box<dyn Any + Send>) -> SessionSummary {
    let text = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| payload.downcast_ref::<String>().cloned());
    let end = SessionEnd::Panicked(text.unwrap_or_else(|| "no message".to_owned()));
    SessionSummary { end, ..SessionSummary::default() }
}

fn count(metrics: &Metrics, summary: &SessionSummary) {
    metrics.sessions.increment();
    metrics.session_messages.add(summary.messages);
    metrics.session_bytes_in.add(summary.traffic.bytes_in);
    metrics.session_bytes_out.add(summary.traffic.bytes_out);
    if matches!(summary.end, SessionEnd::Panicked(_)) {
        metrics.sessions_panicked.increment();
    }
}

/// The one line per session.
fn log(state: &SessionState, Ended { peer, is_check, summary }: &Ended) {
    let tls = summary.tls.map_or("", |tls| tls.version);
    let user = summary.user.as_deref().unwrap_or("");
    let duration_ms = u64::try_from(state.started.elapsed().as_millis()).unwrap_or(u64::MAX);
    let (bytes_in, bytes_out) = (summary.traffic.bytes_in, summary.traffic.bytes_out);
    let (commands, messages, end) = (summary.commands, summary.messages, &summary.end);
    let (protocol, session) = (state.protocol, state.id);
    if matches!(end, SessionEnd::Panicked(_)) {
        tracing::error!(protocol, %session, %peer, %end, "session");
    } else if *is_check {
        tracing::debug!(protocol, %session, %peer, commands, duration_ms, %end, "a balancer's check");
    } else {
        tracing::info!(
            protocol, %session, %peer, user, tls, bytes_in, bytes_out, commands, messages, duration_ms, %end, "session"
        );
    }
}
