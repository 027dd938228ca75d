//! Jepsen's `set-full` for mailboxes: what was acknowledged is in every later read, exactly once; what was refused is in
//! none; nothing appears that nobody sent. O(reads × elements).
//!
//! Reads that the server marked as stale are recorded as failed and not looked at. A *final* read is made of every
//! mailbox through every node after all faults are undone.

use super::Verdict;
use crate::history::{Kind, Operation};
use std::collections::{BTreeMap, HashMap};

/// What is known of an element.
struct Element {
    kind: Kind,
    mailbox: i64,
    /// From then on every read must show it: acknowledged, or seen by a completed read.
    certain: u64,
    acknowledged: bool,
}

/// Operations: `add` with `element` and `mailbox`; `read` and `final-read` with `mailbox`, giving `elements`.
pub fn check(operations: &[Operation<'_>]) -> Verdict {
    let mut verdict = Verdict::default();
    let mut elements = elements(operations);
    let reads: Vec<_> = operations.iter().filter(|operation| operation.invoke.f != "add").collect();
    let mut ended = reads.clone();
    ended.sort_by_key(|read| read.done());
    // What one read showed, later ones must show.
    for read in &ended {
        for number in read.result().into_iter().flat_map(|value| value.get("elements").numbers()) {
            if let Some(element) = elements.get_mut(&number) {
                element.certain = element.certain.min(read.done());
            }
        }
    }
    let mut by_mailbox: BTreeMap<i64, Vec<(i64, u64, bool)>> = BTreeMap::new();
    for (number, element) in &elements {
        let known = (*number, element.certain, element.acknowledged);
        by_mailbox.entry(element.mailbox).or_default().push(known);
    }
    for read in reads {
        let Some(result) = read.result() else { continue };
        let mailbox = read.invoke.value.get("mailbox").int().unwrap_or_default();
        let seen = shown(result.get("elements").numbers());
        judge(read, mailbox, &seen, &elements, &mut verdict);
        let expected = by_mailbox.get(&mailbox).map(Vec::as_slice).unwrap_or_default();
        for (number, certain, acknowledged) in expected {
            if *certain < read.invoke.time && !seen.contains_key(number) {
                let word = if *acknowledged { "acknowledged" } else { "seen before" };
                verdict.violation(missing(read, mailbox, *number, word));
            }
        }
        let name = if read.invoke.f == "final-read" { "final-reads" } else { "reads" };
        verdict.count(name, 1);
    }
    verdict.count("acknowledged", elements.values().filter(|element| element.kind == Kind::Ok).count());
    verdict.count("unknown", elements.values().filter(|element| element.kind == Kind::Info).count());
    verdict.count("refused", elements.values().filter(|element| element.kind == Kind::Fail).count());
    if verdict.counts.get("final-reads").is_none_or(|reads| *reads == 0) {
        verdict.undecided = Some("no final read".to_owned());
    }
    verdict
}

fn elements(operations: &[Operation<'_>]) -> HashMap<i64, Element> {
    let adds = operations.iter().filter(|operation| operation.invoke.f == "add");
    let known = adds.filter_map(|add| {
        let number = add.invoke.value.get("element").int()?;
        let mailbox = add.invoke.value.get("mailbox").int()?;
        let acknowledged = add.kind() == Kind::Ok;
        Some((number, Element { kind: add.kind(), mailbox, certain: add.done(), acknowledged }))
    });
    known.collect()
}

fn shown(numbers: impl Iterator<Item = i64>) -> HashMap<i64, usize> {
    let mut counts = HashMap::new();
    numbers.for_each(|number| *counts.entry(number).or_default() += 1);
    counts
}

/// What is in a read and must not be, or not so often.
fn judge(
    read: &Operation<'_>,
    mailbox: i64,
    seen: &HashMap<i64, usize>,
    elements: &HashMap<i64, Element>,
    verdict: &mut Verdict,
) {
    for (number, times) in seen {
        let wrong = match elements.get(number) {
            None => "was never sent",
            Some(element) if element.mailbox != mailbox => "belongs elsewhere",
            Some(element) if element.kind == Kind::Fail => "was refused",
            Some(_) if *times > 1 => "is there more than once",
            Some(_) => continue,
        };
        let at = read.invoke.time / 1_000_000;
        verdict.violation(format!("message {number} in mailbox {mailbox} {wrong} (read at {at} ms)"));
    }
}

fn missing(read: &Operation<'_>, mailbox: i64, number: i64, word: &str) -> String {
    let (node, at) = (read.invoke.node + 1, read.invoke.time / 1_000_000);
    let what = if read.invoke.f == "final-read" { "LOST" } else { "missing in a read not marked as stale" };
    format!("message {number} of mailbox {mailbox}, {word}: {what} (node n{node}, {at} ms)")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::made::{history, operation};
    use crate::history::{Entry, Value, operations};

    fn add(process: u64, element: i64, kind: Kind, times: (u64, u64)) -> [Entry; 2] {
        let value = Value::map([("element", element.into()), ("mailbox", 0.into())]);
        operation(process, "add", value.clone(), (kind, value), times)
    }

    fn read(f: &'static str, elements: &[i64], times: (u64, u64)) -> [Entry; 2] {
        let asked = Value::map([("mailbox", 0.into())]);
        let seen = Value::map([("elements", Value::ints(elements.iter().copied()))]);
        operation(90, f, asked, (Kind::Ok, seen), times)
    }

    fn violations(all: Vec<[Entry; 2]>) -> Vec<String> {
        let entries = history(all);
        check(&operations(&entries, "w")).violations
    }

    #[test]
    fn a_good_history_is_valid() {
        let all = vec![
            add(1, 1, Kind::Ok, (0, 2)),
            add(2, 2, Kind::Info, (0, 3)),
            add(3, 3, Kind::Fail, (0, 4)),
            add(4, 4, Kind::Info, (1, 5)),
            read("read", &[1], (3, 6)),
            read("final-read", &[1, 2], (10, 12)),
        ];
        assert_eq!(violations(all), [] as [&str; 0]);
    }

    #[test]
    fn each_planted_violation_is_found() {
        let one = |wrong: &[i64], word: &str| {
            let all =
                vec![add(1, 1, Kind::Ok, (0, 2)), add(3, 3, Kind::Fail, (0, 4)), read("final-read", wrong, (10, 12))];
            let found = violations(all);
            assert!(found.len() == 1 && found[0].contains(word), "{found:?}");
        };
        one(&[], "LOST");
        one(&[1, 1], "more than once");
        one(&[1, 3], "refused");
        one(&[1, 8], "never sent");
    }

    #[test]
    fn what_one_read_showed_the_next_must_show() {
        let all = vec![
            add(2, 2, Kind::Info, (0, 3)),
            read("read", &[2], (4, 5)),
            read("read", &[], (6, 7)),
            read("final-read", &[2], (10, 12)),
        ];
        let found = violations(all);
        assert!(found.len() == 1 && found[0].contains("not marked as stale"), "{found:?}");
    }

    #[test]
    fn a_read_that_overlaps_the_add_may_miss_it() {
        let all = vec![add(1, 1, Kind::Ok, (0, 5)), read("read", &[], (4, 6)), read("final-read", &[1], (10, 12))];
        assert_eq!(violations(all), [] as [&str; 0]);
    }

    #[test]
    fn without_a_final_read_nothing_is_decided() {
        let entries = history(vec![add(1, 1, Kind::Ok, (0, 2))]);
        assert!(!check(&operations(&entries, "w")).is_valid());
    }
}
