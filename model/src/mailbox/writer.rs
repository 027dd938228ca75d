//! One folder opened for change: keeps its counters, change index and modseq right whatever a command does to its messages.

use super::row::{self, FolderRow, MessageRow, MessageState, flag};
use crate::apply::{Change, Outcome, Touch};
use crate::codec;
use crate::ids::{AccountId, FolderId, ModSeq, Uid};
use crate::key;
use crate::limits::{KEYWORD_BYTES_MAX, KEYWORDS_PER_FOLDER_MAX, VANISHED_PER_FOLDER_MAX};
use crate::reply::Refusal;
use crate::txn::{ReadError, Txn};
use faults::Fault;
use std::ops::ControlFlow;

/// A folder being changed by one command. Its changes share one new modseq. [`Self::finish`] writes its row.
pub struct FolderWriter {
    account: AccountId,
    folder: FolderId,
    row: FolderRow,
    modseq: ModSeq,
    dirty: bool,
}

impl FolderWriter {
    /// Opens a folder; `None` when it does not exist.
    pub fn open(txn: &dyn Txn, account: AccountId, folder: FolderId) -> Result<Option<Self>, ReadError> {
        let row = row::folder(txn, account, folder)?;
        Ok(row.map(|row| Self { account, folder, modseq: row.highest_modseq + 1, row, dirty: false }))
    }

    /// The row with the changes so far.
    pub fn row(&self) -> &FolderRow {
        &self.row
    }

    /// HIGHESTMODSEQ with the changes so far.
    pub fn highest_modseq(&self) -> ModSeq {
        if self.dirty { self.modseq } else { self.row.highest_modseq }
    }

    /// Whether `count` more UIDs can be given.
    pub fn has_uids(&self, count: usize) -> bool {
        u64::from(self.row.uidnext) + (count as u64) < u64::from(u32::MAX)
    }

    /// The bits of keywords by name, adding unknown ones to the table.
    pub fn keyword_bits(&mut self, names: &[String]) -> Result<u64, Refusal> {
        let mut bits = 0;
        for name in names {
            bits |= 1 << (self.keyword(name)? + flag::KEYWORD_SHIFT);
        }
        Ok(bits)
    }

    fn keyword(&mut self, name: &str) -> Result<usize, Refusal> {
        if let Some(at) = self.row.keywords.iter().position(|known| known.eq_ignore_ascii_case(name)) {
            return Ok(at);
        }
        if name.is_empty() || name.len() > KEYWORD_BYTES_MAX {
            return Err(Refusal::Invalid);
        }
        if self.row.keywords.len() >= KEYWORDS_PER_FOLDER_MAX {
            return Err(Refusal::Limit);
        }
        self.row.keywords.push(name.to_owned());
        self.dirty = true;
        Ok(self.row.keywords.len() - 1)
    }

    /// The bits known for keywords, passing over unknown ones (for removing flags).
    pub fn known_keyword_bits(&self, names: &[String]) -> u64 {
        let known = |name: &String| self.row.keywords.iter().position(|k| k.eq_ignore_ascii_case(name));
        names.iter().filter_map(known).fold(0, |bits, at| bits | 1 << (at + flag::KEYWORD_SHIFT))
    }

    /// The names of the keywords set in `flags`.
    pub fn keyword_names(&self, flags: u64) -> Vec<String> {
        let set = |at: &usize| flags >> (at + flag::KEYWORD_SHIFT) & 1 == 1;
        (0..self.row.keywords.len()).filter(set).map(|at| self.row.keywords[at].clone()).collect()
    }

    /// Puts a message at the end; the caller has checked [`Self::has_uids`].
    pub fn add(&mut self, txn: &mut dyn Txn, message: &MessageRow, flags: u64, outcome: &mut Outcome) -> Uid {
        let local = faults::planted(Fault::UidFromLocalCounter);
        let uid = if local { faults::local_counter() } else { self.row.uidnext };
        self.row.uidnext = uid + 1;
        self.count(flags, message.size, 1);
        txn.put(&key::message(self.account, self.folder, uid), &codec::encode(message));
        self.put_state(txn, MessageState { uid, modseq: self.modseq, flags });
        outcome.touched.push(Touch::Message(self.account, self.folder, uid));
        uid
    }

