//! *mail-flags*: STORE with UNCHANGEDSINCE as compare-and-set on the flags of one message, and reads behind a new SELECT:
//! together linearizable. Messages are used in turn, so that no one history grows without end.

use super::{Worker, Workload, insist, read_everywhere};
use crate::check::{Verdict, registers};
use crate::client::mailbox::{Mailbox, Seen, seen};
use crate::client::message;
use crate::client::outcome::Outcome;
use crate::history::{Operation, Value};
use anyhow::Result;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

/// The mailbox.
const USER: &str = "flags0@example.org";
/// Messages in use at a time.
const AT_A_TIME: usize = 3;
/// How long a message is in use, seconds.
const TERM_SECONDS: u64 = 20;
/// Values of a register: keywords `$v0` and up.
const VALUES: i64 = 7;

/// The workload.
pub struct MailFlags {
    messages: usize,
    begun: Instant,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The UID of each key.
    uids: Vec<i64>,
    /// What a client read last: by client and key.
    last: HashMap<(usize, usize), (i64, i64)>,
}

impl MailFlags {
    /// With messages for so many minutes.
    pub fn new(minutes: f64) -> MailFlags {
        let terms = (minutes * 60.0 / TERM_SECONDS as f64).ceil() as usize + 2;
        MailFlags { messages: terms * AT_A_TIME, begun: Instant::now(), state: Mutex::default() }
    }

    fn state<T>(&self, work: impl FnOnce(&mut State) -> T) -> T {
        work(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn uid(&self, key: usize) -> i64 {
        self.state(|state| state.uids.get(key).copied().unwrap_or_default())
    }

    fn read(&self, worker: &mut Worker, key: usize) -> Option<()> {
        let uid = self.uid(key);
        let result = worker.record("read", Value::map([("key", (key as i64).into())]), |worker| {
            worker.mailbox(USER).and_then(|session| read(session, uid)).and_then(|(value, modseq)| {
                Outcome::Ok(Value::map([("value", value.into()), ("modseq", modseq.into())]))
            })
        })?;
        let read = (result.get("value").int()?, result.get("modseq").int()?);
        let number = worker.number;
        self.state(|state| state.last.insert((number, key), read));
        Some(())
    }

    fn swap(&self, worker: &mut Worker, key: usize, (value, since): (i64, i64)) {
        let (uid, next) = (self.uid(key), (value + worker.random.i64(1..VALUES)) % VALUES);
        let asked = [("key", (key as i64).into()), ("since", since.into()), ("value", next.into())];
        worker.record("cas", Value::map(asked), |worker| {
            let done = worker.mailbox(USER).and_then(|session| {
                session.change(&format!("UID STORE {uid} (UNCHANGEDSINCE {since}) FLAGS ($v{next})"))
            });
            done.and_then(|answer| {
                if answer.status.contains("[MODIFIED") {
                    return Outcome::Fail("[MODIFIED]".to_owned());
                }
                match seen(&answer).iter().find(|seen| seen.uid == uid && seen.modseq > 0) {
                    Some(seen) => Outcome::Ok(Value::map([("modseq", seen.modseq.into())])),
                    None => Outcome::Unknown(format!("no MODSEQ: {}", answer.text())),
                }
            })
        });
        worker.leave_if_stale();
    }
}

/// A value and its MODSEQ, behind a new SELECT.
fn read(session: &mut Mailbox, uid: i64) -> Outcome<(i64, i64)> {
    let fetched =
        session.select("INBOX", " (CONDSTORE)").and_then(|_| session.fetch(&uid.to_string(), "UID FLAGS MODSEQ"));
    fetched.and_then(|all| match all.iter().find(|seen| seen.uid == uid).and_then(value) {
        Some(read) => Outcome::Ok(read),
        // A read that shows no message cannot be explained by any order.
        None => Outcome::Ok((-1, 0)),
    })
}

fn value(seen: &Seen) -> Option<(i64, i64)> {
    let keyword = seen.flags.iter().find_map(|flag| flag.strip_prefix("$v"))?;
    Some((keyword.parse().ok()?, seen.modseq))
}

impl Workload for MailFlags {
    fn name(&self) -> &'static str {
        "flags"
    }

    fn accounts(&self) -> Vec<String> {
        vec![USER.to_owned()]
    }

    fn prepare(&self, worker: &mut Worker) -> Result<()> {
        for key in 0..self.messages {
            let (_, uid) = insist("a first message", worker, |worker| {
                worker.mailbox(USER).and_then(|session| session.append("INBOX", &message(key as i64 * 4 + 1)))
            })?;
            self.state(|state| state.uids.push(uid));
        }
        insist("the first flags", worker, |worker| {
            worker.mailbox(USER).and_then(|session| {
                session.select("INBOX", "").and_then(|_| session.change("UID STORE 1:* FLAGS.SILENT ($v0)"))
            })
        })
        .map(drop)
    }

    fn turn(&self, worker: &mut Worker) {
        let term = (self.begun.elapsed().as_secs() / TERM_SECONDS) as usize;
        let key = (term * AT_A_TIME + worker.random.usize(0..AT_A_TIME)) % self.messages;
        let number = worker.number;
        let last = self.state(|state| state.last.remove(&(number, key)));
        match last {
            Some(last) if worker.random.u8(0..4) != 0 => self.swap(worker, key, last),
            _ => {
                let _ = self.read(worker, key);
            }
        }
    }

    fn finish(&self, worker: &mut Worker) -> Result<()> {
        let term = (self.begun.elapsed().as_secs() / TERM_SECONDS) as usize;
        let keys = 0..((term + 1) * AT_A_TIME).min(self.messages);
        read_everywhere("the final read of flags", worker, keys, |worker, key| self.read(worker, *key))
    }

    fn check(&self, operations: &[Operation<'_>]) -> Verdict {
        registers::flags(operations)
    }

    fn writes(&self) -> &'static [&'static str] {
        &["cas"]
    }
}
