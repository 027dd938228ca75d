//! The contract between the IMAP machine and whatever holds the mailboxes: requests out, replies in, as plain data.
//! The machine has at most one [`Request`] outstanding; the driver answers it with `Session::reply`. Nothing here
//! knows how mailboxes are kept. Mailbox names are decoded UTF-8 with `/` between levels, `INBOX` in capitals.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::fetch::FetchPlan;
use super::search::SearchPlan;
pub use super::uids::{Uid, UidRanges};

/// Identifies a folder within its account for ever; kept over RENAME, never reused.
pub type FolderId = u64;
/// Modification sequence of a folder, 1 ≤ n < 2^63 (RFC 7162 section 3.1).
pub type ModSeq = u64;

/// Flags of one message: bits 0 to 4 are the system flags, bits 5 to 7 are zero, bit `8 + n` is the folder's
/// keyword number `n`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Flags(pub u64);

impl Flags {
    /// `\Seen`.
    pub const SEEN: Flags = Flags(1);
    /// `\Answered`.
    pub const ANSWERED: Flags = Flags(1 << 1);
    /// `\Flagged`.
    pub const FLAGGED: Flags = Flags(1 << 2);
    /// `\Deleted`.
    pub const DELETED: Flags = Flags(1 << 3);
    /// `\Draft`.
    pub const DRAFT: Flags = Flags(1 << 4);
    /// All system flags.
    pub const SYSTEM: Flags = Flags(0x1f);
    /// Bit number of the first keyword.
    pub const KEYWORD_SHIFT: u32 = 8;
    /// How many keywords a folder can have.
    pub const KEYWORDS_MAX: usize = 56;

    /// Whether all flags of `other` are set.
    pub fn contains(self, other: Flags) -> bool {
        self.0 & other.0 == other.0
    }

    /// The flag of keyword number `index` of the folder, when there can be such a one.
    pub fn keyword(index: usize) -> Option<Flags> {
        (index < Self::KEYWORDS_MAX).then(|| Flags(1 << (Self::KEYWORD_SHIFT as usize + index)))
    }
}

/// What a session knows of one message. Snapshots are sorted by `uid`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MessageState {
    /// Unique in the folder, rising with arrival.
    pub uid: Uid,
    /// Of the last change of this message's flags, or of its arrival.
    pub modseq: ModSeq,
    /// System flags and keywords.
    pub flags: Flags,
}

/// Flags as the client named them: the folder may not have the keywords yet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FlagNames {
    /// Only bits of [`Flags::SYSTEM`].
    pub system: Flags,
    /// Keywords as the client wrote them; to be matched case-insensitively, unique.
    pub keywords: Vec<String>,
}

/// Attributes that give a mailbox its use (RFC 6154 section 2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum SpecialUse {
    /// `\All`.
    All,
    /// `\Archive`.
    Archive,
    /// `\Drafts`.
    Drafts,
    /// `\Flagged`.
    Flagged,
    /// `\Junk`.
    Junk,
    /// `\Sent`.
    Sent,
    /// `\Trash`.
    Trash,
}

/// What STORE does with the named flags.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreAction {
    /// `FLAGS`: exactly these.
    Replace,
    /// `+FLAGS`.
    Add,
    /// `-FLAGS`.
    Remove,
}

