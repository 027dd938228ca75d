//! Messages that are moved among folders are neither lost nor doubled: the total is constant in every read.
//!
//! IMAP reads one folder after the other, so a message whose move may overlap a read can be met twice or not at all; it
//! is left out of that read. All others must be met exactly once. After the faults nothing is left out.

use super::Verdict;
use crate::history::{Kind, Operation, Value};
use std::collections::{BTreeMap, HashMap};

/// A move of unknown end counts as over so long after it began (nanoseconds): nodes give up a proposal after 8 s and keep
/// no request longer; after it every read must agree again.
const UNKNOWN_LASTS: u64 = 60_000_000_000;

/// Operations: `move` with `element`; `read` and `final-read` giving a list of folders, each a list of elements.
/// `total` elements, numbered from 0.
pub fn check(operations: &[Operation<'_>], total: i64) -> Verdict {
    let mut verdict = Verdict::default();
    let mut moves: HashMap<i64, Vec<(u64, u64)>> = HashMap::new();
    for operation in operations.iter().filter(|operation| operation.invoke.f == "move") {
        let Some(element) = operation.invoke.value.get("element").int() else { continue };
        let begin = operation.invoke.time;
        let end = match operation.kind() {
            Kind::Ok | Kind::Fail => operation.end.map_or(u64::MAX, |end| end.time),
            _ => begin.saturating_add(UNKNOWN_LASTS),
        };
        moves.entry(element).or_default().push((begin, end));
        let name = if operation.kind() == Kind::Ok { "acknowledged" } else { "unacknowledged" };
        verdict.count(name, 1);
    }
    let mut ended = false;
    for read in operations.iter().filter(|operation| operation.invoke.f != "move") {
        let Some(result) = read.result() else { continue };
        let last = read.invoke.f == "final-read";
        ended |= last;
        let (from, to) = (read.invoke.time, read.done());
        let overlaps = |element: &i64| {
            moves.get(element).is_some_and(|moves| moves.iter().any(|(begin, end)| *begin < to && *end > from))
        };
        let met = met(result);
        for element in 0..total {
            let times = met.get(&element).copied().unwrap_or_default();
            if times != 1 && (last || !overlaps(&element)) {
                let (node, at) = (read.invoke.node + 1, from / 1_000_000);
                let what = read.invoke.f;
                verdict
                    .violation(format!("message {element} is there {times} times ({what} at {at} ms, node n{node})"));
            }
        }
        for element in met.keys().filter(|element| !(0..total).contains(*element)) {
            verdict.violation(format!("message {element} was never there"));
        }
        verdict.count(if last { "final-reads" } else { "reads" }, 1);
    }
    if !ended {
        verdict.undecided = Some("no final read".to_owned());
    }
    verdict
}

fn met(folders: &Value) -> BTreeMap<i64, usize> {
    let mut counts = BTreeMap::new();
    for element in folders.list().iter().flat_map(Value::numbers) {
        *counts.entry(element).or_default() += 1;
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::made::{history, operation};
    use crate::history::{Entry, operations};

    fn moved(element: i64, kind: Kind, times: (u64, u64)) -> [Entry; 2] {
        let value = Value::map([("element", element.into())]);
        operation(1, "move", value.clone(), (kind, value), times)
    }

    fn read(f: &'static str, folders: [&[i64]; 2], times: (u64, u64)) -> [Entry; 2] {
        let folders = folders.map(|folder| Value::ints(folder.iter().copied()));
        operation(2, f, Value::Nil, (Kind::Ok, Value::List(folders.into())), times)
    }

    fn violations(all: Vec<[Entry; 2]>) -> Vec<String> {
        let entries = history(all);
        check(&operations(&entries, "w"), 2).violations
    }

    #[test]
    fn a_moving_message_may_be_missed_but_not_a_resting_one() {
        let last = || read("final-read", [&[0], &[1]], (90, 91));
        assert!(violations(vec![moved(0, Kind::Ok, (0, 9)), read("read", [&[], &[1]], (3, 5)), last()]).is_empty());
        let found = violations(vec![moved(0, Kind::Ok, (0, 2)), read("read", [&[], &[1]], (3, 5)), last()]);
        assert!(found.len() == 1 && found[0].contains("0 times"), "{found:?}");
        let found = violations(vec![read("read", [&[0, 1], &[1]], (3, 5)), last()]);
        assert!(found.len() == 1 && found[0].contains("2 times"), "{found:?}");
    }

    #[test]
    fn in_the_end_nothing_is_excused() {
        let found = violations(vec![moved(0, Kind::Info, (0, 9)), read("final-read", [&[], &[1]], (90, 91))]);
        assert!(found.len() == 1 && found[0].contains("final-read"), "{found:?}");
    }
}
