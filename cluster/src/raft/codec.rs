//! openraft's values as bytes: what the log, the vote and the applied position look like on disk.
//!
//! An entry is a fixed head and, behind it, the proposal exactly as its proposer encoded it, so that appending and
//! replicating never encode again. Everything else goes through `model::codec`, which versions its values.
//!
//! ```text
//! record  = format(1) kind(1) term(8, big endian) replica(8) index(8) payload
//! kind    = 0 blank | 1 proposal: the encoded entry | 2 membership: the encoded membership
//! ```

use crate::raft::types::{LogEntry, LogId, LogPayload, Member, Proposal};
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
        KIND_MEMBERSHIP => EntryPayload::Membership(decode(&payload)?),
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
        EntryPayload::Normal(proposal) => proposal.entry().command.staged_bodies(),
        _ => Vec::new(),
    }
}

/// The model's entry inside a log record, for storage to put back what a crash took; `None` for consensus' own entries.
pub fn decode_record(record: &[u8]) -> io::Result<Option<model::Entry>> {
    let (kind, _) = decode_head(record)?;
    match record.get(HEAD_BYTES..) {
        Some(payload) if kind == KIND_PROPOSAL => {
            let entry = model::codec::decode(payload).map_err(DecodeError::value)?;
            Ok(Some(entry))
        }
        _ => Ok(None),
    }
}

/// The membership in a log record; `None` when it holds something else.
pub fn decode_membership(record: &[u8]) -> Result<Option<Membership<u64, Member>>, DecodeError> {
    let (kind, _) = decode_head(record)?;
    match record.get(HEAD_BYTES..) {
        Some(payload) if kind == KIND_MEMBERSHIP => decode(payload).map(Some),
        _ => Ok(None),
    }
}

/// Encodes a vote, a position or a membership.
pub fn encode<T: Serialize>(value: &T) -> Bytes {
    Bytes::from(model::codec::encode(value))
}

/// Decodes what [`encode`] gave.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, DecodeError> {
    model::codec::decode(bytes).map_err(DecodeError::value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::directory::DirectoryCommand;
    use model::{Command, Entry, NodeId, OperationId};
    use proptest::prelude::*;
    use std::collections::{BTreeMap, BTreeSet};

    fn entries() -> [LogEntry; 3] {
        let log_id = |index| LogId::new(LeaderId::new(3, 7).to_committed(), index);
        let command = DirectoryCommand::SetSetting { name: "n".into(), value: Some("v".into()) };
        let operation = OperationId::new(5, [9; 10]);
        let entry = Entry { operation, proposed_at: 77, command: Command::Directory(command) };
        let member = Member { node: NodeId(1), address: "host:7025".into() };
        let membership = Membership::new(vec![BTreeSet::from([7])], BTreeMap::from([(7, member)])).unwrap();
        [
            LogEntry { log_id: log_id(0), payload: EntryPayload::Membership(membership) },
            LogEntry { log_id: log_id(1), payload: EntryPayload::Blank },
            LogEntry { log_id: log_id(u64::MAX), payload: EntryPayload::Normal(Proposal::new(entry)) },
        ]
    }

    #[test]
    fn entries_survive_and_cut_or_longer_ones_are_refused() {
        for entry in entries() {
            let record = encode_entry(&entry);
            assert_eq!(decode_entry(&record).unwrap(), entry);
            assert_eq!(decode_log_id(&record).unwrap(), entry.log_id);
            assert!((0..record.len()).all(|end| decode_entry(&record.slice(..end)).is_err()));
            assert!(decode_entry(&[&record[..], b"x"].concat().into()).is_err());
        }
    }

    #[test]
    fn storage_gets_back_the_proposers_entry_and_nothing_else() {
        let [membership, blank, proposal] = entries().map(|entry| decode_record(&encode_entry(&entry)).unwrap());
        assert_eq!((membership, blank), (None, None));
        assert_eq!(proposal.unwrap().proposed_at, 77);
    }

    #[test]
    fn the_format_of_the_head_does_not_change() {
        let [_, blank, _] = entries();
        let mut expected = vec![1, 0];
        for number in [3_u64, 7, 1] {
            expected.extend(number.to_be_bytes());
        }
        assert_eq!(encode_entry(&blank), expected);
    }

    proptest! {
        #[test]
        fn any_bytes_are_an_entry_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..200), kind in 0..4u8) {
            let _ = decode_entry(&Bytes::from(bytes.clone()));
            let framed = [&[FORMAT, kind][..], &bytes].concat();
            let _ = decode_entry(&Bytes::from(framed));
        }
    }
}
