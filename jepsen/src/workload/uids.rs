//! *mail-uids*: APPEND, COPY, MOVE and EXPUNGE from several sessions; no UID is used again, no counter falls, and the
//! difference a QRESYNC client fetches from another node is the difference.

use super::{Worker, Workload, insist, read_everywhere};
use crate::check::{Verdict, uids};
use crate::client::mailbox::{Counters, Mailbox, code_numbers, seen, vanished};
use crate::client::message;
use crate::client::outcome::Outcome;
use crate::history::{Operation, Value};
use anyhow::Result;
use clients::imap::Answer;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Mutex, PoisonError};

/// The mailbox.
const USER: &str = "uids0@example.org";
/// Folders `U0` and up.
const FOLDERS: i64 = 3;
/// More messages than this are not kept: reads stay small.
const KEPT_MAX: usize = 60;

/// The flags of each UID.
type Picture = BTreeMap<i64, Vec<String>>;

/// The workload.
#[derive(Default)]
pub struct MailUids {
    next: AtomicI64,
    /// What is believed to be there: folder and UID, with the number of the message.
    known: Mutex<BTreeMap<(i64, i64), i64>>,
    /// What each QRESYNC client remembers of each folder.
    pictures: Mutex<HashMap<(usize, i64), (Counters, Picture)>>,
}

