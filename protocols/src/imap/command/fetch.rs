//! FETCH (RFC 9051 section 6.4.5). Items of the snapshot are written here, in pieces; the rest is rendered by the
//! driver, a batch of messages at a time.

use std::sync::Arc;

use super::{Finish, News, Running, Step, call};
use crate::imap::core::Core;
use crate::imap::encode;
use crate::imap::fetch::{FetchItem, FetchItems, FetchPlan, FetchTarget};
use crate::imap::parser::command::Addressing;
use crate::imap::parser::fetch::FetchArguments;
use crate::imap::snapshot::{Selection, Snapshot};
use crate::imap::store::{FlagNames, Flags, Reply, Request, StoreAction, StoreError};
use crate::imap::uids::UidRanges;
use crate::limits::imap::{FETCH_BATCH_MESSAGES, OUTPUT_BYTES_PAUSE};

pub(super) fn start(core: &mut Core, arguments: FetchArguments, addressing: Addressing) -> Step {
    if arguments.vanished && (!core.features.qresync || addressing != Addressing::Uid) {
        // RFC 7162 section 3.2.6.
        return Finish::bad("VANISHED needs UID FETCH and QRESYNC").into();
    }
    let by_modseq = arguments.changed_since.is_some();
    // RFC 7162 section 3.1: both enable CONDSTORE.
    core.features.condstore |= by_modseq || arguments.items.contains(&FetchItem::ModSeq);
    let (utf8, condstore) = (core.utf8(), core.features.condstore);
    let Some(snapshot) = &core.selected else { return Finish::internal().into() };
    let Ok(selection) = snapshot.select(&arguments.set, addressing) else {
        return Finish::bad("Invalid messageset").into();
    };
    let items = items(&arguments, addressing);
    let fetching = Fetching {
        items: Arc::new(FetchItems::new(items, snapshot.keywords.clone(), utf8, condstore)),
        selection,
        changed_since: arguments.changed_since,
        marked: UidRanges::new(),
        missing: false,
        unknown_encoding: false,
        addressing,
    };
    match arguments.changed_since.filter(|_| arguments.vanished) {
        Some(since) => {
            let asked = snapshot.written_uids(&arguments.set);
            let request = Request::Vanished { folder: snapshot.folder, since };
            call(request, move |core, reply| vanished(core, &asked, reply, fetching))
        }
        None => fetching.mark_seen(core),
    }
}

/// The items in their order, with those that are implied.
fn items(arguments: &FetchArguments, addressing: Addressing) -> Vec<FetchItem> {
    let mut items = arguments.items.clone();
    if addressing == Addressing::Uid && !items.contains(&FetchItem::Uid) {
        // RFC 9051 section 6.4.9.
        items.insert(0, FetchItem::Uid);
    }
    if arguments.changed_since.is_some() && !items.contains(&FetchItem::ModSeq) {
        // RFC 7162 section 3.1.4.1.
        items.push(FetchItem::ModSeq);
    }
    items
}

/// RFC 7162 section 3.2.6: VANISHED (EARLIER) goes ahead of the FETCH responses.
fn vanished(core: &mut Core, asked: &UidRanges, reply: Result<Reply, StoreError>, fetching: Fetching) -> Step {
    let Some(snapshot) = &core.selected else { return Finish::internal().into() };
    let existing = || snapshot.messages().iter().map(|message| message.uid);
    let gone = match reply {
        Ok(Reply::Vanished(Some(gone))) => gone.intersection(asked).without(existing()),
        Ok(Reply::Vanished(None)) => {
            let ever = UidRanges::range(1, snapshot.uidnext.saturating_sub(1).max(1));
            asked.intersection(&ever).without(existing())
        }
        Ok(_) => return Finish::internal().into(),
        Err(error) => return Finish::refused(error).into(),
    };
    if !gone.is_empty() {
        core.out.extend_from_slice(b"* VANISHED (EARLIER) ");
        encode::ranges(&mut core.out, &gone);
        core.out.extend_from_slice(b"\r\n");
    }
    fetching.mark_seen(core)
}

/// A FETCH in progress.
struct Fetching {
    items: Arc<FetchItems>,
    /// What is still to be told.
    selection: Selection,
    changed_since: Option<u64>,
    /// Messages that this command has marked as read.
    marked: UidRanges,
    missing: bool,
    unknown_encoding: bool,
    addressing: Addressing,
}

impl Fetching {
    /// RFC 9051 section 6.4.5: BODY\[...\] sets `\Seen`.
    fn mark_seen(mut self, core: &mut Core) -> Step {
        let Some(snapshot) = &core.selected else { return Finish::internal().into() };
        if snapshot.read_only || !self.items.sets_seen() {
            return self.go_on(core);
        }
        let unseen: UidRanges = self
            .selection
            .positions()
            .filter_map(|position| snapshot.messages().get(position))
            .filter(|state| !state.flags.contains(Flags::SEEN) && self.is_wanted(state.modseq))
            .map(|state| state.uid)
            .collect();
        if unseen.is_empty() {
            return self.go_on(core);
        }
        let request = Request::Store {
            folder: snapshot.folder,
            uids: unseen.clone(),
            action: StoreAction::Add,
            flags: FlagNames { system: Flags::SEEN, keywords: Vec::new() },
            unchanged_since: None,
        };
        call(request, move |core, reply| {
            match reply {
                Ok(Reply::Stored(stored)) => {
                    if let Some(snapshot) = &mut core.selected {
                        snapshot.update(&stored.states);
                    }
                    self.marked = unseen;
                    self.go_on(core)
                }
                // Reading goes on where writing cannot (I10): the message is shown, the flag stays unset.
                Err(_) => self.go_on(core),
                Ok(_) => Finish::internal().into(),
            }
        })
    }

