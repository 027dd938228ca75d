//! The two objects that are checked for linearizability: the flags of one message, changed by STORE with UNCHANGEDSINCE
//! (RFC 7162), and the password of one account.

use super::Verdict;
use super::linear::{self, Answer, Model, Timed};
use crate::history::{Kind, Operation};
use std::collections::BTreeMap;

/// One message's flags with the MODSEQ that a compare-and-set names.
pub struct Flags;

/// What is known of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Message {
    value: i64,
    modseq: i64,
    /// Whether the MODSEQ is this; else it is larger.
    exact: bool,
}

/// What is done to a message.
#[derive(Clone, Copy, Debug)]
pub enum FlagsCall {
    /// FETCH gave this value and MODSEQ.
    Read(i64, i64),
    /// STORE (UNCHANGEDSINCE) from this MODSEQ, to this value; it gave the new MODSEQ when it is known.
    Swap(i64, i64, Option<i64>),
}

impl Model for Flags {
    type Call = FlagsCall;
    type State = Message;

    fn start(&self) -> Message {
        Message { value: 0, modseq: 0, exact: false }
    }

    fn step(&self, state: &Message, call: &FlagsCall) -> Option<Message> {
        match *call {
            FlagsCall::Read(value, modseq) => {
                let fits = if state.exact { modseq == state.modseq } else { modseq > state.modseq };
                (fits && value == state.value).then_some(Message { value, modseq, exact: true })
            }
            FlagsCall::Swap(since, value, after) => {
                let unchanged = if state.exact { state.modseq <= since } else { state.modseq < since };
                match after {
                    _ if !unchanged => None,
                    Some(modseq) => (modseq > since).then_some(Message { value, modseq, exact: true }),
                    None => Some(Message { value, modseq: state.modseq, exact: false }),
                }
            }
        }
    }
}

/// Operations with `key`: `read`, giving `value` and `modseq`; `cas` with `since` and `value`, giving `modseq`.
pub fn flags(operations: &[Operation<'_>]) -> Verdict {
    by_key(operations, &Flags, |operation| {
        let (asked, result) = (&operation.invoke.value, operation.result());
        if operation.invoke.f == "read" {
            let result = result?;
            return Some(FlagsCall::Read(result.get("value").int()?, result.get("modseq").int()?));
        }
        let after = result.and_then(|result| result.get("modseq").int());
        Some(FlagsCall::Swap(asked.get("since").int()?, asked.get("value").int()?, after))
    })
}

/// One account's password. What is right is never refused; what is wrong is refused, but a password that was replaced may
/// still be let in by a node that has not heard of it (cut off, I10), except by a strict login.
pub struct Password;

/// What is known of an account.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Account {
    /// None: there is no account.
    current: Option<i64>,
    /// Sorted.
    replaced: Vec<i64>,
}

/// What is done to an account.
#[derive(Clone, Copy, Debug)]
pub enum PasswordCall {
    /// The account is made.
    Create(i64),
    /// The password is changed.
    Change(i64),
    /// A login with this password, and whether it was let in.
    Login(i64, bool),
    /// The same when all nodes hear each other.
    StrictLogin(i64, bool),
}

impl Model for Password {
    type Call = PasswordCall;
    type State = Account;

    fn start(&self) -> Account {
        Account::default()
    }

    fn step(&self, state: &Account, call: &PasswordCall) -> Option<Account> {
        let right = |password: i64| state.current == Some(password);
        let fits = match *call {
            PasswordCall::Create(_) => state.current.is_none(),
            PasswordCall::Change(_) => state.current.is_some(),
            PasswordCall::Login(password, true) => right(password) || state.replaced.contains(&password),
            PasswordCall::Login(password, false) => !right(password),
            PasswordCall::StrictLogin(password, entered) => entered == right(password),
        };
        let mut next = state.clone();
        if let PasswordCall::Create(password) | PasswordCall::Change(password) = *call {
            next.replaced.extend(next.current.replace(password));
            next.replaced.sort_unstable();
        }
        fits.then_some(next)
    }
}

