//! Rows in the words of the IMAP contract, as `node/src/services/mailbox/` (`views.rs`, `convert.rs`, `fetch.rs`) says them,
//! as far as the clients here ask. Functions of the rows alone.

use cluster::Bodies;
use model::mailbox::row::{self, FolderRow};
use model::mailbox::{StoreMode, view};
use model::txn::prefix_end;
use model::{AccountId, BodyHash, FolderId, ModSeq, Read, ReadError, UidSet, key};
use protocols::imap::fetch::{self, FetchPlan, MessageFacts, Sink};
use protocols::imap::store::{
    Changes, Fetched, Flags, MailboxStatus, MessageState, Reply, Selected, StoreAction, StoreError, Stored, UidRanges,
};
use std::io;
use std::ops::{ControlFlow, Range};
use std::sync::Arc;

fn states(states: Vec<row::MessageState>) -> Vec<MessageState> {
    let state =
        |state: row::MessageState| MessageState { uid: state.uid, modseq: state.modseq, flags: Flags(state.flags) };
    states.into_iter().map(state).collect()
}

/// UIDs asked for by a session.
pub fn uid_set(ranges: &UidRanges) -> UidSet {
    UidSet::from_ranges(ranges.ranges().iter().copied())
}

/// How STORE combines.
pub fn store_mode(action: StoreAction) -> StoreMode {
    match action {
        StoreAction::Replace => StoreMode::Replace,
        StoreAction::Add => StoreMode::Add,
        StoreAction::Remove => StoreMode::Remove,
    }
}

/// The folder with this name.
pub fn folder_id(from: &dyn Read, account: AccountId, name: &str) -> Result<Option<FolderId>, ReadError> {
    match model::mailbox::name::canonical(name) {
        Some(name) => row::folder_id(from, account, &name),
        None => Ok(None),
    }
}

/// SELECT: the snapshot, with what vanished since when the client's UIDVALIDITY still holds.
pub fn select(
    from: &dyn Read,
    account: AccountId,
    name: &str,
    since: Option<(u32, ModSeq)>,
) -> Result<Option<Selected>, ReadError> {
    let Some(folder) = view::folder_by_name(from, account, name)? else { return Ok(None) };
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
        messages: Arc::new(states(view::states(from, account, folder.id)?)),
        keywords: Arc::new(folder.row.keywords),
        read_only: false,
        vanished,
    }))
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

/// What changed after `since`; `None` when there is no such folder.
pub fn changes(
    from: &dyn Read,
    account: AccountId,
    folder: FolderId,
    since: ModSeq,
    keywords_known: usize,
) -> Result<Option<Changes>, ReadError> {
    let Some(changes) = view::changes_since(from, account, folder, since)? else { return Ok(None) };
    Ok(Some(Changes {
        changed: states(changes.changed),
        vanished: UidRanges::from_ranges(changes.vanished.ranges().iter().copied()),
        highest_modseq: changes.row.highest_modseq,
        uidnext: changes.row.uidnext,
        keywords: grown(changes.row.keywords, keywords_known),
    }))
}

/// A keyword table when it is longer than the one known.
pub fn grown(keywords: Vec<String>, known: usize) -> Option<Arc<Vec<String>>> {
    (keywords.len() > known).then(|| Arc::new(keywords))
}

/// What a STORE did.
pub struct StoreDone {
    /// The states it made.
    pub changed: Vec<row::MessageState>,
    /// What it left alone.
    pub modified: UidSet,
    /// The folder's HIGHESTMODSEQ behind it.
    pub modseq: ModSeq,
}

/// After STORE: the states it left of the messages addressed, but for those left alone.
pub fn stored(
    from: &dyn Read,
    account: AccountId,
    folder: FolderId,
    uids: &UidSet,
    done: &StoreDone,
) -> Result<Stored, ReadError> {
    let mut found = view::states_of(from, account, folder, uids)?;
    found.retain(|state| !done.modified.contains(state.uid));
    for made in &done.changed {
        if let Ok(at) = found.binary_search_by_key(&made.uid, |state| state.uid)
            && let Some(state) = found.get_mut(at)
        {
            *state = *made;
        }
    }
    let overtaken = found.iter().filter(|state| state.modseq > done.modseq).map(|state| state.uid).collect();
    Ok(Stored { states: states(found), modified: done.modified.iter().collect(), overtaken, keywords: None })
}

/// Counts of mailboxes, in the order asked; `None` where there is none.
pub fn statuses(
    from: &dyn Read,
    account: AccountId,
    names: &[String],
) -> Result<Vec<Option<MailboxStatus>>, ReadError> {
    let count = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
    let status = |name: &String| {
        let folder = view::folder_by_name(from, account, name)?;
        Ok(folder.map(|folder| MailboxStatus {
            folder: folder.id.0,
            messages: count(folder.row.messages),
            uidnext: folder.row.uidnext,
            uidvalidity: folder.row.uidvalidity,
            unseen: count(folder.row.unseen),
            deleted: count(folder.row.deleted),
            size_bytes: folder.row.bytes,
            highest_modseq: folder.row.highest_modseq,
        }))
    };
    names.iter().map(status).collect()
}

/// Renders a plan with its bodies. A message that old rows do not have may not have come here yet, and one whose body is
/// nowhere may have been expunged meanwhile: both are told as unavailable, never as gone.
pub fn render(
    from: &dyn Read,
    bodies: &Bodies,
    account: AccountId,
    plan: &FetchPlan,
    stale: bool,
) -> Result<(Vec<u8>, Reply), StoreError> {
    let mut text = Vec::new();
    let mut fetched = Fetched::default();
    for target in &plan.messages {
        let row = row::message(from, account, FolderId(plan.folder), target.state.uid);
        let Some(row) = row.map_err(|_| StoreError::Unavailable)? else {
            if stale {
                return Err(StoreError::Unavailable);
            }
            fetched.missing = true;
            continue;
        };
        let body = match plan.items.needs.body {
            true => body_of(bodies, &row.hash, row.size).map_err(|_| StoreError::Unavailable)?,
            false => Vec::new(),
        };
        let facts = MessageFacts {
            internaldate: row.internal_date,
            savedate: Some(row.saved_at),
            size_bytes: row.size,
            ..MessageFacts::default()
        };
        let mut sink = Rendered { text: &mut text, body: &body };
        fetch::render(&plan.items, target, &facts, &mut body.as_slice(), &mut sink)
            .map_err(|_| StoreError::Internal)?;
    }
    Ok((text, Reply::Fetched(fetched)))
}

/// A whole body, wherever it is.
fn body_of(bodies: &Bodies, hash: &BodyHash, size: u64) -> io::Result<Vec<u8>> {
    let reader = bodies.open_body(hash)?;
    let mut body = vec![0; usize::try_from(size).unwrap_or_default()];
    let mut filled = 0;
    while let Some(rest) = body.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match reader.read_at(filled as u64, rest)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            read => filled += read,
        }
    }
    Ok(body)
}

struct Rendered<'a> {
    text: &'a mut Vec<u8>,
    body: &'a [u8],
}

impl Sink for Rendered<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.text.extend_from_slice(bytes);
        Ok(())
    }

    fn body_range(&mut self, range: Range<u64>) -> io::Result<()> {
        let ends = usize::try_from(range.start).ok().zip(usize::try_from(range.end).ok());
        let piece = ends.and_then(|(start, end)| self.body.get(start..end)).ok_or(io::ErrorKind::UnexpectedEof)?;
        self.text.extend_from_slice(piece);
        Ok(())
    }
}