    fn is_wanted(&self, modseq: u64) -> bool {
        self.changed_since.is_none_or(|since| modseq > since)
    }

    fn go_on(self, core: &mut Core) -> Step {
        if self.items.from_snapshot() { Box::new(self).resume(core) } else { self.next_batch(core) }
    }

    fn next_batch(mut self, core: &mut Core) -> Step {
        let Some(snapshot) = &core.selected else { return Finish::internal().into() };
        let mut messages = Vec::new();
        while messages.is_empty() && !self.selection.is_empty() {
            messages = self.take_targets(snapshot);
        }
        if messages.is_empty() {
            let finish = self.finish();
            if self.unknown_encoding && !self.marked.is_empty() {
                // Messages that were left out have been marked as read all the same.
                return super::store::tell_flags(core, &self.marked, finish);
            }
            return finish.into();
        }
        let plan = FetchPlan { folder: snapshot.folder, items: self.items.clone(), messages };
        Step::Call(Request::Fetch(Arc::new(plan)), Box::new(self))
    }

    fn take_targets(&mut self, snapshot: &Snapshot) -> Vec<FetchTarget> {
        let positions = self.selection.take_front(FETCH_BATCH_MESSAGES);
        let targets = positions.into_iter().filter_map(|position| {
            let state = *snapshot.messages().get(position)?;
            let flags_changed = self.marked.contains(state.uid);
            let sequence = u32::try_from(position + 1).ok()?;
            // A message this command has just changed was wanted before.
            (flags_changed || self.is_wanted(state.modseq)).then_some(FetchTarget { sequence, state, flags_changed })
        });
        targets.collect()
    }

    fn finish(&self) -> Finish {
        let news = if self.addressing == Addressing::Uid { News::IfAny } else { News::Hold };
        if self.unknown_encoding {
            return Finish::no("[UNKNOWN-CTE]", "Some parts have an unknown encoding").news(news);
        }
        if self.missing && self.addressing == Addressing::Sequence {
            // RFC 5530 section 3. With UID FETCH a message that is gone is passed over (RFC 9051 section 6.4.9).
            return Finish::no("[EXPUNGEISSUED]", "Some of the messages no longer exist").news(news);
        }
        Finish::ok("FETCH completed").news(news)
    }
}

impl Running for Fetching {
    fn reply(mut self: Box<Self>, core: &mut Core, reply: Result<Reply, StoreError>) -> Step {
        match reply {
            Ok(Reply::Fetched(fetched)) => {
                self.missing |= fetched.missing;
                self.unknown_encoding |= fetched.unknown_encoding;
                self.next_batch(core)
            }
            Ok(_) => Finish::internal().into(),
            Err(error) => Finish::refused(error).into(),
        }
    }

    /// Writes messages from the snapshot alone.
    fn resume(mut self: Box<Self>, core: &mut Core) -> Step {
        let Some(snapshot) = &core.selected else { return Finish::internal().into() };
        let mut writer = StateWriter::new(&self.items);
        while core.out.len() < OUTPUT_BYTES_PAUSE {
            // About what is left to the pause, a line being some 50 bytes.
            let positions = self.selection.take_front(256);
            if positions.is_empty() {
                return self.finish().into();
            }
            for position in positions {
                if let Some(state) = snapshot.messages().get(position).filter(|state| self.is_wanted(state.modseq)) {
                    writer.write(&mut core.out, position as u64 + 1, state, &self.items);
                }
            }
        }
        Step::More(self)
    }
}

/// Writes FETCH responses of snapshot items; the text of the last flags is kept, because neighbours often have the same.
struct StateWriter {
    order: Vec<FetchItem>,
    flags: Option<Flags>,
    flags_text: Vec<u8>,
}

impl StateWriter {
    fn new(items: &FetchItems) -> Self {
        Self { order: items.items.clone(), flags: None, flags_text: Vec::new() }
    }

    fn write(
        &mut self,
        out: &mut Vec<u8>,
        sequence: u64,
        state: &crate::imap::store::MessageState,
        items: &FetchItems,
    ) {
        out.extend_from_slice(b"* ");
        encode::number(out, sequence);
        out.extend_from_slice(b" FETCH (");
        for (index, item) in self.order.iter().enumerate() {
            if index > 0 {
                out.push(b' ');
            }
            match item {
                FetchItem::Uid => {
                    out.extend_from_slice(b"UID ");
                    encode::number(out, state.uid.into());
                }
                FetchItem::ModSeq => {
                    out.extend_from_slice(b"MODSEQ (");
                    encode::number(out, state.modseq);
                    out.push(b')');
                }
                _ => {
                    if self.flags != Some(state.flags) {
                        self.flags = Some(state.flags);
                        self.flags_text.clear();
                        self.flags_text.extend_from_slice(b"FLAGS ");
                        encode::flags(&mut self.flags_text, state.flags, &items.keywords);
                    }
                    out.extend_from_slice(&self.flags_text);
                }
            }
        }
        out.extend_from_slice(b")\r\n");
    }
}
