//! SEARCH: the compiled program, the part decided from the snapshot alone, and the pure test of one message.
//! Opens no file and knows no clock: both are arguments.

mod compile;
mod test;

use std::sync::Arc;

pub use compile::compile;
pub use test::{decide, matches};

use super::parser::search::{DateKind, DateOrder};
use super::store::{Flags, FolderId, MessageState, ModSeq};
use super::uids::UidRanges;
use crate::mime::{AddressField, Needle};

/// What a driver has to look up before it can test a candidate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SearchNeeds {
    /// Internal date, size, ids, save date: the message's own record.
    pub record: bool,
    /// `MessageFacts::envelope` and `sent_date`.
    pub envelope: bool,
    /// `MessageFacts::structure`.
    pub structure: bool,
    /// The bytes of the message may be read.
    pub body: bool,
}

/// A batch of candidates: the snapshot alone could not decide about them.
#[derive(Clone, Debug)]
pub struct SearchPlan {
    /// Where they are.
    pub folder: FolderId,
    /// The program; shared between batches.
    pub program: Arc<SearchProgram>,
    /// Sorted by UID, at most `SEARCH_BATCH_MESSAGES`.
    pub candidates: Vec<MessageState>,
}

/// A compiled search program.
#[derive(Clone, Debug)]
pub struct SearchProgram {
    /// What its keys cost.
    pub needs: SearchNeeds,
    /// The client asked for MODSEQ, so the response tells the greatest (RFC 7162 section 3.1.5).
    pub asks_modseq: bool,
    /// How many keys it has.
    pub keys: usize,
    pub(super) key: Key,
}

/// A key whose names and numbers are resolved against one snapshot.
#[derive(Clone, Debug)]
pub(super) enum Key {
    Constant(bool),
    /// The cheaper ones first.
    And(Vec<Key>),
    /// The cheaper one first.
    Or(Box<Key>, Box<Key>),
    Not(Box<Key>),
    Uids(UidRanges),
    Flag(Flags),
    ModSeq(ModSeq),
    Larger(u64),
    Smaller(u64),
    Date(DateKind, DateOrder, i64),
    Younger(u32),
    Older(u32),
    EmailId(String),
    ThreadId(String),
    Address(AddressField, Needle),
    Subject(Needle),
    MessageId(Needle),
    InReplyTo(Needle),
    Header(String, Needle),
    Body(Needle),
    Text(Needle),
}
