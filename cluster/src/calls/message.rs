//! What nodes ask each other about a group, as `model::codec` values.

use crate::error::{ProposeError, ReadError};
use crate::transport::CallError;
use bytes::Bytes;
use model::{Change, GroupId, NodeId, Reply};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::time::Duration;

/// Propose this for me.
#[derive(Debug, Serialize, Deserialize)]
pub struct Propose {
    /// To this group.
    pub group: GroupId,
    /// How long to wait for the outcome.
    pub patience_ms: u32,
    /// The entry as its proposer encoded it.
    pub entry: Bytes,
}

/// What became of a [`Propose`].
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub enum Proposed {
    /// It is committed and applied.
    Done {
        /// The index of an entry at which a replica shows it.
        index: u64,
        /// What applying it answered.
        reply: Reply,
    },
    /// Nothing was proposed: another node leads.
    NotLeader(Option<NodeId>),
    /// Nothing was proposed.
    Unavailable,
    /// It may have been proposed.
    Unknown,
    /// Nothing was proposed: too many bytes.
    TooLarge(u64),
}

/// How far must a replica have applied to show all that was acknowledged before this question?
#[derive(Debug, Serialize, Deserialize)]
pub struct ReadIndex {
    /// In this group.
    pub group: GroupId,
}

/// The answer to a [`ReadIndex`].
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub enum Indexed {
    /// This far.
    At(u64),
    /// Another node leads.
    NotLeader(Option<NodeId>),
    /// Nobody can tell now.
    Unavailable,
}

/// Keep the rows of a group open for me; the head of a stream.
#[derive(Debug, Serialize, Deserialize)]
pub struct ViewHead {
    /// Of this group.
    pub group: GroupId,
}

/// A look at rows that are kept open.
#[derive(Debug, Serialize, Deserialize)]
pub enum ViewAsk {
    /// One row.
    Get(Bytes),
    /// The first rows of a range.
    Scan {
        /// The first key.
        start: Bytes,
        /// The key after the last.
        end: Bytes,
    },
}

/// What rows that are kept open show.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub enum ViewAnswer {
    /// They are open.
    Open,
    /// One row, or none.
    Row(Option<Bytes>),
    /// Rows of a range, in order.
    Rows {
        /// Keys and values.
        rows: Vec<(Bytes, Bytes)>,
        /// Whether the range may have more behind them.
        more: bool,
    },
    /// They cannot be opened or read, and why.
    Failed(String),
}

/// Tell me what changes in a group; the head of a stream.
#[derive(Debug, Serialize, Deserialize)]
pub struct WatchHead {
    /// In this group.
    pub group: GroupId,
}

/// What a watcher hears.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub enum Noticed {
    /// This changed.
    Changed(Change),
    /// Anything may have changed.
    Lagged,
}

impl From<Result<(Reply, u64), ProposeError>> for Proposed {
    fn from(proposed: Result<(Reply, u64), ProposeError>) -> Self {
        match proposed {
            Ok((reply, index)) => Proposed::Done { index, reply },
            Err(ProposeError::NotLeader { hint }) => Proposed::NotLeader(hint),
            Err(ProposeError::Unknown) => Proposed::Unknown,
            Err(ProposeError::TooLarge { bytes }) => Proposed::TooLarge(bytes as u64),
            Err(ProposeError::Unavailable | ProposeError::Stopped) => Proposed::Unavailable,
        }
    }
}

impl From<Proposed> for Result<(Reply, u64), ProposeError> {
    fn from(proposed: Proposed) -> Self {
        match proposed {
            Proposed::Done { index, reply } => Ok((reply, index)),
            Proposed::NotLeader(hint) => Err(ProposeError::NotLeader { hint }),
            Proposed::Unavailable => Err(ProposeError::Unavailable),
            Proposed::Unknown => Err(ProposeError::Unknown),
            Proposed::TooLarge(bytes) => {
                Err(ProposeError::TooLarge { bytes: usize::try_from(bytes).unwrap_or(usize::MAX) })
            }
        }
    }
}

impl From<Result<u64, ReadError>> for Indexed {
    fn from(index: Result<u64, ReadError>) -> Self {
        match index {
            Ok(index) => Indexed::At(index),
            Err(ReadError::NotLeader { hint }) => Indexed::NotLeader(hint),
            Err(_) => Indexed::Unavailable,
        }
    }
}

impl From<Indexed> for Result<u64, ReadError> {
    fn from(indexed: Indexed) -> Self {
        match indexed {
            Indexed::At(index) => Ok(index),
            Indexed::NotLeader(hint) => Err(ReadError::NotLeader { hint }),
            Indexed::Unavailable => Err(ReadError::Unavailable),
        }
    }
}

/// What a call that brought no answer means for a proposal.
pub fn not_proposed(error: &CallError) -> ProposeError {
    match error {
        CallError::Unreachable(_) | CallError::Refused(_) => ProposeError::Unavailable,
        CallError::Unknown(_) => ProposeError::Unknown,
    }
}

/// Encodes a message.
pub fn encode<T: Serialize>(message: &T) -> Bytes {
    model::codec::encode(message).into()
}

/// Decodes what [`encode`] gave.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, String> {
    model::codec::decode(bytes).map_err(|error| error.to_string())
}

/// A patience in milliseconds, as messages carry it.
pub fn millis(patience: Duration) -> u32 {
    u32::try_from(patience.as_millis()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outcomes_keep_their_meaning_on_the_way() {
        let hint = Some(NodeId(3));
        for outcome in [
            Ok((Reply::Done, 7)),
            Err(ProposeError::NotLeader { hint }),
            Err(ProposeError::Unavailable),
            Err(ProposeError::Unknown),
            Err(ProposeError::TooLarge { bytes: 9 }),
        ] {
            let there: Proposed = decode(&encode(&Proposed::from(outcome.clone()))).unwrap();
            assert_eq!(Result::from(there), outcome);
        }
        for outcome in [Ok(7), Err(ReadError::NotLeader { hint }), Err(ReadError::Unavailable)] {
            let there: Indexed = decode(&encode(&Indexed::from(outcome.clone()))).unwrap();
            assert_eq!(Result::from(there), outcome);
        }
        // A node that stops has not proposed; another may.
        assert_eq!(Proposed::from(Err(ProposeError::Stopped)), Proposed::Unavailable);
    }
}
