//! *mail-bank*: messages are moved among folders; the total is constant in every read.

use super::{Worker, Workload, insist, read_everywhere};
use crate::check::{Verdict, bank};
use crate::client::message;
use crate::client::outcome::Outcome;
use crate::history::{Operation, Value};
use anyhow::Result;

/// The mailbox.
const USER: &str = "bank0@example.org";
/// Folders `B0` and up.
const FOLDERS: usize = 4;
/// Messages, numbered from 0.
const MESSAGES: i64 = 32;
/// What FETCH is asked for.
const ITEMS: &str = "UID BODY.PEEK[HEADER.FIELDS (SUBJECT)]";

/// The workload.
pub struct MailBank;

fn folder(number: usize) -> String {
    format!("B{number}")
}

impl MailBank {
    fn transfer(&self, worker: &mut Worker) {
        let from = worker.random.usize(0..FOLDERS);
        let to = (from + worker.random.usize(1..FOLDERS)) % FOLDERS;
        let listed = worker
            .mailbox(USER)
            .and_then(|session| session.select(&folder(from), "").and_then(|_| session.fetch("1:*", ITEMS)));
        let Outcome::Ok(listed) = listed else { return worker.move_on() };
        if listed.is_empty() {
            return;
        }
        let chosen = worker.random.usize(0..listed.len());
        let Some((uid, number)) = listed.get(chosen).and_then(|seen| Some((seen.uid, seen.number?))) else { return };
        let value =
            Value::map([("element", number.into()), ("from", (from as i64).into()), ("to", (to as i64).into())]);
        let result = value.clone();
        worker.record("move", value, |worker| {
            let moved =
                worker.mailbox(USER).and_then(|session| session.change(&format!("UID MOVE {uid} {}", folder(to))));
            moved.and_then(|answer| {
                if answer.text().contains("COPYUID") || answer.status.contains("COPYUID") {
                    return Outcome::Ok(result);
                }
                // Somebody else moved it first.
                Outcome::Fail("nothing to move".to_owned())
            })
        });
        worker.leave_if_stale();
    }

    fn read(worker: &mut Worker, f: &'static str) -> Option<()> {
        let read = worker.record(f, Value::Nil, |worker| {
            let mut folders = Vec::new();
            for number in 0..FOLDERS {
                let session = worker.mailbox(USER);
                match session.and_then(|session| session.numbers(&folder(number))) {
                    Outcome::Ok(numbers) => folders.push(Value::ints(numbers)),
                    Outcome::Fail(why) | Outcome::Unknown(why) => return Outcome::Fail(why),
                }
            }
            Outcome::Ok(Value::List(folders))
        });
        read.map(drop)
    }
}

impl Workload for MailBank {
    fn name(&self) -> &'static str {
        "bank"
    }

    fn accounts(&self) -> Vec<String> {
        vec![USER.to_owned()]
    }

    fn prepare(&self, worker: &mut Worker) -> Result<()> {
        for number in 0..FOLDERS {
            insist("a folder", worker, |worker| {
                worker.mailbox(USER).and_then(|session| session.change(&format!("CREATE {}", folder(number))))
            })?;
        }
        for number in 0..MESSAGES {
            let place = folder(number as usize % FOLDERS);
            insist("a first message", worker, |worker| {
                worker.mailbox(USER).and_then(|session| session.append(&place, &message(number)))
            })?;
        }
        Ok(())
    }

    fn turn(&self, worker: &mut Worker) {
        if worker.random.u8(0..5) != 0 {
            return self.transfer(worker);
        }
        // A read that is refused is in the history.
        let _ = Self::read(worker, "read");
    }

    fn finish(&self, worker: &mut Worker) -> Result<()> {
        read_everywhere("the final read of all folders", worker, [()], |worker, ()| Self::read(worker, "final-read"))
    }

    fn check(&self, operations: &[Operation<'_>]) -> Verdict {
        bank::check(operations, MESSAGES)
    }

    fn writes(&self) -> &'static [&'static str] {
        &["move"]
    }
}
