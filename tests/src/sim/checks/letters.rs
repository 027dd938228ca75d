//! I1, I7 and I8 of mail that comes and is read through sessions: every try that was acknowledged is in the mailbox exactly
//! once, every one whose outcome is unknown at most once, none that was refused; and its bytes are those that were sent.

use super::heard::Place;
use crate::sim::sessions::imap_client::Answer;
use crate::sim::sessions::reader::Untagged;
use crate::sim::world::World;
use model::{AccountId, Uid};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The number of a letter, which stands in its subject.
pub type Number = u64;

/// Letters by account.
#[derive(Default)]
pub struct Letters {
    drawn: Number,
    letters: BTreeMap<(AccountId, Number), Letter>,
    /// Which letter a UID leads to.
    uids: BTreeMap<(AccountId, Uid), Number>,
}

#[derive(Clone)]
struct Letter {
    bytes: Arc<[u8]>,
    /// Tries that were begun and not refused.
    tries: usize,
    acknowledged: usize,
}

impl Letters {
    /// A new letter: its number.
    pub fn draw(&mut self) -> Number {
        self.drawn += 1;
        self.drawn
    }

    /// A letter is about to be given to a server.
    pub fn begin(&mut self, account: AccountId, number: Number, bytes: &Arc<[u8]>) {
        let new = || Letter { bytes: bytes.clone(), tries: 0, acknowledged: 0 };
        self.letters.entry((account, number)).or_insert_with(new).tries += 1;
    }

    /// A try was certainly not carried out.
    pub fn refused(&mut self, account: AccountId, number: Number) {
        if let Some(letter) = self.letters.get_mut(&(account, number)) {
            letter.tries -= 1;
        }
    }

    /// A try was acknowledged.
    pub fn acknowledged(&mut self, account: AccountId, number: Number) {
        if let Some(letter) = self.letters.get_mut(&(account, number)) {
            letter.acknowledged += 1;
        }
    }

    /// UIDs of an account whose letter is known.
    pub fn known_uids(&self, account: AccountId) -> BTreeSet<Uid> {
        self.uids_of(account).map(|(uid, _)| uid).collect()
    }

    fn uids_of(&self, account: AccountId) -> impl Iterator<Item = (Uid, Number)> + '_ {
        let range = self.uids.range((account, 0)..=(account, Uid::MAX));
        range.map(|((_, uid), number)| (*uid, *number))
    }
}

/// A UID leads to this letter; says what is wrong when it led to another.
pub fn leads_to(world: &World, place: Place, uid: Uid, number: Number) {
    let first = *world.book.lock().letters.uids.entry((place.account, uid)).or_insert(number);
    if first != number {
        place.violation(world, &format!("I6: UID {uid} led to letter {first} and leads to letter {number}"));
    }
}

/// What a reading of a whole mailbox that begins now must show.
pub struct Must {
    acknowledged: BTreeMap<Number, usize>,
    uids: BTreeSet<Uid>,
}

impl Must {
    /// As of this moment.
    pub fn now(world: &World, account: AccountId) -> Self {
        let book = world.book.lock();
        let letters = book.letters.letters.range((account, 0)..=(account, Number::MAX));
        let acknowledged = letters.map(|((_, number), letter)| (*number, letter.acknowledged)).collect();
        Must { acknowledged, uids: book.letters.known_uids(account) }
    }

    /// Checks the reading of all messages with their bytes.
    pub fn check(&self, world: &World, place: Place, answer: &Answer) {
        let mut shown = BTreeMap::<Uid, Number>::new();
        let mut wrong = Vec::new();
        for told in &answer.told {
            let Untagged::Fetch(message) = told else { continue };
            let Some(body) = &message.body else { continue };
            match self.number_of(world, place, body) {
                Ok(number) => {
                    leads_to(world, place, message.uid, number);
                    if shown.insert(message.uid, number).is_some() {
                        wrong.push(format!("UID {} is shown twice", message.uid));
                    }
                }
                Err(what) => wrong.push(format!("{what} under UID {}", message.uid)),
            }
        }
        wrong.extend(self.compare(world, place.account, &shown));
        wrong.into_iter().for_each(|wrong| place.violation(world, &wrong));
    }

    fn number_of(&self, world: &World, place: Place, body: &[u8]) -> Result<Number, String> {
        let text = String::from_utf8_lossy(body);
        let number = text.lines().find_map(|line| line.strip_prefix("Subject: letter ")?.parse().ok());
        let number: Number = number.ok_or("I2: a message that nobody wrote is shown")?;
        match world.book.lock().letters.letters.get(&(place.account, number)) {
            None => Err(format!("I7: letter {number}, which was never sent here, is shown")),
            Some(letter) if !body.ends_with(&letter.bytes) => Err(format!("I2: letter {number} has other bytes")),
            Some(_) => Ok(number),
        }
    }

    fn compare(&self, world: &World, account: AccountId, shown: &BTreeMap<Uid, Number>) -> Vec<String> {
        let book = world.book.lock();
        let doomed = |uid: &Uid| book.vanishing.is_doomed(account, *uid);
        let mut wrong = Vec::new();
        for uid in self.uids.iter().filter(|uid| !shown.contains_key(uid) && !doomed(uid)) {
            wrong.push(format!("I1: UID {uid} was there and is not shown"));
        }
        let mut counts = BTreeMap::<Number, usize>::new();
        shown.values().for_each(|number| *counts.entry(*number).or_default() += 1);
        let mut taken_away = BTreeMap::<Number, usize>::new();
        let away = book.letters.uids_of(account).filter(|(uid, _)| doomed(uid) && !shown.contains_key(uid));
        away.for_each(|(_, number)| *taken_away.entry(number).or_default() += 1);
        for ((_, number), letter) in book.letters.letters.range((account, 0)..=(account, Number::MAX)) {
            let count = |of: &BTreeMap<Number, usize>| of.get(number).copied().unwrap_or_default();
            let (acknowledged, shown, away) = (count(&self.acknowledged), count(&counts), count(&taken_away));
            if shown + away < acknowledged {
                wrong.push(format!(
                    "I1: letter {number} was acknowledged {acknowledged} times and is shown {shown} times"
                ));
            }
            if shown + away > letter.tries {
                wrong.push(format!("I7: letter {number} was sent {} times and is there {shown} times", letter.tries));
            }
        }
        wrong
    }
}
