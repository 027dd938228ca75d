//! CREATE, DELETE, RENAME and SUBSCRIBE.

use super::account::live;
use super::name::{self, INBOX};
use super::row::{self, AccountRow, FolderRow, SpecialUse, flag};
use super::{Place, copy, view};
use crate::apply::{Change, Outcome, Touch};
use crate::ids::{AccountId, FolderId};
use crate::key;
use crate::limits::{FOLDERS_PER_ACCOUNT_MAX, SUBSCRIPTIONS_PER_ACCOUNT_MAX};
use crate::reply::{Refusal, Reply};
use crate::txn::{ReadError, Txn};
use crate::uidset::UidSet;

/// What a folder starts as.
pub struct NewFolder<'a> {
    /// Canonical name.
    pub name: &'a str,
    /// What it is for.
    pub special_use: Option<SpecialUse>,
}

/// Writes a new, empty folder; the caller has checked that the name is free and writes the account's row.
pub fn insert(
    txn: &mut dyn Txn,
    place: Place,
    account: AccountId,
    owner: &mut AccountRow,
    new: NewFolder<'_>,
    outcome: &mut Outcome,
) -> (FolderId, u32) {
    let folder = FolderId(owner.next_folder);
    owner.next_folder += 1;
    owner.folders += 1;
    // Seconds at creation, but always above every earlier one of the account (I6).
    let seconds = u32::try_from(place.now / 1000).unwrap_or(u32::MAX);
    owner.last_uidvalidity = seconds.max(owner.last_uidvalidity.saturating_add(1));
    let row = FolderRow {
        name: new.name.to_owned(),
        uidvalidity: owner.last_uidvalidity,
        uidnext: 1,
        highest_modseq: 1,
        messages: 0,
        unseen: 0,
        deleted: 0,
        bytes: 0,
        vanished: 0,
        vanished_floor: 0,
        keywords: Vec::new(),
        special_use: new.special_use,
    };
    row::put_folder(txn, account, folder, &row);
    txn.put(&key::folder_name(account, new.name), &folder.0.to_be_bytes());
    outcome.touched.push(Touch::Folder(account, folder));
    (folder, row.uidvalidity)
}

/// CREATE: the folder and its missing parents (RFC 9051 section 6.3.4).
pub fn create(
    txn: &mut dyn Txn,
    place: Place,
    account: AccountId,
    name: &str,
    special_use: Option<SpecialUse>,
    outcome: &mut Outcome,
) -> Result<Reply, ReadError> {
    let Some(name) = name::canonical(name) else { return Ok(Reply::Refused(Refusal::Invalid)) };
    let Some(mut owner) = live(txn, account)? else { return Ok(Reply::Refused(Refusal::NoAccount)) };
    if row::folder_id(txn, account, &name)?.is_some() {
        return Ok(Reply::Refused(Refusal::Exists));
    }
    if special_use.is_some() && view::special(txn, account, special_use)?.is_some() {
        return Ok(Reply::Refused(Refusal::Cannot));
    }
    let missing = missing_parents(txn, account, &name)?;
    if owner.folders + missing.len() as u64 >= FOLDERS_PER_ACCOUNT_MAX {
        return Ok(Reply::Refused(Refusal::Limit));
    }
    for parent in &missing {
        insert(txn, place, account, &mut owner, NewFolder { name: parent, special_use: None }, outcome);
    }
    let (folder, uidvalidity) =
        insert(txn, place, account, &mut owner, NewFolder { name: &name, special_use }, outcome);
    row::put_account(txn, account, &owner);
    outcome.changes.push(Change::FolderList(account));
    Ok(Reply::Folder { folder, uidvalidity })
}

fn missing_parents(txn: &dyn Txn, account: AccountId, name: &str) -> Result<Vec<String>, ReadError> {
    let mut missing = Vec::new();
    for parent in name::parents(name) {
        if row::folder_id(txn, account, parent)?.is_none() {
            missing.push(parent.to_owned());
        }
    }
    Ok(missing)
}

/// DELETE: the name is free at once; the messages are reaped behind it. A folder with children is refused
/// (RFC 9051 section 6.3.5 leaves it to the server; keeping a nameless parent surprises people).
pub fn delete(txn: &mut dyn Txn, account: AccountId, name: &str, outcome: &mut Outcome) -> Result<Reply, ReadError> {
    let Some(name) = name::canonical(name) else { return Ok(Reply::Refused(Refusal::NoFolder)) };
    let Some(mut owner) = live(txn, account)? else { return Ok(Reply::Refused(Refusal::NoAccount)) };
    let Some(folder) = row::folder_id(txn, account, &name)? else { return Ok(Reply::Refused(Refusal::NoFolder)) };
    if name == INBOX || view::folders_within(txn, account, &name)?.len() > 1 {
        return Ok(Reply::Refused(Refusal::Cannot));
    }
    txn.delete(&key::folder_name(account, &name));
    txn.put(&key::garbage(account, folder), &[]);
    owner.folders = owner.folders.saturating_sub(1);
    row::put_account(txn, account, &owner);
    outcome.touched.push(Touch::Folder(account, folder));
    outcome.changes.push(Change::FolderList(account));
    Ok(Reply::Done)
}

