//! The bodies of messages on this node: one immutable file each, named by its hash, never written twice.
//!
//! A large body is staged while it arrives, made durable with the log record that names it, and linked to its place by
//! apply. The number of names of a file is its reference count; nothing here reads or understands a body.
//!
//! This file finds and opens bodies; `staged` takes them in, `staging` keeps them until they are in their place,
//! `placing` puts them there and takes them away.

mod hold;
mod placing;
mod reader;
mod staged;
mod staging;

pub use hold::BodyHold;
pub use placing::{Placed, Removal};
pub use reader::BodyReader;
pub use staged::StagedBody;

use crate::disk::Disk;
use crate::limits;
use model::BodyHash;
use parking_lot::Mutex;
use staging::{STAGING, Waiting, staged_path};
use std::collections::BTreeSet;
use std::io;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, OnceLock};

/// All bodies of a node.
pub struct Bodies {
    disk: Arc<dyn Disk>,
    next_temporary: AtomicU64,
    waiting: Mutex<Waiting>,
    locks: Vec<Mutex<()>>,
    missing: Mutex<BTreeSet<BodyHash>>,
    lender: OnceLock<Box<dyn Lender>>,
}

/// Gets bodies that are not on this node from wherever they are.
pub trait Lender: Send + Sync {
    /// Stages a body here; `false` when nobody has it. Blocks on other nodes: never for an async worker.
    fn lend(&self, hash: &BodyHash) -> io::Result<bool>;
}

impl Bodies {
    /// Bodies of `disk`, whose directories ([`Self::directories`]) are there.
    pub(crate) fn new(disk: Arc<dyn Disk>) -> Self {
        let locks = (0..limits::BODY_LOCKS).map(|_| Mutex::new(())).collect();
        Bodies {
            disk,
            next_temporary: AtomicU64::new(0),
            waiting: Mutex::default(),
            locks,
            missing: Mutex::default(),
            lender: OnceLock::new(),
        }
    }

    /// The directories bodies need.
    pub(crate) fn directories() -> impl Iterator<Item = String> {
        let shelves = (0..=u8::MAX).map(|first| format!("bodies/{first:02x}"));
        [STAGING.to_owned(), "bodies".to_owned()].into_iter().chain(shelves)
    }

    /// Begins a body that arrives piece by piece.
    pub fn stage(self: &Arc<Self>) -> StagedBody {
        StagedBody::new(self.clone())
    }

    /// From now on bodies that are not here are asked of `lender`. Only the first one counts.
    pub fn borrow_from(&self, lender: Box<dyn Lender>) {
        // A second one would say the same.
        let _ = self.lender.set(lender);
    }

    /// Opens a body; `NotFound` when nobody has it. One from elsewhere stays here for a while as a staged file that nothing
    /// names. May block on another node.
    pub fn open_body(&self, hash: &BodyHash) -> io::Result<BodyReader> {
        match (self.open_here(hash), self.lender.get()) {
            (Err(error), Some(lender)) if error.kind() == io::ErrorKind::NotFound => {
                if lender.lend(hash)? {
                    self.open_here(hash)
                } else {
                    Err(error)
                }
            }
            (opened, _) => opened,
        }
    }

    /// Opens a body; `NotFound` when it is not on this node.
    pub fn open_here(&self, hash: &BodyHash) -> io::Result<BodyReader> {
        // Rows of another node name what is just being put in its place here: half a file must not be read.
        let _whole = self.lock(hash);
        let file = match self.disk.open(&place(hash)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => self.disk.open(&staged_path(hash)),
            other => other,
        };
        BodyReader::new(file?)
    }

    /// Whether a body is on this node, staged or in its place.
    pub fn contains(&self, hash: &BodyHash) -> io::Result<bool> {
        if self.waiting.lock().staged.contains_key(hash) {
            return Ok(true);
        }
        Ok(self.disk.stat(&place(hash))?.is_some())
    }

    /// Bodies that rows name and that are not on this node: to be fetched from a peer before they are served (I2).
    pub fn missing(&self) -> Vec<BodyHash> {
        self.missing.lock().iter().copied().collect()
    }

    pub(crate) fn add_missing(&self, hash: BodyHash) {
        self.missing.lock().insert(hash);
    }

    pub(crate) fn found(&self, hash: &BodyHash) {
        self.missing.lock().remove(hash);
    }

    fn lock(&self, hash: &BodyHash) -> Option<parking_lot::MutexGuard<'_, ()>> {
        let first = hash.0.first().copied().unwrap_or_default();
        self.locks.get(usize::from(first) % limits::BODY_LOCKS).map(Mutex::lock)
    }
}

fn shelf(hash: &BodyHash) -> String {
    format!("bodies/{:02x}", hash.0.first().copied().unwrap_or_default())
}

/// Where a body's file lies.
pub(crate) fn place(hash: &BodyHash) -> String {
    format!("{}/{}", shelf(hash), hash.to_hex())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::{RealDisk, ensure_directory};
    use std::sync::mpsc::channel;
    use std::time::Duration;

    #[test]
    fn a_body_that_is_being_put_in_its_place_is_read_whole() {
        let directory = tempfile::tempdir().unwrap();
        let disk = Arc::new(RealDisk::open(directory.path()).unwrap());
        Bodies::directories().for_each(|made| ensure_directory(&*disk, &made).unwrap());
        let (bodies, hash) = (Bodies::new(disk.clone()), BodyHash([7; 32]));
        let (sender, read) = channel();
        std::thread::scope(|scope| {
            let placing = bodies.lock(&hash);
            let file = disk.create(&place(&hash)).unwrap();
            file.write_at(0, b"ha").unwrap();
            scope.spawn(|| sender.send(bodies.open_here(&hash).unwrap().len()).unwrap());
            // A reader that does not wait has answered long before this.
            let early = read.recv_timeout(Duration::from_millis(200));
            file.write_at(2, b"lf").unwrap();
            drop(placing);
            assert_eq!(early.or_else(|_| read.recv()), Ok(4));
        });
    }
}
