//! I1 and I6 of expunges: nothing vanishes that nobody wanted away, and what a client was told to be gone stays gone.

use super::heard::Place;
use crate::sim::sessions::imap_client::Answer;
use crate::sim::sessions::reader::Untagged;
use crate::sim::world::World;
use model::{AccountId, Uid};
use std::collections::BTreeSet;

/// UIDs by account.
#[derive(Default)]
pub struct Vanishing {
    /// Somebody has begun to expunge them.
    doomed: BTreeSet<(AccountId, Uid)>,
    /// Somebody was told that they are gone.
    gone: BTreeSet<(AccountId, Uid)>,
}

impl Vanishing {
    /// Somebody is about to expunge a message.
    pub fn doom(&mut self, account: AccountId, uid: Uid) {
        self.doomed.insert((account, uid));
    }

    /// Whether a message may be away.
    pub fn is_doomed(&self, account: AccountId, uid: Uid) -> bool {
        self.doomed.contains(&(account, uid))
    }
}

/// What no answer to a command that is given now may show.
pub struct Must {
    gone: BTreeSet<Uid>,
}

impl Must {
    /// As of this moment.
    pub fn now(world: &World, account: AccountId) -> Self {
        let book = world.book.lock();
        let gone = book.vanishing.gone.range((account, 0)..=(account, Uid::MAX));
        Must { gone: gone.map(|(_, uid)| *uid).collect() }
    }

    /// Whether a message was gone.
    pub fn is_gone(&self, uid: Uid) -> bool {
        self.gone.contains(&uid)
    }

    /// Checks what was told.
    pub fn check(&self, world: &World, place: Place, answer: &Answer) {
        let mut wrong = Vec::new();
        for told in &answer.told {
            match told {
                Untagged::Fetch(message) if self.gone.contains(&message.uid) && !answer.is_stale() => {
                    wrong.push(format!("I6: UID {} was gone and is told again", message.uid));
                }
                Untagged::Vanished(uids) => {
                    let mut book = world.book.lock();
                    for uid in uids.iter() {
                        if !book.vanishing.is_doomed(place.account, uid) {
                            wrong.push(format!("I1: UID {uid} has vanished and nobody expunged it"));
                        }
                        book.vanishing.gone.insert((place.account, uid));
                    }
                }
                _ => {}
            }
        }
        wrong.into_iter().for_each(|wrong| place.violation(world, &wrong));
    }
}
