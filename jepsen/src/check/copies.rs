//! A COPY in several entries is all or nothing: after an OK all copies are there, after a refusal none, and after an
//! unknown outcome all or none, once the leader had time to undo what was left unfinished.

use super::Verdict;
use crate::history::{Kind, Operation, Value};
use std::collections::BTreeMap;

/// A folder of copies as a read shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Folder {
    /// Its number.
    pub number: i64,
    /// How many messages are in it.
    pub messages: i64,
}

impl Folder {
    /// As a read holds it.
    pub fn value(&self) -> Value {
        Value::ints([self.number, self.messages])
    }

    fn of(value: &Value) -> Option<Folder> {
        let mut numbers = value.numbers();
        Some(Folder { number: numbers.next()?, messages: numbers.next()? })
    }
}

/// Whether nothing is left to be undone.
pub fn is_settled(messages: i64, total: i64) -> bool {
    messages == 0 || messages == total
}

/// Operations: `copy` with `folder`, giving `copied`; `final-read` giving the number of messages in `source` and `copies`,
/// a list of folders; `settle`, giving how many `seconds` were waited. `total` messages are in the source.
pub fn check(operations: &[Operation<'_>], total: i64) -> Verdict {
    let mut verdict = Verdict::default();
    let mut copies = BTreeMap::new();
    for operation in operations {
        match (operation.invoke.f, operation.result()) {
            ("copy", result) => {
                let Some(folder) = operation.invoke.value.get("folder").int() else { continue };
                copies.insert(folder, operation.kind());
                verdict.count(name(operation.kind()), 1);
                let named = result.map(|result| result.get("copied").int().unwrap_or_default());
                if let Some(named) = named.filter(|named| *named != total) {
                    verdict
                        .violation(format!("the OK of the COPY to folder {folder} names {named} of {total} messages"));
                }
            }
            ("settle", Some(result)) => {
                let seconds = result.get("seconds").int().and_then(|seconds| usize::try_from(seconds).ok());
                verdict.count("settle-seconds", seconds.unwrap_or_default());
            }
            ("final-read", Some(result)) => {
                judge(operation, result, &copies, total, &mut verdict);
                verdict.count("final-reads", 1);
            }
            _ => {}
        }
    }
    if verdict.counts.get("final-reads").is_none_or(|reads| *reads == 0) {
        verdict.undecided = Some("no final read".to_owned());
    }
    verdict
}

fn name(kind: Kind) -> &'static str {
    match kind {
        Kind::Ok => "acknowledged",
        Kind::Fail => "refused",
        _ => "unknown",
    }
}

