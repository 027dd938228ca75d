//! Reading mailboxes: what sessions ask of a replica. Nothing here writes.

use super::name;
use super::row::{self, FolderRow, MessageState, SpecialUse};
use crate::codec;
use crate::ids::{AccountId, FolderId, ModSeq, Uid};
use crate::key;
use crate::txn::{Read, ReadError, scan_prefix};
use crate::uidset::UidSet;
use std::ops::ControlFlow;

/// A folder with its id.
#[derive(Clone, Debug, PartialEq)]
pub struct FolderView {
    /// Its id.
    pub id: FolderId,
    /// Its row.
    pub row: FolderRow,
}

/// All folders of an account, by name ascending. Folders being reaped are not among them.
pub fn folders(from: &dyn Read, account: AccountId) -> Result<Vec<FolderView>, ReadError> {
    let mut all = Vec::new();
    for (_, id) in names(from, &key::folder_name(account, ""))? {
        all.extend(row::folder(from, account, id)?.map(|row| FolderView { id, row }));
    }
    Ok(all)
}

/// The folder with this name (any spelling of INBOX).
pub fn folder_by_name(from: &dyn Read, account: AccountId, name: &str) -> Result<Option<FolderView>, ReadError> {
    let Some(name) = name::canonical(name) else { return Ok(None) };
    let Some(id) = row::folder_id(from, account, &name)? else { return Ok(None) };
    Ok(row::folder(from, account, id)?.map(|row| FolderView { id, row }))
}

/// `name` and the folders below it, by name ascending.
pub fn folders_within(from: &dyn Read, account: AccountId, name: &str) -> Result<Vec<(String, FolderId)>, ReadError> {
    let mut found = names(from, &key::folder_name(account, name))?;
    found.retain(|(other, _)| name::is_within(other, name));
    Ok(found)
}

fn names(from: &dyn Read, prefix: &[u8]) -> Result<Vec<(String, FolderId)>, ReadError> {
    let mut found = Vec::new();
    scan_prefix(from, prefix, &mut |key, value| {
        let name = key.get(9..).map(|name| String::from_utf8_lossy(name).into_owned());
        found.extend(name.zip(key::number_at(value, 0).map(FolderId)));
        ControlFlow::Continue(())
    })?;
    Ok(found)
}

/// The folder with this special use.
pub fn special(
    from: &dyn Read,
    account: AccountId,
    special_use: Option<SpecialUse>,
) -> Result<Option<FolderView>, ReadError> {
    Ok(folders(from, account)?.into_iter().find(|folder| folder.row.special_use == special_use))
}

/// Names subscribed to, ascending.
pub fn subscriptions(from: &dyn Read, account: AccountId) -> Result<Vec<String>, ReadError> {
    let mut all = Vec::new();
    scan_prefix(from, &key::subscription(account, ""), &mut |key, _| {
        all.extend(key.get(9..).map(|name| String::from_utf8_lossy(name).into_owned()));
        ControlFlow::Continue(())
    })?;
    Ok(all)
}

/// The states of all messages of a folder, by UID ascending.
pub fn states(from: &dyn Read, account: AccountId, folder: FolderId) -> Result<Vec<MessageState>, ReadError> {
    let mut all = Vec::new();
    let mut failed = None;
    scan_prefix(from, &key::in_folder(b'U', account, folder), &mut |key, value| {
        match MessageState::from_row(key::trailing_uid(key).unwrap_or(0), value) {
            Ok(state) => all.push(state),
            Err(error) => failed = Some(error),
        }
        if failed.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })?;
    failed.map_or(Ok(all), Err)
}

/// The states of those of `uids` that exist, by UID ascending.
pub fn states_of(
    from: &dyn Read,
    account: AccountId,
    folder: FolderId,
    uids: &UidSet,
) -> Result<Vec<MessageState>, ReadError> {
    let mut found = Vec::new();
    visit_uids(from, (b'U', account, folder), uids, &mut |uid, value| {
        found.push(MessageState::from_row(uid, value)?);
        Ok(())
    })?;
    Ok(found)
}

/// Visits the message rows of those of `uids` that exist, by UID ascending.
pub fn messages_of(
    from: &dyn Read,
    account: AccountId,
    folder: FolderId,
    uids: &UidSet,
    visit: &mut dyn FnMut(Uid, row::MessageRow) -> Result<(), ReadError>,
) -> Result<(), ReadError> {
    visit_uids(from, (b'M', account, folder), uids, &mut |uid, value| visit(uid, codec::decode(value)?))
}

