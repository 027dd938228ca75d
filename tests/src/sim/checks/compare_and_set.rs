//! STORE (UNCHANGEDSINCE m) that is answered with OK, MODSEQ n and no [MODIFIED] was the only change of that message between
//! m and n (RFC 7162 section 3.1.3): nobody is ever told a MODSEQ of it in between, and no two such changes overlap.

use super::heard::Place;
use crate::sim::world::World;
use model::{AccountId, ModSeq, Uid};
use std::collections::{BTreeMap, BTreeSet};

/// What is known of messages, by account.
#[derive(Default)]
pub struct Sets {
    /// MODSEQs that were told.
    told: BTreeMap<(AccountId, Uid), BTreeSet<ModSeq>>,
    /// From what each change that won was made, and what it made.
    won: BTreeMap<(AccountId, Uid), BTreeMap<ModSeq, ModSeq>>,
}

/// A message was told to be at a MODSEQ.
pub fn told(world: &World, place: Place, uid: Uid, modseq: ModSeq) {
    let passed_over = {
        let mut book = world.book.lock();
        let key = (place.account, uid);
        if !book.sets.told.entry(key).or_default().insert(modseq) {
            return;
        }
        let won = book.sets.won.get(&key);
        let before = won.and_then(|won| won.range(..modseq).next_back());
        before.filter(|(_, to)| modseq < **to).map(|(from, to)| (*from, *to))
    };
    if let Some((from, to)) = passed_over {
        let what = format!("a change of UID {uid} from MODSEQ {from} to {to} passed over one at {modseq}");
        place.violation(world, &format!("compare and set: {what}"));
    }
}

/// A message was changed by somebody who knew it to be at `from`, and was then at `to`.
pub fn won(world: &World, place: Place, uid: Uid, (from, to): (ModSeq, ModSeq)) {
    let mut wrong = Vec::new();
    if to <= from {
        wrong.push(format!("a change of UID {uid} led from MODSEQ {from} to {to}"));
    } else {
        let mut book = world.book.lock();
        let key = (place.account, uid);
        if let Some(between) = book.sets.told.get(&key).and_then(|told| told.range(from + 1..to).next()) {
            wrong.push(format!("a change of UID {uid} from MODSEQ {from} to {to} passed over one at {between}"));
        }
        let won = book.sets.won.entry(key).or_default();
        let before = won.range(..to).next_back().filter(|(_, end)| **end > from);
        if let Some((other_from, other_to)) = before {
            wrong.push(format!(
                "two changes of UID {uid} won: from MODSEQ {other_from} to {other_to} and from {from} to {to}"
            ));
        }
        won.insert(from, to);
    }
    wrong.into_iter().for_each(|wrong| place.violation(world, &format!("compare and set: {wrong}")));
}
