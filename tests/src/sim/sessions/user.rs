//! Somebody who reads a mailbox over IMAP and keeps what it is told, while others use the same one: appends letters, sets
//! flags, changes some only if nobody else has, expunges, reads everything, and goes to another machine whenever a
//! connection is of no use. What is not known to be done is begun anew, as a new operation.

use super::imap_client::{Answer, ImapClient};
use super::reader::{Status, Untagged};
use crate::sim::checks::heard::{Before, Place};
use crate::sim::checks::resync::Kept;
use crate::sim::checks::{compare_and_set, letters};
use crate::sim::network::Machine;
use crate::sim::random::Random;
use crate::sim::world::World;
use cluster::runtime::sleep;
use model::mailbox::row::flag;
use model::{AccountId, Uid};
use std::sync::Arc;
use std::time::Duration;

/// Fewer messages than this are not made less.
const MESSAGES_MIN: usize = 3;
/// How often a user connects, or gives a letter to a server, before giving up.
const TRIES_MAX: u64 = 4;
/// Everything of all messages.
const READ_ALL: &str = "UID FETCH 1:* (FLAGS MODSEQ BODY.PEEK[])";

/// See the module.
pub struct User {
    world: Arc<World>,
    number: u64,
    account: AccountId,
    random: Random,
    /// The only machine it goes to, when there is one.
    only: Option<Machine>,
    client: Option<ImapClient>,
    kept: Kept,
}

impl User {
    /// A user of an account's INBOX.
    pub fn new(world: &Arc<World>, number: u64, account: AccountId) -> Self {
        let random = world.random.lock().fork();
        User { world: world.clone(), number, account, random, only: None, client: None, kept: Kept::default() }
    }

    /// The same, on one machine only.
    pub fn on(world: &Arc<World>, machine: Machine, account: AccountId) -> Self {
        User { only: Some(machine), ..User::new(world, 0, account) }
    }

    /// Uses the mailbox for so many steps.
    pub async fn run(mut self, steps: u64) {
        for _ in 0..steps {
            let pause = Duration::from_millis(self.random.range(1, 600));
            sleep(pause).await;
            if self.random.chance(10) {
                self.client = None;
            }
            match self.random.below(100) {
                0..25 => self.append().await,
                25..37 => self.set_flag().await,
                37..65 => self.compare_and_set().await,
                65..72 => self.expunge().await,
                72..80 => drop(self.command("NOOP").await),
                80..86 => drop(self.command("STATUS INBOX (MESSAGES UIDNEXT UIDVALIDITY HIGHESTMODSEQ)").await),
                _ => drop(self.read_all().await),
            }
        }
    }

    fn patience(&mut self) -> Duration {
        Duration::from_millis(self.random.range(800, 9_500))
    }

    fn place(&self) -> Place {
        let machine = self.client.as_ref().map_or(0, ImapClient::machine);
        Place { account: self.account, machine }
    }

    /// Connects, logs in and opens INBOX, if need be; false when that did not succeed within a few tries.
    async fn connect(&mut self) -> bool {
        for _ in 0..TRIES_MAX {
            if self.client.is_some() || self.connect_once().await {
                return true;
            }
            self.client = None;
            let wait = Duration::from_millis(self.random.range(5, 200));
            sleep(wait).await;
        }
        false
    }

    async fn connect_once(&mut self) -> bool {
        let (machine, patience) = (self.only.unwrap_or_else(|| self.world.any_machine()), self.patience());
        self.client = ImapClient::log_in(&self.world, machine, self.account, patience).await;
        let select = match self.kept.since {
            Some((uidvalidity, modseq)) => format!("SELECT INBOX (QRESYNC ({uidvalidity} {modseq}))"),
            None => "SELECT INBOX".to_owned(),
        };
        let is_new = self.kept.since.is_none();
        let Some((answer, _)) = self.give(&select).await.filter(|(answer, _)| answer.status == Status::Ok) else {
            return false;
        };
        let Some(since) = answer.number("UIDVALIDITY").zip(answer.number("HIGHESTMODSEQ")) else { return false };
        if is_new && self.give("UID FETCH 1:* (FLAGS MODSEQ)").await.is_none_or(|(answer, _)| !answer.is_fresh()) {
            self.kept = Kept::default();
            return false;
        }
        self.kept.since = Some(since);
        if !is_new {
            self.kept.check_count(&self.world, self.place(), &answer);
        }
        true
    }

    /// Gives a command on the connection there is, and takes what is told.
    async fn give(&mut self, text: &str) -> Option<(Answer, Before)> {
        let patience = self.patience();
        let answered = self.client.as_mut()?.command(text, patience).await;
        self.take(answered)
    }

    fn take(&mut self, answered: Option<(Answer, Before)>) -> Option<(Answer, Before)> {
        match &answered {
            Some((answer, before)) => self.kept.take(&self.world, before.place, answer),
            None => {
                self.world.book.lock().unknown += 1;
                self.client = None;
            }
        }
        answered
    }

    /// Gives a command, connected anew if need be; `None` when there is no answer.
    async fn command(&mut self, text: &str) -> Option<(Answer, Before)> {
        if !self.connect().await {
            return None;
        }
        self.give(text).await
    }

    /// A letter, given to servers until one has taken it.
    async fn append(&mut self) {
        let (number, bytes) = write(&self.world, &mut self.random, self.number);
        for _ in 0..TRIES_MAX {
            if !self.connect().await {
                continue;
            }
            let (waits, patience) = (self.random.chance(50), self.patience());
            let Some(client) = self.client.as_mut() else { continue };
            self.world.book.lock().letters.begin(self.account, number, &bytes);
            let literal = Some((bytes.as_ref(), waits));
            let answered = client.command_with("APPEND INBOX", literal, patience).await;
            let Some((answer, before)) = self.take(answered) else { continue };
            if answer.status == Status::Ok {
                self.appended(&answer, &before, number);
                return;
            }
            if answer.code("UNAVAILABLE").is_none() {
                self.world.book.lock().letters.refused(self.account, number);
                before.place.violation(&self.world, &format!("a letter was appended and the answer was {answer:?}"));
                return;
            }
        }
    }

