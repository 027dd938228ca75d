//! How long writes were away: from the beginning of a fault, and from its end, to the next acknowledged write.

use crate::check::coverage::Fault;
use crate::history::Entry;
use crate::history::{Kind, operations};
use std::collections::BTreeMap;

/// Times of one kind of fault, milliseconds, sorted.
#[derive(Clone, Debug, Default)]
pub struct Times {
    /// From the beginning of the fault until every workload had a write acknowledged that began after it.
    pub from_begin: Vec<u64>,
    /// From the end of the fault until every node had acknowledged a write that began after it.
    pub from_end: Vec<u64>,
}

/// A write that was acknowledged.
struct Write {
    workload: &'static str,
    node: usize,
    from: u64,
    to: u64,
}

/// Times per kind. Two faults at once count for both kinds. What had not come back when the next fault came, or the run
/// ended, is left out of `from_end`.
pub fn times(
    entries: &[Entry],
    faults: &[Fault],
    writes: &BTreeMap<&'static str, &'static [&'static str]>,
    nodes: usize,
) -> BTreeMap<&'static str, Times> {
    let writes = acknowledged(entries, writes);
    let workloads: Vec<_> = {
        let mut names: Vec<_> = writes.iter().map(|write| write.workload).collect();
        names.sort_unstable();
        names.dedup();
        names
    };
    let mut times: BTreeMap<&'static str, Times> = BTreeMap::new();
    for fault in faults.iter().filter(|fault| fault.evidence > 0) {
        let (begin, end) = fault.time;
        let next = faults.iter().map(|other| other.time.0).filter(|other| *other > end).min().unwrap_or(u64::MAX);
        let after = |since: u64, by: &dyn Fn(&&Write) -> bool| {
            let first = writes.iter().filter(|write| write.from >= since).filter(by).map(|write| write.to).min()?;
            Some((first - since) / 1_000_000)
        };
        let kind = times.entry(fault.kind).or_default();
        let each = workloads.iter().map(|name| after(begin, &|write| write.workload == *name));
        kind.from_begin.extend(each.collect::<Option<Vec<_>>>().and_then(|all| all.into_iter().max()));
        let each = (0..nodes).map(|node| after(end, &|write| write.node == node && write.to < next));
        kind.from_end.extend(each.collect::<Option<Vec<_>>>().and_then(|all| all.into_iter().max()));
    }
    for kind in times.values_mut() {
        kind.from_begin.sort_unstable();
        kind.from_end.sort_unstable();
    }
    times
}

fn acknowledged(entries: &[Entry], writes: &BTreeMap<&'static str, &'static [&'static str]>) -> Vec<Write> {
    let mut all = Vec::new();
    for (workload, names) in writes {
        for operation in operations(entries, workload) {
            if operation.kind() == Kind::Ok && names.contains(&operation.invoke.f) {
                let (node, from, to) = (operation.invoke.node, operation.invoke.time, operation.done());
                all.push(Write { workload, node, from, to });
            }
        }
    }
    all
}

/// Least, median, 99th percentile and greatest.
pub fn figures(sorted: &[u64]) -> Option<[u64; 4]> {
    let at = |part: f64| sorted.get(((sorted.len() as f64 * part) as usize).min(sorted.len().checked_sub(1)?)).copied();
    Some([at(0.0)?, at(0.5)?, at(0.99)?, at(1.0)?])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::Value;
    use crate::history::made::{history, operation};

    #[test]
    fn the_next_acknowledged_write_ends_an_outage() {
        let ms = |time: u64| time * 1_000_000;
        let add = |from, to| operation(from, "add", Value::Nil, (Kind::Ok, Value::Nil), (ms(from), ms(to)));
        let entries = history(vec![add(90, 110), add(105, 400), add(620, 650)]);
        let fault = Fault { kind: "kill-one", time: (ms(100), ms(600)), what: String::new(), evidence: 1 };
        let writes: BTreeMap<_, &'static [&'static str]> = BTreeMap::from([("w", ["add"].as_slice())]);
        let times = times(&entries, &[fault], &writes, 1);
        assert_eq!(times["kill-one"].from_begin, [300]);
        assert_eq!(times["kill-one"].from_end, [50]);
        assert_eq!(figures(&[1, 2, 3, 4]), Some([1, 3, 4, 4]));
        assert_eq!(figures(&[]), None);
    }
}
