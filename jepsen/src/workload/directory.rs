//! *directory*: accounts are made and passwords changed by the CLI on any node; a login on any node sees the account and
//! its present password: linearizable per account, so never half.

use super::{Worker, Workload, read_everywhere};
use crate::check::{Verdict, registers};
use crate::client::mailbox::Mailbox;
use crate::client::outcome::Outcome;
use crate::history::{Operation, Value};
use anyhow::Result;
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// Accounts in use at a time.
const AT_A_TIME: usize = 3;

/// Accounts whose passwords are tried through every node in the end: a wrong one costs a second.
const FINAL_ACCOUNTS: usize = 12;

/// The workload.
#[derive(Default)]
pub struct Directory {
    /// Per account the passwords that were ever tried, oldest first.
    tried: Mutex<BTreeMap<i64, Vec<i64>>>,
}

fn address(key: i64) -> String {
    format!("dir{key}@example.org")
}

fn password(number: i64) -> String {
    format!("open sesame {number}")
}

impl Directory {
    /// A password nobody had, noted for an account; a new account when there is none.
    fn invent(&self, key: Option<i64>) -> (i64, i64) {
        let mut tried = self.tried.lock().unwrap_or_else(PoisonError::into_inner);
        let number = tried.values().map(Vec::len).sum::<usize>() as i64;
        let key = key.unwrap_or(tried.len() as i64);
        tried.entry(key).or_default().push(number);
        (key, number)
    }

    /// One of the latest accounts and one of its latest passwords.
    fn choose(&self, random: &mut fastrand::Rng) -> Option<(i64, i64)> {
        let tried = self.tried.lock().unwrap_or_else(PoisonError::into_inner);
        let (key, passwords) = tried.iter().rev().nth(random.usize(0..AT_A_TIME).min(tried.len().checked_sub(1)?))?;
        let back = if random.u8(0..4) == 0 { 1 } else { 0 };
        Some((*key, *passwords.iter().rev().nth(back).or(passwords.last())?))
    }

    fn set(&self, worker: &mut Worker, key: Option<i64>) -> Option<()> {
        let f = if key.is_none() { "create" } else { "change" };
        let (key, number) = self.invent(key);
        let value = Value::map([("key", key.into()), ("password", number.into())]);
        let result = value.clone();
        let done = worker.record(f, value, |worker| {
            let verb = if f == "create" { "add" } else { "password" };
            let line = ["account", verb, &address(key), "--password-stdin"];
            let input = format!("{}\n", password(number));
            worker.access.cli(worker.node, &line, &input).and_then(|_| Outcome::Ok(result))
        });
        done.map(drop)
    }

    fn login(worker: &mut Worker, f: &'static str, key: i64, number: i64) -> Option<()> {
        let value = Value::map([("key", key.into()), ("password", number.into())]);
        let read = worker.record(f, value, |worker| {
            let entered = |it: i64| Outcome::Ok(Value::map([("entered", it.into())]));
            match Mailbox::open_with(&worker.access, worker.node, &address(key), &password(number)) {
                Outcome::Ok(_) => entered(1),
                Outcome::Fail(why) if why.starts_with("NO [AUTHENTICATIONFAILED]") => entered(0),
                Outcome::Fail(why) | Outcome::Unknown(why) => Outcome::Fail(why),
            }
        });
        read.map(drop)
    }
}

impl Workload for Directory {
    fn name(&self) -> &'static str {
        "directory"
    }

    fn accounts(&self) -> Vec<String> {
        Vec::new()
    }

    /// Every account is made during the run, so that the history holds its beginning.
    fn prepare(&self, _worker: &mut Worker) -> Result<()> {
        Ok(())
    }

    fn turn(&self, worker: &mut Worker) {
        let chosen = self.choose(&mut worker.random);
        // What was refused is in the history.
        let _ = match (worker.random.u8(0..20), chosen) {
            (0, _) | (_, None) => self.set(worker, None),
            (1..=5, Some((key, _))) => self.set(worker, Some(key)),
            (_, Some((key, number))) => Self::login(worker, "login", key, number),
        };
        let node = worker.random.usize(0..worker.access.doors.nodes);
        worker.go_to(node);
    }

    fn finish(&self, worker: &mut Worker) -> Result<()> {
        // The last password of each of the latest accounts, and the one before it.
        let all: Vec<_> = {
            let tried = self.tried.lock().unwrap_or_else(PoisonError::into_inner);
            let latest = tried.iter().rev().take(FINAL_ACCOUNTS);
            latest.flat_map(|(key, all)| all.iter().rev().take(2).map(|number| (*key, *number))).collect()
        };
        read_everywhere("a login", worker, all, |worker, (key, number)| {
            Self::login(worker, "final-login", *key, *number)
        })
    }

    fn check(&self, operations: &[Operation<'_>]) -> Verdict {
        registers::passwords(operations)
    }

    fn writes(&self) -> &'static [&'static str] {
        &["create", "change"]
    }
}
