//! Whole states of a group on the move: made here for another replica, or taken over from one.
//!
//! A snapshot is the replicated rows at one applied entry, a list of what they have on disk, and the hashes of the
//! bodies they name. Bodies travel beside it, and only those that are missing.

mod export;
mod install;

pub(crate) use export::build;
pub use export::{Cursor, Manifest, Snapshot};
pub use install::{Install, PIECE_BYTES_MAX};

use bytes::Bytes;
use model::{AccountId, BodyHash, FolderId, Touch};
use std::io;

/// Where a snapshot stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Position {
    /// Index of the last entry in it.
    pub index: u64,
    /// That entry's opaque position.
    pub position: Bytes,
    /// The opaque membership as of that entry.
    pub membership: Option<Bytes>,
}

/// One piece of a snapshot's stream.
#[derive(Debug, PartialEq, Eq)]
enum Piece<'a> {
    /// A replicated row.
    Row(&'a [u8], &'a [u8]),
    /// Something that has a name on disk: local row key without its group.
    OnDisk(&'a [u8]),
}

/// `kind u8 | key length u32 | key | value length u32 | value`, little endian.
fn push_piece(into: &mut Vec<u8>, piece: &Piece<'_>) {
    let (kind, key, value): (u8, &[u8], &[u8]) = match piece {
        Piece::Row(key, value) => (b'R', key, value),
        Piece::OnDisk(key) => (b'D', key, &[]),
    };
    into.push(kind);
    for part in [key, value] {
        into.extend_from_slice(&(part.len() as u32).to_le_bytes());
        into.extend_from_slice(part);
    }
}

/// Takes the first piece off a chunk.
fn take_piece<'a>(chunk: &mut &'a [u8]) -> io::Result<Piece<'a>> {
    let (kind, rest) = chunk.split_first().ok_or_else(broken)?;
    *chunk = rest;
    let (key, value) = (take_part(chunk)?, take_part(chunk)?);
    match kind {
        b'R' => Ok(Piece::Row(key, value)),
        b'D' => Ok(Piece::OnDisk(key)),
        _ => Err(broken()),
    }
}

fn take_part<'a>(chunk: &mut &'a [u8]) -> io::Result<&'a [u8]> {
    let (length, rest) = chunk.split_first_chunk().ok_or_else(broken)?;
    let (part, rest) = rest.split_at_checked(u32::from_le_bytes(*length) as usize).ok_or_else(broken)?;
    *chunk = rest;
    Ok(part)
}

/// What a local row key without its group stands for.
fn touch_of(key: &[u8]) -> Option<Touch> {
    let number = |at| crate::key::number_at(key, at);
    match key.first()? {
        b'A' => Some(Touch::Account(AccountId(number(1)?))),
        b'D' => Some(Touch::Folder(AccountId(number(1)?), FolderId(number(9)?))),
        b'F' => Some(Touch::Message(AccountId(number(1)?), FolderId(number(9)?), crate::key::short_at(key, 17)?)),
        b'Q' => Some(Touch::Queue(model::OperationId(key.get(1..17)?.try_into().ok()?))),
        _ => None,
    }
}

/// The error of a stream that no snapshot makes.
fn broken() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "a snapshot's stream is broken")
}

/// A body hash from a local row's value.
fn hash_in(value: &[u8]) -> Option<BodyHash> {
    Some(BodyHash(value.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn pieces_survive(key in proptest::collection::vec(any::<u8>(), 0..40), value in proptest::collection::vec(any::<u8>(), 0..40)) {
            let mut chunk = Vec::new();
            push_piece(&mut chunk, &Piece::Row(&key, &value));
            push_piece(&mut chunk, &Piece::OnDisk(&key));
            let mut rest = chunk.as_slice();
            prop_assert_eq!(take_piece(&mut rest).unwrap(), Piece::Row(&key, &value));
            prop_assert_eq!(take_piece(&mut rest).unwrap(), Piece::OnDisk(&key));
            prop_assert!(rest.is_empty());
        }

        #[test]
        fn no_stream_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut rest = bytes.as_slice();
            while let Ok(Piece::Row(key, _) | Piece::OnDisk(key)) = take_piece(&mut rest) {
                let _ = touch_of(key);
            }
        }
    }
}
