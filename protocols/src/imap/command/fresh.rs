//! No answer from the past: before a command that reads what others may change, or that names messages the session has
//! not been told of, the snapshot takes in everything that was acknowledged anywhere before. A client may know a UID
//! from another session, or from its own APPEND when the news of it could not be fetched: such a UID must not be passed
//! over as one that does not exist, or a STORE that did nothing would be answered with OK.
//!
//! Writes no answer of its own: tells the news, then the command begins.

use super::sync;
use super::{Finish, Step, call, dispatch};
use crate::imap::core::Core;
use crate::imap::fetch::FetchItem;
use crate::imap::parser::command::{Addressing, Command};
use crate::imap::parser::fetch::FetchArguments;
use crate::imap::parser::sequence::{SequenceEnd, SequenceSet};
use crate::imap::snapshot::Snapshot;
use crate::imap::store::{Changes, Reply, StoreError};

/// What a command needs before it begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    /// Whether the client may be told that messages are gone before the command is answered (RFC 9051 section 7.5.1).
    tells_expunges: bool,
    /// Whether the command goes on when nobody can tell what changed (I10): it reads, and the client is told that the
    /// answer may be out of date.
    reads: bool,
}

/// Whether `command` must not begin before the snapshot is up to date.
pub(super) fn wanted(core: &Core, command: &Command) -> Option<Wanted> {
    let snapshot = core.selected.as_ref()?;
    let (is_due, tells_expunges, reads) = match command {
        Command::Fetch(arguments, addressing) => {
            let by_uid = *addressing == Addressing::Uid;
            (shows_states(arguments) || names_unknown(snapshot, &arguments.set, *addressing), by_uid, true)
        }
        // The keys may hold sequence numbers, with UID SEARCH too.
        Command::Search(..) => (true, false, true),
        Command::Store(arguments, Addressing::Uid) => {
            (names_unknown(snapshot, &arguments.set, Addressing::Uid), true, false)
        }
        Command::Copy(set, _, Addressing::Uid) | Command::Move(set, _, Addressing::Uid) => {
            (names_unknown(snapshot, set, Addressing::Uid), true, false)
        }
        // Which messages are marked is what others may have changed.
        Command::Expunge(_) => (true, true, false),
        _ => return None,
    };
    is_due.then_some(Wanted { tells_expunges, reads })
}

/// Whether the answer has flags or MODSEQs.
fn shows_states(arguments: &FetchArguments) -> bool {
    let is_state = |item: &FetchItem| matches!(item, FetchItem::Flags | FetchItem::ModSeq);
    arguments.changed_since.is_some() || arguments.items.iter().any(is_state)
}

/// Whether a set may name messages that came after the session was last told.
fn names_unknown(snapshot: &Snapshot, set: &SequenceSet, addressing: Addressing) -> bool {
    let SequenceSet::Ranges(ranges) = set else { return false };
    let is_unknown = |end: &SequenceEnd| match end {
        SequenceEnd::Last => true,
        SequenceEnd::Number(uid) => addressing == Addressing::Uid && *uid >= snapshot.uidnext,
    };
    ranges.iter().any(|range| is_unknown(&range.0) || is_unknown(&range.1))
}

/// Brings the snapshot up to date, then begins `command`.
pub(super) fn start(core: &mut Core, wanted: Wanted, tag: &str, command: Command) -> Step {
    let Some(snapshot) = &core.selected else { return Finish::internal().into() };
    let (request, tag) = (sync::changes_of(snapshot), tag.to_owned());
    (core.changed, core.stale) = (false, false);
    call(request, move |core, reply| match (reply, &mut core.selected) {
        (Ok(Reply::Changes(changes)), Some(snapshot)) => {
            let (changes, is_held) = if wanted.tells_expunges { (*changes, false) } else { hold(*changes) };
            let applied = snapshot.apply(changes);
            core.changed |= is_held;
            sync::tell(core, applied, Box::new(move |core| dispatch(core, &tag, command)))
        }
        (Err(StoreError::NonExistent), Some(_)) => {
            sync::deleted(core, Finish::no("[NONEXISTENT]", "Selected mailbox was deleted"))
        }
        (Err(_), Some(_)) if wanted.reads => {
            core.stale = true;
            dispatch(core, &tag, command)
        }
        (Err(error), Some(_)) => {
            core.stale = true;
            Finish::refused(error).into()
        }
        _ => Finish::internal().into(),
    })
}

/// Leaves out that messages are gone. The snapshot then stays at its MODSEQ, so that the next news bring it again; says
/// whether there was anything to leave out.
fn hold(changes: Changes) -> (Changes, bool) {
    if changes.vanished.is_empty() {
        return (changes, false);
    }
    (Changes { vanished: Default::default(), highest_modseq: 0, ..changes }, true)
}
