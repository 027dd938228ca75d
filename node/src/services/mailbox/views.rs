//! What sessions read of an account: SELECT, changes, LIST, STATUS. Functions of the rows alone, to be run on blocking
//! threads; nothing here waits or writes.

use super::convert;
use super::snapshots::Snapshots;
use model::mailbox::row::{self, FolderRow};
use model::mailbox::view;
use model::txn::prefix_end;
use model::{AccountId, FolderId, Read, ReadError, UidSet, key};
use protocols::imap::store::{Changes, MailboxInfo, MailboxStatus, ModSeq, Selected, Stored, UidRanges};
use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::sync::Arc;

/// The id of the folder with this name, any spelling of INBOX; `None` when there is none.
pub fn folder_id(from: &dyn Read, account: AccountId, name: &str) -> Result<Option<FolderId>, ReadError> {
    match model::mailbox::name::canonical(name) {
        Some(name) => row::folder_id(from, account, &name),
        None => Ok(None),
    }
}

/// SELECT: the snapshot, with what vanished since when the client's UIDVALIDITY still holds (RFC 7162 section 3.2.5).
pub fn select(
    from: &dyn Read,
    snapshots: &Snapshots,
    account: AccountId,
    name: &str,
    since: Option<(u32, ModSeq)>,
) -> Result<Option<Selected>, ReadError> {
    let Some(folder) = view::folder_by_name(from, account, name)? else { return Ok(None) };
    let messages = match snapshots.get(account, folder.id, folder.row.highest_modseq) {
        Some(messages) => messages,
        None => {
            let messages = Arc::new(convert::states(view::states(from, account, folder.id)?));
            snapshots.put(account, folder.id, folder.row.highest_modseq, &messages);
            messages
        }
    };
    let vanished = match since {
        Some((uidvalidity, since)) if uidvalidity == folder.row.uidvalidity => {
            vanished_of(from, account, (folder.id, &folder.row), since)?
        }
        _ => None,
    };
    Ok(Some(Selected {
        folder: folder.id.0,
        uidvalidity: folder.row.uidvalidity,
        uidnext: folder.row.uidnext,
        highest_modseq: folder.row.highest_modseq,
        messages,
        keywords: Arc::new(folder.row.keywords),
        read_only: false,
        vanished,
    }))
}

/// UIDs expunged after `since`. Outer `None`: no such folder. Inner `None`: the memory does not reach back so far.
pub fn vanished(
    from: &dyn Read,
    account: AccountId,
    folder: FolderId,
    since: ModSeq,
) -> Result<Option<Option<UidRanges>>, ReadError> {
    match row::folder(from, account, folder)? {
        Some(row) => vanished_of(from, account, (folder, &row), since).map(Some),
        None => Ok(None),
    }
}

fn vanished_of(
    from: &dyn Read,
    account: AccountId,
    (folder, row): (FolderId, &FolderRow),
    since: ModSeq,
) -> Result<Option<UidRanges>, ReadError> {
    if since < row.vanished_floor {
        return Ok(None);
    }
    let mut uids = Vec::new();
    let start = key::vanished(account, folder, since.saturating_add(1), 0);
    from.scan(&start..&prefix_end(&key::in_folder(b'X', account, folder)), &mut |key, _| {
        uids.extend(key::trailing_uid(key));
        ControlFlow::Continue(())
    })?;
    Ok(Some(UidRanges::from_uids(uids)))
}

/// What changed after `since`. `keywords_known` is how long the session's keyword table is; the table is given when it
/// grew. `None`: no such folder, or one being removed.
pub fn changes(
    from: &dyn Read,
    account: AccountId,
    folder: FolderId,
    since: ModSeq,
    keywords_known: usize,
) -> Result<Option<Changes>, ReadError> {
    if is_gone(from, account, folder)? {
        return Ok(None);
    }
    let Some(changes) = view::changes_since(from, account, folder, since)? else { return Ok(None) };
    Ok(Some(Changes {
        changed: convert::states(changes.changed),
        vanished: convert::uid_ranges(&changes.vanished),
        highest_modseq: changes.row.highest_modseq,
        uidnext: changes.row.uidnext,
        keywords: grown(changes.row.keywords, keywords_known),
    }))
}

