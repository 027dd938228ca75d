//! *queue*: mail to elsewhere is submitted by an account with its password; what was accepted reaches the sink at least
//! once.

use super::{Worker, Workload, insist};
use crate::check::{Verdict, queue};
use crate::client::message;
use crate::client::outcome::Outcome;
use crate::client::sink::Sink;
use crate::history::{Operation, Value};
use crate::limits::{DRAIN_PATIENCE, LOOK_INTERVAL};
use anyhow::Result;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Instant;

/// Who sends.
const USER: &str = "queue0@example.org";

/// The workload.
pub struct Queue {
    sink: Sink,
    next: AtomicI64,
    accepted: Mutex<BTreeSet<i64>>,
}

impl Queue {
    /// Whose mail goes to a sink.
    pub fn new(sink: Sink) -> Queue {
        Queue { sink, next: AtomicI64::new(0), accepted: Mutex::default() }
    }

    /// How many accepted messages have not arrived.
    fn missing(&self) -> usize {
        let arrived: BTreeSet<i64> = self.sink.arrived().into_iter().collect();
        self.accepted.lock().unwrap_or_else(PoisonError::into_inner).difference(&arrived).count()
    }
}

impl Workload for Queue {
    fn name(&self) -> &'static str {
        "queue"
    }

    fn accounts(&self) -> Vec<String> {
        vec![USER.to_owned()]
    }

    fn prepare(&self, worker: &mut Worker) -> Result<()> {
        insist("a submission", worker, |worker| worker.submission(Some(USER)).and_then(|_| Outcome::Ok(())))
    }

    fn turn(&self, worker: &mut Worker) {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let done = worker.record("enqueue", number.into(), |worker| {
            let sent = worker
                .submission(Some(USER))
                .and_then(|session| session.send(USER, "carol@elsewhere.test", &message(number)));
            sent.and_then(|()| Outcome::Ok(number.into()))
        });
        if done.is_some() {
            self.accepted.lock().unwrap_or_else(PoisonError::into_inner).insert(number);
        }
    }

    fn finish(&self, worker: &mut Worker) -> Result<()> {
        let end = Instant::now() + DRAIN_PATIENCE;
        while self.missing() > 0 && Instant::now() < end {
            thread::park_timeout(LOOK_INTERVAL * 4);
        }
        worker.record("drain", Value::Nil, |_| Outcome::Ok(Value::ints(self.sink.arrived())));
        Ok(())
    }

    fn check(&self, operations: &[Operation<'_>]) -> Verdict {
        queue::check(operations)
    }

    fn writes(&self) -> &'static [&'static str] {
        &["enqueue"]
    }
}