/// RENAME: the folder and everything below it keep their ids, UIDs and UIDVALIDITY.
pub fn rename(
    txn: &mut dyn Txn,
    place: Place,
    account: AccountId,
    from: &str,
    to: &str,
    outcome: &mut Outcome,
) -> Result<Reply, ReadError> {
    let Some(to) = name::canonical(to) else { return Ok(Reply::Refused(Refusal::Invalid)) };
    let Some(from) = name::canonical(from) else { return Ok(Reply::Refused(Refusal::NoFolder)) };
    let Some(mut owner) = live(txn, account)? else { return Ok(Reply::Refused(Refusal::NoAccount)) };
    if row::folder_id(txn, account, &from)?.is_none() {
        return Ok(Reply::Refused(Refusal::NoFolder));
    }
    if row::folder_id(txn, account, &to)?.is_some() {
        return Ok(Reply::Refused(Refusal::Exists));
    }
    if from == INBOX {
        return rename_inbox(txn, place, account, &to, outcome);
    }
    let moved = view::folders_within(txn, account, &from)?;
    let renamed = |name: &str| format!("{to}{}", &name[from.len()..]);
    let too_long = moved.iter().any(|(name, _)| name::canonical(&renamed(name)).is_none());
    if name::is_within(&to, &from) || too_long {
        return Ok(Reply::Refused(Refusal::Cannot));
    }
    for (old, _) in &moved {
        txn.delete(&key::folder_name(account, old));
    }
    for parent in missing_parents(txn, account, &to)? {
        insert(txn, place, account, &mut owner, NewFolder { name: &parent, special_use: None }, outcome);
    }
    for (old, folder) in &moved {
        set_name(txn, account, *folder, &renamed(old))?;
        outcome.touched.push(Touch::Folder(account, *folder));
    }
    row::put_account(txn, account, &owner);
    outcome.changes.push(Change::FolderList(account));
    Ok(Reply::Done)
}

fn set_name(txn: &mut dyn Txn, account: AccountId, folder: FolderId, name: &str) -> Result<(), ReadError> {
    txn.put(&key::folder_name(account, name), &folder.0.to_be_bytes());
    if let Some(mut row) = row::folder(txn, account, folder)? {
        name.clone_into(&mut row.name);
        row::put_folder(txn, account, folder, &row);
    }
    Ok(())
}

/// RFC 9051 section 6.3.6: the messages of INBOX move to a new folder, INBOX stays and its children too.
fn rename_inbox(
    txn: &mut dyn Txn,
    place: Place,
    account: AccountId,
    to: &str,
    outcome: &mut Outcome,
) -> Result<Reply, ReadError> {
    let made = create(txn, place, account, to, None, outcome)?;
    let (Reply::Folder { folder, .. }, Some(inbox)) = (&made, row::folder_id(txn, account, INBOX)?) else {
        return Ok(made);
    };
    let all = UidSet::from_ranges([(1, u32::MAX)]);
    copy::copy(txn, place, account, (inbox, *folder), &all, true, outcome)?;
    Ok(Reply::Done)
}

/// SUBSCRIBE and UNSUBSCRIBE; the folder need not exist (RFC 9051 section 6.3.7).
pub fn subscribe(
    txn: &mut dyn Txn,
    account: AccountId,
    name: &str,
    on: bool,
    outcome: &mut Outcome,
) -> Result<Reply, ReadError> {
    let Some(name) = name::canonical(name) else { return Ok(Reply::Refused(Refusal::Invalid)) };
    if live(txn, account)?.is_none() {
        return Ok(Reply::Refused(Refusal::NoAccount));
    }
    let row = key::subscription(account, &name);
    if !on {
        txn.delete(&row);
    } else if txn.get(&row)?.is_none() {
        if view::subscriptions(txn, account)?.len() >= SUBSCRIPTIONS_PER_ACCOUNT_MAX {
            return Ok(Reply::Refused(Refusal::Limit));
        }
        txn.put(&row, &[]);
    }
    outcome.changes.push(Change::FolderList(account));
    Ok(Reply::Done)
}

/// Bits of system flags a client may set.
pub fn client_flags(flags: u64) -> u64 {
    flags & flag::SYSTEM
}
