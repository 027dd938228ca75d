//! I1 and I7 while it runs: a reading shows every message that was acknowledged before it began, none that was never sent,
//! and none twice.

use crate::sim::book::Mail;
use crate::sim::client::Seen;
use crate::sim::network::Machine;
use crate::sim::world::World;
use model::{AccountId, BodyHash};
use std::collections::{BTreeMap, BTreeSet};

/// What a reading of an INBOX that begins now must show.
pub struct Must {
    account: AccountId,
    acknowledged: BTreeSet<BodyHash>,
}

impl Must {
    /// As of this moment.
    pub fn now(world: &World, account: AccountId) -> Self {
        let book = world.book.lock();
        let mail = book.mail.range((account, BodyHash([0; 32]))..=(account, BodyHash([255; 32])));
        let acknowledged = mail.filter(|(_, mail)| **mail == Mail::Acknowledged).map(|((_, hash), _)| *hash).collect();
        Must { account, acknowledged }
    }

    /// Checks the reading. Only INBOX is looked at: in other folders mail is only where a client moved it.
    pub fn check(&self, world: &World, machine: Machine, name: &str, seen: &Seen) {
        if name != "INBOX" {
            return;
        }
        let account = self.account;
        let mut counts = BTreeMap::<BodyHash, u32>::new();
        seen.messages.values().for_each(|(_, hash)| *counts.entry(*hash).or_default() += 1);
        let mut wrong = Vec::new();
        for hash in self.acknowledged.iter().filter(|hash| !counts.contains_key(hash)) {
            wrong.push(format!(
                "I1: acknowledged {} of account {} is not shown on machine {machine}",
                hash.to_hex(),
                account.0
            ));
        }
        {
            let book = world.book.lock();
            for (hash, count) in counts {
                let is_known = book.mail.contains_key(&(account, hash));
                if count > 1 || !is_known {
                    wrong.push(format!(
                        "I7: {} is {count} times with account {} on machine {machine}",
                        hash.to_hex(),
                        account.0
                    ));
                }
            }
        }
        wrong.into_iter().for_each(|wrong| world.violation(wrong));
    }
}
