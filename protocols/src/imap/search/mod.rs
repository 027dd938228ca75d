//! SEARCH: the compiled program, the part decided from the snapshot alone, and the pure test of one message.

use std::sync::Arc;

use super::store::{FolderId, MessageState};

/// What a driver has to look up before it can test a candidate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SearchNeeds {
    /// Internal date, size, ids, save date.
    pub record: bool,
    /// The digest (envelope, sent date, structure).
    pub digest: bool,
    /// The bytes of the message.
    pub body: bool,
}

/// A batch of candidates: the snapshot alone could not decide about them.
#[derive(Clone, Debug)]
pub struct SearchPlan {
    /// Where they are.
    pub folder: FolderId,
    /// The program; shared between batches.
    pub program: Arc<SearchProgram>,
    /// `(sequence number, state)`, sorted by UID.
    pub candidates: Vec<(u32, MessageState)>,
}

/// A compiled search program.
#[derive(Clone, Debug, Default)]
pub struct SearchProgram {
    /// What its keys cost.
    pub needs: SearchNeeds,
}
