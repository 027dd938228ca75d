//! Delivery of one accepted message into local mailboxes, each at most once (I7).

use super::name;
use super::row::{self, MessageRow};
use super::writer::FolderWriter;
use super::{LocalRecipient, Place};
use crate::apply::Outcome;
use crate::body::BodyRef;
use crate::codec;
use crate::ids::{AccountId, FolderId, MessageId};
use crate::key;
use crate::limits::RECIPIENTS_MAX;
use crate::reply::{Delivered, Refusal, Reply};
use crate::txn::{ReadError, Txn};
use faults::Fault;

/// Delivers to every recipient, and answers for each in order.
pub fn deliver(
    txn: &mut dyn Txn,
    place: Place,
    message: MessageId,
    body: &BodyRef,
    recipients: &[LocalRecipient],
    outcome: &mut Outcome,
) -> Result<Reply, ReadError> {
    if recipients.len() > RECIPIENTS_MAX {
        return Ok(Reply::Refused(Refusal::Limit));
    }
    let mut results = Vec::with_capacity(recipients.len());
    for (ordinal, recipient) in recipients.iter().enumerate() {
        let row = MessageRow {
            hash: body.hash,
            size: body.size,
            internal_date: row::seconds(place.now),
            internal_zone: 0,
            saved_at: row::seconds(place.now),
            file_index: place.index,
            file_ordinal: ordinal as u32,
        };
        results.push(deliver_one(txn, message, recipient, &row, outcome)?);
    }
    Ok(Reply::Delivered(results))
}

fn deliver_one(
    txn: &mut dyn Txn,
    message: MessageId,
    recipient: &LocalRecipient,
    row: &MessageRow,
    outcome: &mut Outcome,
) -> Result<Delivered, ReadError> {
    let account = recipient.account;
    let before = key::delivered(message, account);
    if let Some(value) = txn.get(&before)?.filter(|_| !faults::planted(Fault::DedupOff)) {
        let (folder, uid): (u64, u32) = codec::decode(&value)?;
        return Ok(Delivered::In { folder: FolderId(folder), uid });
    }
    let Some(folder) = destination(txn, account, recipient.folder.as_deref())? else {
        return Ok(Delivered::NoAccount);
    };
    let Some(mut writer) = FolderWriter::open(txn, account, folder)? else {
        return Ok(Delivered::NoAccount);
    };
    if !writer.has_uids(1) {
        return Ok(Delivered::Full);
    }
    let uid = writer.add(txn, row, 0, outcome);
    writer.finish(txn, outcome)?;
    txn.put(&before, &codec::encode(&(folder.0, uid)));
    Ok(Delivered::In { folder, uid })
}

/// The folder asked for by sub-address when it exists, else INBOX; `None` without an account.
fn destination(txn: &dyn Txn, account: AccountId, wanted: Option<&str>) -> Result<Option<FolderId>, ReadError> {
    if super::account::live(txn, account)?.is_none() {
        return Ok(None);
    }
    if let Some(name) = wanted.and_then(name::canonical)
        && let Some(folder) = row::folder_id(txn, account, &name)?
    {
        return Ok(Some(folder));
    }
    row::folder_id(txn, account, name::INBOX)
}
