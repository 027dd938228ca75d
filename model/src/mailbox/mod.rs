//! Mailboxes of one shard: accounts, folders, messages, flags. One file per command.

pub mod account;
pub mod append;
pub mod copy;
pub mod copy_part;
pub mod deliver;
pub mod expunge;
pub mod folder;
pub mod maildir;
pub mod name;
pub mod reap;
pub mod row;
pub mod store;
pub mod view;
mod writer;

use crate::apply::Outcome;
use crate::body::BodyRef;
use crate::ids::{AccountId, FolderId, GroupId, MessageId, ModSeq, OperationId, UnixMillis};
use crate::reply::Reply;
use crate::txn::{ReadError, Txn};
use crate::uidset::UidSet;
use copy_part::CopyPart;
use row::SpecialUse;
use serde::{Deserialize, Serialize};

/// Where and when an entry is applied.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    /// The shard.
    pub group: GroupId,
    /// Index of the entry in the shard's log.
    pub index: u64,
    /// The proposer's time.
    pub now: UnixMillis,
}

/// One local recipient of a delivery.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LocalRecipient {
    /// Whose mailbox.
    pub account: AccountId,
    /// The folder to put it in when it exists (from `user+folder@`), else INBOX.
    pub folder: Option<String>,
}

/// One message to append.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NewMessage {
    /// Its bytes.
    pub body: BodyRef,
    /// System flags ([`row::flag`]).
    pub flags: u64,
    /// Keywords by name.
    pub keywords: Vec<String>,
    /// INTERNALDATE in UTC seconds; `None` for the time of the command.
    pub internal_date: Option<i64>,
    /// Minutes east of UTC.
    pub internal_zone: i16,
}

/// How STORE combines flags.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum StoreMode {
    /// `FLAGS`.
    Replace,
    /// `+FLAGS`.
    Add,
    /// `-FLAGS`.
    Remove,
}

/// A decision about mailboxes of one shard.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum MailboxCommand {
    /// Makes an account with INBOX and the special folders; again is no error.
    CreateAccount {
        /// Given by the directory.
        account: AccountId,
        /// Names its Maildir.
        address: String,
    },
    /// Marks an account as removed; `Reap` takes its rows and files away.
    RemoveAccount {
        /// Which.
        account: AccountId,
    },
    /// Removes a bounded piece of what removed folders and accounts left.
    Reap {
        /// Whose.
        account: AccountId,
    },
    /// Puts one message into the mailboxes of local recipients, each at most once per message id (I7).
    Deliver {
        /// The accepted message.
        message: MessageId,
        /// Its bytes.
        body: BodyRef,
        /// Whom it is for.
        recipients: Vec<LocalRecipient>,
    },
    /// APPEND: all messages or none (RFC 3502).
    Append {
        /// Owner.
        account: AccountId,
        /// Where.
        folder: FolderId,
        /// What, at least one.
        messages: Vec<NewMessage>,
    },
    /// STORE.
    Store {
        /// Owner.
        account: AccountId,
        /// Where.
        folder: FolderId,
        /// Which; UIDs that are not there are passed over.
        uids: UidSet,
        /// How.
        mode: StoreMode,
        /// System flags.
        flags: u64,
        /// Keywords by name.
        keywords: Vec<String>,
        /// Leave messages alone that changed after this.
        unchanged_since: Option<ModSeq>,
    },
    /// COPY, or MOVE when `remove` is set: one atomic step (I5, RFC 6851).
    Copy {
        /// Owner.
        account: AccountId,
        /// From.
        source: FolderId,
        /// To.
        destination: FolderId,
        /// Which; UIDs that are not there are passed over.
        uids: UidSet,
        /// Whether the messages leave the source.
        remove: bool,
    },
    /// EXPUNGE: removes messages that have `\Deleted`.
    Expunge {
        /// Owner.
        account: AccountId,
        /// Where.
        folder: FolderId,
        /// Only these (UID EXPUNGE); `None` for all.
        uids: Option<UidSet>,
    },
    /// CREATE.
    CreateFolder {
        /// Owner.
        account: AccountId,
        /// Full name; missing parents are made as well.
        name: String,
        /// CREATE … (USE (…)).
        special_use: Option<SpecialUse>,
    },
    /// DELETE.
    DeleteFolder {
        /// Owner.
        account: AccountId,
        /// Full name.
        name: String,
    },
    /// RENAME with children; renaming INBOX moves its messages (RFC 9051 section 6.3.6).
    RenameFolder {
        /// Owner.
        account: AccountId,
        /// Full name.
        from: String,
        /// Full name.
        to: String,
    },
    /// SUBSCRIBE or UNSUBSCRIBE.
    Subscribe {
        /// Owner.
        account: AccountId,
        /// Any name, existing or not.
        name: String,
        /// Whether subscribed.
        on: bool,
    },
    /// A part of a large COPY (format 3).
    CopyPart {
        /// Owner.
        account: AccountId,
        /// What and where.
        part: CopyPart,
    },
    /// Removes a bounded number of the copies of an unfinished COPY (format 3).
    UndoCopy {
        /// Owner.
        account: AccountId,
        /// The COPY.
        copy: OperationId,
    },
    /// As `Reap`, with a bound of its own (format 3).
    ReapPart {
        /// Whose.
        account: AccountId,
        /// Messages at most.
        count: u32,
    },
}

impl MailboxCommand {
    /// The bodies this command names.
    pub fn bodies(&self) -> Vec<&BodyRef> {
        match self {
            MailboxCommand::Deliver { body, .. } => vec![body],
            MailboxCommand::Append { messages, .. } => messages.iter().map(|message| &message.body).collect(),
            _ => Vec::new(),
        }
    }
}

/// Carries out one mailbox command.
pub fn apply(
    txn: &mut dyn Txn,
    place: Place,
    command: &MailboxCommand,
    outcome: &mut Outcome,
) -> Result<Reply, ReadError> {
    use MailboxCommand::*;
    match command {
        CreateAccount { account, address } => account::create(txn, place, *account, address, outcome),
        RemoveAccount { account } => account::remove(txn, *account, outcome),
        Reap { account } => reap::reap(txn, *account, outcome),
        Deliver { message, body, recipients } => deliver::deliver(txn, place, *message, body, recipients, outcome),
        Append { account, folder, messages } => append::append(txn, place, (*account, *folder), messages, outcome),
        Store { account, folder, uids, mode, flags, keywords, unchanged_since } => {
            let request =
                store::StoreRequest { mode: *mode, flags: *flags, keywords, unchanged_since: *unchanged_since };
            store::store(txn, (*account, *folder), uids, &request, outcome)
        }
        Copy { account, source, destination, uids, remove } => {
            copy::copy(txn, place, *account, (*source, *destination), uids, *remove, outcome)
        }
        Expunge { account, folder, uids } => expunge::expunge(txn, (*account, *folder), uids.as_ref(), outcome),
        CreateFolder { account, name, special_use } => {
            folder::create(txn, place, *account, name, *special_use, outcome)
        }
        DeleteFolder { account, name } => folder::delete(txn, *account, name, outcome),
        RenameFolder { account, from, to } => folder::rename(txn, place, *account, from, to, outcome),
        Subscribe { account, name, on } => folder::subscribe(txn, *account, name, *on, outcome),
        CopyPart { account, part } => copy_part::copy_part(txn, place, *account, part, outcome),
        ReapPart { account, count } => reap::reap_part(txn, *account, *count, outcome),
        UndoCopy { account, copy } => copy_part::undo_copy(txn, *account, *copy, outcome),
    }
}
