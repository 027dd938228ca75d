//! STORE, with UNCHANGEDSINCE (RFC 7162 section 3.1.3).

use super::folder::client_flags;
use super::writer::FolderWriter;
use super::{StoreMode, view};
use crate::apply::Outcome;
use crate::ids::{AccountId, FolderId, ModSeq};
use crate::reply::{Refusal, Reply};
use crate::txn::{ReadError, Txn};
use crate::uidset::UidSet;
use faults::Fault;

/// What to do to the flags.
pub struct StoreRequest<'a> {
    /// How to combine.
    pub mode: StoreMode,
    /// System flags.
    pub flags: u64,
    /// Keywords by name.
    pub keywords: &'a [String],
    /// Leave messages alone that changed after this.
    pub unchanged_since: Option<ModSeq>,
}

impl StoreRequest<'_> {
    fn bits(&self, writer: &mut FolderWriter) -> Result<u64, Refusal> {
        let keywords = match self.mode {
            StoreMode::Remove => writer.known_keyword_bits(self.keywords),
            StoreMode::Add | StoreMode::Replace => writer.keyword_bits(self.keywords)?,
        };
        Ok(client_flags(self.flags) | keywords)
    }

    fn combine(&self, was: u64, bits: u64) -> u64 {
        match self.mode {
            StoreMode::Replace => bits,
            StoreMode::Add => was | bits,
            StoreMode::Remove => was & !bits,
        }
    }
}

/// Stores flags of the messages that exist.
pub fn store(
    txn: &mut dyn Txn,
    (account, folder): (AccountId, FolderId),
    uids: &UidSet,
    request: &StoreRequest<'_>,
    outcome: &mut Outcome,
) -> Result<Reply, ReadError> {
    let Some(mut writer) = super::copy::open_live(txn, account, folder)? else {
        return Ok(Reply::Refused(Refusal::NoFolder));
    };
    let bits = match request.bits(&mut writer) {
        Ok(bits) => bits,
        Err(refusal) => return Ok(Reply::Refused(refusal)),
    };
    let (mut changed, mut modified) = (Vec::new(), Vec::new());
    for was in view::states_of(txn, account, folder, uids)? {
        let flags = request.combine(was.flags, bits);
        let since = request.unchanged_since.filter(|_| !faults::planted(Fault::UnchangedSinceIgnored));
        if since.is_some_and(|since| was.modseq > since) {
            modified.push(was.uid);
        } else if flags != was.flags {
            changed.push(writer.set_flags(txn, was, flags, outcome));
        }
    }
    let (keywords, modseq) = (writer.row().keywords.clone(), writer.highest_modseq());
    writer.finish(txn, outcome)?;
    Ok(Reply::Stored { changed, modified: modified.into_iter().collect(), keywords, modseq })
}