    fn appended(&self, answer: &Answer, before: &Before, number: letters::Number) {
        before.check_acknowledged(&self.world);
        self.world.book.lock().letters.acknowledged(self.account, number);
        let place = before.place;
        let mut words = answer.code("APPENDUID").unwrap_or_default().split(' ');
        let numbers =
            words.next().and_then(|word| word.parse().ok()).zip(words.next().and_then(|word| word.parse().ok()));
        match numbers {
            Some((uidvalidity, uid)) => {
                letters::leads_to(&self.world, place, uid, number);
                before.marks.check_new(&self.world, place, uidvalidity, uid);
            }
            None => place.violation(&self.world, &format!("a letter was appended without a UID: {answer:?}")),
        }
    }

    /// One of the oldest messages, so that several users meet there.
    fn pick(&mut self) -> Option<Uid> {
        let account = self.account;
        let book = self.world.book.lock();
        let here = self.kept.messages.keys().copied().filter(|uid| !book.vanishing.is_doomed(account, *uid));
        let oldest: Vec<Uid> = here.take(MESSAGES_MIN).collect();
        drop(book);
        self.random.pick(&oldest).copied()
    }

    /// Sets a flag that nobody ever takes away.
    async fn set_flag(&mut self) {
        let Some(uid) = self.pick() else { return };
        let flags = [("\\Seen", flag::SEEN), ("\\Answered", flag::ANSWERED), ("\\Draft", flag::DRAFT)];
        let (name, bit) = self.random.pick(&flags).copied().unwrap_or(flags[0]);
        let Some((answer, before)) = self.command(&format!("UID STORE {uid} +FLAGS ({name})")).await else { return };
        if answer.status == Status::Ok && told(&answer, uid).is_some() {
            before.check_acknowledged(&self.world);
            self.world.book.lock().told_flags.keep(self.account, uid, bit);
        }
    }

    /// Turns a flag over, if nobody has changed the message since it was told.
    async fn compare_and_set(&mut self) {
        if !self.connect().await {
            return;
        }
        let Some(uid) = self.pick() else { return };
        let Some((from, flags)) = self.kept.messages.get(&uid).copied() else { return };
        let action = if flags & flag::FLAGGED == 0 { "+FLAGS" } else { "-FLAGS" };
        let text = format!("UID STORE {uid} (UNCHANGEDSINCE {from}) {action} (\\Flagged)");
        let Some((answer, before)) = self.give(&text).await else { return };
        if answer.status != Status::Ok || answer.code("MODIFIED").is_some() {
            return;
        }
        before.check_acknowledged(&self.world);
        let place = before.place;
        match told(&answer, uid) {
            Some((to, now)) if (now ^ flags) & flag::FLAGGED != 0 => {
                before.marks.check_change(&self.world, place, uid, to);
                compare_and_set::won(&self.world, place, uid, (from, to));
            }
            Some(now) => {
                let what =
                    format!("UID {uid} at MODSEQ {from} was to be changed from {flags:#x} and is told as {now:?}");
                place.violation(&self.world, &format!("compare and set: {what}"));
            }
            None if self.world.book.lock().vanishing.is_doomed(self.account, uid) => {}
            None => place.violation(&self.world, &format!("compare and set: UID {uid} was changed and is not told")),
        }
    }

    /// Takes a message away of which everybody knows which letter it is.
    async fn expunge(&mut self) {
        if self.kept.messages.len() <= MESSAGES_MIN || !self.connect().await {
            return;
        }
        let known = self.world.book.lock().letters.known_uids(self.account);
        let here: Vec<Uid> = self.kept.messages.keys().copied().filter(|uid| known.contains(uid)).collect();
        let Some(uid) = self.random.pick(&here).copied() else { return };
        self.world.book.lock().vanishing.doom(self.account, uid);
        let marked = self.give(&format!("UID STORE {uid} +FLAGS (\\Deleted)")).await;
        if marked.is_some_and(|(answer, _)| answer.status == Status::Ok) {
            self.give(&format!("UID EXPUNGE {uid}")).await;
        }
    }

    /// Reads everything there is; whether it was read as it is now.
    pub async fn read_all(&mut self) -> bool {
        let Some((answer, before)) = self.command(READ_ALL).await else { return false };
        if !answer.is_fresh() {
            return false;
        }
        before.letters.check(&self.world, before.place, &answer);
        self.kept.check_read(&self.world, &before, &answer);
        self.world.book.lock().reads += 1;
        true
    }
}

/// MODSEQ and flags of a message as they were told first.
fn told(answer: &Answer, uid: Uid) -> Option<(u64, u64)> {
    answer.told.iter().find_map(|told| match told {
        Untagged::Fetch(message) if message.uid == uid => message.modseq.zip(message.flags),
        _ => None,
    })
}

/// A new letter: its number and bytes. Some are too large to ride in an entry, and some lines begin with a dot.
pub fn write(world: &World, random: &mut Random, writer: u64) -> (letters::Number, Arc<[u8]>) {
    let number = world.book.lock().letters.draw();
    let lines = if random.chance(10) { 1_700 } else { 1 };
    let text = format!(".{number} of {writer}\r\n..\r\nand so on\r\n").repeat(lines);
    (number, format!("Subject: letter {number}\r\n\r\n{text}").into_bytes().into())
}
