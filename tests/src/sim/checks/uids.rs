//! I6: a UID leads to one message for ever, and UIDNEXT, MODSEQ and UIDVALIDITY never fall from one reading to a later one.

use crate::sim::client::Seen;
use crate::sim::network::Machine;
use crate::sim::world::World;
use model::{AccountId, BodyHash, FolderId, Uid};
use std::collections::BTreeMap;

/// What was seen of folders.
#[derive(Default)]
pub struct Marks {
    /// Which message a UID led to.
    uids: BTreeMap<(AccountId, FolderId, Uid), BodyHash>,
    floors: BTreeMap<(AccountId, &'static str), (FolderId, u32, Uid, u64)>,
}

/// What a reading that begins now may not be below.
pub struct Floor {
    account: AccountId,
    name: &'static str,
    floor: Option<(FolderId, u32, Uid, u64)>,
}

impl Floor {
    /// As of this moment.
    pub fn now(world: &World, account: AccountId, name: &'static str) -> Self {
        Floor { account, name, floor: world.book.lock().marks.floors.get(&(account, name)).copied() }
    }

    /// Checks the reading.
    pub fn check(&self, world: &World, machine: Machine, seen: &Seen) {
        let (account, name, row) = (self.account, self.name, &seen.row);
        let now = (seen.folder, row.uidvalidity, row.uidnext, row.highest_modseq);
        let mut wrong = Vec::new();
        if let Some((_, uidvalidity, uidnext, modseq)) = self.floor
            && (now.1 < uidvalidity || now.2 < uidnext || now.3 < modseq)
        {
            wrong.push(format!(
                "I6: {name} of account {} on machine {machine} fell from {:?} to {now:?}",
                account.0, self.floor
            ));
        }
        {
            let mut book = world.book.lock();
            for (uid, (state, hash)) in &seen.messages {
                let first = *book.marks.uids.entry((account, seen.folder, *uid)).or_insert(*hash);
                if first != *hash || *uid >= row.uidnext || state.modseq > row.highest_modseq {
                    wrong.push(format!("I6: UID {uid} of {name} of account {} on machine {machine}", account.0));
                }
            }
            let floor = book.marks.floors.entry((account, name)).or_insert(now);
            *floor = (now.0, floor.1.max(now.1), floor.2.max(now.2), floor.3.max(now.3));
        }
        wrong.into_iter().for_each(|wrong| world.violation(wrong));
    }
}
