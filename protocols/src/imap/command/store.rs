//! STORE (RFC 9051 section 6.4.6, RFC 7162 section 3.1.3).

use super::{Finish, News, Running, Step, call};
use crate::imap::core::Core;
use crate::imap::encode::{self, StateItems};
use crate::imap::parser::command::Addressing;
use crate::imap::parser::store::StoreArguments;
use crate::imap::store::{Reply, Request, StoreError, Stored};
use crate::imap::uids::UidRanges;

pub(super) fn start(core: &mut Core, arguments: StoreArguments, addressing: Addressing) -> Step {
    let StoreArguments { set, unchanged_since, action, silent, flags } = arguments;
    // RFC 7162 section 3.1: UNCHANGEDSINCE enables CONDSTORE.
    core.features.condstore |= unchanged_since.is_some();
    let Some(snapshot) = &core.selected else { return Finish::internal().into() };
    if snapshot.read_only {
        return Finish::no("[CANNOT]", "Mailbox is read-only").into();
    }
    let Ok(selection) = snapshot.select(&set, addressing) else {
        return Finish::bad("Invalid messageset").into();
    };
    let uids = snapshot.uids(&selection);
    if uids.is_empty() {
        return Finish::ok("STORE completed").news(news(addressing)).into();
    }
    let expected = selection.positions().count();
    let request = Request::Store { folder: snapshot.folder, uids, action, flags, unchanged_since };
    call(request, move |core, reply| match reply {
        Ok(Reply::Stored(stored)) => {
            let Some(snapshot) = &mut core.selected else { return Finish::internal().into() };
            let missing = stored.states.len() + stored.modified.len() < expected;
            let positions = take(snapshot, &stored);
            if stored.keywords.is_some() {
                core.write_flag_tables();
            }
            let finish = finish(core, &stored, addressing, missing);
            let items = StateItems {
                uid: addressing == Addressing::Uid || core.features.qresync || core.features.rev2,
                flags: !silent,
                // RFC 7162 section 3.1.3: MODSEQ is told even if FLAGS is not.
                modseq: core.features.condstore,
            };
            Box::new(Telling { positions, told: 0, items, overtaken: stored.overtaken, finish }).resume(core)
        }
        Ok(_) => Finish::internal().into(),
        Err(error) => Finish::refused(error).into(),
    })
}

/// RFC 9051 section 7.5.1: EXPUNGE is not told during STORE, but may be during UID STORE.
fn news(addressing: Addressing) -> News {
    if addressing == Addressing::Uid { News::IfAny } else { News::Hold }
}

fn take(snapshot: &mut crate::imap::snapshot::Snapshot, stored: &Stored) -> Vec<u32> {
    if let Some(keywords) = &stored.keywords {
        snapshot.keywords = keywords.clone();
    }
    snapshot.update(&stored.states)
}

fn finish(core: &Core, stored: &Stored, addressing: Addressing, missing: bool) -> Finish {
    let news = news(addressing);
    if !stored.modified.is_empty() {
        let numbers: UidRanges = match (addressing, &core.selected) {
            (Addressing::Sequence, Some(snapshot)) => {
                let positions = stored.modified.iter().filter_map(|uid| snapshot.position(*uid));
                positions.map(|position| u32::try_from(position + 1).unwrap_or(u32::MAX)).collect()
            }
            _ => stored.modified.iter().copied().collect(),
        };
        let mut set = Vec::new();
        encode::ranges(&mut set, &numbers);
        let code = format!("[MODIFIED {}]", String::from_utf8_lossy(&set));
        return Finish::ok("Conditional STORE failed").with_code(code).news(news);
    }
    if missing && addressing == Addressing::Sequence {
        // RFC 2180 section 4.2.1, RFC 5530 section 3.
        return Finish::no("[EXPUNGEISSUED]", "Some of the messages no longer exist").news(news);
    }
    Finish::ok("STORE completed").news(news)
}

/// Untagged FETCH responses, in pieces.
struct Telling {
    positions: Vec<u32>,
    told: usize,
    items: StateItems,
    /// Told with their flags in any case: their MODSEQ is that of a change the client has not seen.
    overtaken: Vec<u32>,
    finish: Finish,
}

/// Tells the flags of messages as the snapshot has them, then ends with `finish`.
pub(super) fn tell_flags(core: &mut Core, uids: &UidRanges, finish: Finish) -> Step {
    let Some(snapshot) = &core.selected else { return finish.into() };
    let known = snapshot.messages().iter().enumerate().filter(|(_, state)| uids.contains(state.uid));
    let positions = known.map(|(position, _)| u32::try_from(position).unwrap_or(u32::MAX)).collect();
    let items = core.unsolicited_items();
    Box::new(Telling { positions, told: 0, items, overtaken: Vec::new(), finish }).resume(core)
}

impl Running for Telling {
    fn reply(self: Box<Self>, _: &mut Core, _: Result<Reply, StoreError>) -> Step {
        Finish::internal().into()
    }

    fn resume(mut self: Box<Self>, core: &mut Core) -> Step {
        let Some(snapshot) = &core.selected else { return self.finish.into() };
        if !self.items.flags && !self.items.modseq && self.overtaken.is_empty() {
            return self.finish.into();
        }
        while let Some(&position) = self.positions.get(self.told) {
            self.told += 1;
            if let Some(state) = snapshot.messages().get(position as usize) {
                let flags = self.items.flags || self.overtaken.binary_search(&state.uid).is_ok();
                if flags || self.items.modseq {
                    let items = StateItems { flags, ..self.items };
                    encode::fetch_state(&mut core.out, position + 1, state, items, &snapshot.keywords);
                }
            }
            if core.out.len() >= crate::limits::imap::OUTPUT_BYTES_PAUSE {
                return Step::More(self);
            }
        }
        self.finish.into()
    }
}
