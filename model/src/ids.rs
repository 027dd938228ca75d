//! Identifiers and instants. Plain numbers with a name each, so that one cannot stand for another.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Milliseconds since 1970-01-01T00:00:00 UTC, always stamped by a proposer.
pub type UnixMillis = u64;
/// An IMAP unique identifier within a folder; 0 is never used (RFC 9051 section 2.3.1.1).
pub type Uid = u32;
/// A folder's modification sequence (RFC 7162 section 3.1).
pub type ModSeq = u64;

/// A Raft group: 0 is the directory, 1 and up are shards.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct GroupId(pub u32);

impl GroupId {
    /// The group that holds nodes, domains, accounts, aliases and placement.
    pub const DIRECTORY: GroupId = GroupId(0);

    /// The shard groups of a cluster, in order.
    pub fn shards() -> impl Iterator<Item = GroupId> {
        (1..=crate::limits::SHARDS).map(GroupId)
    }

    /// Whether this is the directory group.
    pub fn is_directory(self) -> bool {
        self == Self::DIRECTORY
    }
}

impl fmt::Display for GroupId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_directory() { out.write_str("directory") } else { write!(out, "shard {}", self.0) }
    }
}

/// A machine in the cluster; never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct NodeId(pub u64);

/// An account; given by the directory, never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct AccountId(pub u64);

/// A folder within one account; never reused within that account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct FolderId(pub u64);

/// Names one proposal so that a retry is recognised (I8): 6 bytes of time (ms, big endian), 10 random bytes.
///
/// The time in front makes old ones a prefix of the key space, so forgetting them is a short scan.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct OperationId(pub [u8; 16]);

impl OperationId {
    /// Builds an id from a time and random bytes chosen by the proposer.
    pub fn new(at: UnixMillis, random: [u8; 10]) -> Self {
        let mut bytes = [0; 16];
        bytes[..6].copy_from_slice(&at.to_be_bytes()[2..]);
        bytes[6..].copy_from_slice(&random);
        OperationId(bytes)
    }

    /// The time in the id, in milliseconds.
    pub fn millis(&self) -> UnixMillis {
        self.0[..6].iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte))
    }

    /// Lower-case hexadecimal, 32 characters; the id that logs and `Received` fields show.
    pub fn to_hex(&self) -> String {
        self.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Reads what [`Self::to_hex`] writes.
    pub fn from_hex(text: &str) -> Option<Self> {
        let text = text.as_bytes();
        if text.len() != 32 {
            return None;
        }
        let mut bytes = [0; 16];
        for (byte, pair) in bytes.iter_mut().zip(text.chunks_exact(2)) {
            let digit = |c: u8| (c as char).to_digit(16);
            *byte = (digit(pair[0])? * 16 + digit(pair[1])?) as u8;
        }
        Some(OperationId(bytes))
    }
}

impl fmt::Debug for OperationId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.to_hex())
    }
}

impl fmt::Display for OperationId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.to_hex())
    }
}

/// An accepted message: the operation id it was accepted under.
pub type MessageId = OperationId;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operation_ids_sort_by_time_and_survive_hex() {
        let early = OperationId::new(1_000, [0xff; 10]);
        let late = OperationId::new(1_001, [0; 10]);
        assert!(early < late);
        assert_eq!(late.millis(), 1_001);
        assert_eq!(OperationId::from_hex(&late.to_hex()), Some(late));
        assert_eq!(OperationId::from_hex("zz"), None);
    }
}
