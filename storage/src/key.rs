//! Keys of every row this crate writes. Numbers are big endian, so keys sort as the numbers do.

use model::{AccountId, BodyHash, FolderId, GroupId, MessageId, Uid};
use std::ops::Range;

/// Which complete set of a group's rows a key belongs to; an installed snapshot is a new one.
pub type Generation = u32;

/// Kinds of rows in the `raftmeta` column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meta {
    /// The vote, opaque.
    Vote = b'v' as isize,
    /// What is known to be committed, opaque.
    Committed = b'c' as isize,
    /// Index and opaque position of the last purged record.
    Purged = b'p' as isize,
    /// Index and opaque position of the last applied entry.
    Applied = b'a' as isize,
    /// The last applied membership, opaque.
    Membership = b'm' as isize,
    /// The generation that is read.
    Generation = b'g' as isize,
    /// The last entry whose files are durable.
    FilesSynced = b'f' as isize,
}

/// Kinds of rows in the `local` column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Local {
    /// An account's directory as it is on disk.
    Account = b'A' as isize,
    /// A folder's directory as it is on disk.
    Folder = b'D' as isize,
    /// A message's file as it is on disk.
    Message = b'F' as isize,
    /// A queue message's hold on its body.
    Queue = b'Q' as isize,
    /// A file whose name does not show its flags yet.
    Rename = b'P' as isize,
    /// Names changed since the files were last synced.
    Redo = b'T' as isize,
    /// A body that lost a name, with the entry that took it.
    Trash = b'X' as isize,
    /// A body that rows name and this node lacks.
    Missing = b'M' as isize,
    /// Something that the snapshot being installed has.
    Incoming = b'I' as isize,
}

/// `group | index`.
pub fn record(group: GroupId, index: u64) -> Vec<u8> {
    let mut key = group.0.to_be_bytes().to_vec();
    key.extend_from_slice(&index.to_be_bytes());
    key
}

/// The index in a record's key.
pub fn record_index(key: &[u8]) -> Option<u64> {
    Some(u64::from_be_bytes(key.get(4..12)?.try_into().ok()?))
}

/// A row of the `raftmeta` column.
pub fn meta(group: GroupId, kind: Meta) -> Vec<u8> {
    let mut key = group.0.to_be_bytes().to_vec();
    key.push(kind as u8);
    key
}

/// The group a key belongs to.
pub fn group_of(key: &[u8]) -> Option<GroupId> {
    Some(GroupId(u32::from_be_bytes(key.get(..4)?.try_into().ok()?)))
}

/// What all keys of a generation start with.
pub fn generation(group: GroupId, generation: Generation) -> Vec<u8> {
    let mut key = group.0.to_be_bytes().to_vec();
    key.extend_from_slice(&generation.to_be_bytes());
    key
}

/// What all local rows of a kind start with. They say what is on disk, whichever generation of rows it follows.
pub fn local(group: GroupId, kind: Local) -> Vec<u8> {
    let mut key = group.0.to_be_bytes().to_vec();
    key.push(kind as u8);
    key
}

/// Length in bytes of what [`local`] makes.
pub const LOCAL_BYTES: usize = 5;

/// A local row of an account.
pub fn account(group: GroupId, account: AccountId) -> Vec<u8> {
    number(local(group, Local::Account), account.0)
}

/// A local row of a folder.
pub fn folder(group: GroupId, account: AccountId, folder: FolderId) -> Vec<u8> {
    number(number(local(group, Local::Folder), account.0), folder.0)
}

/// A local row of a message, of kind `Message` or `Rename`.
pub fn message(group: GroupId, kind: Local, (account, folder, uid): (AccountId, FolderId, Uid)) -> Vec<u8> {
    let mut key = number(number(local(group, kind), account.0), folder.0);
    key.extend_from_slice(&uid.to_be_bytes());
    key
}

/// Account, folder and UID in a key that [`message`] made.
pub fn message_of(key: &[u8]) -> Option<(AccountId, FolderId, Uid)> {
    let account = number_at(key, LOCAL_BYTES)?;
    let folder = number_at(key, LOCAL_BYTES + 8)?;
    Some((AccountId(account), FolderId(folder), short_at(key, LOCAL_BYTES + 16)?))
}

/// A local row of a queue message.
pub fn queue(group: GroupId, message: MessageId) -> Vec<u8> {
    let mut key = local(group, Local::Queue);
    key.extend_from_slice(&message.0);
    key
}

/// The redo row with a serial number.
pub fn redo(group: GroupId, serial: u64) -> Vec<u8> {
    number(local(group, Local::Redo), serial)
}

/// The trash row of a body taken away by the entry at `index`.
pub fn trash(group: GroupId, index: u64, hash: &BodyHash) -> Vec<u8> {
    let mut key = number(local(group, Local::Trash), index);
    key.extend_from_slice(&hash.0);
    key
}

/// The row of a missing body.
pub fn missing(group: GroupId, hash: &BodyHash) -> Vec<u8> {
    let mut key = local(group, Local::Missing);
    key.extend_from_slice(&hash.0);
    key
}

/// What a derived record's key starts with.
pub fn cache(
    group: GroupId,
    generation_now: Generation,
    (account, folder, uid): (AccountId, FolderId, Uid),
) -> Vec<u8> {
    let mut key = number(number(generation(group, generation_now), account.0), folder.0);
    key.extend_from_slice(&uid.to_be_bytes());
    key
}

/// The 8-byte number at `at` in a key.
pub fn number_at(key: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_be_bytes(key.get(at..at + 8)?.try_into().ok()?))
}

/// The 4-byte number at `at` in a key.
pub fn short_at(key: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(key.get(at..at + 4)?.try_into().ok()?))
}

/// All keys that start with `prefix`.
pub fn under(prefix: Vec<u8>) -> Range<Vec<u8>> {
    let end = model::txn::prefix_end(&prefix);
    prefix..end
}

fn number(mut key: Vec<u8>, number: u64) -> Vec<u8> {
    key.extend_from_slice(&number.to_be_bytes());
    key
}
