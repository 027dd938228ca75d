//! What every answer on an IMAP connection is held against: what was known when the command was given.

use super::{compare_and_set, letters, minority, told_flags, told_marks, vanishing};
use crate::sim::network::Machine;
use crate::sim::sessions::imap_client::Answer;
use crate::sim::sessions::reader::{Status, Untagged};
use crate::sim::world::World;
use model::{AccountId, Reply};

/// What was known.
pub struct Before {
    /// Where the command was given.
    pub place: Place,
    /// Letters that were acknowledged.
    pub letters: letters::Must,
    /// UIDNEXT, UIDVALIDITY and MODSEQs.
    pub marks: told_marks::Floor,
    flags: told_flags::Must,
    /// Messages that were gone.
    pub vanishing: vanishing::Must,
    alone: minority::Alone,
}

/// Where something was said.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    /// Whose mailbox.
    pub account: AccountId,
    /// By which machine.
    pub machine: Machine,
}

impl Place {
    /// Something that must not be.
    pub fn violation(&self, world: &World, what: &str) {
        let Place { account, machine } = self;
        world.violation(format!("{what}, in the INBOX of account {} on machine {machine}", account.0));
    }
}

impl Before {
    /// As of this moment.
    pub fn now(world: &World, account: AccountId, machine: Machine) -> Self {
        Before {
            place: Place { account, machine },
            letters: letters::Must::now(world, account),
            marks: told_marks::Floor::now(world, account),
            flags: told_flags::Must::now(world, account),
            vanishing: vanishing::Must::now(world, account),
            alone: minority::Alone::now(world, machine),
        }
    }

    /// Checks an answer.
    pub fn check(&self, world: &World, answer: &Answer) {
        self.marks.check(world, self.place, answer);
        self.flags.check(world, self.place, answer);
        self.vanishing.check(world, self.place, answer);
        for told in &answer.told {
            if let Untagged::Fetch(message) = told
                && let Some(modseq) = message.modseq
            {
                compare_and_set::told(world, self.place, message.uid, modseq);
            }
        }
        if answer.status == Status::Bad {
            self.place.violation(world, &format!("a command was not understood: {answer:?}"));
        }
    }

    /// A change that was begun then was acknowledged.
    pub fn check_acknowledged(&self, world: &World) {
        self.alone.check_acknowledged(world, &Reply::Done);
    }
}
