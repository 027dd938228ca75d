//! Takes away what deleted folders and removed accounts left, a bounded piece per entry.

use super::row;
use crate::apply::{Outcome, Touch};
use crate::ids::{AccountId, FolderId, Uid};
use crate::key;
use crate::limits::REAPED_PER_ENTRY;
use crate::reply::Reply;
use crate::txn::{ReadError, Txn, prefix_end};
use std::ops::ControlFlow;

/// Removes up to a bound of rows of one garbage folder, then the folder, then a removed account.
pub fn reap(txn: &mut dyn Txn, account: AccountId, outcome: &mut Outcome) -> Result<Reply, ReadError> {
    if let Some(folder) = first_garbage(txn, account)? {
        if !reap_messages(txn, account, folder, outcome)? {
            reap_folder(txn, account, folder, outcome)?;
        }
        return Ok(Reply::Reaped { more: true });
    }
    if row::account(txn, account)?.is_some_and(|row| row.removed) {
        let subscriptions = key::subscription(account, "");
        for prefix in [subscriptions, key::folder_name(account, ""), key::unfinished_copies_of(account)] {
            first_rows(txn, &prefix, usize::MAX)?.iter().for_each(|row| txn.delete(row));
        }
        txn.delete(&key::account(account));
        outcome.touched.push(Touch::Account(account));
    }
    Ok(Reply::Reaped { more: false })
}

/// As [`reap`], `count` messages of a folder at most, in UID order. The folder's garbage row says where the next entry goes
/// on: a scan from the first message would walk over the marks of all that were removed before.
pub fn reap_part(txn: &mut dyn Txn, account: AccountId, count: u32, outcome: &mut Outcome) -> Result<Reply, ReadError> {
    let Some(folder) = first_garbage(txn, account)? else { return reap(txn, account, outcome) };
    let garbage = key::garbage(account, folder);
    let from = txn.get(&garbage)?.and_then(|value| value.first_chunk::<4>().map(|uid| Uid::from_be_bytes(*uid)));
    let count = (count as usize).clamp(1, REAPED_PER_ENTRY);
    let start = key::message(account, folder, from.unwrap_or(0));
    let rows = first_rows_from(txn, &start, &key::in_folder(b'M', account, folder), count)?;
    let uids: Vec<Uid> = rows.iter().filter_map(|row| key::trailing_uid(row)).collect();
    let Some(last) = uids.last() else { return reap(txn, account, outcome) };
    for uid in &uids {
        if let Some(state) = row::state(txn, account, folder, *uid)? {
            txn.delete(&key::change(account, folder, state.modseq, *uid));
        }
        txn.delete(&key::state(account, folder, *uid));
        txn.delete(&key::message(account, folder, *uid));
        outcome.touched.push(Touch::Message(account, folder, *uid));
    }
    txn.put(&garbage, &last.saturating_add(1).to_be_bytes());
    Ok(Reply::Reaped { more: true })
}

fn first_garbage(txn: &dyn Txn, account: AccountId) -> Result<Option<FolderId>, ReadError> {
    let row = first_rows(txn, &key::garbage_of(account), 1)?;
    Ok(row.first().and_then(|key| key::number_at(key, 9)).map(FolderId))
}

/// Whether there was anything to remove.
fn reap_messages(
    txn: &mut dyn Txn,
    account: AccountId,
    folder: FolderId,
    outcome: &mut Outcome,
) -> Result<bool, ReadError> {
    let mut any = false;
    for table in [b'M', b'U', b'C', b'X'] {
        for row in first_rows(txn, &key::in_folder(table, account, folder), REAPED_PER_ENTRY)? {
            txn.delete(&row);
            any = true;
            if let (b'M', Some(uid)) = (table, key::trailing_uid(&row)) {
                outcome.touched.push(Touch::Message(account, folder, uid));
            }
        }
    }
    Ok(any)
}

fn reap_folder(
    txn: &mut dyn Txn,
    account: AccountId,
    folder: FolderId,
    outcome: &mut Outcome,
) -> Result<(), ReadError> {
    txn.delete(&key::folder(account, folder));
    txn.delete(&key::garbage(account, folder));
    outcome.touched.push(Touch::Folder(account, folder));
    Ok(())
}

fn first_rows(txn: &dyn Txn, prefix: &[u8], count: usize) -> Result<Vec<Vec<u8>>, ReadError> {
    first_rows_from(txn, prefix, prefix, count)
}

fn first_rows_from(txn: &dyn Txn, start: &[u8], prefix: &[u8], count: usize) -> Result<Vec<Vec<u8>>, ReadError> {
    let mut rows = Vec::new();
    txn.scan(start..&prefix_end(prefix), &mut |key, _| {
        rows.push(key.to_vec());
        if rows.len() < count { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })?;
    Ok(rows)
}
