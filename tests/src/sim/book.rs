//! What clients know for sure: which messages were tried, which were acknowledged, and the highest marks of folders they
//! have seen. A time-out is neither: unknown (I8).

use super::checks::compare_and_set::Sets;
use super::checks::letters::Letters;
use super::checks::told_flags::ToldFlags;
use super::checks::told_marks::ToldMarks;
use super::checks::uids::Marks;
use super::checks::vanishing::Vanishing;
use model::{AccountId, BodyHash, GroupId};
use std::collections::BTreeMap;

/// See the module.
#[derive(Default)]
pub struct Book {
    /// Messages by account and body; each body is tried for one account by one client only.
    pub mail: BTreeMap<(AccountId, BodyHash), Mail>,
    /// UIDs and marks that were seen.
    pub marks: Marks,
    /// Letters that were given to sessions.
    pub letters: Letters,
    /// Marks that sessions told.
    pub told_marks: ToldMarks,
    /// Flags that sessions told.
    pub told_flags: ToldFlags,
    /// Changes that were made only if nobody else had made one.
    pub sets: Sets,
    /// Messages that were taken away through sessions.
    pub vanishing: Vanishing,
    /// The state of each group at each index at which somebody looked: its hash, and who had it.
    pub states: BTreeMap<(GroupId, u64), (u64, u8)>,
    /// Operations that were answered.
    pub done: u64,
    /// Tries whose outcome was unknown.
    pub unknown: u64,
    /// Reads that were answered.
    pub reads: u64,
    /// Commands that sessions answered.
    pub commands: u64,
    /// Faults that happened, by name.
    pub faults: BTreeMap<&'static str, u64>,
}

/// What is known of one message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mail {
    /// It may be there.
    Tried,
    /// It must be there.
    Acknowledged,
}
