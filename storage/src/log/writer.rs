//! The one log writer of a node: gathers what all groups ask for while the last sync runs, writes it as one batch with
//! one sync, then completes in order. Bodies first, then the records that name them (I2).

use super::metrics::{Metrics, add};
use super::{GroupLog, record};
use crate::bodies::Bodies;
use crate::key::{self, Meta};
use crate::rows::{Batch, Column, Rows, Sync};
use crate::{Done, limits};
use bytes::Bytes;
use faults::Fault;
use model::BodyHash;
use parking_lot::Mutex;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

/// Decides when a sync is over, for a simulation.
pub trait Pace: Send + std::marker::Sync {
    /// Runs `then` once a sync that begins now is over; drops it unrun when the power goes out before.
    fn sync(&self, then: Box<dyn FnOnce() + Send>);
}

/// One thing to make durable.
pub struct Request {
    /// Whose.
    pub log: GroupLog,
    /// What.
    pub work: Work,
    /// Told when it is.
    pub done: Done<()>,
}

/// What a request asks for.
pub enum Work {
    /// Encoded records.
    Append {
        /// Index and stored form.
        records: Vec<(u64, Vec<u8>)>,
        /// Staged bodies they name.
        bodies: Vec<BodyHash>,
        /// The log's truncations so far.
        epoch: u64,
    },
    /// A vote.
    Vote(Bytes),
    /// Remove records behind an index.
    Truncate {
        /// The last to keep.
        after: Option<u64>,
    },
    /// Remove records up to an index.
    Purge {
        /// The last to remove.
        upto: u64,
        /// Bytes of the log up to there.
        total: u64,
        /// Opaque.
        position: Bytes,
    },
}

impl Work {
    fn size(&self) -> usize {
        match self {
            Work::Append { records, .. } => records.iter().map(|(_, value)| value.len()).sum(),
            _ => 0,
        }
    }

    /// Purging may be forgotten by a crash; nothing else may.
    fn must_sync(&self) -> bool {
        !matches!(self, Work::Purge { .. })
    }
}

/// Accepts requests of all groups.
pub struct LogWriter {
    inner: Arc<Inner>,
    way: Way,
}

enum Way {
    /// On the calling thread, one request at a time.
    Inline,
    /// On its thread, until there is no queue any more.
    Thread(Mutex<Option<Sender<Request>>>),
    /// On the calling thread, with syncs that take simulated time.
    Paced(Arc<Paced>),
}

/// Requests gather while a sync runs, as they do for the thread.
struct Paced {
    pace: Arc<dyn Pace>,
    queue: Mutex<PacedQueue>,
}

#[derive(Default)]
struct PacedQueue {
    waiting: Vec<Request>,
    is_syncing: bool,
    is_closed: bool,
    is_pressing: bool,
}

struct Inner {
    rows: Arc<dyn Rows>,
    bodies: Arc<Bodies>,
    metrics: Arc<Metrics>,
}

impl LogWriter {
    /// A writer that works on the calling thread, one request at a time.
    pub fn inline(rows: Arc<dyn Rows>, bodies: Arc<Bodies>, metrics: Arc<Metrics>) -> Self {
        LogWriter { inner: Arc::new(Inner { rows, bodies, metrics }), way: Way::Inline }
    }

    /// A writer without a thread whose syncs take the time that `pace` gives them.
    pub fn paced(rows: Arc<dyn Rows>, bodies: Arc<Bodies>, metrics: Arc<Metrics>, pace: Arc<dyn Pace>) -> Self {
        let paced = Paced { pace, queue: Mutex::default() };
        LogWriter { inner: Arc::new(Inner { rows, bodies, metrics }), way: Way::Paced(Arc::new(paced)) }
    }

    /// A writer with its thread, which ends when every handle of the writer is dropped.
    pub fn start(
        rows: Arc<dyn Rows>,
        bodies: Arc<Bodies>,
        metrics: Arc<Metrics>,
    ) -> io::Result<(Self, JoinHandle<()>)> {
        let inner = Arc::new(Inner { rows, bodies, metrics });
        let (queue, requests) = channel();
        let worker = inner.clone();
        let thread = std::thread::Builder::new().name("log-writer".into()).spawn(move || {
            if catch_unwind(AssertUnwindSafe(|| worker.run(&requests))).is_err() {
                // Nothing would ever be acknowledged again, and nobody would know.
                tracing::error!("the log writer panicked; stopping");
                std::process::abort();
            }
        })?;
        Ok((LogWriter { inner, way: Way::Thread(Mutex::new(Some(queue))) }, thread))
    }

