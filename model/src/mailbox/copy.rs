//! COPY and MOVE: one entry, so both are atomic (I5, RFC 6851 section 3.3).

use super::row::{self, MessageRow, MessageState, flag};
use super::view;
use super::writer::FolderWriter;
use super::{Place, account::live};
use crate::apply::Outcome;
use crate::ids::{AccountId, FolderId};
use crate::key;
use crate::reply::{Refusal, Reply};
use crate::txn::{ReadError, Txn};
use crate::uidset::UidSet;

/// Copies messages that exist, in UID order, with flags and internal date (RFC 9051 section 6.4.7).
pub fn copy(
    txn: &mut dyn Txn,
    place: Place,
    account: AccountId,
    (source, destination): (FolderId, FolderId),
    uids: &UidSet,
    remove: bool,
    outcome: &mut Outcome,
) -> Result<Reply, ReadError> {
    let (Some(mut from), Some(to)) = (open_live(txn, account, source)?, open_live(txn, account, destination)?) else {
        return Ok(Reply::Refused(Refusal::NoFolder));
    };
    let states = view::states_of(txn, account, source, uids)?;
    if !to.has_uids(states.len()) {
        return Ok(Reply::Refused(Refusal::UidsExhausted));
    }
    // Source and destination may be the same folder: then one writer does both.
    let mut to = (source != destination).then_some(to);
    let uidvalidity = to.as_ref().unwrap_or(&from).row().uidvalidity;
    let flags = match all_flags(&mut from, to.as_mut(), &states) {
        Ok(flags) => flags,
        Err(refusal) => return Ok(Reply::Refused(refusal)),
    };
    let (mut old, mut new) = (Vec::with_capacity(states.len()), Vec::with_capacity(states.len()));
    for (ordinal, (was, flags)) in states.iter().zip(flags).enumerate() {
        let Some(message) = row::message(txn, account, source, was.uid)? else { continue };
        let row = MessageRow {
            saved_at: row::seconds(place.now),
            file_index: place.index,
            file_ordinal: ordinal as u32,
            ..message
        };
        new.push(to.as_mut().unwrap_or(&mut from).add(txn, &row, flags, outcome));
        old.push(was.uid);
        if remove {
            from.remove(txn, *was, outcome)?;
        }
    }
    let modseq = from.highest_modseq();
    from.finish(txn, outcome)?;
    if let Some(to) = to {
        to.finish(txn, outcome)?;
    }
    Ok(Reply::Copied {
        folder: destination,
        uidvalidity,
        from: old.into_iter().collect(),
        to: new.into_iter().collect(),
        modseq,
    })
}

/// The flags of each message in the destination, whose keyword table may order them differently. Nothing is written yet,
/// so a refusal leaves everything as it was.
fn all_flags(
    from: &mut FolderWriter,
    mut to: Option<&mut FolderWriter>,
    states: &[MessageState],
) -> Result<Vec<u64>, Refusal> {
    let mut flags = Vec::with_capacity(states.len());
    for was in states {
        let keywords = match &mut to {
            Some(to) if was.flags > flag::SYSTEM => to.keyword_bits(&from.keyword_names(was.flags))?,
            _ => was.flags & !flag::SYSTEM,
        };
        flags.push(was.flags & flag::SYSTEM | keywords);
    }
    Ok(flags)
}

/// A writer for a folder that is not being removed, of an account that is not either.
pub fn open_live(txn: &dyn Txn, account: AccountId, folder: FolderId) -> Result<Option<FolderWriter>, ReadError> {
    if live(txn, account)?.is_none() || txn.get(&key::garbage(account, folder))?.is_some() {
        return Ok(None);
    }
    FolderWriter::open(txn, account, folder)
}
