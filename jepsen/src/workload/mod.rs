//! What clients do and what must hold for it. A workload makes its accounts, does one operation at a time, reads
//! everything in the end, and names its checker.

mod bank;
mod copies;
mod directory;
mod flags;
mod queue;
mod set;
mod uids;
mod worker;

pub use worker::Worker;

use crate::check::Verdict;
use crate::client::outcome::Outcome;
use crate::client::sink::Sink;
use crate::history::Operation;
use crate::limits::{FINAL_READ_PATIENCE, LOOK_INTERVAL};
use anyhow::{Result, bail};
use std::thread;
use std::time::{Duration, Instant};

/// A workload.
pub trait Workload: Send + Sync {
    /// Its name.
    fn name(&self) -> &'static str;
    /// The accounts it needs.
    fn accounts(&self) -> Vec<String>;
    /// Makes folders and first messages; all nodes are well.
    fn prepare(&self, worker: &mut Worker) -> Result<()>;
    /// Does one operation.
    fn turn(&self, worker: &mut Worker);
    /// Reads everything; all faults are over. Errors are faults of the cluster: it does not serve though it is whole.
    fn finish(&self, worker: &mut Worker) -> Result<()>;
    /// Judges the history.
    fn check(&self, operations: &[Operation<'_>]) -> Verdict;
    /// The operations whose acknowledgement shows that writes go on.
    fn writes(&self) -> &'static [&'static str];
}

/// The names of all workloads.
pub const NAMES: [&str; 7] = ["set", "flags", "uids", "bank", "queue", "directory", "copies"];

/// What `all` means. Not `copies`: each of its operations leaves hundreds of messages, and its end may wait for minutes.
pub const ALL: [&str; 6] = ["set", "flags", "uids", "bank", "queue", "directory"];

/// A workload by name; `minutes` of work are coming.
pub fn by_name(name: &str, minutes: f64, sink: &Sink) -> Result<Box<dyn Workload>> {
    Ok(match name {
        "set" => Box::new(set::MailSet::default()),
        "flags" => Box::new(flags::MailFlags::new(minutes)),
        "uids" => Box::new(uids::MailUids::default()),
        "bank" => Box::new(bank::MailBank),
        "queue" => Box::new(queue::Queue::new(sink.clone())),
        "copies" => Box::new(copies::MailCopies::default()),
        "directory" => Box::new(directory::Directory::default()),
        other => bail!("there is no workload {other}; there are {NAMES:?}"),
    })
}

/// Tries something that must succeed now, again and again.
pub fn insist<T>(what: &str, worker: &mut Worker, mut action: impl FnMut(&mut Worker) -> Outcome<T>) -> Result<T> {
    let end = Instant::now() + FINAL_READ_PATIENCE;
    let node = worker.node;
    loop {
        match action(worker) {
            Outcome::Ok(value) => return Ok(value),
            Outcome::Fail(why) | Outcome::Unknown(why) => {
                if Instant::now() > end {
                    bail!("{what} through n{} fails though the cluster is whole: {why}", node + 1);
                }
            }
        }
        worker.go_to(node);
        thread::park_timeout(LOOK_INTERVAL * 4);
    }
}

/// Records reads that must all succeed, through each node.
fn read_everywhere<T>(
    what: &str,
    worker: &mut Worker,
    all: impl IntoIterator<Item = T> + Clone,
    mut read: impl FnMut(&mut Worker, &T) -> Option<()>,
) -> Result<()> {
    for node in 0..worker.access.doors.nodes {
        worker.go_to(node);
        for one in all.clone() {
            insist(what, worker, |worker| match read(worker, &one) {
                Some(()) => Outcome::Ok(()),
                None => Outcome::Fail("the read was refused".to_owned()),
            })?;
        }
    }
    Ok(())
}

/// The pause of a client between two operations.
pub fn pause(random: &mut fastrand::Rng, rate: f64) -> Duration {
    // Exponential, so that clients do not march in step; bounded, so that none falls asleep.
    let mean = 1.0 / rate;
    Duration::from_secs_f64((-mean * (1.0 - random.f64()).ln()).min(4.0 * mean))
}