/// One request to the store. Answer each with the [`Reply`] its comment names, or with a [`StoreError`].
#[derive(Clone, Debug)]
pub enum Request {
    /// A SASL exchange or LOGIN has proven who the client is: open the account. → [`Reply::Done`].
    /// [`StoreError::NotPermitted`] when `username` may not act as `authzid`.
    OpenAccount {
        /// Whose password was proven.
        username: String,
        /// On whose mailboxes to work; `None`: the user's own.
        authzid: Option<String>,
    },
    /// Open a folder and take its snapshot. → [`Reply::Selected`]. From then on the driver tells `mailbox_changed`
    /// after every change that the snapshot does not hold.
    Select {
        /// The folder's name.
        name: String,
        /// `EXAMINE`: the session will not write.
        read_only: bool,
        /// QRESYNC: also list what vanished since this modseq, if this UIDVALIDITY still holds (RFC 7162 section 3.2.5).
        since: Option<(u32, ModSeq)>,
    },
    /// The session left the folder: stop telling `mailbox_changed` for it. → [`Reply::Done`].
    Deselect {
        /// The folder.
        folder: FolderId,
    },
    /// What changed in a folder since `since`. → [`Reply::Changes`].
    Changes {
        /// The folder.
        folder: FolderId,
        /// The `highest_modseq` of the last `Selected` or `Changes`.
        since: ModSeq,
    },
    /// UIDs expunged since `since`. → [`Reply::Vanished`].
    Vanished {
        /// The folder.
        folder: FolderId,
        /// All expunges with a greater modseq are wanted.
        since: ModSeq,
    },
    /// All mailboxes of the account, and subscribed names without mailbox. → [`Reply::Mailboxes`].
    List,
    /// Counts of mailboxes by name. → [`Reply::Statuses`], in the same order.
    Status {
        /// Existing or not.
        names: Vec<String>,
        /// Which counts cost extra; those not wanted may be 0.
        want: StatusWant,
    },
    /// Create a mailbox and its missing parents. → [`Reply::Created`].
    Create {
        /// Without trailing `/`.
        name: String,
        /// RFC 6154 section 3.
        special_use: Option<SpecialUse>,
    },
    /// Delete a mailbox; children stay (RFC 9051 section 6.3.5). → [`Reply::Done`].
    Delete {
        /// The mailbox.
        name: String,
    },
    /// Rename a mailbox and its children; renaming INBOX moves its messages into a new mailbox (RFC 9051 section 6.3.6). → [`Reply::Done`].
    Rename {
        /// Old name.
        from: String,
        /// New name.
        to: String,
    },
    /// Add or remove a subscription; the mailbox need not exist. → [`Reply::Done`].
    Subscribe {
        /// The name.
        name: String,
        /// False: unsubscribe.
        subscribed: bool,
    },
    /// Start to append one message; its bytes follow as `Output::AppendChunk`, then `Output::AppendEnd`. May come
    /// several times before [`Request::AppendCommit`] (RFC 3502). → [`Reply::Done`], or the error that makes the
    /// machine refuse the message before it is sent.
    AppendStart {
        /// Target; the same for all messages until the commit.
        mailbox: String,
        /// Flags of the new message.
        flags: FlagNames,
        /// Seconds since 1970 UTC; `None`: now.
        internaldate: Option<i64>,
        /// Bytes that will follow.
        size_bytes: u64,
    },
    /// Store all messages appended since the last commit or abort, or none of them. → [`Reply::Appended`].
    AppendCommit {
        /// Target.
        mailbox: String,
    },
    /// Change flags. → [`Reply::Stored`].
    Store {
        /// The folder.
        folder: FolderId,
        /// Messages; UIDs in the ranges that do not exist are passed over.
        uids: UidRanges,
        /// How.
        action: StoreAction,
        /// Which flags; an unknown keyword joins the folder's table unless the action is `Remove`.
        flags: FlagNames,
        /// Messages with a greater modseq are left alone and reported as modified (RFC 7162 section 3.1.3).
        unchanged_since: Option<ModSeq>,
    },
    /// Copy messages, all or none. → [`Reply::Copied`].
    Copy {
        /// Source.
        folder: FolderId,
        /// Messages; those that do not exist are passed over.
        uids: UidRanges,
        /// Target mailbox; [`StoreError::NonExistent`] becomes `[TRYCREATE]`.
        to: String,
    },
    /// Move messages, all or none (RFC 6851). → [`Reply::Copied`].
    Move {
        /// Source.
        folder: FolderId,
        /// Messages; those that do not exist are passed over.
        uids: UidRanges,
        /// Target mailbox.
        to: String,
    },
    /// Remove the messages among `uids` that carry `\Deleted`. → [`Reply::Done`].
    Expunge {
        /// The folder.
        folder: FolderId,
        /// Candidates.
        uids: UidRanges,
    },
    /// Render messages straight onto the connection with `fetch::render`, in the plan's order. → [`Reply::Fetched`].
    Fetch(Arc<FetchPlan>),
    /// Test the plan's candidates with `search::matches`. → [`Reply::Matched`].
    Search(Arc<SearchPlan>),
}

/// Which status items need work beyond the folder's own record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StatusWant {
    /// `UNSEEN`.
    pub unseen: bool,
    /// `DELETED`.
    pub deleted: bool,
    /// `SIZE`.
    pub size: bool,
}

/// Answers of the store.
#[derive(Clone, Debug)]
pub enum Reply {
    /// It is done and durable (I1).
    Done,
    /// The snapshot.
    Selected(Box<Selected>),
    /// The difference.
    Changes(Box<Changes>),
    /// UIDs expunged; `None` when the store no longer remembers that far back.
    Vanished(Option<UidRanges>),
    /// In any order.
    Mailboxes(Vec<MailboxInfo>),
    /// `None` where the mailbox does not exist.
    Statuses(Vec<Option<MailboxStatus>>),
    /// The new mailbox.
    Created {
        /// Its id, printed as MAILBOXID (RFC 8474).
        folder: FolderId,
    },
    /// Where the appended messages went.
    Appended {
        /// Of the target.
        uidvalidity: u32,
        /// One per message, in the order of appending.
        uids: Vec<Uid>,
    },
    /// New states after STORE.
    Stored(Stored),
    /// Pairs for COPYUID.
    Copied(Copied),
    /// The messages were rendered.
    Fetched(Fetched),
    /// UIDs of the matching candidates, sorted.
    Matched(Vec<Uid>),
}

