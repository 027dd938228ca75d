//! What can go wrong between nodes, in words that say whether a request may have been carried out (I8).

use quinn::{ConnectionError, ReadError, VarInt, WriteError};
use std::io;
use std::net::SocketAddr;

/// Why a call has no answer, or a stream ended.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// It was certainly not carried out.
    #[error("unreachable: {0}")]
    Unreachable(String),
    /// It may or may not have been carried out.
    #[error("no answer: {0}")]
    Unknown(String),
    /// The peer says no.
    #[error("refused: {0}")]
    Refused(String),
}

/// Why the cluster port cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum TransportError {
    /// The address is taken or not ours.
    #[error("cluster port {address}: {error}")]
    Bind {
        /// Which.
        address: SocketAddr,
        /// Why.
        error: io::Error,
    },
    /// The keys do not make a TLS configuration.
    #[error("cluster TLS: {0}")]
    Tls(String),
}

/// Why a node that wants to join got no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JoinError {
    /// The address cannot be resolved.
    #[error("{0}")]
    Address(String),
    /// Nobody of a cluster answers there. Nothing was asked.
    #[error("cannot reach the cluster: {0}")]
    Unreachable(String),
    /// Whoever answers there is of another cluster than the token. Nothing was asked.
    #[error("the node that answers belongs to another cluster than the token")]
    OtherCluster,
    /// The cluster says no.
    #[error("{0}")]
    Refused(String),
    /// The request was sent and the answer lost: ask again with the same token.
    #[error("the cluster did not answer: {0}")]
    Unknown(String),
}

/// Why a connection or a stream was ended by the other side. Numbers are on the wire and never change meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// It is over.
    Done = 0,
    /// The node is stopping.
    Stopping = 1,
    /// The node does not know whoever connected as a member.
    NotAdmitted = 2,
    /// The directory no longer lists the peer as it was.
    Removed = 3,
    /// A newer connection of the same peer took its place.
    Replaced = 4,
    /// A stream was given up before its end.
    Abandoned = 5,
    /// A stream does not begin as it should: another version, or an unknown service.
    BadHead = 6,
    /// A frame is larger than its bound, or cut short.
    BadFrame = 7,
    /// Too many are asking at a time.
    Busy = 8,
    /// Another process of the same node is connected and answers.
    Twin = 9,
}

impl Code {
    pub(super) fn number(self) -> VarInt {
        VarInt::from_u32(self as u32)
    }

    fn meaning(number: VarInt) -> String {
        let meaning = match number.into_inner() {
            5 => "the stream was given up",
            6 => "the other node does not speak this version or service",
            7 => "the other node takes no such frame",
            8 => "the other node is busy",
            other => return format!("the stream was ended (code {other})"),
        };
        meaning.into()
    }
}

/// A connection's end in words.
pub(super) fn tell(error: &ConnectionError) -> String {
    match error {
        ConnectionError::ApplicationClosed(close) => String::from_utf8_lossy(&close.reason).into_owned(),
        ConnectionError::TimedOut => "nothing was heard for too long".into(),
        ConnectionError::Reset => "the other node was started again".into(),
        ConnectionError::LocallyClosed => "the connection was closed here".into(),
        other => other.to_string(),
    }
}

impl CallError {
    pub(super) fn before_asking(error: ConnectionError) -> Self {
        CallError::Unreachable(tell(&error))
    }

    /// What an error of a stream means once the whole request was handed over.
    pub(super) fn after_asking(error: CallError) -> Self {
        match error {
            CallError::Unreachable(reason) => CallError::Unknown(reason),
            other => other,
        }
    }

    /// A frame that was not handed over whole was not carried out.
    pub(super) fn of_write(error: WriteError) -> Self {
        match error {
            WriteError::Stopped(code) => CallError::Refused(Code::meaning(code)),
            WriteError::ConnectionLost(error) => CallError::Unreachable(tell(&error)),
            other => CallError::Unreachable(other.to_string()),
        }
    }

    pub(super) fn of_read(error: ReadError) -> Self {
        match error {
            ReadError::Reset(code) if code == Code::BadHead.number() || code == Code::BadFrame.number() => {
                CallError::Refused(Code::meaning(code))
            }
            ReadError::Reset(code) => CallError::Unknown(Code::meaning(code)),
            ReadError::ConnectionLost(error) => CallError::Unknown(tell(&error)),
            other => CallError::Unknown(other.to_string()),
        }
    }
}
