//! Jepsen's `total-queue` for mail to elsewhere: every accepted message reaches the sink at least once after the drain;
//! nothing arrives that nobody sent or that was refused. Duplicates are counted, not forbidden (RFC 5321 section 4.5.5).

use super::Verdict;
use crate::history::{Kind, Operation};
use std::collections::HashMap;

/// Operations: `enqueue` with a number; `drain`, giving all numbers that arrived, in order.
pub fn check(operations: &[Operation<'_>]) -> Verdict {
    let mut verdict = Verdict::default();
    let mut arrived: HashMap<i64, usize> = HashMap::new();
    let mut drained = false;
    for drain in operations.iter().filter(|operation| operation.invoke.f == "drain") {
        let Some(result) = drain.result() else { continue };
        drained = true;
        result.numbers().for_each(|number| *arrived.entry(number).or_default() += 1);
    }
    let mut sent = HashMap::new();
    for enqueue in operations.iter().filter(|operation| operation.invoke.f == "enqueue") {
        let Some(number) = enqueue.invoke.value.int() else { continue };
        sent.insert(number, enqueue.kind());
        if enqueue.kind() == Kind::Ok {
            verdict.count("acknowledged", 1);
            if drained && !arrived.contains_key(&number) {
                verdict.violation(format!("accepted message {number} never reached the sink"));
            }
        }
    }
    for (number, times) in &arrived {
        match sent.get(number) {
            None => verdict.violation(format!("message {number} reached the sink and was never sent")),
            Some(Kind::Fail) => verdict.violation(format!("message {number} was refused and reached the sink")),
            Some(_) => {}
        }
        verdict.count("arrived", 1);
        verdict.count("duplicates", times - 1);
    }
    if !drained {
        verdict.undecided = Some("the queue was not drained".to_owned());
    }
    verdict
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::made::{history, operation};
    use crate::history::{Value, operations};

    fn verdict(kind: Kind, arrived: &[i64]) -> Verdict {
        let entries = history(vec![
            operation(1, "enqueue", 1.into(), (kind, 1.into()), (0, 1)),
            operation(2, "drain", Value::Nil, (Kind::Ok, Value::ints(arrived.iter().copied())), (5, 6)),
        ]);
        check(&operations(&entries, "w"))
    }

    #[test]
    fn duplicates_are_counted_and_allowed() {
        let verdict = verdict(Kind::Ok, &[1, 1, 1]);
        assert!(verdict.is_valid());
        assert_eq!(verdict.counts["duplicates"], 2);
    }

    #[test]
    fn planted_violations_are_found() {
        assert!(verdict(Kind::Ok, &[]).violations[0].contains("never reached"));
        assert!(verdict(Kind::Fail, &[1]).violations[0].contains("refused"));
        assert!(verdict(Kind::Info, &[4]).violations[0].contains("never sent"));
        assert!(verdict(Kind::Info, &[]).is_valid());
    }
}