/// Answer to [`Request::Select`].
#[derive(Clone, Debug)]
pub struct Selected {
    /// The folder.
    pub folder: FolderId,
    /// RFC 9051 section 2.3.1.1.
    pub uidvalidity: u32,
    /// Greater than every UID the folder has ever had.
    pub uidnext: Uid,
    /// At least 1 and at least every modseq below.
    pub highest_modseq: ModSeq,
    /// Sorted by UID. Shared so that many sessions on one folder cost one copy until they diverge.
    pub messages: Arc<Vec<MessageState>>,
    /// Keyword `n` is flag bit `8 + n`.
    pub keywords: Arc<Vec<String>>,
    /// The account may not write here.
    pub read_only: bool,
    /// When `since` was given and its UIDVALIDITY holds: what vanished after it; `None` when not asked or when the
    /// store no longer remembers that far back (the machine then derives it from the snapshot).
    pub vanished: Option<UidRanges>,
}

/// Answer to [`Request::Changes`].
#[derive(Clone, Debug, Default)]
pub struct Changes {
    /// States with a modseq greater than asked, new messages too; sorted by UID.
    pub changed: Vec<MessageState>,
    /// Expunged since; may hold UIDs the session never saw.
    pub vanished: UidRanges,
    /// Now.
    pub highest_modseq: ModSeq,
    /// Now.
    pub uidnext: Uid,
    /// The table when it differs from the one given with `Selected`; it only ever grows.
    pub keywords: Option<Arc<Vec<String>>>,
}

/// One line of [`Reply::Mailboxes`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MailboxInfo {
    /// Decoded, `/` between levels.
    pub name: String,
    /// `None`: only a subscription remains, the mailbox is gone (`\NonExistent`).
    pub folder: Option<FolderId>,
    /// In the subscription list.
    pub subscribed: bool,
    /// Cannot be selected, it only holds children (`\Noselect`).
    pub no_select: bool,
    /// RFC 6154.
    pub special_use: Option<SpecialUse>,
}

/// Counts of one mailbox.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MailboxStatus {
    /// The folder.
    pub folder: FolderId,
    /// Number of messages.
    pub messages: u32,
    /// Next UID.
    pub uidnext: Uid,
    /// UIDVALIDITY.
    pub uidvalidity: u32,
    /// Messages without `\Seen`.
    pub unseen: u32,
    /// Messages with `\Deleted`.
    pub deleted: u32,
    /// Sum of message sizes in bytes (RFC 8438).
    pub size_bytes: u64,
    /// RFC 7162.
    pub highest_modseq: ModSeq,
}

/// Answer to [`Request::Store`].
#[derive(Clone, Debug, Default)]
pub struct Stored {
    /// States after the command of every message that was addressed, exists and was not refused; sorted by UID. A
    /// message whose flags did not change keeps its modseq.
    pub states: Vec<MessageState>,
    /// Left alone because of UNCHANGEDSINCE, sorted.
    pub modified: Vec<Uid>,
    /// Those of `states` that the command found as asked and somebody else changed since, sorted.
    pub overtaken: Vec<Uid>,
    /// The table when it grew.
    pub keywords: Option<Arc<Vec<String>>>,
}

/// Answer to [`Request::Copy`] and [`Request::Move`].
#[derive(Clone, Debug, Default)]
pub struct Copied {
    /// Of the target.
    pub uidvalidity: u32,
    /// `(source, target)`, sorted by source.
    pub pairs: Vec<(Uid, Uid)>,
}

/// Answer to [`Request::Fetch`].
#[derive(Clone, Debug, Default)]
pub struct Fetched {
    /// Messages that no longer exist and were left out.
    pub missing: bool,
    /// `fetch::render` answered `RenderError::UnknownEncoding` for a message, which was left out (RFC 3516 section 4.3).
    pub unknown_encoding: bool,
}

/// Why the store refused. Each has its response code (RFC 5530) in the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// No such mailbox.
    #[error("mailbox does not exist")]
    NonExistent,
    /// The name is taken.
    #[error("mailbox already exists")]
    AlreadyExists,
    /// The account is full.
    #[error("quota exceeded")]
    OverQuota,
    /// A bound on counts (folders, keywords, messages).
    #[error("limit reached")]
    Limit,
    /// The message is greater than the store takes.
    #[error("message too big")]
    TooBig,
    /// Not possible with this mailbox or name (deleting INBOX, a bad name).
    #[error("operation not possible")]
    Cannot,
    /// The account may not.
    #[error("not permitted")]
    NotPermitted,
    /// The special use is not supported or already given (RFC 6154 section 3).
    #[error("special use not possible")]
    UseAttribute,
    /// No quorum, or the outcome is unknown (I8, I10).
    #[error("temporarily unavailable")]
    Unavailable,
    /// A defect on the server's side.
    #[error("internal error")]
    Internal,
}
