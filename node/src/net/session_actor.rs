//! The actor of one connection: supervises the driver task that owns the socket, and writes the session's log line.
//! No bytes of a session pass through actor messages.

use super::listener::Security;
use super::{Connection, Permit, Protocol, SessionContext, SessionEnd, SessionSummary};
use crate::metrics::Metrics;
use crate::tls::Tls;
use futures::FutureExt;
use ractor::{Actor, ActorProcessingErr, ActorRef, SupervisionEvent};
use std::any::Any;
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
    Ended(Box<SessionSummary>),
}

/// What the actor remembers.
pub struct SessionState {
    protocol: &'static str,
    context: SessionContext,
    started: Instant,
    metrics: Arc<Metrics>,
    /// Dropping it ends the driver, so a killed actor leaves no task behind.
    _driver: AbortOnDropHandle<()>,
    _permit: Permit,
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
        let SessionStart { stream, permit, protocol, security, tls, metrics, context } = start;
        let (name, driver_context) = (protocol.name(), context.clone());
        let driver = tokio::spawn(async move {
            let session = AssertUnwindSafe(drive(stream, protocol, security, tls, driver_context));
            let summary = session.catch_unwind().await.unwrap_or_else(panicked);
            // Fails only when the actor is already gone, and then nobody is left to tell.
            let _ = myself.cast(SessionMessage::Ended(Box::new(summary)));
        });
        let driver = AbortOnDropHandle::new(driver);
        let started = Instant::now();
        Ok(SessionState { protocol: name, context, started, metrics, _driver: driver, _permit: permit })
    }

    async fn handle(
        &self,
        myself: ActorRef<SessionMessage>,
        SessionMessage::Ended(summary): SessionMessage,
        state: &mut SessionState,
    ) -> Result<(), ActorProcessingErr> {
        log(state, &summary);
        count(&state.metrics, &summary);
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

async fn drive(
    stream: TcpStream,
    protocol: Arc<dyn Protocol>,
    security: Security,
    tls: Tls,
    context: SessionContext,
) -> SessionSummary {
    let broken = |error: std::io::Error| SessionSummary {
        end: SessionEnd::Broken(error.to_string()),
        ..SessionSummary::default()
    };
    let connection = match Connection::accept(stream) {
        Ok(connection) => connection,
        Err(error) => return broken(error),
    };
    let connection = match security {
        Security::Plain | Security::StartTls => connection,
        Security::Implicit => {
            let handshake = tokio::select! {
                () = context.stop.cancelled() => Err(std::io::Error::other("node stops")),
                result = connection.start_tls(&tls) => result,
            };
            match handshake {
                Ok(connection) => connection,
                Err(error) => return broken(error),
            }
        }
    };
    protocol.serve(connection, context).await
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
fn log(state: &SessionState, summary: &SessionSummary) {
    let tls = summary.tls.map_or("", |tls| tls.version);
    let user = summary.user.as_deref().unwrap_or("");
    let duration_ms = u64::try_from(state.started.elapsed().as_millis()).unwrap_or(u64::MAX);
    let (bytes_in, bytes_out) = (summary.traffic.bytes_in, summary.traffic.bytes_out);
    let (commands, messages, end) = (summary.commands, summary.messages, &summary.end);
    let (protocol, session, peer) = (state.protocol, state.context.id, state.context.peer);
    if matches!(end, SessionEnd::Panicked(_)) {
        tracing::error!(protocol, %session, %peer, %end, "session");
    } else {
        tracing::info!(
            protocol, %session, %peer, user, tls, bytes_in, bytes_out, commands, messages, duration_ms, %end, "session"
        );
    }
}
