//! Plays a script on a store as the consensus layer would, remembering what was acknowledged.

use super::workload::{Step, body_bytes};
use crate::state::ApplyItem;
use crate::{Decode, LogRecord, Store};
use bytes::Bytes;
use model::{Entry, GroupId, Reply, codec};
use parking_lot::Mutex;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::channel;

pub const GROUP: GroupId = GroupId(3);

pub fn decode() -> Decode {
    Arc::new(|bytes| codec::decode(bytes).map(Some).map_err(io::Error::other))
}

/// What the world outside knows.
#[derive(Default)]
pub struct Witness {
    /// Every entry that was given to the log, by index; later ones replace retracted ones.
    pub proposed: Mutex<Vec<Entry>>,
    /// Entries the log called durable.
    pub durable: Mutex<u64>,
    /// Entries whose reply was given, with the reply.
    pub replied: Mutex<Vec<(u64, Reply)>>,
}

impl Witness {
    /// One who knows what was proposed and nothing of replies.
    pub fn of(other: &Witness) -> Self {
        Witness { proposed: Mutex::new(other.proposed.lock().clone()), ..Witness::default() }
    }
}

/// A node's part of the play.
pub struct Driver {
    pub store: Store,
    pub witness: Arc<Witness>,
}

impl Driver {
    pub fn play(&self, steps: &[Step]) -> io::Result<()> {
        steps.iter().try_for_each(|step| self.step(step))
    }

    fn step(&self, step: &Step) -> io::Result<()> {
        let log = self.store.log(GROUP)?;
        match step {
            Step::Propose(entry) => self.append(entry, true),
            Step::Apply => self.apply(),
            Step::Tick => self.store.tick(),
            Step::Purge => match self.store.state(GROUP)?.applied() {
                Some((index, position)) => wait(|done| log.purge(index, position, done)),
                None => Ok(()),
            },
            Step::Retract(entry) => {
                self.apply()?;
                self.append(entry, false)?;
                let last = self.store.state(GROUP)?.applied().map(|(index, _)| index);
                wait(|done| log.truncate_after(last, done))
            }
            Step::Snapshot => {
                let state = self.store.state(GROUP)?;
                match state.applied() {
                    Some(_) => wait(|done| state.snapshot(done)).map(drop),
                    None => Ok(()),
                }
            }
        }
    }

    fn append(&self, entry: &Entry, wanted: bool) -> io::Result<()> {
        let mut bodies = Vec::new();
        for body in entry.command.bodies().into_iter().filter(|body| body.inline.is_none()) {
            if !self.store.bodies().contains(&body.hash)? {
                let number = (0..9).find(|number| super::workload::body(*number, true).hash == body.hash);
                let mut staged = self.store.bodies().stage();
                staged.write(&body_bytes(number.unwrap_or(0)))?;
                staged.finish_as_file()?;
            }
            bodies.push(body.hash);
        }
        let log = self.store.log(GROUP)?;
        let index = log.last_index().max(log.purged_index()).map_or(1, |last| last + 1);
        let bytes = Bytes::from(codec::encode(entry));
        {
            let mut proposed = self.witness.proposed.lock();
            proposed.truncate(index as usize - 1);
            proposed.push(entry.clone());
        }
        let witness = self.witness.clone();
        wait(move |done| {
            let told = Box::new(move |result: io::Result<()>| {
                if result.is_ok() && wanted {
                    *witness.durable.lock() = index;
                }
                done(result);
            });
            log.append(vec![LogRecord { index, bytes, bodies }], told);
        })
    }

    /// Applies everything in the log as one batch.
    pub fn apply(&self) -> io::Result<()> {
        let (log, state) = self.store.group(GROUP)?;
        let from = state.applied().map_or(1, |(index, _)| index + 1);
        let records = log.read(from..u64::MAX, usize::MAX)?;
        let items: Vec<ApplyItem> = records
            .into_iter()
            .map(|(index, bytes)| ApplyItem {
                index,
                position: Bytes::from(index.to_string()),
                entry: codec::decode(&bytes).ok().map(Arc::new),
                membership: (index == 1).then(|| Bytes::from_static(b"members")),
            })
            .collect();
        let outcomes = wait(|done| state.apply(items, done))?;
        let mut replied = self.witness.replied.lock();
        replied.extend(outcomes.into_iter().enumerate().map(|(at, outcome)| (from + at as u64, outcome.reply)));
        Ok(())
    }
}

/// Calls with a completion and waits for it; a completion dropped uncalled is an error.
pub fn wait<T: Send + 'static>(call: impl FnOnce(crate::Done<T>)) -> io::Result<T> {
    let (sender, receiver) = channel();
    call(Box::new(move |result| drop(sender.send(result))));
    receiver.recv().map_err(io::Error::other)?
}