/// Operations with `key`: `create` and `change` with `password`; `login` and `final-login` (strict) with `password`, giving
/// `entered` (0 or 1).
pub fn passwords(operations: &[Operation<'_>]) -> Verdict {
    by_key(operations, &Password, |operation| {
        let password = operation.invoke.value.get("password").int()?;
        match operation.invoke.f {
            "create" => Some(PasswordCall::Create(password)),
            "change" => Some(PasswordCall::Change(password)),
            "login" => Some(PasswordCall::Login(password, operation.result()?.get("entered").int()? != 0)),
            "final-login" => Some(PasswordCall::StrictLogin(password, operation.result()?.get("entered").int()? != 0)),
            _ => None,
        }
    })
}

/// The calls of one key, with the operations they stand for.
type Key<'a, C> = (Vec<Timed<C>>, Vec<&'a Operation<'a>>);

/// Cuts a history by key and checks each. Failed operations did not happen; reads of unknown end say nothing.
fn by_key<'a, M: Model>(
    operations: &'a [Operation<'a>],
    model: &M,
    call: impl Fn(&Operation<'_>) -> Option<M::Call>,
) -> Verdict {
    let mut verdict = Verdict::default();
    let mut keys: BTreeMap<i64, Key<'a, M::Call>> = BTreeMap::new();
    for operation in operations.iter().filter(|operation| operation.kind() != Kind::Fail) {
        let known = operation.kind() == Kind::Ok;
        verdict.count(if known { "acknowledged" } else { "unknown" }, 1);
        let (Some(key), Some(call)) = (operation.invoke.value.get("key").int(), call(operation)) else { continue };
        let (calls, shown) = keys.entry(key).or_default();
        calls.push(Timed { call, from: operation.invoke.time, to: known.then(|| operation.done()) });
        shown.push(operation);
    }
    verdict.count("keys", keys.len());
    for (key, (calls, shown)) in &keys {
        match linear::check(model, calls) {
            Answer::Linearizable => {}
            Answer::Undecided => verdict.undecided = Some(format!("key {key}: the search was given up")),
            Answer::Violated { explained, stuck } => {
                verdict.violation(told(*key, explained, stuck, shown));
            }
        }
    }
    verdict
}

/// The operation that fits nowhere and what is around it.
fn told(key: i64, explained: usize, stuck: usize, shown: &[&Operation<'_>]) -> String {
    let mut text = format!("key {key} is not linearizable: {explained} operations have an order, then none has");
    let from = stuck.saturating_sub(crate::limits::SHOWN_MAX / 2);
    for (number, operation) in shown.iter().enumerate().skip(from).take(crate::limits::SHOWN_MAX) {
        let mark = if number == stuck { ">>" } else { "  " };
        text.push_str(&format!("\n  {mark} {}", operation.invoke));
        if let Some(end) = operation.end {
            text.push_str(&format!("\n       {end}"));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::made::{history, operation};
    use crate::history::{Entry, Value, operations};

    fn read(value: i64, modseq: i64, times: (u64, u64)) -> [Entry; 2] {
        let result = Value::map([("value", value.into()), ("modseq", modseq.into())]);
        operation(times.0, "read", Value::map([("key", 1.into())]), (Kind::Ok, result), times)
    }

    fn swap(since: i64, value: i64, end: (Kind, i64), times: (u64, u64)) -> [Entry; 2] {
        let asked = Value::map([("key", 1.into()), ("since", since.into()), ("value", value.into())]);
        operation(times.0, "cas", asked, (end.0, Value::map([("modseq", end.1.into())])), times)
    }

    fn is_valid(all: Vec<[Entry; 2]>) -> bool {
        let entries = history(all);
        flags(&operations(&entries, "w")).is_valid()
    }

    #[test]
    fn compare_and_set_succeeds_once_per_modseq() {
        let first = || swap(5, 1, (Kind::Ok, 6), (10, 20));
        assert!(is_valid(vec![read(0, 5, (0, 1)), first(), read(1, 6, (21, 22))]));
        assert!(!is_valid(vec![read(0, 5, (0, 1)), first(), swap(5, 2, (Kind::Ok, 7), (11, 21))]));
        assert!(!is_valid(vec![read(0, 5, (0, 1)), first(), read(0, 5, (21, 22))]));
    }

    #[test]
    fn a_lost_answer_may_have_changed_the_flags() {
        let lost = || swap(5, 1, (Kind::Info, 0), (10, 20));
        assert!(is_valid(vec![read(0, 5, (0, 1)), lost(), read(0, 5, (21, 22)), read(1, 6, (31, 32))]));
        assert!(is_valid(vec![read(0, 5, (0, 1)), lost(), read(0, 5, (21, 22))]));
        assert!(!is_valid(vec![read(0, 5, (0, 1)), lost(), read(1, 6, (21, 22)), read(0, 5, (31, 32))]));
    }

    fn account(f: &'static str, password: i64, entered: i64, times: (u64, u64)) -> [Entry; 2] {
        let asked = Value::map([("key", 3.into()), ("password", password.into())]);
        operation(times.0, f, asked, (Kind::Ok, Value::map([("entered", entered.into())])), times)
    }

    #[test]
    fn a_new_password_works_everywhere_and_the_old_nowhere() {
        let made = || vec![account("create", 1, 1, (0, 1)), account("change", 2, 1, (10, 11))];
        let with = |last| {
            let entries = history([made(), vec![last]].concat());
            passwords(&operations(&entries, "w")).is_valid()
        };
        assert!(with(account("login", 2, 1, (20, 21))));
        assert!(with(account("login", 1, 0, (20, 21))));
        assert!(!with(account("login", 2, 0, (20, 21))), "refused though right");
        assert!(!with(account("login", 7, 1, (20, 21))), "let in though it never was right");
        assert!(with(account("login", 1, 1, (20, 21))), "by a node that has not heard of the change");
        assert!(!with(account("final-login", 1, 1, (20, 21))), "after the faults");
        assert!(with(account("final-login", 1, 1, (5, 6))));
    }
}
