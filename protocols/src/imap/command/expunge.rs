//! EXPUNGE, UID EXPUNGE (RFC 9051 sections 6.4.3 and 6.4.9), CLOSE and UNSELECT.

use super::{Finish, News, Step, call};
use crate::imap::core::Core;
use crate::imap::parser::command::Addressing;
use crate::imap::parser::sequence::SequenceSet;
use crate::imap::snapshot::Snapshot;
use crate::imap::store::{Flags, Request};
use crate::imap::uids::UidRanges;

pub(super) fn start(core: &mut Core, set: Option<&SequenceSet>) -> Step {
    let Some(snapshot) = &core.selected else { return Finish::internal().into() };
    if snapshot.read_only {
        return Finish::no("[CANNOT]", "Mailbox is read-only").into();
    }
    let done = Finish::ok("EXPUNGE completed").news(News::AskWithModSeq);
    let mut uids = deleted(snapshot);
    if let Some(set) = set {
        match snapshot.select(set, Addressing::Uid) {
            Ok(selection) => uids = snapshot.uids(&selection).intersection(&uids),
            Err(_) => return Finish::bad("Invalid messageset").into(),
        }
    }
    if uids.is_empty() {
        return done.into();
    }
    let request = Request::Expunge { folder: snapshot.folder, uids };
    call(request, move |_, reply| match reply {
        Ok(_) => done.into(),
        Err(error) => Finish::refused(error).into(),
    })
}

/// Messages that carry `\Deleted` as far as this session has been told.
fn deleted(snapshot: &Snapshot) -> UidRanges {
    let deleted = snapshot.messages().iter().filter(|message| message.flags.contains(Flags::DELETED));
    deleted.map(|message| message.uid).collect()
}

/// RFC 9051 section 6.4.1: expunges without telling, then leaves.
pub(super) fn close(core: &mut Core) -> Step {
    let Some(snapshot) = &core.selected else { return Finish::internal().into() };
    let (folder, uids) = (snapshot.folder, deleted(snapshot));
    if snapshot.read_only || uids.is_empty() {
        return leave(core, "CLOSE completed");
    }
    call(Request::Expunge { folder, uids }, |core, reply| match reply {
        Ok(_) => leave(core, "CLOSE completed"),
        Err(error) => Finish::refused(error).into(),
    })
}

/// RFC 9051 section 6.4.2.
pub(super) fn unselect(core: &mut Core) -> Step {
    leave(core, "UNSELECT completed")
}

fn leave(core: &mut Core, text: &'static str) -> Step {
    core.changed = false;
    match core.selected.take() {
        Some(snapshot) => call(Request::Deselect { folder: snapshot.folder }, move |_, _| Finish::ok(text).into()),
        None => Finish::ok(text).into(),
    }
}
