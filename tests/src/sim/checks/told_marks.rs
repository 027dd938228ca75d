//! I6 as clients are told it, over whatever machines: UIDVALIDITY, UIDNEXT and the MODSEQs of a folder and of each message
//! never fall from one answer to that of a later command, and what is new lies above what was told before.

use super::heard::Place;
use crate::sim::sessions::imap_client::Answer;
use crate::sim::sessions::reader::{Status, Untagged};
use crate::sim::world::World;
use model::{AccountId, ModSeq, Uid};
use std::collections::BTreeMap;

/// What was told, by account.
#[derive(Default)]
pub struct ToldMarks {
    folders: BTreeMap<(AccountId, &'static str), u64>,
    messages: BTreeMap<(AccountId, Uid), ModSeq>,
}

/// The marks of a folder that never fall.
const NAMES: [&str; 3] = ["UIDVALIDITY", "UIDNEXT", "HIGHESTMODSEQ"];

/// What the answer to a command that is given now may not be below.
pub struct Floor {
    folder: BTreeMap<&'static str, u64>,
    messages: BTreeMap<Uid, ModSeq>,
}

impl Floor {
    /// As of this moment.
    pub fn now(world: &World, account: AccountId) -> Self {
        let book = world.book.lock();
        let told = &book.told_marks;
        let mark = |name: &&'static str| told.folders.get(&(account, *name)).map(|mark| (*name, *mark));
        let messages = told.messages.range((account, 0)..=(account, Uid::MAX));
        Floor {
            folder: NAMES.iter().filter_map(mark).collect(),
            messages: messages.map(|((_, uid), modseq)| (*uid, *modseq)).collect(),
        }
    }

    fn folder(&self, name: &str) -> u64 {
        self.folder.get(name).copied().unwrap_or_default()
    }

    /// Checks what was told, and raises the marks for commands to come.
    pub fn check(&self, world: &World, place: Place, answer: &Answer) {
        let mut wrong = Vec::new();
        for told in &answer.told {
            match told {
                Untagged::Numbers(numbers) => {
                    for (name, number) in numbers {
                        wrong.extend(self.check_folder(world, place, name, *number));
                    }
                }
                Untagged::Fetch(message) => {
                    let Some(modseq) = message.modseq else { continue };
                    let floor = self.messages.get(&message.uid).copied().unwrap_or_default();
                    if modseq < floor && !answer.is_stale() {
                        wrong.push(format!("I6: the MODSEQ of UID {} fell from {floor} to {modseq}", message.uid));
                    }
                    let mut book = world.book.lock();
                    let mark = book.told_marks.messages.entry((place.account, message.uid)).or_default();
                    *mark = modseq.max(*mark);
                }
                _ => {}
            }
        }
        if let Some(modseq) = answer.code("HIGHESTMODSEQ").and_then(|value| value.parse().ok())
            && answer.status == Status::Ok
            && !answer.is_stale()
        {
            wrong.extend(self.check_folder(world, place, "HIGHESTMODSEQ", modseq));
        }
        wrong.into_iter().for_each(|wrong| place.violation(world, &wrong));
    }

    fn check_folder(&self, world: &World, place: Place, name: &str, number: u64) -> Option<String> {
        let name = NAMES.iter().copied().find(|known| *known == name)?;
        let mut book = world.book.lock();
        let mark = book.told_marks.folders.entry((place.account, name)).or_default();
        *mark = number.max(*mark);
        let floor = self.folder(name);
        (number < floor).then(|| format!("I6: {name} fell from {floor} to {number}"))
    }

    /// A message was put into the folder by a command that was given then.
    pub fn check_new(&self, world: &World, place: Place, uidvalidity: u32, uid: Uid) {
        let floor = self.folder("UIDNEXT");
        if u64::from(uid) < floor {
            place.violation(world, &format!("I6: UIDNEXT was {floor} and a new message has UID {uid}"));
        }
        let known = self.folder("UIDVALIDITY");
        if known > 0 && u64::from(uidvalidity) != known {
            place.violation(world, &format!("I6: UIDVALIDITY was {known} and a new message has {uidvalidity}"));
        }
    }

    /// A message was changed by a command that was given then.
    pub fn check_change(&self, world: &World, place: Place, uid: Uid, modseq: ModSeq) {
        let floor = self.folder("HIGHESTMODSEQ");
        if modseq <= floor {
            place.violation(world, &format!("I6: HIGHESTMODSEQ was {floor} and a change of UID {uid} has {modseq}"));
        }
    }
}