    /// The bodies that records name.
    pub fn bodies(&self) -> &Bodies {
        &self.inner.bodies
    }

    /// Ends the thread once everything queued is done; later requests fail.
    pub fn close(&self) {
        match &self.way {
            Way::Inline => {}
            Way::Thread(queue) => drop(queue.lock().take()),
            Way::Paced(paced) => {
                let rest = {
                    let mut queue = paced.queue.lock();
                    queue.is_closed = true;
                    std::mem::take(&mut queue.waiting)
                };
                self.inner.carry_out(rest);
            }
        }
    }

    /// What `ask` requests is done when it returns, unless a thread does it: for callers that block until then.
    pub fn at_once(&self, ask: impl FnOnce()) {
        let Way::Paced(paced) = &self.way else { return ask() };
        paced.queue.lock().is_pressing = true;
        ask();
        paced.queue.lock().is_pressing = false;
    }

    /// Queues a request behind all before it.
    pub fn send(&self, request: Request) {
        let refused = match &self.way {
            Way::Inline => return self.inner.carry_out(vec![request]),
            Way::Thread(queue) => match &*queue.lock() {
                Some(queue) => queue.send(request).err().map(|refused| refused.0),
                None => Some(request),
            },
            Way::Paced(paced) => {
                let mut queue = paced.queue.lock();
                if queue.is_pressing {
                    // Behind what its log asked for before, or that would be written after it.
                    let group = request.log.shared.group;
                    let waiting = std::mem::take(&mut queue.waiting);
                    let (mut first, rest): (Vec<Request>, Vec<Request>) =
                        waiting.into_iter().partition(|other| other.log.shared.group == group);
                    queue.waiting = rest;
                    drop(queue);
                    first.push(request);
                    return self.inner.carry_out(first);
                }
                if queue.is_closed {
                    Some(request)
                } else {
                    queue.waiting.push(request);
                    if std::mem::replace(&mut queue.is_syncing, true) {
                        return;
                    }
                    drop(queue);
                    return begin(&self.inner, paced);
                }
            }
        };
        if let Some(request) = refused {
            (request.done)(Err(io::Error::other("the log writer has stopped")));
        }
    }
}

impl Inner {
    #[allow(clippy::disallowed_methods, reason = "the pause is the purpose: nothing is waited for, requests gather")]
    fn run(&self, requests: &Receiver<Request>) {
        let mut gathering = Duration::ZERO;
        while let Ok(first) = requests.recv() {
            // Asleep, not receiving: a request that comes meanwhile wakes nobody.
            std::thread::sleep(gathering);
            let mut bytes = first.work.size();
            let mut gathered = vec![first];
            while bytes < limits::SYNC_BATCH_BYTES_MAX && gathered.len() < limits::SYNC_BATCH_REQUESTS_MAX {
                let Ok(request) = requests.try_recv() else { break };
                bytes += request.work.size();
                gathered.push(request);
            }
            gathering = gathering_after(gathered.len());
            self.carry_out(gathered);
        }
    }

    fn carry_out(&self, mut requests: Vec<Request>) {
        self.refuse(&mut requests);
        if requests.is_empty() {
            return;
        }
        #[cfg(test)]
        if crate::sim::mutants::EARLY_COMPLETION.get() {
            requests.iter_mut().for_each(|request| std::mem::replace(&mut request.done, Box::new(|_| ()))(Ok(())));
        }
        let sync = if requests.iter().any(|request| request.work.must_sync()) { Sync::Yes } else { Sync::No };
        let result = self.write(&mut requests, sync);
        self.complete(requests, result);
    }

    /// Tells everybody what became of their requests, in order.
    fn complete(&self, requests: Vec<Request>, result: io::Result<()>) {
        for Request { log, work, done } in requests {
            match &result {
                Ok(()) => {
                    let ready = log.written(&work);
                    done(Ok(()));
                    ready.into_iter().for_each(|job| job());
                }
                Err(error) => {
                    log.write_failed();
                    done(Err(io::Error::new(error.kind(), error.to_string())));
                }
            }
        }
    }

    /// An append whose bodies are not here fails, and with it those behind it in its log; others go on.
    fn refuse(&self, requests: &mut Vec<Request>) {
        self.refuse_without_bodies(requests);
        for request in requests.extract_if(.., |request| follows_failed(request)) {
            (request.done)(Err(io::Error::other("a record before this one was not written")));
        }
    }