    /// Changes the flags of a message that is there.
    pub fn set_flags(
        &mut self,
        txn: &mut dyn Txn,
        was: MessageState,
        flags: u64,
        outcome: &mut Outcome,
    ) -> MessageState {
        self.count(was.flags, 0, -1);
        self.count(flags, 0, 1);
        txn.delete(&key::change(self.account, self.folder, was.modseq, was.uid));
        let modseq = if faults::planted(Fault::FlagsKeepModseq) { was.modseq } else { self.modseq };
        let state = MessageState { uid: was.uid, modseq, flags };
        self.put_state(txn, state);
        if was.flags & flag::SYSTEM != flags & flag::SYSTEM {
            outcome.touched.push(Touch::Flags(self.account, self.folder, was.uid));
        }
        state
    }

    /// Takes a message out and remembers that it vanished.
    pub fn remove(&mut self, txn: &mut dyn Txn, was: MessageState, outcome: &mut Outcome) -> Result<(), ReadError> {
        let size = row::message(txn, self.account, self.folder, was.uid)?.map_or(0, |message| message.size);
        self.count(was.flags, size, -1);
        txn.delete(&key::change(self.account, self.folder, was.modseq, was.uid));
        txn.delete(&key::message(self.account, self.folder, was.uid));
        txn.delete(&key::state(self.account, self.folder, was.uid));
        if !faults::planted(Fault::VanishedForgotten) {
            txn.put(&key::vanished(self.account, self.folder, self.modseq, was.uid), &[]);
        }
        self.row.vanished += 1;
        self.dirty = true;
        outcome.touched.push(Touch::Message(self.account, self.folder, was.uid));
        Ok(())
    }

    /// Writes the folder's row when anything changed, and announces the change.
    pub fn finish(mut self, txn: &mut dyn Txn, outcome: &mut Outcome) -> Result<(), ReadError> {
        if !self.dirty {
            return Ok(());
        }
        self.row.highest_modseq = self.modseq;
        self.forget_vanished(txn)?;
        row::put_folder(txn, self.account, self.folder, &self.row);
        let (account, folder, modseq) = (self.account, self.folder, self.modseq);
        outcome.changes.push(Change::Folder { account, folder, modseq });
        Ok(())
    }

    fn put_state(&mut self, txn: &mut dyn Txn, state: MessageState) {
        txn.put(&key::state(self.account, self.folder, state.uid), &state.to_bytes());
        txn.put(&key::change(self.account, self.folder, state.modseq, state.uid), &[]);
        self.dirty = true;
    }

    fn count(&mut self, flags: u64, size: u64, sign: i64) {
        let step = |counter: &mut u64, by: u64| {
            *counter = if sign > 0 { counter.saturating_add(by) } else { counter.saturating_sub(by) };
        };
        step(&mut self.row.unseen, u64::from(flags & flag::SEEN == 0));
        step(&mut self.row.deleted, u64::from(flags & flag::DELETED != 0));
        // A flag change passes size 0 and comes as a pair, so the message count evens out.
        step(&mut self.row.messages, 1);
        step(&mut self.row.bytes, size);
    }

    /// Keeps the memory of expunged UIDs bounded: the oldest go, and the floor says that they may be missing.
    fn forget_vanished(&mut self, txn: &mut dyn Txn) -> Result<(), ReadError> {
        let excess = self.row.vanished.saturating_sub(VANISHED_PER_FOLDER_MAX);
        if excess == 0 {
            return Ok(());
        }
        let mut old = Vec::new();
        crate::txn::scan_prefix(txn, &key::in_folder(b'X', self.account, self.folder), &mut |row, _| {
            old.push(row.to_vec());
            if (old.len() as u64) < excess { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })?;
        for gone in &old {
            txn.delete(gone);
            self.row.vanished_floor = self.row.vanished_floor.max(key::number_at(gone, 17).unwrap_or(0));
        }
        self.row.vanished -= old.len() as u64;
        Ok(())
    }
}
