//! *mail-copies*: COPY of a whole folder that is cut into several entries; each new folder has all copies or none.

use super::{Worker, Workload, insist, read_everywhere};
use crate::check::copies::{self, is_settled};
use crate::check::{Verdict, copies::Folder};
use crate::client::mailbox::Mailbox;
use crate::client::message;
use crate::client::outcome::Outcome;
use crate::history::{Operation, Value};
use crate::limits::{COPIES_UNDONE_PATIENCE, LOOK_INTERVAL};
use anyhow::{Result, bail};
use clients::imap::Answer;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Instant;

/// The mailbox.
const USER: &str = "copies0@example.org";
/// Where the messages are.
const SOURCE: &str = "source";
/// How many: more than two entries copy, so that there is a first, a middle and a last part.
const MESSAGES: i64 = 600;
/// Messages of one APPEND.
const APPENDED_AT_ONCE: i64 = 200;
/// What names a copy, before its number.
const COPY: &str = "copy-";

/// The workload.
#[derive(Default)]
pub struct MailCopies {
    next: AtomicI64,
    /// Folders whose COPY was not acknowledged: what is in them may still be undone.
    unsettled: Mutex<BTreeSet<i64>>,
}

impl MailCopies {
    fn unsettled<T>(&self, work: impl FnOnce(&mut BTreeSet<i64>) -> T) -> T {
        work(&mut self.unsettled.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Reads until what was not acknowledged is there wholly or not at all; the checker judges when it never is.
    fn settle(&self, worker: &mut Worker) -> Result<()> {
        let begun = Instant::now();
        loop {
            let seen = insist("a look at all folders", worker, |worker| worker.mailbox(USER).and_then(folders))?;
            let half = self.unsettled(|unsettled| {
                let made = seen.copies.iter().filter(|folder| unsettled.contains(&folder.number));
                made.filter(|folder| !is_settled(folder.messages, MESSAGES)).count()
            });
            if half == 0 || begun.elapsed() > COPIES_UNDONE_PATIENCE {
                let waited = i64::try_from(begun.elapsed().as_secs()).unwrap_or(i64::MAX);
                let result = Value::map([("seconds", waited.into()), ("unfinished", (half as i64).into())]);
                worker.record("settle", Value::Nil, |_| Outcome::Ok(result));
                return Ok(());
            }
            thread::park_timeout(LOOK_INTERVAL * 40);
        }
    }
}

/// What STATUS says of every folder, on a node that does not call it stale.
struct Folders {
    source: i64,
    copies: Vec<Folder>,
}

fn folders(session: &mut Mailbox) -> Outcome<Folders> {
    session.read("LIST \"\" \"*\" RETURN (STATUS (MESSAGES))").and_then(|answer| Outcome::Ok(told(&answer)))
}

fn told(answer: &Answer) -> Folders {
    let mut told = Folders { source: 0, copies: Vec::new() };
    for line in answer.untagged.iter().map(|line| String::from_utf8_lossy(line)) {
        let Some((name, rest)) = line.strip_prefix("* STATUS ").and_then(|rest| rest.split_once(" (MESSAGES ")) else {
            continue;
        };
        let (name, messages) = (name.trim_matches('"'), rest.trim_end_matches(')').parse().unwrap_or(-1));
        if name == SOURCE {
            told.source = messages;
        } else if let Some(number) = name.strip_prefix(COPY).and_then(|number| number.parse().ok()) {
            told.copies.push(Folder { number, messages });
        }
    }
    told
}

/// Small messages in one APPEND (RFC 3502).
fn append(numbers: impl Iterator<Item = i64>) -> String {
    let mut command = format!("APPEND {SOURCE}");
    for number in numbers {
        // Every fourth number is a large message.
        let text = message(number * 4 + 1);
        let _ = write!(command, " {{{}+}}\r\n{}", text.len(), String::from_utf8_lossy(&text));
    }
    command
}

/// How many messages a COPYUID names (RFC 4315 section 3); 0 without one.
fn copied(status: &str) -> i64 {
    let Some((_, rest)) = status.split_once("[COPYUID ") else { return 0 };
    let inner = rest.split(']').next().unwrap_or_default();
    let ranges = inner.split_whitespace().nth(2).unwrap_or_default().split(',');
    let ends = ranges.filter_map(|range| {
        let (from, to) = range.split_once(':').unwrap_or((range, range));
        Some((from.parse::<i64>().ok()?, to.parse::<i64>().ok()?))
    });
    ends.map(|(from, to)| (to - from).abs() + 1).sum()
}

impl Workload for MailCopies {
    fn name(&self) -> &'static str {
        "copies"
    }

    fn accounts(&self) -> Vec<String> {
        vec![USER.to_owned()]
    }

    fn prepare(&self, worker: &mut Worker) -> Result<()> {
        insist("a folder", worker, |worker| {
            worker.mailbox(USER).and_then(|session| session.change(&format!("CREATE {SOURCE}")))
        })?;
        for first in (0..MESSAGES).step_by(APPENDED_AT_ONCE as usize) {
            let command = append(first..(first + APPENDED_AT_ONCE).min(MESSAGES));
            insist("first messages", worker, |worker| {
                worker.mailbox(USER).and_then(|session| session.change(&command))
            })?;
        }
        let seen = insist("a look at the source", worker, |worker| worker.mailbox(USER).and_then(folders))?;
        if seen.source != MESSAGES {
            bail!("{} messages are in {SOURCE}, {MESSAGES} were appended", seen.source);
        }
        Ok(())
    }

    fn turn(&self, worker: &mut Worker) {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        self.unsettled(|unsettled| unsettled.insert(number));
        let command = if worker.random.bool() { "COPY" } else { "UID COPY" };
        let done = worker.record("copy", Value::map([("folder", number.into())]), |worker| {
            let ready = worker.mailbox(USER).and_then(|session| {
                let selected = session.select(SOURCE, "").and_then(|_| Outcome::Ok(()));
                // Without the folder there is no COPY.
                selected.and_then(|()| session.change(&format!("CREATE {COPY}{number}"))).harmless()
            });
            ready.and_then(|_| worker.mailbox(USER)).and_then(|session| {
                let answer = session.change(&format!("{command} 1:* {COPY}{number}"));
                answer.and_then(|answer| {
                    let copied = copied(&answer.status).into();
                    Outcome::Ok(Value::map([("folder", number.into()), ("copied", copied)]))
                })
            })
        });
        if done.is_some() {
            self.unsettled(|unsettled| unsettled.remove(&number));
        }
        worker.leave_if_stale();
    }

    fn finish(&self, worker: &mut Worker) -> Result<()> {
        self.settle(worker)?;
        read_everywhere("the final read of all folders", worker, [()], |worker, ()| {
            let read = worker.record("final-read", Value::Nil, |worker| {
                worker.mailbox(USER).and_then(folders).and_then(|seen| {
                    let copies = seen.copies.iter().map(Folder::value).collect();
                    Outcome::Ok(Value::map([("source", seen.source.into()), ("copies", Value::List(copies))]))
                })
            });
            read.map(drop)
        })
    }

    fn check(&self, operations: &[Operation<'_>]) -> Verdict {
        copies::check(operations, MESSAGES)
    }

    fn writes(&self) -> &'static [&'static str] {
        &["copy"]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_status_says_is_read() {
        let lines = ["* LIST () \"/\" source", "* STATUS source (MESSAGES 600)", "* STATUS \"copy-7\" (MESSAGES 250)"];
        let untagged = lines.map(|line| line.as_bytes().to_vec()).into();
        let told = told(&Answer { untagged, status: "OK".to_owned() });
        assert_eq!((told.source, told.copies), (600, vec![Folder { number: 7, messages: 250 }]));
    }

    #[test]
    fn copies_are_counted_as_copyuid_names_them() {
        assert_eq!(copied("OK [COPYUID 9 1:3,5:7 11:12,14:15,10,9] Done"), 6);
        assert_eq!(copied("OK [COPYUID 9 1:600 1:600] Done"), 600);
        assert_eq!(copied("OK Done"), 0);
    }

    #[test]
    fn an_append_holds_all_messages() {
        let command = append(0..3);
        assert!(command.starts_with("APPEND source {") && command.matches("+}\r\n").count() == 3);
        assert!(command.len() < 3_000);
    }
}
