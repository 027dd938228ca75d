//! Takes away what deleted folders and removed accounts left, a bounded piece per entry.

use super::row;
use crate::apply::{Outcome, Touch};
use crate::ids::{AccountId, FolderId};
use crate::key;
use crate::limits::REAPED_PER_ENTRY;
use crate::reply::Reply;
use crate::txn::{ReadError, Txn, scan_prefix};
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
    let mut rows = Vec::new();
    scan_prefix(txn, prefix, &mut |key, _| {
        rows.push(key.to_vec());
        if rows.len() < count { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })?;
    Ok(rows)
}
