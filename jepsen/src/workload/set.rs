//! *mail-set*: messages come by SMTP and by APPEND; each acknowledged one is in its mailbox exactly once, none that was
//! refused is. The mailboxes are read while faults go on too: a read that is not marked as stale must be fresh.

use super::{Worker, Workload, insist, read_everywhere};
use crate::check::{Verdict, set};
use crate::client::message;
use crate::client::outcome::Outcome;
use crate::history::{Operation, Value};
use anyhow::Result;
use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Mutex, PoisonError};

/// Mailboxes, each in a shard of its own choice.
const MAILBOXES: i64 = 2;

/// One in so many operations is a read.
const READ_ONE_IN: u32 = 24;

/// The workload.
#[derive(Default)]
pub struct MailSet {
    next: AtomicI64,
    /// What UIDs were seen to name: a read asks only for the rest.
    seen: Mutex<HashMap<(i64, i64), i64>>,
}

fn user(mailbox: i64) -> String {
    format!("set{mailbox}@example.org")
}

impl MailSet {
    fn add(&self, worker: &mut Worker) {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let mailbox = number % MAILBOXES;
        let value = Value::map([("element", number.into()), ("mailbox", mailbox.into())]);
        let result = value.clone();
        let by_append = worker.random.u8(0..3) == 0;
        worker.record("add", value, |worker| {
            let done = if by_append {
                let appended = worker.mailbox(&user(mailbox));
                appended.and_then(|session| session.append("INBOX", &message(number))).and_then(|_| Outcome::Ok(()))
            } else {
                let session = worker.submission(None);
                session.and_then(|session| session.send("bob@example.net", &user(mailbox), &message(number)))
            };
            done.and_then(|()| Outcome::Ok(result))
        });
        worker.leave_if_stale();
    }

    fn read(&self, worker: &mut Worker, mailbox: i64) {
        worker.record("read", Value::map([("mailbox", mailbox.into())]), |worker| {
            worker.mailbox(&user(mailbox)).and_then(|session| {
                session.select("INBOX", "").and_then(|_| session.fetch("1:*", "UID")).and_then(|all| {
                    let known =
                        |uid| self.seen.lock().unwrap_or_else(PoisonError::into_inner).get(&(mailbox, uid)).copied();
                    let strange = all.iter().map(|seen| seen.uid).find(|uid| known(*uid).is_none());
                    if let Some(first) = strange {
                        let more = session.fetch(&format!("{first}:*"), "UID BODY.PEEK[HEADER.FIELDS (SUBJECT)]");
                        let Outcome::Ok(more) = more else { return Outcome::Fail("the rest was not read".to_owned()) };
                        let mut map = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
                        map.extend(more.iter().map(|seen| ((mailbox, seen.uid), seen.number.unwrap_or(-1))));
                    }
                    let numbers = all.iter().filter_map(|seen| known(seen.uid));
                    Outcome::Ok(Value::map([("elements", Value::ints(numbers))]))
                })
            })
        });
    }
}

impl Workload for MailSet {
    fn name(&self) -> &'static str {
        "set"
    }

    fn accounts(&self) -> Vec<String> {
        (0..MAILBOXES).map(user).collect()
    }

    fn prepare(&self, worker: &mut Worker) -> Result<()> {
        insist("a session", worker, |worker| worker.mailbox(&user(0)).and_then(|_| Outcome::Ok(())))
    }

    fn turn(&self, worker: &mut Worker) {
        if worker.random.u32(0..READ_ONE_IN) == 0 {
            let mailbox = worker.random.i64(0..MAILBOXES);
            self.read(worker, mailbox);
        } else {
            self.add(worker);
        }
    }

    fn finish(&self, worker: &mut Worker) -> Result<()> {
        read_everywhere("the final read", worker, 0..MAILBOXES, |worker, mailbox| {
            let mailbox = *mailbox;
            let read = worker.record("final-read", Value::map([("mailbox", mailbox.into())]), |worker| {
                let session = worker.mailbox(&user(mailbox));
                let numbers = session.and_then(|session| session.numbers("INBOX"));
                numbers.and_then(|numbers| Outcome::Ok(Value::map([("elements", Value::ints(numbers))])))
            });
            read.map(drop)
        })
    }

    fn check(&self, operations: &[Operation<'_>]) -> Verdict {
        set::check(operations)
    }

    fn writes(&self) -> &'static [&'static str] {
        &["add"]
    }
}
