//! Keys of the replicated rows. One byte names the table, then big-endian numbers, so that a scan is in numeric order.
//!
//! | table | key | value |
//! |---|---|---|
//! | `O` | operation id | [`crate::dedupe`] record |
//! | `A` | account | mailbox account row |
//! | `N` | account, folder name | folder id |
//! | `F` | account, folder | folder row |
//! | `B` | account, name | subscription (empty) |
//! | `M` | account, folder, uid | message row |
//! | `U` | account, folder, uid | modseq and flags, 16 bytes |
//! | `C` | account, folder, modseq, uid | latest change of a message (empty) |
//! | `X` | account, folder, modseq, uid | expunged (empty) |
//! | `G` | account, folder | folder being removed (empty, or the first UID not reaped yet) |
//! | `P` | account, operation id | unfinished COPY |
//! | `R` | message id, account | delivered before (folder, uid) |
//! | `Q` | message id | queue message |
//! | `q` | due ms, message id | schedule (empty) |
//! | `d` `a` `i` `l` `n` `g` `t` `r` `s` `c` | see [`crate::directory::row`] | directory rows |

use crate::ids::{AccountId, FolderId, MessageId, ModSeq, OperationId, Uid, UnixMillis};

/// A key under construction.
#[derive(Clone)]
pub struct Key(Vec<u8>);

impl Key {
    /// Starts a key in a table.
    pub fn table(table: u8) -> Self {
        let mut key = Vec::with_capacity(32);
        key.push(table);
        Key(key)
    }

    /// Adds raw bytes.
    pub fn bytes(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        self
    }

    /// Adds a 64-bit number.
    pub fn number(self, number: u64) -> Self {
        self.bytes(&number.to_be_bytes())
    }

    /// Adds a UID.
    pub fn uid(self, uid: Uid) -> Self {
        self.bytes(&uid.to_be_bytes())
    }

    /// The finished key.
    pub fn done(self) -> Vec<u8> {
        self.0
    }
}

fn of(table: u8, account: AccountId, folder: FolderId) -> Key {
    Key::table(table).number(account.0).number(folder.0)
}

/// `A`: an account's row in its shard.
pub fn account(account: AccountId) -> Vec<u8> {
    Key::table(b'A').number(account.0).done()
}

/// `N`: a folder by name; with an empty name the prefix of all names.
pub fn folder_name(account: AccountId, name: &str) -> Vec<u8> {
    Key::table(b'N').number(account.0).bytes(name.as_bytes()).done()
}

/// `F`: a folder's row.
pub fn folder(account: AccountId, folder: FolderId) -> Vec<u8> {
    of(b'F', account, folder).done()
}

/// `F`: the prefix of all folder rows of an account.
pub fn folders(account: AccountId) -> Vec<u8> {
    Key::table(b'F').number(account.0).done()
}

/// `B`: a subscription; with an empty name the prefix of all.
pub fn subscription(account: AccountId, name: &str) -> Vec<u8> {
    Key::table(b'B').number(account.0).bytes(name.as_bytes()).done()
}

/// `M`: a message's row.
pub fn message(account: AccountId, folder: FolderId, uid: Uid) -> Vec<u8> {
    of(b'M', account, folder).uid(uid).done()
}

/// `U`: a message's changing state.
pub fn state(account: AccountId, folder: FolderId, uid: Uid) -> Vec<u8> {
    of(b'U', account, folder).uid(uid).done()
}

/// `C`: the latest change of a message.
pub fn change(account: AccountId, folder: FolderId, modseq: ModSeq, uid: Uid) -> Vec<u8> {
    of(b'C', account, folder).number(modseq).uid(uid).done()
}

/// `X`: an expunged message.
pub fn vanished(account: AccountId, folder: FolderId, modseq: ModSeq, uid: Uid) -> Vec<u8> {
    of(b'X', account, folder).number(modseq).uid(uid).done()
}

/// The prefix of one folder's rows in table `M`, `U`, `C` or `X`.
pub fn in_folder(table: u8, account: AccountId, folder: FolderId) -> Vec<u8> {
    of(table, account, folder).done()
}

/// `G`: a folder waiting to be reaped.
pub fn garbage(account: AccountId, folder: FolderId) -> Vec<u8> {
    of(b'G', account, folder).done()
}

/// `G`: the prefix of an account's folders waiting to be reaped.
pub fn garbage_of(account: AccountId) -> Vec<u8> {
    Key::table(b'G').number(account.0).done()
}

/// `P`: an unfinished COPY.
pub fn unfinished_copy(account: AccountId, copy: OperationId) -> Vec<u8> {
    Key::table(b'P').number(account.0).bytes(&copy.0).done()
}

/// `P`: the prefix of an account's unfinished COPYs.
pub fn unfinished_copies_of(account: AccountId) -> Vec<u8> {
    Key::table(b'P').number(account.0).done()
}

/// `P`: the prefix of all unfinished COPYs.
pub fn unfinished_copies() -> Vec<u8> {
    Key::table(b'P').done()
}

/// Account and operation id in a key that [`unfinished_copy`] made.
pub fn copy_of(key: &[u8]) -> Option<(AccountId, OperationId)> {
    let account = number_at(key, 1)?;
    Some((AccountId(account), OperationId(key.get(9..)?.try_into().ok()?)))
}

/// `R`: a delivery already made (I7).
pub fn delivered(message: MessageId, account: AccountId) -> Vec<u8> {
    Key::table(b'R').bytes(&message.0).number(account.0).done()
}

/// `R`: the prefix of a message's deliveries.
pub fn deliveries_of(message: MessageId) -> Vec<u8> {
    Key::table(b'R').bytes(&message.0).done()
}

/// `O`: a remembered operation.
pub fn operation(operation: OperationId) -> Vec<u8> {
    Key::table(b'O').bytes(&operation.0).done()
}

/// `Q`: a queue message.
pub fn queued(message: MessageId) -> Vec<u8> {
    Key::table(b'Q').bytes(&message.0).done()
}

/// `q`: when a queue message is due.
pub fn due(at: UnixMillis, message: MessageId) -> Vec<u8> {
    Key::table(b'q').number(at).bytes(&message.0).done()
}

/// The last four bytes of a key as a UID.
pub fn trailing_uid(key: &[u8]) -> Option<Uid> {
    key.last_chunk::<4>().map(|bytes| Uid::from_be_bytes(*bytes))
}

/// The eight bytes at `at` as a number.
pub fn number_at(key: &[u8], at: usize) -> Option<u64> {
    key.get(at..)?.first_chunk::<8>().map(|bytes| u64::from_be_bytes(*bytes))
}
