//! APPEND and MULTIAPPEND: all messages or none (RFC 3502 section 3).

use super::folder::client_flags;
use super::row::{self, MessageRow};
use super::writer::FolderWriter;
use super::{NewMessage, Place};
use crate::apply::Outcome;
use crate::ids::{AccountId, FolderId};
use crate::reply::{Refusal, Reply};
use crate::txn::{ReadError, Txn};
use crate::uidset::UidSet;

/// Appends messages in order.
pub fn append(
    txn: &mut dyn Txn,
    place: Place,
    (account, folder): (AccountId, FolderId),
    messages: &[NewMessage],
    outcome: &mut Outcome,
) -> Result<Reply, ReadError> {
    let Some(mut writer) = super::copy::open_live(txn, account, folder)? else {
        return Ok(Reply::Refused(Refusal::NoFolder));
    };
    if !writer.has_uids(messages.len()) {
        return Ok(Reply::Refused(Refusal::UidsExhausted));
    }
    let flags = match all_flags(&mut writer, messages) {
        Ok(flags) => flags,
        Err(refusal) => return Ok(Reply::Refused(refusal)),
    };
    let mut uids = Vec::with_capacity(messages.len());
    for (ordinal, (message, flags)) in messages.iter().zip(flags).enumerate() {
        let row = MessageRow {
            hash: message.body.hash,
            size: message.body.size,
            internal_date: message.internal_date.unwrap_or(row::seconds(place.now)),
            internal_zone: message.internal_zone,
            saved_at: row::seconds(place.now),
            file_index: place.index,
            file_ordinal: ordinal as u32,
        };
        uids.push(writer.add(txn, &row, flags, outcome));
    }
    let uidvalidity = writer.row().uidvalidity;
    writer.finish(txn, outcome)?;
    Ok(Reply::Appended { folder, uidvalidity, uids: uids.into_iter().collect::<UidSet>() })
}

fn all_flags(writer: &mut FolderWriter, messages: &[NewMessage]) -> Result<Vec<u64>, Refusal> {
    messages.iter().map(|m| Ok(client_flags(m.flags) | writer.keyword_bits(&m.keywords)?)).collect()
}
