//! I1 and I3 of flags as clients are told them: a MODSEQ of a message stands for the same flags wherever it is told, and a
//! flag that was acknowledged as set, and that nobody ever takes away, is in every later answer.

use super::heard::Place;
use crate::sim::sessions::imap_client::Answer;
use crate::sim::sessions::reader::Untagged;
use crate::sim::world::World;
use model::{AccountId, ModSeq, Uid};
use std::collections::BTreeMap;

/// What was told, by account.
#[derive(Default)]
pub struct ToldFlags {
    at: BTreeMap<(AccountId, Uid, ModSeq), u64>,
    /// Flags that stay.
    kept: BTreeMap<(AccountId, Uid), u64>,
}

impl ToldFlags {
    /// Flags were acknowledged as set that nobody takes away.
    pub fn keep(&mut self, account: AccountId, uid: Uid, flags: u64) {
        *self.kept.entry((account, uid)).or_default() |= flags;
    }
}

/// What answers to a command that is given now must show.
pub struct Must {
    kept: BTreeMap<Uid, u64>,
}

impl Must {
    /// As of this moment.
    pub fn now(world: &World, account: AccountId) -> Self {
        let book = world.book.lock();
        let kept = book.told_flags.kept.range((account, 0)..=(account, Uid::MAX));
        Must { kept: kept.map(|((_, uid), flags)| (*uid, *flags)).collect() }
    }

    /// Checks what was told.
    pub fn check(&self, world: &World, place: Place, answer: &Answer) {
        let mut wrong = Vec::new();
        for told in &answer.told {
            let Untagged::Fetch(message) = told else { continue };
            let Some(flags) = message.flags else { continue };
            let uid = message.uid;
            let kept = self.kept.get(&uid).copied().unwrap_or_default();
            if flags & kept != kept && !answer.is_stale() {
                wrong.push(format!("I1: UID {uid} was acknowledged to have flags {kept:#x} and has {flags:#x}"));
            }
            let Some(modseq) = message.modseq else { continue };
            let first = *world.book.lock().told_flags.at.entry((place.account, uid, modseq)).or_insert(flags);
            if first != flags {
                wrong.push(format!("I3: UID {uid} at MODSEQ {modseq} has flags {first:#x} and {flags:#x}"));
            }
        }
        wrong.into_iter().for_each(|wrong| place.violation(world, &wrong));
    }
}
