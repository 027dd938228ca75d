//! openraft's values as bytes: what the log, the vote and the applied position look like on disk.
//!
//! An entry is a fixed head and, behind it, the proposal exactly as its proposer encoded it, so that appending and
//! replicating never encode again. Everything else goes through `model::codec`, which versions its values.
//!
//! ```text
//! record  = format(1) kind(1) term(8, big endian) replica(8) index(8) payload
//! kind    = 0 blank | 1 proposal: the encoded entry | 2 membership: the encoded membership
//! ```

use crate::raft::types::{LogEntry, LogId, LogPayload, Proposal};
use bytes::{BufMut, Bytes, BytesMut};
use model::{BodyHash, ReadError};
use openraft::vote::RaftLeaderId;
use openraft::{EntryPayload, Membership};
use serde::{Serialize, de::DeserializeOwned};
use std::io;

const FORMAT: u8 = 1;
const HEAD_BYTES: usize = 26;
const KIND_BLANK: u8 = 0;
const KIND_PROPOSAL: u8 = 1;
const KIND_MEMBERSHIP: u8 = 2;

type LeaderId = openraft::alias::LeaderIdOf<crate::raft::types::TypeConfig>;

/// Bytes of the log do not say what they should: a broken disk, or a log of a later version.
#[derive(Debug, thiserror::Error)]
#[error("log record cannot be decoded: {0}")]
pub struct DecodeError(String);

impl DecodeError {
    /// A value inside a record is broken.
    pub fn value(error: ReadError) -> Self {
        DecodeError(error.to_string())
    }
}

impl From<DecodeError> for io::Error {
    fn from(error: DecodeError) -> Self {
        io::Error::new(io::ErrorKind::InvalidData, error)
    }
}

/// Encodes a log entry.
pub fn encode_entry(entry: &LogEntry) -> Bytes {
    let membership;
    let (kind, payload): (u8, &[u8]) = match &entry.payload {
        EntryPayload::Blank => (KIND_BLANK, &[]),
        EntryPayload::Normal(proposal) => (KIND_PROPOSAL, proposal.encoded()),
        EntryPayload::Membership(value) => {
            membership = model::codec::encode(value);
            (KIND_MEMBERSHIP, &membership)
        }
    };
    let mut record = BytesMut::with_capacity(HEAD_BYTES + payload.len());
    record.put_u8(FORMAT);
    record.put_u8(kind);
    record.put_u64(entry.log_id.leader_id.term);
    record.put_u64(entry.log_id.leader_id.node_id);
    record.put_u64(entry.log_id.index);
    record.put_slice(payload);
    record.freeze()
}

/// Decodes what [`encode_entry`] gave; the proposal keeps a slice of `record`.
pub fn decode_entry(record: &Bytes) -> Result<LogEntry, DecodeError> {
    let (kind, log_id) = decode_head(record)?;
    let payload = record.slice(HEAD_BYTES..);
    let payload: LogPayload = match kind {
        KIND_BLANK if payload.is_empty() => EntryPayload::Blank,
        KIND_PROPOSAL => EntryPayload::Normal(Proposal::decode(payload)?),
        KIND_MEMBERSHIP => {
            let value: Membership<_, _> = model::codec::decode(&payload).map_err(DecodeError::value)?;
            EntryPayload::Membership(value)
        }
        _ => return Err(DecodeError(format!("unknown kind {kind}"))),
    };
    Ok(openraft::Entry { log_id, payload })
}

/// Where the entry of `record` stands.
pub fn decode_log_id(record: &[u8]) -> Result<LogId, DecodeError> {
    decode_head(record).map(|(_, log_id)| log_id)
}

fn decode_head(record: &[u8]) -> Result<(u8, LogId), DecodeError> {
    let number = |from: usize| {
        let bytes = record.get(from..from + 8).and_then(|bytes| <[u8; 8]>::try_from(bytes).ok());
        bytes.map(u64::from_be_bytes).ok_or_else(|| DecodeError("cut short".into()))
    };
    let (Some(&FORMAT), Some(&kind)) = (record.first(), record.get(1)) else {
        return Err(DecodeError("unknown format".into()));
    };
    let leader = LeaderId::new(number(2)?, number(10)?);
    Ok((kind, LogId::new(leader.to_committed(), number(18)?)))
}

/// The bodies an entry names that are not inside it: they must be synced with it (C1).
pub fn staged_bodies(entry: &LogEntry) -> Vec<BodyHash> {
    match &entry.payload {
        EntryPayload::Normal(proposal) => {
            let bodies = proposal.entry().command.bodies();
            bodies.iter().filter(|body| body.inline.is_none()).map(|body| body.hash).collect()
        }
        _ => Vec::new(),
    }
}

/// The model's entry inside a log record, for storage to put back what a crash took; `None` for consensus' own entries.
pub fn decode_record(record: &Bytes) -> io::Result<Option<std::sync::Arc<model::Entry>>> {
    Ok(match decode_entry(record)?.payload {
        EntryPayload::Normal(proposal) => Some(proposal.entry().clone()),
        _ => None,
    })
}

/// Encodes a vote, a position or a membership.
pub fn encode<T: Serialize>(value: &T) -> Bytes {
    Bytes::from(model::codec::encode(value))
}

/// Decodes what [`encode`] gave.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, DecodeError> {
    model::codec::decode(bytes).map_err(DecodeError::value)
}
