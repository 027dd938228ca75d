//! What an applied command answers. Kept beside the operation id, so a retry gets the same answer.

use crate::ids::{AccountId, FolderId, MessageId, ModSeq, NodeId, Uid};
use crate::mailbox::row::MessageState;
use crate::uidset::UidSet;
use serde::{Deserialize, Serialize};

/// The outcome of one command.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub enum Reply {
    /// Done, nothing more to say.
    #[default]
    Done,
    /// Nothing was changed, and why.
    Refused(Refusal),
    /// The directory made (or already had) this account.
    Account(AccountId),
    /// A folder was made.
    Folder {
        /// Its id.
        folder: FolderId,
        /// Its UIDVALIDITY.
        uidvalidity: u32,
    },
    /// One line per recipient of a delivery, in the order of the command.
    Delivered(Vec<Delivered>),
    /// Messages were appended.
    Appended {
        /// The folder.
        folder: FolderId,
        /// Its UIDVALIDITY.
        uidvalidity: u32,
        /// The new UIDs, ascending, in the order of the command.
        uids: UidSet,
    },
    /// Flags were stored.
    Stored {
        /// States after the command, ascending by UID; messages whose flags already were as asked are not in it.
        changed: Vec<MessageState>,
        /// Messages left alone because they changed after UNCHANGEDSINCE (RFC 7162 section 3.1.3).
        modified: UidSet,
        /// The folder's keyword table now.
        keywords: Vec<String>,
        /// The folder's HIGHESTMODSEQ now.
        modseq: ModSeq,
    },
    /// Messages were copied or moved.
    Copied {
        /// The destination folder.
        folder: FolderId,
        /// The destination's UIDVALIDITY.
        uidvalidity: u32,
        /// UIDs in the source that existed, ascending.
        from: UidSet,
        /// The new UIDs, pairwise with `from`.
        to: UidSet,
        /// The source's HIGHESTMODSEQ now.
        modseq: ModSeq,
    },
    /// Messages were expunged.
    Expunged {
        /// Which.
        uids: UidSet,
        /// The folder's HIGHESTMODSEQ now.
        modseq: ModSeq,
    },
    /// Some garbage was removed; `more` when another reaping entry is needed.
    Reaped {
        /// Whether rows are left.
        more: bool,
    },
    /// These messages of those asked for were claimed.
    Claimed(Vec<MessageId>),
    /// The node was admitted, now or before, under this id.
    Node(NodeId),
    /// One result per account of an import, in the order of the command.
    Imported(Vec<Imported>),
}

/// What became of one account of an import.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Imported {
    /// It was made, with its aliases.
    Made(AccountId),
    /// Nothing of it was made, and why.
    Refused(Refusal),
}

/// What became of one recipient of a delivery.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Delivered {
    /// It is in this folder under this UID, now or since an earlier attempt (I7).
    In {
        /// The folder.
        folder: FolderId,
        /// The UID.
        uid: Uid,
    },
    /// The shard has no such account.
    NoAccount,
    /// The mailbox cannot take it: over quota, or its UIDs are exhausted.
    Full,
}

/// Why a command changed nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Refusal {
    /// The command is not for this group.
    WrongGroup,
    /// The account is not in this shard.
    NoAccount,
    /// No folder with that name or id.
    NoFolder,
    /// Something with that name exists.
    Exists,
    /// No domain, alias, address or node with that name.
    NotFound,
    /// A name, address or keyword that cannot be.
    Invalid,
    /// INBOX cannot be deleted; a folder cannot become its own child; a domain still has accounts.
    Cannot,
    /// A bound of [`crate::limits`].
    Limit,
    /// UIDs of the folder are exhausted.
    UidsExhausted,
    /// The token's time is over.
    Expired,
    /// The token was used by another node.
    Used,
    /// The rows have changed since the proposer read them: it decides again.
    Stale,
    /// The node's release does not speak the format that the cluster uses.
    Outdated,
}
