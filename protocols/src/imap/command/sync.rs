//! News of the selected mailbox: asks the store what changed and tells the client, in pieces. Runs before the tagged
//! response of commands that allow it, during IDLE, and ahead of commands that must not answer from the past
//! (`fresh.rs`).

use super::{Finish, News, Running, Step, call};
use crate::imap::core::Core;
use crate::imap::encode;
use crate::imap::snapshot::{Applied, Snapshot};
use crate::imap::store::{Reply, Request, StoreError};

/// What follows once everything is told.
pub(super) type Then = Box<dyn FnOnce(&mut Core) -> Step + Send>;

/// Whether news is to be fetched before a command ends so.
pub(crate) fn is_due(core: &Core, finish: &Finish) -> bool {
    core.selected.is_some()
        && match finish.news {
            News::Hold => false,
            News::IfAny => core.changed || core.stale,
            News::Ask | News::AskWithModSeq => true,
        }
}

/// Fetches and tells news, then ends with `finish`.
pub(crate) fn start(core: &mut Core, finish: Finish) -> Step {
    let Some(snapshot) = &core.selected else {
        return Finish { news: News::Hold, ..finish }.into();
    };
    let request = changes_of(snapshot);
    (core.changed, core.stale) = (false, false);
    call(request, move |core, reply| match (reply, &mut core.selected) {
        (Ok(Reply::Changes(changes)), Some(snapshot)) => {
            let applied = snapshot.apply(*changes);
            tell(core, applied, Box::new(move |core| end(core, finish)))
        }
        (Err(StoreError::NonExistent), Some(_)) => deleted(core, finish),
        // The command itself is done; the news will come another time.
        _ => {
            core.stale = true;
            Finish { news: News::Hold, ..finish }.into()
        }
    })
}

/// The question what changed since the snapshot.
pub(super) fn changes_of(snapshot: &Snapshot) -> Request {
    Request::Changes { folder: snapshot.folder, since: snapshot.highest_modseq }
}

/// The mailbox was deleted under the session; RFC 2180 section 3.3: the way clients cope with best.
pub(super) fn deleted(core: &mut Core, finish: Finish) -> Step {
    core.selected = None;
    core.line("BYE Selected mailbox was deleted");
    Step::Close(Finish { news: News::Hold, ..finish })
}

/// The end of a command whose news are told.
fn end(core: &mut Core, mut finish: Finish) -> Step {
    if let Some(snapshot) = &core.selected
        && finish.news == News::AskWithModSeq
        && core.features.condstore
        && finish.code.is_empty()
    {
        finish.code = format!("[HIGHESTMODSEQ {}]", snapshot.highest_modseq).into();
    }
    finish.news = News::Hold;
    finish.into()
}

/// Tells what applying changes did, then goes on.
pub(super) fn tell(core: &mut Core, applied: Applied, then: Then) -> Step {
    if applied.keywords {
        core.write_flag_tables();
    }
    let mut telling = Box::new(Telling { applied, then, flags_told: 0 });
    if core.features.qresync && !telling.applied.expunged.is_empty() {
        core.write("* VANISHED ");
        encode::ranges(&mut core.out, &telling.applied.vanished);
        core.write("\r\n");
        telling.applied.expunged.clear();
    }
    telling.resume(core)
}

/// The part of the news that is one line per message.
struct Telling {
    applied: Applied,
    then: Then,
    flags_told: usize,
}

impl Running for Telling {
    fn reply(self: Box<Self>, _: &mut Core, _: Result<Reply, StoreError>) -> Step {
        Finish::internal().into()
    }

    fn resume(mut self: Box<Self>, core: &mut Core) -> Step {
        // From the last to the first, so that no number moves before it is told.
        while let Some(sequence) = self.applied.expunged.pop() {
            core.write("* ");
            core.number(sequence.into());
            core.write(" EXPUNGE\r\n");
            if core.is_full() {
                return Step::More(self);
            }
        }
        if std::mem::take(&mut self.applied.grown) {
            write_exists(core);
        }
        let items = core.unsolicited_items();
        let Some(snapshot) = &core.selected else { return (self.then)(core) };
        while let Some(&position) = self.applied.changed.get(self.flags_told) {
            self.flags_told += 1;
            if let Some(state) = snapshot.messages().get(position as usize) {
                encode::fetch_state(&mut core.out, position + 1, state, items, &snapshot.keywords);
            }
            if core.out.len() >= crate::limits::imap::OUTPUT_BYTES_PAUSE {
                return Step::More(self);
            }
        }
        (self.then)(core)
    }
}

/// `* n EXISTS`, and for IMAP4rev1 `* 0 RECENT`: nothing is ever recent.
pub(super) fn write_exists(core: &mut Core) {
    let Some(snapshot) = &core.selected else { return };
    let exists = snapshot.exists();
    core.write("* ");
    core.number(exists.into());
    core.write(" EXISTS\r\n");
    if !core.features.rev2 {
        core.write("* 0 RECENT\r\n");
    }
}
