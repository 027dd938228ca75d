//! A COPY of many messages in several entries, so that none holds the shard for long. Until the last one a row remembers
//! what was copied; when the command fails or its session is lost, the copies are removed again (RFC 9051 section 6.4.7:
//! a COPY that fails leaves the destination as it was).

use super::copy::{copy, open_live};
use super::{Place, view};
use crate::apply::Outcome;
use crate::codec;
use crate::ids::{AccountId, FolderId, OperationId, UnixMillis};
use crate::key;
use crate::limits::COPIES_UNDONE_PER_ENTRY;
use crate::reply::{Refusal, Reply};
use crate::txn::{Read, ReadError, Txn, scan_prefix};
use crate::uidset::UidSet;
use faults::Fault;
use serde::{Deserialize, Serialize};
use std::ops::ControlFlow;

/// One entry of a COPY in parts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CopyPart {
    /// From.
    pub source: FolderId,
    /// To; the same in every part.
    pub destination: FolderId,
    /// Which messages this part copies; UIDs that do not exist are skipped.
    pub uids: UidSet,
    /// Names the whole COPY: the operation id of its first part.
    pub copy: OperationId,
    /// Where in the COPY this part is.
    pub order: PartOrder,
}

/// The place of a part in its COPY.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PartOrder {
    /// The first of several.
    First,
    /// Neither the first nor the last.
    Middle,
    /// The last: with it the COPY is complete.
    Last,
}

/// What an unfinished COPY has made so far.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct UnfinishedCopy {
    /// Where the copies are.
    pub destination: FolderId,
    /// Their UIDs there.
    pub uids: UidSet,
    /// When the latest part was proposed.
    pub at: UnixMillis,
}

/// Carries out one part. A part after the COPY was undone is refused as stale.
pub fn copy_part(
    txn: &mut dyn Txn,
    place: Place,
    account: AccountId,
    part: &CopyPart,
    outcome: &mut Outcome,
) -> Result<Reply, ReadError> {
    let row = key::unfinished_copy(account, part.copy);
    let before: Option<UnfinishedCopy> = txn.get(&row)?.map(|value| codec::decode(&value)).transpose()?;
    let before = match (before, part.order) {
        (None, PartOrder::First) => Some(UidSet::new()),
        (Some(before), PartOrder::Middle | PartOrder::Last) if before.destination == part.destination => {
            Some(before.uids)
        }
        _ => None,
    };
    let Some(before) = before else { return Ok(Reply::Refused(Refusal::Stale)) };
    let reply = copy(txn, place, account, (part.source, part.destination), &part.uids, false, outcome)?;
    let Reply::Copied { to, .. } = &reply else { return Ok(reply) };
    if part.order == PartOrder::Last {
        txn.delete(&row);
    } else {
        let uids = UidSet::from_ranges(before.ranges().iter().chain(to.ranges()).copied());
        let unfinished = UnfinishedCopy { destination: part.destination, uids, at: place.now };
        txn.put(&row, &codec::encode(&unfinished));
    }
    Ok(reply)
}

/// Removes a bounded number of the copies that an unfinished COPY made; [`Reply::Reaped`] says whether there are more.
pub fn undo_copy(
    txn: &mut dyn Txn,
    account: AccountId,
    copy: OperationId,
    outcome: &mut Outcome,
) -> Result<Reply, ReadError> {
    let row = key::unfinished_copy(account, copy);
    let Some(value) = txn.get(&row)? else { return Ok(Reply::Reaped { more: false }) };
    let unfinished: UnfinishedCopy = codec::decode(&value)?;
    // A folder that is being removed takes the copies with it.
    let Some(mut writer) = open_live(txn, account, unfinished.destination)? else {
        txn.delete(&row);
        return Ok(Reply::Reaped { more: false });
    };
    let now: UidSet = unfinished.uids.iter().take(COPIES_UNDONE_PER_ENTRY).collect();
    for was in view::states_of(txn, account, unfinished.destination, &now)? {
        if !faults::planted(Fault::UndoneCopyStays) {
            writer.remove(txn, was, outcome)?;
        }
    }
    writer.finish(txn, outcome)?;
    let left: UidSet = unfinished.uids.iter().skip(COPIES_UNDONE_PER_ENTRY).collect();
    let more = !left.is_empty();
    if more {
        txn.put(&row, &codec::encode(&UnfinishedCopy { uids: left, ..unfinished }));
    } else {
        txn.delete(&row);
    }
    Ok(Reply::Reaped { more })
}

/// Every unfinished COPY of a shard, by account and id.
pub fn unfinished_copies(from: &dyn Read) -> Result<Vec<(AccountId, OperationId, UnfinishedCopy)>, ReadError> {
    let mut found = Vec::new();
    let mut failed = None;
    scan_prefix(from, &key::unfinished_copies(), &mut |key, value| match (key::copy_of(key), codec::decode(value)) {
        (Some((account, copy)), Ok(unfinished)) => {
            found.push((account, copy, unfinished));
            ControlFlow::Continue(())
        }
        (_, Err(error)) => {
            failed = Some(error);
            ControlFlow::Break(())
        }
        (None, _) => ControlFlow::Continue(()),
    })?;
    failed.map_or(Ok(found), Err)
}
