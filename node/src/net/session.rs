//! What a protocol driver is given and what it gives back: the seam between sockets and protocols.

use super::{Connection, TlsInfo, Traffic};
use futures::future::BoxFuture;
use std::fmt;
use std::net::SocketAddr;
use tokio_util::sync::CancellationToken;

/// A protocol spoken on a listener. One value serves every session of that listener.
pub trait Protocol: Send + Sync + 'static {
    /// The name in logs and metrics, such as `smtp` or `imap`.
    fn name(&self) -> &'static str;

    /// The complete line (with CRLF) that tells a client of a full node to come back later.
    fn busy_line(&self) -> &'static str;

    /// The complete line that sends a client to another node, when this one is draining.
    fn closed_line(&self) -> &'static str {
        self.busy_line()
    }

    /// Talks to one client until the end of the session. Runs in a task of its own; a panic ends this session only.
    /// Under implicit TLS the handshake is already done. Must end soon after `session.stop` is cancelled, having told
    /// the client in the protocol's words.
    fn serve(&self, connection: Connection, session: SessionContext) -> BoxFuture<'static, SessionSummary>;
}

/// Names a session in logs: unique in this run of the node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionId(pub u64);

impl fmt::Display for SessionId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:x}", self.0)
    }
}

/// What a driver gets beside its connection.
#[derive(Clone)]
pub struct SessionContext {
    /// For log lines.
    pub id: SessionId,
    /// Who connected.
    pub peer: SocketAddr,
    /// Cancelled when the node stops: say goodbye (421, BYE) and end.
    pub stop: CancellationToken,
}

/// How a session went: becomes its one log line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SessionSummary {
    /// Who logged in.
    pub user: Option<String>,
    /// TLS at the end of the session.
    pub tls: Option<TlsInfo>,
    /// Bytes in both directions.
    pub traffic: Traffic,
    /// Commands taken.
    pub commands: u64,
    /// Messages accepted or appended.
    pub messages: u64,
    /// How it ended.
    pub end: SessionEnd,
}

/// How a session ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum SessionEnd {
    /// The client said goodbye.
    Quit,
    /// The client went away without a word.
    #[default]
    Closed,
    /// The client was silent for too long.
    TimedOut,
    /// The node is stopping.
    Stopped,
    /// The server gave up on the client: too many errors, a failed handshake, a broken rule.
    Refused(&'static str),
    /// The connection broke.
    Broken(String),
    /// The driver panicked; the node goes on.
    Panicked(String),
}

impl fmt::Display for SessionEnd {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SessionEnd::Quit => out.write_str("quit"),
            SessionEnd::Closed => out.write_str("closed"),
            SessionEnd::TimedOut => out.write_str("timed out"),
            SessionEnd::Stopped => out.write_str("node stops"),
            SessionEnd::Refused(reason) => write!(out, "refused: {reason}"),
            SessionEnd::Broken(reason) => write!(out, "broken: {reason}"),
            SessionEnd::Panicked(reason) => write!(out, "panicked: {reason}"),
        }
    }
}
