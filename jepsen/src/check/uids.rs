//! UIDs (RFC 9051 section 2.3.1.1, RFC 7162): one UID names one message for ever; UIDVALIDITY, UIDNEXT and HIGHESTMODSEQ
//! never fall; what was expunged does not come back; what was added stays until somebody removes it; the difference that
//! QRESYNC gives is the difference. O(n log n).

use super::Verdict;
use crate::history::{Kind, Operation, Value};
use std::collections::{BTreeMap, HashMap};

/// A message's place: folder and UID.
type Place = (i64, i64);

/// Something known about a folder's counters at some time.
struct Mark {
    folder: i64,
    from: u64,
    to: u64,
    validity: i64,
    next: i64,
    modseq: i64,
    /// Whether the counters were read; else only that a UID was given out.
    read: bool,
}

/// When a message may have been there.
#[derive(Default)]
struct Life {
    /// Certain from then on.
    added: Option<u64>,
    /// A removal may have begun then.
    leaving: Option<u64>,
    /// Certainly gone from then on.
    gone: Option<u64>,
}

/// Operations with `folder`: `append`, `copy`, `move` give `folder`, `uid`, `validity`, `element` of the new place; `move`
/// and `expunge` ask with `folder` and `uid` of the old; `observe` gives `validity`, `next`, `modseq`, `uids`, `elements`;
/// `resync` gives the counters, and `delta` and `whole`, which must be equal.
pub fn check(operations: &[Operation<'_>]) -> Verdict {
    let mut verdict = Verdict::default();
    names(operations, &mut verdict);
    counters(operations, &mut verdict);
    lives(operations, &mut verdict);
    for operation in operations {
        if operation.kind() == Kind::Ok {
            let read = matches!(operation.invoke.f, "observe" | "resync");
            verdict.count(if read { "reads" } else { "acknowledged" }, 1);
        }
        let Some(result) = operation.result().filter(|_| operation.invoke.f == "resync") else { continue };
        verdict.count("resyncs", 1);
        if result.get("delta") != result.get("whole") {
            let (delta, whole) = (result.get("delta"), result.get("whole"));
            let at = operation.invoke.time / 1_000_000;
            verdict.violation(format!("QRESYNC at {at} ms leads to {delta} but the folder is {whole}"));
        }
    }
    verdict
}

/// Everything said about which message a UID names.
fn names(operations: &[Operation<'_>], verdict: &mut Verdict) {
    let mut known: HashMap<(i64, i64, i64), i64> = HashMap::new();
    let mut note = |folder: i64, validity: i64, uid: i64, element: i64, verdict: &mut Verdict| {
        let first = *known.entry((folder, validity, uid)).or_insert(element);
        if first != element {
            verdict.violation(format!("UID {uid} of folder {folder} names message {first} and message {element}"));
        }
    };
    for operation in operations {
        let Some(result) = operation.result() else { continue };
        let (Some(folder), Some(validity)) = (result.get("folder").int(), result.get("validity").int()) else {
            continue;
        };
        if let (Some(uid), Some(element)) = (result.get("uid").int(), result.get("element").int()) {
            note(folder, validity, uid, element, verdict);
        }
        for (uid, element) in result.get("uids").numbers().zip(result.get("elements").numbers()) {
            note(folder, validity, uid, element, verdict);
        }
    }
}

fn marks(operations: &[Operation<'_>]) -> Vec<Mark> {
    let mark = |operation: &Operation<'_>| {
        let result = operation.result()?;
        let (folder, validity) = (result.get("folder").int()?, result.get("validity").int()?);
        let (from, to) = (operation.invoke.time, operation.done());
        let read = result.get("next").int();
        let next = read.or_else(|| Some(result.get("uid").int()? + 1))?;
        let modseq = result.get("modseq").int().unwrap_or(0);
        Some(Mark { folder, from, to, validity, next, modseq, read: read.is_some() })
    };
    operations.iter().filter_map(mark).collect()
}

/// Counters never fall from what was known before an operation began to what it says.
fn counters(operations: &[Operation<'_>], verdict: &mut Verdict) {
    let marks = marks(operations);
    let (mut by_begin, mut by_end): (Vec<_>, Vec<_>) = (marks.iter().collect(), marks.iter().collect());
    by_begin.sort_by_key(|mark: &&Mark| mark.from);
    by_end.sort_by_key(|mark: &&Mark| mark.to);
    let mut ended = by_end.into_iter().peekable();
    // Per folder: UIDVALIDITY, UIDNEXT, HIGHESTMODSEQ known so far.
    let mut known: BTreeMap<i64, (i64, i64, i64)> = BTreeMap::new();
    for mark in by_begin {
        while let Some(before) = ended.next_if(|before| before.to < mark.from) {
            let best = known.entry(before.folder).or_default();
            *best = (best.0.max(before.validity), best.1.max(before.next), best.2.max(before.modseq));
        }
        let Some((validity, next, modseq)) = known.get(&mark.folder).copied() else { continue };
        let at = mark.from / 1_000_000;
        let folder = mark.folder;
        if mark.validity != validity && validity != 0 {
            verdict
                .violation(format!("UIDVALIDITY of folder {folder} was {validity}, then {} ({at} ms)", mark.validity));
        }
        // A UID given out must not lie below an UIDNEXT seen before.
        if mark.next < next + i64::from(!mark.read) {
            let what = if mark.read { "UIDNEXT" } else { "the UID after one just given out" };
            verdict
                .violation(format!("{what} of folder {folder} is {}, UIDNEXT was {next} before ({at} ms)", mark.next));
        }
        if mark.read && mark.modseq < modseq {
            verdict
                .violation(format!("HIGHESTMODSEQ of folder {folder} fell from {modseq} to {} ({at} ms)", mark.modseq));
        }
    }
}

/// What is there must be there, what is gone must be gone.
fn lives(operations: &[Operation<'_>], verdict: &mut Verdict) {
    let mut lives: BTreeMap<Place, Life> = BTreeMap::new();
    for operation in operations {
        let place = |value: &Value| Some((value.get("folder").int()?, value.get("uid").int()?));
        if let Some(place) = operation.result().and_then(place).filter(|_| operation.invoke.f != "expunge") {
            let life = lives.entry(place).or_default();
            life.added = Some(life.added.map_or(operation.done(), |added| added.min(operation.done())));
        }
        if matches!(operation.invoke.f, "move" | "expunge") && operation.kind() != Kind::Fail {
            let Some(place) = place(&operation.invoke.value) else { continue };
            let life = lives.entry(place).or_default();
            life.leaving = Some(life.leaving.map_or(operation.invoke.time, |time| time.min(operation.invoke.time)));
            if operation.kind() == Kind::Ok {
                life.gone = Some(life.gone.map_or(operation.done(), |gone| gone.min(operation.done())));
            }
        }
    }
    for read in operations {
        let Some(result) = read.result().filter(|_| read.invoke.f == "observe") else { continue };
        let Some(folder) = result.get("folder").int() else { continue };
        let uids: std::collections::BTreeSet<i64> = result.get("uids").numbers().collect();
        let (from, to, at) = (read.invoke.time, read.done(), read.invoke.time / 1_000_000);
        for ((_, uid), life) in lives.range((folder, 0)..=(folder, i64::MAX)) {
            let there = uids.contains(uid);
            let must = life.added.is_some_and(|added| added < from) && life.leaving.is_none_or(|leaving| leaving > to);
            let node = read.invoke.node + 1;
            if must && !there {
                verdict.violation(format!("UID {uid} of folder {folder} is missing (read at {at} ms, node n{node})"));
            }
            if there && life.gone.is_some_and(|gone| gone < from) {
                verdict.violation(format!("UID {uid} of folder {folder} came back (read at {at} ms, node n{node})"));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::made::{history, operation};
    use crate::history::{Entry, operations};

    fn append(uid: i64, element: i64, times: (u64, u64)) -> [Entry; 2] {
        let result = [("folder", 1.into()), ("validity", 9.into()), ("uid", uid.into()), ("element", element.into())];
        operation(times.0, "append", Value::Nil, (Kind::Ok, Value::map(result)), times)
    }

    fn expunge(uid: i64, kind: Kind, times: (u64, u64)) -> [Entry; 2] {
        let asked = Value::map([("folder", 1.into()), ("uid", uid.into())]);
        operation(times.0, "expunge", asked, (kind, Value::Nil), times)
    }

    fn observe(counters: (i64, i64, i64), messages: &[(i64, i64)], times: (u64, u64)) -> [Entry; 2] {
        let (validity, next, modseq) = counters;
        let result = Value::map([
            ("folder", 1.into()),
            ("validity", validity.into()),
            ("next", next.into()),
            ("modseq", modseq.into()),
            ("uids", Value::ints(messages.iter().map(|message| message.0))),
            ("elements", Value::ints(messages.iter().map(|message| message.1))),
        ]);
        operation(times.0, "observe", Value::Nil, (Kind::Ok, result), times)
    }

    fn violations(all: Vec<[Entry; 2]>) -> Vec<String> {
        let entries = history(all);
        check(&operations(&entries, "w")).violations
    }

    fn one(all: Vec<[Entry; 2]>, word: &str) {
        let found = violations(all);
        assert!(found.len() == 1 && found[0].contains(word), "{found:?}");
    }

    #[test]
    fn a_good_history_is_valid() {
        let all = vec![
            append(1, 70, (0, 1)),
            append(2, 71, (2, 3)),
            observe((9, 3, 5), &[(1, 70), (2, 71)], (4, 5)),
            expunge(1, Kind::Ok, (6, 7)),
            observe((9, 3, 6), &[(2, 71)], (8, 9)),
            expunge(2, Kind::Info, (10, 20)),
            observe((9, 3, 6), &[(2, 71)], (11, 12)),
            observe((9, 3, 7), &[], (21, 22)),
        ];
        assert_eq!(violations(all), [] as [&str; 0]);
    }

    #[test]
    fn a_uid_that_names_two_messages_is_found() {
        one(vec![append(1, 70, (0, 5)), append(1, 71, (2, 6))], "names message");
    }

    #[test]
    fn counters_that_fall_are_found() {
        one(vec![observe((9, 3, 5), &[], (0, 1)), observe((9, 2, 5), &[], (2, 3))], "UIDNEXT");
        one(vec![observe((9, 3, 5), &[], (0, 1)), observe((9, 3, 4), &[], (2, 3))], "HIGHESTMODSEQ");
        one(vec![observe((9, 3, 5), &[], (0, 1)), observe((8, 3, 5), &[], (2, 3))], "UIDVALIDITY");
        one(vec![observe((9, 3, 5), &[], (0, 1)), append(2, 70, (2, 3))], "given out");
        assert!(violations(vec![observe((9, 3, 5), &[], (0, 9)), observe((9, 2, 4), &[], (2, 3))]).is_empty());
    }

    #[test]
    fn messages_that_vanish_or_return_are_found() {
        one(vec![append(1, 70, (0, 1)), observe((9, 2, 5), &[], (2, 3))], "missing");
        let back = vec![append(1, 70, (0, 1)), expunge(1, Kind::Ok, (2, 3)), observe((9, 2, 5), &[(1, 70)], (4, 5))];
        one(back, "came back");
    }

    #[test]
    fn a_difference_that_does_not_add_up_is_found() {
        let result =
            |whole: &[i64]| Value::map([("delta", Value::ints([1, 2])), ("whole", Value::ints(whole.iter().copied()))]);
        let resync = |whole: &[i64]| vec![operation(1, "resync", Value::Nil, (Kind::Ok, result(whole)), (0, 1))];
        assert!(violations(resync(&[1, 2])).is_empty());
        one(resync(&[1]), "QRESYNC");
    }
}