    /// C3.
    fn refuse_without_bodies(&self, requests: &mut Vec<Request>) {
        let named: Vec<BodyHash> = requests.iter().flat_map(|request| bodies_of(&request.work)).copied().collect();
        if named.is_empty() || faults::planted(Fault::BodyUnsynced) {
            return;
        }
        let missing = match self.bodies.make_durable(&named) {
            Ok(missing) => missing,
            Err(error) => {
                let failed: Vec<Request> = std::mem::take(requests);
                for request in failed {
                    request.log.write_failed();
                    (request.done)(Err(io::Error::new(error.kind(), error.to_string())));
                }
                return;
            }
        };
        add(&self.metrics.body_syncs, 1);
        if missing.is_empty() {
            return;
        }
        let (bad, good) = std::mem::take(requests)
            .into_iter()
            .partition(|request| bodies_of(&request.work).iter().any(|hash| missing.contains(hash)));
        *requests = good;
        let bad: Vec<Request> = bad;
        for request in bad {
            let error = io::Error::new(io::ErrorKind::NotFound, "a record names a body that is not on this node");
            request.log.write_failed();
            (request.done)(Err(error));
        }
    }

    fn write(&self, requests: &mut [Request], sync: Sync) -> io::Result<()> {
        let mut batch = Batch::default();
        let (mut records, mut bytes, mut votes) = (0, 0, 0);
        for request in requests.iter_mut() {
            let group = request.log.shared.group;
            match &mut request.work {
                Work::Append { records: values, .. } => {
                    for (index, value) in values {
                        records += 1;
                        bytes += value.len() as u64;
                        batch.put(Column::RaftLog, key::record(group, *index), std::mem::take(value));
                    }
                }
                Work::Vote(vote) => {
                    votes += 1;
                    if faults::planted(Fault::VoteNotWritten) {
                        continue;
                    }
                    batch.put(Column::RaftMeta, key::meta(group, Meta::Vote), vote.to_vec());
                }
                Work::Truncate { after } => {
                    let first = after.map_or(0, |after| after + 1);
                    batch.delete_range(Column::RaftLog, key::record(group, first)..key::record(group, u64::MAX));
                }
                Work::Purge { upto, total, position } => {
                    let value = record::encode_purged(*upto, *total, position);
                    batch.put(Column::RaftMeta, key::meta(group, Meta::Purged), value);
                    batch.delete_range(
                        Column::RaftLog,
                        key::record(group, 0)..key::record(group, upto.saturating_add(1)),
                    );
                }
            }
        }
        self.rows.write(batch, sync)?;
        add(&self.metrics.syncs, u64::from(sync == Sync::Yes));
        add(&self.metrics.records, records);
        add(&self.metrics.record_bytes, bytes);
        add(&self.metrics.votes, votes);
        self.metrics.largest_batch.fetch_max(requests.len() as u64, Ordering::Relaxed);
        Ok(())
    }
}

/// Writes what waits and syncs it in the time that takes, then what has gathered meanwhile.
fn begin(inner: &Arc<Inner>, paced: &Arc<Paced>) {
    let mut requests = std::mem::take(&mut paced.queue.lock().waiting);
    inner.refuse(&mut requests);
    let written = inner.write(&mut requests, Sync::No);
    if written.is_ok() && faults::planted(Fault::AckBeforeSync) {
        inner.complete(std::mem::take(&mut requests), Ok(()));
    }
    let (then, again) = (inner.clone(), paced.clone());
    paced.pace.sync(Box::new(move || {
        let synced = written.and_then(|()| then.rows.write(Batch::default(), Sync::Yes));
        then.complete(requests, synced);
        let mut queue = again.queue.lock();
        queue.is_syncing = !queue.waiting.is_empty();
        if queue.is_syncing {
            drop(queue);
            begin(&then, &again);
        }
    }));
}

/// How long to gather when the batch before held `requests`. A lone session sends its next request only after the answer to the
/// last, so nothing would come; several that were answered together come back together.
fn gathering_after(requests: usize) -> Duration {
    if requests > 1 { Duration::from_micros(limits::SYNC_GATHER_US) } else { Duration::ZERO }
}

fn follows_failed(request: &Request) -> bool {
    matches!(&request.work, Work::Append { epoch, .. } if request.log.refuses(*epoch))
}

fn bodies_of(work: &Work) -> &[BodyHash] {
    match work {
        Work::Append { bodies, .. } => bodies,
        _ => &[],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_that_waits_alone_is_not_held_up() {
        assert_eq!(gathering_after(0), Duration::ZERO);
        assert_eq!(gathering_after(1), Duration::ZERO);
        assert!(gathering_after(2) > Duration::ZERO);
    }
}