type VisitUid<'a> = dyn FnMut(Uid, &[u8]) -> Result<(), ReadError> + 'a;

fn visit_uids(
    from: &dyn Read,
    (table, account, folder): (u8, AccountId, FolderId),
    uids: &UidSet,
    visit: &mut VisitUid<'_>,
) -> Result<(), ReadError> {
    let prefix = key::in_folder(table, account, folder);
    for (first, last) in uids.ranges() {
        let start = [prefix.as_slice(), &first.to_be_bytes()].concat();
        let end = match last.checked_add(1) {
            Some(next) => [prefix.as_slice(), &next.to_be_bytes()].concat(),
            None => crate::txn::prefix_end(&prefix),
        };
        let mut failed = None;
        from.scan(
            &start..&end,
            &mut |key, value| match key::trailing_uid(key).map_or(Ok(()), |uid| visit(uid, value)) {
                Ok(()) => ControlFlow::Continue(()),
                Err(error) => {
                    failed = Some(error);
                    ControlFlow::Break(())
                }
            },
        )?;
        failed.map_or(Ok(()), Err)?;
    }
    Ok(())
}

/// What changed in a folder after a modseq (RFC 7162).
#[derive(Clone, Debug, PartialEq)]
pub struct Changes {
    /// States of messages changed or added, by UID ascending.
    pub changed: Vec<MessageState>,
    /// UIDs expunged. May hold UIDs the client never saw; never one that exists.
    pub vanished: UidSet,
    /// The folder's row at that moment.
    pub row: FolderRow,
}

/// What changed in a folder after `since`; `None` when there is no such folder.
///
/// When expunges after `since` may have been forgotten, every UID below UIDNEXT that does not exist counts as vanished
/// (RFC 7162 section 3.2.5.2 allows the superset).
pub fn changes_since(
    from: &dyn Read,
    account: AccountId,
    folder: FolderId,
    since: ModSeq,
) -> Result<Option<Changes>, ReadError> {
    let Some(row) = row::folder(from, account, folder)? else { return Ok(None) };
    let uids = uids_after(from, (b'C', account, folder), since)?;
    let changed = if uids.len() as u64 > row.messages / 8 {
        // One scan of everything is cheaper than a look at every eighth message.
        let mut changed = states(from, account, folder)?;
        changed.retain(|state| state.modseq > since);
        changed
    } else {
        let mut changed = Vec::with_capacity(uids.len());
        for uid in uids {
            changed.extend(row::state(from, account, folder, uid)?);
        }
        changed.sort_unstable_by_key(|state| state.uid);
        changed
    };
    let vanished = if since < row.vanished_floor {
        absent(&states(from, account, folder)?, row.uidnext)
    } else {
        uids_after(from, (b'X', account, folder), since)?.into_iter().collect()
    };
    Ok(Some(Changes { changed, vanished, row }))
}

fn uids_after(
    from: &dyn Read,
    (table, account, folder): (u8, AccountId, FolderId),
    since: ModSeq,
) -> Result<Vec<Uid>, ReadError> {
    let prefix = key::in_folder(table, account, folder);
    let start = [prefix.as_slice(), &since.saturating_add(1).to_be_bytes()].concat();
    let mut uids = Vec::new();
    from.scan(&start..&crate::txn::prefix_end(&prefix), &mut |key, _| {
        uids.extend(key::trailing_uid(key));
        ControlFlow::Continue(())
    })?;
    Ok(uids)
}

/// The UIDs below `uidnext` that none of `present` (ascending) has.
fn absent(present: &[MessageState], uidnext: Uid) -> UidSet {
    let mut gaps = Vec::new();
    let mut next = 1;
    for state in present {
        if state.uid > next {
            gaps.push((next, state.uid - 1));
        }
        next = state.uid.saturating_add(1);
    }
    if next < uidnext {
        gaps.push((next, uidnext - 1));
    }
    UidSet::from_ranges(gaps)
}

/// The states of messages that are in one of `uids` or all of the folder, for commands that walk it.
pub fn selected(
    from: &dyn Read,
    account: AccountId,
    folder: FolderId,
    uids: Option<&UidSet>,
) -> Result<Vec<MessageState>, ReadError> {
    match uids {
        Some(uids) => states_of(from, account, folder, uids),
        None => states(from, account, folder),
    }
}
