//! Accounts within their shard: made with INBOX and the special folders, removed by marking and reaping.

use super::Place;
use super::folder::{self, NewFolder};
use super::name::INBOX;
use super::row::{self, AccountRow, SpecialUse};
use crate::apply::{Change, Outcome, Touch};
use crate::ids::{AccountId, FolderId};
use crate::key;
use crate::limits::ADDRESS_BYTES_MAX;
use crate::reply::{Refusal, Reply};
use crate::txn::{ReadError, Txn, scan_prefix};
use std::ops::ControlFlow;

/// The folders every account starts with (RFC 6154 section 2).
pub const FIRST_FOLDERS: [(&str, Option<SpecialUse>); 6] = [
    (INBOX, None),
    ("Archive", Some(SpecialUse::Archive)),
    ("Drafts", Some(SpecialUse::Drafts)),
    ("Junk", Some(SpecialUse::Junk)),
    ("Sent", Some(SpecialUse::Sent)),
    ("Trash", Some(SpecialUse::Trash)),
];

/// Makes an account; one that exists is left as it is.
pub fn create(
    txn: &mut dyn Txn,
    place: Place,
    account: AccountId,
    address: &str,
    outcome: &mut Outcome,
) -> Result<Reply, ReadError> {
    if address.is_empty() || address.len() > ADDRESS_BYTES_MAX {
        return Ok(Reply::Refused(Refusal::Invalid));
    }
    match row::account(txn, account)? {
        Some(AccountRow { removed: true, .. }) => return Ok(Reply::Refused(Refusal::NoAccount)),
        Some(_) => return Ok(Reply::Done),
        None => {}
    }
    let mut new =
        AccountRow { address: address.to_owned(), next_folder: 1, last_uidvalidity: 0, folders: 0, removed: false };
    outcome.touched.push(Touch::Account(account));
    for (name, special_use) in FIRST_FOLDERS {
        folder::insert(txn, place, account, &mut new, NewFolder { name, special_use }, outcome);
        txn.put(&key::subscription(account, name), &[]);
    }
    row::put_account(txn, account, &new);
    outcome.changes.push(Change::FolderList(account));
    Ok(Reply::Done)
}

/// Marks an account as removed and its folders as garbage. Its mail is unreachable from here on.
pub fn remove(txn: &mut dyn Txn, account: AccountId, outcome: &mut Outcome) -> Result<Reply, ReadError> {
    let Some(mut gone) = row::account(txn, account)? else {
        return Ok(Reply::Refused(Refusal::NoAccount));
    };
    gone.removed = true;
    row::put_account(txn, account, &gone);
    let mut folders = Vec::new();
    scan_prefix(txn, &key::folders(account), &mut |key, _| {
        folders.extend(key::number_at(key, 9).map(FolderId));
        ControlFlow::Continue(())
    })?;
    for folder in folders {
        txn.put(&key::garbage(account, folder), &[]);
        outcome.touched.push(Touch::Folder(account, folder));
    }
    outcome.changes.push(Change::FolderList(account));
    Ok(Reply::Done)
}

/// The account's row when it exists and is not being removed.
pub fn live(txn: &dyn Txn, account: AccountId) -> Result<Option<AccountRow>, ReadError> {
    Ok(row::account(txn, account)?.filter(|row| !row.removed))
}