fn judge(read: &Operation<'_>, result: &Value, copies: &BTreeMap<i64, Kind>, total: i64, verdict: &mut Verdict) {
    let (node, at) = (read.invoke.node + 1, read.invoke.time / 1_000_000);
    let place = format!("(final read at {at} ms, node n{node})");
    let source = result.get("source").int().unwrap_or_default();
    if source != total {
        verdict.violation(format!("the source has {source} of {total} messages {place}"));
    }
    // A folder that was not made has no copies.
    let seen: BTreeMap<i64, i64> = result
        .get("copies")
        .list()
        .iter()
        .filter_map(Folder::of)
        .map(|folder| (folder.number, folder.messages))
        .collect();
    for (number, kind) in copies {
        let messages = seen.get(number).copied().unwrap_or_default();
        let wrong = match kind {
            Kind::Ok if messages != total => "acknowledged",
            Kind::Fail if messages != 0 => "refused",
            Kind::Info | Kind::Invoke if !is_settled(messages, total) => "of unknown end",
            _ => continue,
        };
        verdict.violation(format!("the COPY to folder {number}, {wrong}: {messages} of {total} messages {place}"));
    }
    for number in seen.keys().filter(|number| !copies.contains_key(number)) {
        verdict.violation(format!("folder {number} was never made {place}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::made::{history, operation};
    use crate::history::{Entry, operations};

    const TOTAL: i64 = 600;

    fn copy(folder: i64, kind: Kind, copied: i64) -> [Entry; 2] {
        let asked = Value::map([("folder", folder.into())]);
        let end = Value::map([("folder", folder.into()), ("copied", copied.into())]);
        operation(folder as u64, "copy", asked, (kind, end), (folder as u64, folder as u64 + 10))
    }

    fn read(source: i64, copies: &[(i64, i64)]) -> [Entry; 2] {
        let copies = copies.iter().map(|(number, messages)| Folder { number: *number, messages: *messages }.value());
        let seen = Value::map([("source", source.into()), ("copies", Value::List(copies.collect()))]);
        operation(90, "final-read", Value::Nil, (Kind::Ok, seen), (90, 91))
    }

    fn verdict(read: [Entry; 2], total: i64) -> Verdict {
        let copies = [
            copy(1, Kind::Ok, TOTAL),
            copy(2, Kind::Fail, 0),
            copy(3, Kind::Info, 0),
            copy(4, Kind::Info, 0),
            // Its folder was never made.
            copy(5, Kind::Fail, 0),
        ];
        let entries = history(copies.into_iter().chain([read]).collect());
        check(&operations(&entries, "w"), total)
    }

    const GOOD: [(i64, i64); 4] = [(1, TOTAL), (2, 0), (3, 0), (4, TOTAL)];

    #[test]
    fn all_or_nothing_is_valid() {
        let verdict = verdict(read(TOTAL, &GOOD), TOTAL);
        assert!(verdict.is_valid(), "{:?}", verdict.violations);
        let counts = ["acknowledged", "refused", "unknown", "final-reads"].map(|name| verdict.counts[name]);
        assert_eq!(counts, [1, 2, 2, 1]);
    }

    #[test]
    fn each_planted_violation_is_found() {
        let one = |at: usize, messages: i64, word: &str| {
            let mut folders = GOOD;
            folders[at].1 = messages;
            let found = verdict(read(TOTAL, &folders), TOTAL).violations;
            assert!(found.len() == 1 && found[0].contains(word), "{found:?}");
        };
        // Parts of a copy are left.
        one(2, 250, "of unknown end: 250 of 600");
        one(3, 500, "of unknown end: 500 of 600");
        // More than was there.
        one(3, 1200, "of unknown end: 1200");
        one(0, 850, "acknowledged: 850");
        // What was acknowledged is missing.
        one(0, 0, "acknowledged: 0 of 600");
        one(0, 599, "acknowledged: 599 of 600");
        // What was refused is there.
        one(1, TOTAL, "refused: 600");
        one(1, 250, "refused: 250");
    }

    #[test]
    fn lost_and_strange_folders_and_a_short_source_are_found() {
        let found = verdict(read(TOTAL, &GOOD[1..]), TOTAL).violations;
        assert!(found.len() == 1 && found[0].contains("acknowledged: 0"), "{found:?}");
        let strange = [&GOOD[..], &[(9, 0)]].concat();
        let found = verdict(read(TOTAL, &strange), TOTAL).violations;
        assert!(found.len() == 1 && found[0].contains("never made"), "{found:?}");
        let found = verdict(read(599, &GOOD), TOTAL).violations;
        assert!(found.len() == 1 && found[0].contains("source"), "{found:?}");
    }

    #[test]
    fn an_acknowledgement_must_name_all() {
        let entries = history(vec![copy(1, Kind::Ok, 500), read(TOTAL, &[(1, TOTAL)])]);
        let found = check(&operations(&entries, "w"), TOTAL).violations;
        assert!(found.len() == 1 && found[0].contains("names 500 of 600"), "{found:?}");
    }

    #[test]
    fn another_number_of_messages_is_noticed() {
        // The OK, its folder, the copy of unknown end and the source.
        assert_eq!(verdict(read(TOTAL, &GOOD), TOTAL + 1).violations.len(), 4);
    }

    #[test]
    fn without_a_final_read_nothing_is_decided() {
        let entries = history(vec![copy(1, Kind::Ok, TOTAL)]);
        assert!(!check(&operations(&entries, "w"), TOTAL).is_valid());
    }
}