/// Whether a folder's name is gone and its rows wait to be reaped.
fn is_gone(from: &dyn Read, account: AccountId, folder: FolderId) -> Result<bool, ReadError> {
    Ok(from.get(&key::garbage(account, folder))?.is_some())
}

/// A keyword table when it is longer than the one known; tables only ever grow.
pub fn grown(keywords: Vec<String>, known: usize) -> Option<Arc<Vec<String>>> {
    (keywords.len() > known).then(|| Arc::new(keywords))
}

/// What one entry of a STORE did.
pub struct StoreDone {
    /// The messages it addressed.
    pub uids: UidSet,
    /// The states it made.
    pub changed: Vec<row::MessageState>,
    /// What it left alone.
    pub modified: UidSet,
    /// The folder's HIGHESTMODSEQ behind it.
    pub modseq: ModSeq,
}

/// After STORE: the states its entries left of the messages addressed, except those left alone. Another session may have
/// changed them since; the MODSEQ of that change is not reported as this one's, or the client would take it for its own.
/// The entries ascend by UID.
pub fn stored(from: &dyn Read, account: AccountId, folder: FolderId, done: &[StoreDone]) -> Result<Stored, ReadError> {
    let mut all = Stored { states: Vec::new(), modified: Vec::new(), overtaken: Vec::new(), keywords: None };
    for entry in done {
        let part = stored_by(from, account, folder, entry)?;
        all.states.extend(part.states);
        all.modified.extend(part.modified);
        all.overtaken.extend(part.overtaken);
    }
    Ok(all)
}

fn stored_by(from: &dyn Read, account: AccountId, folder: FolderId, done: &StoreDone) -> Result<Stored, ReadError> {
    let mut states = view::states_of(from, account, folder, &done.uids)?;
    states.retain(|state| !done.modified.contains(state.uid));
    for made in &done.changed {
        if let Ok(at) = states.binary_search_by_key(&made.uid, |state| state.uid)
            && let Some(state) = states.get_mut(at)
        {
            *state = *made;
        }
    }
    let overtaken = states.iter().filter(|state| state.modseq > done.modseq).map(|state| state.uid).collect();
    Ok(Stored { states: convert::states(states), modified: done.modified.iter().collect(), overtaken, keywords: None })
}

/// Every mailbox, and subscriptions that outlived theirs (RFC 9051 section 6.3.7).
pub fn mailboxes(from: &dyn Read, account: AccountId) -> Result<Vec<MailboxInfo>, ReadError> {
    let mut subscribed: BTreeSet<String> = view::subscriptions(from, account)?.into_iter().collect();
    let mut all = Vec::new();
    for folder in view::folders(from, account)? {
        all.push(MailboxInfo {
            subscribed: subscribed.remove(&folder.row.name),
            name: folder.row.name,
            folder: Some(folder.id.0),
            no_select: false,
            special_use: folder.row.special_use.map(convert::special_use),
        });
    }
    all.extend(subscribed.into_iter().map(|name| MailboxInfo {
        name,
        folder: None,
        subscribed: true,
        no_select: false,
        special_use: None,
    }));
    Ok(all)
}

/// Counts of mailboxes, in the order asked; `None` where there is none.
pub fn statuses(
    from: &dyn Read,
    account: AccountId,
    names: &[String],
) -> Result<Vec<Option<MailboxStatus>>, ReadError> {
    let status = |name: &String| {
        let folder = view::folder_by_name(from, account, name)?;
        Ok(folder.map(|folder| convert::status(folder.id, &folder.row)))
    };
    names.iter().map(status).collect()
}

#[cfg(test)]
mod tests {
    use super::super::sample::Sample;
    use super::*;
    use model::mailbox::{MailboxCommand, StoreMode};

