//! SELECT and EXAMINE (RFC 9051 sections 6.3.2 and 6.3.3), with CONDSTORE and QRESYNC (RFC 7162).

use super::create::mailbox_id;
use super::sync::write_exists;
use super::{Finish, News, Running, Step, call};
use crate::imap::core::Core;
use crate::imap::encode::{self, StateItems};
use crate::imap::parser::select::{QresyncArguments, SelectArguments};
use crate::imap::snapshot::Snapshot;
use crate::imap::store::{Flags, Reply, Request, Selected, StoreError};
use crate::imap::uids::UidRanges;

pub(super) fn start(core: &mut Core, arguments: SelectArguments) -> Step {
    if arguments.qresync.is_some() && !core.features.qresync {
        // RFC 7162 section 3.2.5: without ENABLE QRESYNC the parameter is an error.
        return Finish::bad("QRESYNC is not enabled").into();
    }
    core.features.condstore |= arguments.condstore;
    core.changed = false;
    match core.selected.take() {
        // RFC 9051 section 6.3.2: the old mailbox is left even if the new one cannot be opened.
        Some(snapshot) => call(Request::Deselect { folder: snapshot.folder }, move |core, _| {
            core.line("OK [CLOSED] Previous mailbox is now closed.");
            open(arguments)
        }),
        None => open(arguments),
    }
}

fn open(arguments: SelectArguments) -> Step {
    let request = Request::Select {
        name: arguments.mailbox.clone(),
        read_only: arguments.examine,
        since: arguments.qresync.as_ref().map(|qresync| (qresync.uidvalidity, qresync.modseq)),
    };
    call(request, move |core, reply| match reply {
        Ok(Reply::Selected(selected)) => opened(core, &arguments, &selected),
        Ok(_) => Finish::internal().into(),
        Err(error) => Finish::refused(error).into(),
    })
}

fn opened(core: &mut Core, arguments: &SelectArguments, selected: &Selected) -> Step {
    let snapshot = Snapshot::new(selected, arguments.examine);
    let read_only = snapshot.read_only;
    core.selected = Some(snapshot);
    write_state(core, &arguments.mailbox);
    let code = if read_only { "[READ-ONLY]" } else { "[READ-WRITE]" };
    let text = if arguments.examine { "EXAMINE completed" } else { "SELECT completed" };
    let finish = Finish::ok(text).with_code(code).news(News::Hold);
    match &arguments.qresync {
        // RFC 7162 section 3.2.5.1: a different UIDVALIDITY voids what the client knows.
        Some(qresync) if qresync.uidvalidity == selected.uidvalidity => resynchronise(core, qresync, selected, finish),
        _ => finish.into(),
    }
}

fn write_state(core: &mut Core, name: &str) {
    let (rev2, utf8) = (core.features.rev2, core.utf8());
    core.write_flag_tables();
    write_exists(core);
    let Some(snapshot) = &core.selected else { return };
    let out = &mut core.out;
    let mut code = |label: &str, value: u64, text: &str| {
        out.extend_from_slice(b"* OK [");
        out.extend_from_slice(label.as_bytes());
        encode::number(out, value);
        out.extend_from_slice(b"] ");
        out.extend_from_slice(text.as_bytes());
        out.extend_from_slice(b"\r\n");
    };
    let unseen = snapshot.messages().iter().position(|message| !message.flags.contains(Flags::SEEN));
    if let Some(position) = unseen.filter(|_| !rev2) {
        code("UNSEEN ", position as u64 + 1, "First unseen.");
    }
    code("UIDVALIDITY ", snapshot.uidvalidity.into(), "UIDs valid");
    code("UIDNEXT ", snapshot.uidnext.into(), "Predicted next UID");
    code("HIGHESTMODSEQ ", snapshot.highest_modseq, "Highest");
    let id = mailbox_id(snapshot.folder);
    core.line(&format!("OK [MAILBOXID ({id})] Ok"));
    if rev2 {
        // RFC 9051 section 6.3.2: a LIST response tells the mailbox's name.
        core.write("* LIST () \"/\" ");
        encode::mailbox(&mut core.out, name, utf8);
        core.write("\r\n");
    }
}

/// Tells what the client missed (RFC 7162 section 3.2.5.1).
fn resynchronise(core: &mut Core, qresync: &QresyncArguments, selected: &Selected, finish: Finish) -> Step {
    let Some(snapshot) = &core.selected else { return finish.into() };
    let vanished = vanished(snapshot, qresync, selected);
    if !vanished.is_empty() {
        core.out.extend_from_slice(b"* VANISHED (EARLIER) ");
        encode::ranges(&mut core.out, &vanished);
        core.out.extend_from_slice(b"\r\n");
    }
    let telling = Changed { known: qresync.known_uids.clone(), since: qresync.modseq, position: 0, finish };
    Box::new(telling).resume(core)
}

/// UIDs the client may still have that are gone.
fn vanished(snapshot: &Snapshot, qresync: &QresyncArguments, selected: &Selected) -> UidRanges {
    let all = UidRanges::range(1, selected.uidnext.saturating_sub(1).max(1));
    let known = qresync.known_uids.as_ref().unwrap_or(&all).intersection(&all);
    match &selected.vanished {
        Some(vanished) => vanished.intersection(&known),
        None => {
            // The store forgot that far back: every UID that does not exist is told, but those the client has shown
            // to know to be gone (RFC 7162 section 3.2.5.2).
            let gone = known.without(snapshot.messages().iter().map(|message| message.uid));
            gone.intersection(&UidRanges::range(first_mismatch(snapshot, qresync), u32::MAX))
        }
    }
}

/// The UID from which on the client's pairs of sequence number and UID no longer fit; up to there nothing vanished.
fn first_mismatch(snapshot: &Snapshot, qresync: &QresyncArguments) -> u32 {
    let Some((sequences, uids)) = &qresync.matching else { return 1 };
    let each = |ranges: &[(u32, u32)]| {
        let ranges: Vec<(u32, u32)> = ranges.iter().map(|range| (range.0.min(range.1), range.0.max(range.1))).collect();
        ranges.into_iter().flat_map(|range| range.0..=range.1)
    };
    let mut fits = 1;
    // No more pairs than messages can fit.
    for (sequence, uid) in each(sequences).zip(each(uids)).take(snapshot.messages().len()) {
        if snapshot.position(uid) != (sequence as usize).checked_sub(1) {
            break;
        }
        fits = uid.saturating_add(1);
    }
    fits
}

/// FETCH responses of messages changed since the client was here, in pieces.
struct Changed {
    known: Option<UidRanges>,
    since: u64,
    position: usize,
    finish: Finish,
}

impl Running for Changed {
    fn reply(self: Box<Self>, _: &mut Core, _: Result<Reply, StoreError>) -> Step {
        Finish::internal().into()
    }

    fn resume(mut self: Box<Self>, core: &mut Core) -> Step {
        let Some(snapshot) = &core.selected else { return self.finish.into() };
        let items = StateItems { uid: true, flags: true, modseq: true };
        for (position, state) in snapshot.messages().iter().enumerate().skip(self.position) {
            self.position = position + 1;
            let known = self.known.as_ref().is_none_or(|known| known.contains(state.uid));
            if state.modseq <= self.since || !known {
                continue;
            }
            let sequence = u32::try_from(self.position).unwrap_or(u32::MAX);
            encode::fetch_state(&mut core.out, sequence, state, items, &snapshot.keywords);
            if core.out.len() >= crate::limits::imap::OUTPUT_BYTES_PAUSE {
                return Step::More(self);
            }
        }
        self.finish.into()
    }
}
