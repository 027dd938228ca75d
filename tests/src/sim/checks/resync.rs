//! I6 for a client that keeps what it was told and comes back with QRESYNC, to whatever machine: the differences it is told
//! bring it to exactly what is there (RFC 7162).

use super::heard::{Before, Place};
use crate::sim::sessions::imap_client::Answer;
use crate::sim::sessions::reader::{Fetched, Untagged};
use crate::sim::world::World;
use model::{ModSeq, Uid};
use std::collections::{BTreeMap, BTreeSet};

/// What a client keeps of a mailbox.
#[derive(Clone, Debug, Default)]
pub struct Kept {
    /// UIDVALIDITY and HIGHESTMODSEQ at the last SELECT: up to there everything is kept. What comes later is told by EXISTS
    /// alone, until it is read.
    pub since: Option<(u64, ModSeq)>,
    /// MODSEQ and flags.
    pub messages: BTreeMap<Uid, (ModSeq, u64)>,
}

impl Kept {
    /// Takes what was told in the order it was told. In the answer to a reading of all messages, what is read must be as it
    /// was kept, as far as it was known.
    pub fn take(&mut self, world: &World, place: Place, answer: &Answer) {
        for told in &answer.told {
            match told {
                Untagged::Fetch(message) => self.take_message(world, place, answer, message),
                Untagged::Vanished(uids) => self.messages.retain(|uid, _| !uids.contains(*uid)),
                _ => {}
            }
        }
    }

    fn take_message(&mut self, world: &World, place: Place, answer: &Answer, message: &Fetched) {
        let (Some(modseq), Some(flags)) = (message.modseq, message.flags) else { return };
        let kept = self.messages.get(&message.uid).copied();
        if let Some(kept) = kept.filter(|kept| *kept != (modseq, flags))
            && message.body.is_some()
            && answer.is_fresh()
        {
            let now = (modseq, flags);
            place.violation(world, &format!("resync: UID {} was kept as {kept:?} and is {now:?}", message.uid));
        }
        if kept.is_none_or(|kept| kept.0 <= modseq) {
            self.messages.insert(message.uid, (modseq, flags));
        }
    }

    /// Checks, after an answer to SELECT was taken, that as many messages are kept as there are.
    pub fn check_count(&self, world: &World, place: Place, answer: &Answer) {
        let exists = answer.told.iter().find_map(|told| match told {
            Untagged::Exists(count) => Some(*count),
            _ => None,
        });
        if let Some(exists) = exists.filter(|exists| *exists != self.messages.len()) {
            let kept = self.messages.len();
            place.violation(world, &format!("resync: {kept} messages are kept and {exists} are there"));
        }
    }

    /// Checks, after a reading of all messages was taken, that nothing else is kept. What somebody expunges may have gone
    /// meanwhile; what was gone before must have been told to be.
    pub fn check_read(&self, world: &World, before: &Before, answer: &Answer) {
        let place = before.place;
        let read = answer.told.iter().filter_map(|told| match told {
            Untagged::Fetch(message) if message.body.is_some() => Some(message.uid),
            _ => None,
        });
        let read: BTreeSet<Uid> = read.collect();
        let missing: Vec<Uid> = {
            let book = world.book.lock();
            let may_go = |uid: &Uid| book.vanishing.is_doomed(place.account, *uid) && !before.vanishing.is_gone(*uid);
            self.messages.keys().copied().filter(|uid| !read.contains(uid) && !may_go(uid)).collect()
        };
        if !missing.is_empty() {
            place.violation(world, &format!("resync: UIDs {missing:?} are kept and not there"));
        }
    }
}