    #[test]
    fn select_gives_the_snapshot_and_changes_follow_it() {
        let mut sample = Sample::new();
        sample.append("INBOX", &["one", "two", "three"]);
        let selected = select(sample.rows(), &Snapshots::default(), sample.account, "inbox", None).unwrap().unwrap();
        assert_eq!(selected.messages.iter().map(|state| state.uid).collect::<Vec<_>>(), [1, 2, 3]);
        assert_eq!(selected.uidnext, 4);
        let folder = FolderId(selected.folder);
        sample.apply(MailboxCommand::Store {
            account: sample.account,
            folder,
            uids: UidSet::from_ranges([(2, 2)]),
            mode: StoreMode::Add,
            flags: row::flag::DELETED,
            keywords: vec!["later".into()],
            unchanged_since: None,
        });
        sample.apply(MailboxCommand::Expunge { account: sample.account, folder, uids: None });
        sample.append("INBOX", &["four"]);
        let news = changes(sample.rows(), sample.account, folder, selected.highest_modseq, 0).unwrap().unwrap();
        assert_eq!(news.changed.iter().map(|state| state.uid).collect::<Vec<_>>(), [4]);
        assert_eq!(news.vanished.iter().collect::<Vec<_>>(), [2]);
        assert_eq!(news.keywords.unwrap().as_slice(), ["later"]);
        let again = select(
            sample.rows(),
            &Snapshots::default(),
            sample.account,
            "INBOX",
            Some((selected.uidvalidity, selected.highest_modseq)),
        )
        .unwrap()
        .unwrap();
        assert_eq!(again.vanished.unwrap().iter().collect::<Vec<_>>(), [2]);
        let other =
            select(sample.rows(), &Snapshots::default(), sample.account, "INBOX", Some((1, 1))).unwrap().unwrap();
        assert_eq!(other.vanished, None);
    }

    #[test]
    fn list_shows_special_uses_and_orphaned_subscriptions() {
        let mut sample = Sample::new();
        sample.apply(MailboxCommand::Subscribe { account: sample.account, name: "Gone".into(), on: true });
        let all = mailboxes(sample.rows(), sample.account).unwrap();
        let gone = all.iter().find(|info| info.name == "Gone").unwrap();
        assert!(gone.folder.is_none() && gone.subscribed);
        let sent = all.iter().find(|info| info.name == "Sent").unwrap();
        assert_eq!(sent.special_use, Some(protocols::imap::store::SpecialUse::Sent));
    }

    #[test]
    fn a_removed_folder_has_no_changes_and_no_status() {
        let mut sample = Sample::new();
        sample.apply(MailboxCommand::CreateFolder { account: sample.account, name: "a".into(), special_use: None });
        let folder = folder_id(sample.rows(), sample.account, "a").unwrap().unwrap();
        sample.apply(MailboxCommand::DeleteFolder { account: sample.account, name: "a".into() });
        assert!(changes(sample.rows(), sample.account, folder, 1, 0).unwrap().is_none());
        assert_eq!(statuses(sample.rows(), sample.account, &["a".into(), "Sent".into()]).unwrap()[0], None);
    }

    #[test]
    fn a_store_tells_what_it_made_and_not_what_came_after() {
        let mut sample = Sample::new();
        sample.append("INBOX", &["one", "two", "three"]);
        let folder = folder_id(sample.rows(), sample.account, "INBOX").unwrap().unwrap();
        let uids = |first, last| UidSet::from_ranges([(first, last)]);
        let store = |sample: &mut Sample, uids, flags| {
            sample.apply(MailboxCommand::Store {
                account: sample.account,
                folder,
                uids,
                mode: StoreMode::Add,
                flags,
                keywords: Vec::new(),
                unchanged_since: None,
            })
        };
        store(&mut sample, uids(3, 3), row::flag::SEEN);
        let model::Reply::Stored { changed, modified, modseq, .. } = store(&mut sample, uids(1, 3), row::flag::SEEN)
        else {
            panic!("stored");
        };
        store(&mut sample, uids(2, 3), row::flag::FLAGGED);
        let done = [StoreDone { uids: uids(1, 3), changed, modified, modseq }];
        let stored = stored(sample.rows(), sample.account, folder, &done).unwrap();
        let told: Vec<_> = stored.states.iter().map(|state| (state.uid, state.flags.0, state.modseq)).collect();
        let (seen, both) = (row::flag::SEEN, row::flag::SEEN | row::flag::FLAGGED);
        assert_eq!(told, [(1, seen, modseq), (2, seen, modseq), (3, both, modseq + 1)]);
        assert_eq!(stored.overtaken, [3]);
    }
}
