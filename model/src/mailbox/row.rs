//! Rows of the mailbox index and how they are read and written.

use crate::body::BodyHash;
use crate::codec;
use crate::ids::{AccountId, FolderId, ModSeq, Uid, UnixMillis};
use crate::key;
use crate::txn::{Read, ReadError, Txn};
use serde::{Deserialize, Serialize};

/// System flags as bits of [`MessageState::flags`]; bits 8 to 63 are the folder's keywords.
pub mod flag {
    /// `\Seen`.
    pub const SEEN: u64 = 1;
    /// `\Answered`.
    pub const ANSWERED: u64 = 2;
    /// `\Flagged`.
    pub const FLAGGED: u64 = 4;
    /// `\Deleted`.
    pub const DELETED: u64 = 8;
    /// `\Draft`.
    pub const DRAFT: u64 = 16;
    /// All system flags.
    pub const SYSTEM: u64 = 31;
    /// The bit of the first keyword.
    pub const KEYWORD_SHIFT: usize = 8;
}

/// What a folder is for (RFC 6154).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SpecialUse {
    /// `\Archive`.
    Archive,
    /// `\Drafts`.
    Drafts,
    /// `\Junk`.
    Junk,
    /// `\Sent`.
    Sent,
    /// `\Trash`.
    Trash,
}

/// An account as its shard knows it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AccountRow {
    /// Its address, for the name of its Maildir.
    pub address: String,
    /// The next folder id; never falls.
    pub next_folder: u64,
    /// The last UIDVALIDITY given; the next is larger (I6).
    pub last_uidvalidity: u32,
    /// Folders that exist.
    pub folders: u64,
    /// Set while the account is being removed; it takes nothing any more.
    pub removed: bool,
}

/// A folder.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FolderRow {
    /// Full name, UTF-8, levels divided by `/`.
    pub name: String,
    /// Fixed for the life of the folder.
    pub uidvalidity: u32,
    /// The next UID; never falls (I6).
    pub uidnext: Uid,
    /// Of the latest change; never falls (I6).
    pub highest_modseq: ModSeq,
    /// Messages in it.
    pub messages: u64,
    /// Messages without `\Seen`.
    pub unseen: u64,
    /// Messages with `\Deleted`.
    pub deleted: u64,
    /// Sum of message sizes in bytes.
    pub bytes: u64,
    /// Expunged UIDs remembered.
    pub vanished: u64,
    /// Expunges up to this modseq may have been forgotten (RFC 7162 section 3.2.5.2).
    pub vanished_floor: ModSeq,
    /// Keywords in the order of their bits.
    pub keywords: Vec<String>,
    /// What it is for.
    pub special_use: Option<SpecialUse>,
}

/// What never changes about a message in a folder.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MessageRow {
    /// Its bytes.
    pub hash: BodyHash,
    /// Their number.
    pub size: u64,
    /// INTERNALDATE in UTC seconds.
    pub internal_date: i64,
    /// The zone INTERNALDATE was given in, minutes east of UTC.
    pub internal_zone: i16,
    /// SAVEDATE in UTC seconds (RFC 8514).
    pub saved_at: i64,
    /// Makes the file's name, with `file_ordinal`: the index of the entry that put it in this folder.
    pub file_index: u64,
    /// Place within that entry.
    pub file_ordinal: u32,
}

/// What changes about a message in a folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MessageState {
    /// Its UID.
    pub uid: Uid,
    /// Of its latest change.
    pub modseq: ModSeq,
    /// Bits of [`flag`].
    pub flags: u64,
}

impl MessageState {
    /// The value of its row: 16 bytes, fixed, since mailboxes are read whole.
    pub fn to_bytes(&self) -> [u8; 16] {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&self.modseq.to_be_bytes());
        bytes[8..].copy_from_slice(&self.flags.to_be_bytes());
        bytes
    }

    /// Reads a row.
    pub fn from_row(uid: Uid, value: &[u8]) -> Result<Self, ReadError> {
        match (value.len(), key::number_at(value, 0), key::number_at(value, 8)) {
            (16, Some(modseq), Some(flags)) => Ok(MessageState { uid, modseq, flags }),
            _ => Err(ReadError("a message state row is not 16 bytes".into())),
        }
    }
}

fn read<T: serde::de::DeserializeOwned>(from: &dyn Read, key: &[u8]) -> Result<Option<T>, ReadError> {
    from.get(key)?.map(|value| codec::decode(&value)).transpose()
}

/// An account's row.
pub fn account(from: &dyn Read, account: AccountId) -> Result<Option<AccountRow>, ReadError> {
    read(from, &key::account(account))
}

/// Writes an account's row.
pub fn put_account(txn: &mut dyn Txn, account: AccountId, row: &AccountRow) {
    txn.put(&key::account(account), &codec::encode(row));
}

/// A folder's row.
pub fn folder(from: &dyn Read, account: AccountId, folder: FolderId) -> Result<Option<FolderRow>, ReadError> {
    read(from, &key::folder(account, folder))
}

/// Writes a folder's row.
pub fn put_folder(txn: &mut dyn Txn, account: AccountId, folder: FolderId, row: &FolderRow) {
    txn.put(&key::folder(account, folder), &codec::encode(row));
}

/// A message's row.
pub fn message(
    from: &dyn Read,
    account: AccountId,
    folder: FolderId,
    uid: Uid,
) -> Result<Option<MessageRow>, ReadError> {
    read(from, &key::message(account, folder, uid))
}

/// A message's state.
pub fn state(
    from: &dyn Read,
    account: AccountId,
    folder: FolderId,
    uid: Uid,
) -> Result<Option<MessageState>, ReadError> {
    from.get(&key::state(account, folder, uid))?.map(|value| MessageState::from_row(uid, &value)).transpose()
}

/// The id of the folder with this exact name (INBOX upper-cased by the caller).
pub fn folder_id(from: &dyn Read, account: AccountId, name: &str) -> Result<Option<FolderId>, ReadError> {
    match from.get(&key::folder_name(account, name))? {
        None => Ok(None),
        Some(value) => match key::number_at(&value, 0) {
            Some(id) => Ok(Some(FolderId(id))),
            None => Err(ReadError("a folder name row is not 8 bytes".into())),
        },
    }
}

/// UTC seconds of a proposer's time.
pub fn seconds(at: UnixMillis) -> i64 {
    (at / 1000) as i64
}