impl MailUids {
    fn known<T>(&self, work: impl FnOnce(&mut BTreeMap<(i64, i64), i64>) -> T) -> T {
        work(&mut self.known.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn choose(&self, random: &mut fastrand::Rng) -> Option<(i64, i64, i64)> {
        self.known(|known| {
            let chosen = random.usize(0..known.len().max(1));
            known.iter().nth(chosen).map(|((folder, uid), element)| (*folder, *uid, *element))
        })
    }

    fn append(&self, worker: &mut Worker) {
        let (folder, element) = (worker.random.i64(0..FOLDERS), self.next.fetch_add(1, Ordering::Relaxed));
        let asked = Value::map([("folder", folder.into()), ("element", element.into())]);
        let done = worker.record("append", asked, |worker| {
            let session = worker.mailbox(USER);
            let appended = session.and_then(|session| session.append(&format!("U{folder}"), &message(element)));
            appended.and_then(|(validity, uid)| Outcome::Ok(placed(folder, validity, uid, element)))
        });
        self.learn(done);
    }

    /// COPY or MOVE of a message to another folder.
    fn carry(&self, worker: &mut Worker, f: &'static str) {
        let Some((folder, uid, element)) = self.choose(&mut worker.random) else { return };
        let to = (folder + worker.random.i64(1..FOLDERS)) % FOLDERS;
        let Some(()) = selected(worker, folder) else { return };
        let asked = Value::map([("folder", folder.into()), ("uid", uid.into()), ("to", to.into())]);
        let verb = if f == "copy" { "COPY" } else { "MOVE" };
        let done = worker.record(f, asked, |worker| {
            let session = worker.mailbox(USER);
            session.and_then(|session| session.change(&format!("UID {verb} {uid} U{to}"))).and_then(|answer| {
                match code_numbers(&(answer.text() + &answer.status), "COPYUID").as_slice() {
                    [validity, _, uid] => Outcome::Ok(placed(to, *validity, *uid, element)),
                    _ => Outcome::Fail("nothing was there".to_owned()),
                }
            })
        });
        if f == "move" {
            self.known(|known| known.remove(&(folder, uid)));
        }
        self.learn(done);
        worker.leave_if_stale();
    }

    fn expunge(&self, worker: &mut Worker) {
        let Some((folder, uid, _)) = self.choose(&mut worker.random) else { return };
        let Some(()) = selected(worker, folder) else { return };
        let asked = Value::map([("folder", folder.into()), ("uid", uid.into())]);
        worker.record("expunge", asked, |worker| {
            worker.mailbox(USER).and_then(|session| {
                let marked = session.change(&format!("UID STORE {uid} +FLAGS.SILENT (\\Deleted)"));
                marked.and_then(|_| session.change(&format!("UID EXPUNGE {uid}"))).and_then(|_| Outcome::Ok(Value::Nil))
            })
        });
        self.known(|known| known.remove(&(folder, uid)));
        worker.leave_if_stale();
    }

    /// Changes a flag, so that differences hold more than messages.
    fn touch(&self, worker: &mut Worker) {
        let Some((folder, uid, _)) = self.choose(&mut worker.random) else { return };
        let Some(()) = selected(worker, folder) else { return };
        let flag = ["\\Seen", "\\Flagged", "\\Answered", "$later"][worker.random.usize(0..4)];
        let sign = if worker.random.bool() { '+' } else { '-' };
        worker.record("touch", Value::Nil, |worker| {
            let session = worker.mailbox(USER);
            let done =
                session.and_then(|session| session.change(&format!("UID STORE {uid} {sign}FLAGS.SILENT ({flag})")));
            done.and_then(|_| Outcome::Ok(Value::Nil))
        });
        worker.leave_if_stale();
    }

    fn observe(&self, worker: &mut Worker, folder: i64) -> Option<()> {
        let result = worker.record("observe", Value::map([("folder", folder.into())]), |worker| {
            worker.mailbox(USER).and_then(|session| {
                session.select(&format!("U{folder}"), " (CONDSTORE)").and_then(|(counters, _)| {
                    session.fetch("1:*", "UID BODY.PEEK[HEADER.FIELDS (SUBJECT)]").and_then(|all| {
                        let mut fields = counted(folder, counters);
                        fields.push(("uids", Value::ints(all.iter().map(|seen| seen.uid))));
                        fields.push(("elements", Value::ints(all.iter().map(|seen| seen.number.unwrap_or(-1)))));
                        Outcome::Ok(Value::Map(fields.into_iter().collect()))
                    })
                })
            })
        })?;
        let there: Vec<_> = result.get("uids").numbers().zip(result.get("elements").numbers()).collect();
        self.known(|known| {
            known.retain(|(place, _), _| *place != folder);
            known.extend(there.into_iter().map(|(uid, element)| ((folder, uid), element)));
        });
        Some(())
    }

    /// Comes back to a folder through another node with what is remembered of it.
    fn resync(&self, worker: &mut Worker, folder: i64) {
        let node = worker.random.usize(0..worker.access.doors.nodes);
        worker.go_to(node);
        let key = (worker.number, folder);
        let before = self.pictures.lock().unwrap_or_else(PoisonError::into_inner).remove(&key);
        let mut after = None;
        worker.record("resync", Value::map([("folder", folder.into())]), |worker| {
            let session = worker.mailbox(USER);
            let done = session.and_then(|session| difference(session, folder, before));
            done.and_then(|(counters, delta, whole)| {
                let mut fields = counted(folder, counters);
                fields.push(("delta", shown(&delta)));
                fields.push(("whole", shown(&whole)));
                after = Some((counters, whole));
                Outcome::Ok(Value::Map(fields.into_iter().collect()))
            })
        });
        // A session with QRESYNC speaks another dialect: the other operations begin anew.
        worker.go_to(node);
        if let Some(after) = after {
            self.pictures.lock().unwrap_or_else(PoisonError::into_inner).insert(key, after);
        }
    }

    fn learn(&self, done: Option<Value>) {
        let place = done.and_then(|value| {
            Some(((value.get("folder").int()?, value.get("uid").int()?), value.get("element").int()?))
        });
        self.known(|known| known.extend(place));
    }
}

fn selected(worker: &mut Worker, folder: i64) -> Option<()> {
    let done = worker.mailbox(USER).and_then(|session| session.select(&format!("U{folder}"), ""));
    if done.ok().is_none() {
        worker.move_on();
        return None;
    }
    Some(())
}

fn placed(folder: i64, validity: i64, uid: i64, element: i64) -> Value {
    Value::map([
        ("folder", folder.into()),
        ("validity", validity.into()),
        ("uid", uid.into()),
        ("element", element.into()),
    ])
}

fn counted(folder: i64, counters: Counters) -> Vec<(&'static str, Value)> {
    let Counters { validity, next, modseq } = counters;
    vec![("folder", folder.into()), ("validity", validity.into()), ("next", next.into()), ("modseq", modseq.into())]
}

fn shown(picture: &Picture) -> Value {
    let one = |(uid, flags): (&i64, &Vec<String>)| Value::Text(format!("{uid} {}", flags.join(" ")));
    Value::List(picture.iter().map(one).collect())
}

/// What the remembered picture becomes by the difference, and what the folder shows. What changed while it was read is
/// left out of both.
fn difference(
    session: &mut Mailbox,
    folder: i64,
    before: Option<(Counters, Picture)>,
) -> Outcome<(Counters, Picture, Picture)> {
    let how = match &before {
        Some((counters, _)) => format!(" (QRESYNC ({} {}))", counters.validity, counters.modseq),
        None => " (CONDSTORE)".to_owned(),
    };
    let enabled = session.read("ENABLE QRESYNC");
    enabled.and_then(|_| session.select(&format!("U{folder}"), &how)).and_then(|(counters, answer)| {
        session.read("UID FETCH 1:* (UID FLAGS MODSEQ)").and_then(|whole| {
            let late: HashSet<i64> =
                seen(&whole).iter().filter(|seen| seen.modseq > counters.modseq).map(|seen| seen.uid).collect();
            let gone = vanished(&whole);
            let steady = |uid: &i64| !late.contains(uid) && !within(&gone, *uid);
            let mut picture: Picture =
                seen(&whole).into_iter().filter(|seen| steady(&seen.uid)).map(|seen| (seen.uid, seen.flags)).collect();
            let mut delta = match before {
                Some((old, remembered)) if old.validity == counters.validity => applied(remembered, &answer),
                _ => picture.clone(),
            };
            delta.retain(|uid, _| steady(uid));
            picture.retain(|uid, _| *uid < counters.next);
            delta.retain(|uid, _| *uid < counters.next);
            Outcome::Ok((counters, delta, picture))
        })
    })
}

fn within(ranges: &[(i64, i64)], uid: i64) -> bool {
    ranges.iter().any(|(from, to)| (*from..=*to).contains(&uid))
}

fn applied(mut picture: Picture, answer: &Answer) -> Picture {
    let gone = vanished(answer);
    picture.retain(|uid, _| !within(&gone, *uid));
    picture.extend(seen(answer).into_iter().map(|seen| (seen.uid, seen.flags)));
    picture
}

impl Workload for MailUids {
    fn name(&self) -> &'static str {
        "uids"
    }

    fn accounts(&self) -> Vec<String> {
        vec![USER.to_owned()]
    }

    fn prepare(&self, worker: &mut Worker) -> Result<()> {
        for folder in 0..FOLDERS {
            insist("a folder", worker, |worker| {
                worker.mailbox(USER).and_then(|session| session.change(&format!("CREATE U{folder}")))
            })?;
        }
        Ok(())
    }

    fn turn(&self, worker: &mut Worker) {
        let folder = worker.random.i64(0..FOLDERS);
        let full = self.known(|known| known.len() > KEPT_MAX);
        match worker.random.u8(0..20) {
            0..=6 if !full => self.append(worker),
            7..=8 if !full => self.carry(worker, "copy"),
            9..=11 => self.carry(worker, "move"),
            12..=13 => self.touch(worker),
            14..=15 => {
                let _ = self.observe(worker, folder);
            }
            16..=17 => self.resync(worker, folder),
            _ => self.expunge(worker),
        }
    }

    fn finish(&self, worker: &mut Worker) -> Result<()> {
        read_everywhere("the final read", worker, 0..FOLDERS, |worker, folder| self.observe(worker, *folder))
    }

    fn check(&self, operations: &[Operation<'_>]) -> Verdict {
        uids::check(operations)
    }

    fn writes(&self) -> &'static [&'static str] {
        &["append", "copy", "move", "expunge"]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_is_applied_to_what_was_remembered() {
        let before: Picture = [(1, vec![]), (2, vec![]), (3, vec!["\\Seen".to_owned()])].into();
        let untagged = [
            "* VANISHED (EARLIER) 1",
            "* 2 FETCH (UID 3 MODSEQ (9) FLAGS ($later))",
            "* 3 FETCH (UID 4 FLAGS () MODSEQ (9))",
        ];
        let answer =
            Answer { untagged: untagged.iter().map(|line| line.as_bytes().to_vec()).collect(), status: String::new() };
        let after: Picture = [(2, vec![]), (3, vec!["$later".to_owned()]), (4, vec![])].into();
        assert_eq!(applied(before, &answer), after);
    }
}
