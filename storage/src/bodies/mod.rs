//! The bodies of messages on this node: one immutable file each, named by its hash, never written twice.
//!
//! A large body is staged while it arrives, made durable with the log record that names it, and linked to its place by
//! apply. The number of names of a file is its reference count; nothing here reads or understands a body.

mod hold;
mod reader;
mod staged;

pub use hold::BodyHold;
pub use reader::BodyReader;
pub use staged::StagedBody;

use crate::disk::{self, Disk};
use crate::limits;
use model::{BodyHash, GroupId};
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

/// Directory of bodies that no applied entry names yet.
const STAGING: &str = "staging";

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

/// Bodies between their arrival and the entry that names them being applied.
#[derive(Default)]
struct Waiting {
    staged: HashMap<BodyHash, Staged>,
    named: BTreeMap<(GroupId, u64), Vec<BodyHash>>,
    names: HashMap<BodyHash, u32>,
    /// Nowhere, and records may name them: how often that was said.
    gone: HashMap<BodyHash, u32>,
}

struct Staged {
    durable: bool,
    /// When it was finished, until a record names it.
    fresh_since: Option<Instant>,
    /// Linked to its place or not wanted: the staged name is needed only until files are synced.
    placed: bool,
}

impl Staged {
    /// Nobody needs the staged name but one who staged the same bytes again and has not named them yet.
    fn settle(&mut self) {
        self.placed |= self.fresh_since.is_none();
    }
}

impl Waiting {
    /// Whatever needed a body needs it no more.
    fn unname(&mut self, hash: &BodyHash) {
        if let Some(count) = self.names.get_mut(hash) {
            *count -= 1;
            if *count == 0 {
                self.names.remove(hash);
                if let Some(staged) = self.staged.get_mut(hash) {
                    staged.settle();
                }
            }
        }
    }

    /// A record that names the body needs it again.
    fn miss(&mut self, hash: &BodyHash) {
        if let Some(count) = self.gone.get_mut(hash) {
            *count -= 1;
            if *count == 0 {
                self.gone.remove(hash);
            }
        }
    }
}

/// What became of a body's file in its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placed {
    /// It is there.
    Yes,
    /// Its bytes are nowhere on this node.
    Missing,
}

/// What became of a body that lost a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Removal {
    /// A record that is not applied yet names it: look again later.
    Wanted,
    /// It has other names, or is gone.
    Unneeded,
    /// Its last name is removed, once the disk is synced.
    Removed,
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

    fn temporary_path(&self) -> String {
        format!("{STAGING}/arriving-{}", self.next_temporary.fetch_add(1, Ordering::Relaxed))
    }

    /// Gives an arrived file its name.
    fn staged(&self, temporary: &str, hash: BodyHash) -> io::Result<()> {
        let mut waiting = self.waiting.lock();
        match waiting.staged.get_mut(&hash) {
            Some(there) => {
                there.fresh_since = Some(Instant::now());
                there.placed = false;
                disk::ensure_unlinked(&*self.disk, temporary)
            }
            None => {
                self.disk.rename(temporary, &staged_path(&hash))?;
                let staged = Staged { durable: false, fresh_since: Some(Instant::now()), placed: false };
                waiting.staged.insert(hash, staged);
                Ok(())
            }
        }
    }

    /// Notes that a record names bodies: they stay until it is applied or truncated.
    pub(crate) fn name(&self, group: GroupId, index: u64, hashes: &[BodyHash]) {
        if hashes.is_empty() {
            return;
        }
        let mut waiting = self.waiting.lock();
        for hash in hashes {
            *waiting.names.entry(*hash).or_default() += 1;
            if let Some(staged) = waiting.staged.get_mut(hash) {
                staged.fresh_since = None;
            }
        }
        waiting.named.entry((group, index)).or_default().extend_from_slice(hashes);
    }

    /// The records from `first` to `last` need their bodies no more: applied or truncated.
    pub(crate) fn forget(&self, group: GroupId, first: u64, last: u64) {
        let mut waiting = self.waiting.lock();
        if waiting.named.is_empty() {
            return;
        }
        let over: Vec<(GroupId, u64)> =
            waiting.named.range((group, first)..=(group, last)).map(|(at, _)| *at).collect();
        for hash in over.iter().filter_map(|at| waiting.named.remove(at)).flatten().collect::<Vec<_>>() {
            waiting.unname(&hash);
        }
    }

    /// Makes bodies durable wherever they are; returns those that are nowhere and may not be. One sync for many.
    pub(crate) fn make_durable(&self, hashes: &[BodyHash]) -> io::Result<Vec<BodyHash>> {
        let mut missing = Vec::new();
        let mut unsynced = HashSet::new();
        for hash in hashes {
            let durable = self.waiting.lock().staged.get(hash).map(|staged| staged.durable);
            match durable {
                Some(true) => {}
                Some(false) => drop(unsynced.insert(*hash)),
                // Another record's body: its own log may still be all that keeps it.
                None if self.disk.stat(&place(hash))?.is_some() => self.sync_in(&place(hash), &shelf(hash))?,
                None if self.waiting.lock().gone.contains_key(hash) => {}
                None => missing.push(*hash),
            }
        }
        match unsynced.iter().next() {
            None => {}
            Some(only) if unsynced.len() == 1 => self.sync_in(&staged_path(only), STAGING)?,
            Some(_) => self.disk.sync_all()?,
        }
        let mut waiting = self.waiting.lock();
        for hash in unsynced {
            if let Some(staged) = waiting.staged.get_mut(&hash) {
                staged.durable = true;
            }
        }
        Ok(missing)
    }

    fn sync_in(&self, file: &str, directory: &str) -> io::Result<()> {
        self.disk.sync_file(file)?;
        self.disk.sync_directory(directory)
    }

    /// Puts a body's file in its place, from the bytes at hand or from staging. With `verify` a file that is there is
    /// read and one that a crash tore is written again.
    pub(crate) fn place(&self, hash: &BodyHash, inline: Option<&[u8]>, verify: bool) -> io::Result<Placed> {
        let _alone = self.lock(hash);
        let path = place(hash);
        let there = match (verify, inline) {
            (false, Some(bytes)) => return self.create(&path, bytes),
            (false, None) => self.disk.stat(&path)?.is_some(),
            (true, _) => self.is_whole(&path, hash)?,
        };
        if there {
            self.mark_placed(hash);
            return Ok(Placed::Yes);
        }
        if let Some(bytes) = inline {
            return self.rewrite(&path, bytes);
        }
        if !(if verify {
            self.is_whole(&staged_path(hash), hash)?
        } else {
            self.disk.stat(&staged_path(hash))?.is_some()
        }) {
            return Ok(Placed::Missing);
        }
        disk::ensure_unlinked(&*self.disk, &path)?;
        self.disk.link(&staged_path(hash), &path)?;
        self.mark_placed(hash);
        Ok(Placed::Yes)
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

    /// After a crash: makes sure that a body that may be torn is whole or not there. A body nothing needs is not made.
    pub(crate) fn mend(&self, hash: &BodyHash, inline: Option<&[u8]>) -> io::Result<()> {
        let path = place(hash);
        if self.disk.stat(&path)?.is_none() || self.is_whole(&path, hash)? {
            return Ok(());
        }
        match inline {
            Some(bytes) => self.rewrite(&path, bytes).map(drop),
            None if self.place(hash, None, true)? == Placed::Missing => disk::ensure_unlinked(&*self.disk, &path),
            None => Ok(()),
        }
    }

    fn mark_placed(&self, hash: &BodyHash) {
        if let Some(staged) = self.waiting.lock().staged.get_mut(hash) {
            staged.settle();
        }
    }

    fn create(&self, path: &str, bytes: &[u8]) -> io::Result<Placed> {
        match self.disk.create(path) {
            Ok(file) => match file.write_at(0, bytes) {
                Ok(()) => Ok(Placed::Yes),
                Err(error) => {
                    // A part of a body must never pass for it; the next try starts over.
                    let _ = self.disk.unlink(path);
                    Err(error)
                }
            },
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                // Almost always the same body again. Comparing costs less than trusting what a crash may have left.
                if self.holds(path, bytes)? { Ok(Placed::Yes) } else { self.rewrite(path, bytes) }
            }
            Err(error) => Err(error),
        }
    }

    fn holds(&self, path: &str, bytes: &[u8]) -> io::Result<bool> {
        Ok(disk::read_small(&*self.disk, path, bytes.len() + 1)?.is_some_and(|found| found == bytes))
    }

    /// Writes over a torn file without changing its inode: its other names are mended with it.
    fn rewrite(&self, path: &str, bytes: &[u8]) -> io::Result<Placed> {
        match self.disk.open_write(path) {
            Ok(file) => {
                file.set_len(0)?;
                file.write_at(0, bytes)?;
                Ok(Placed::Yes)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => self.create(path, bytes),
            Err(error) => Err(error),
        }
    }

    fn is_whole(&self, path: &str, hash: &BodyHash) -> io::Result<bool> {
        let reader = match self.disk.open(path) {
            Ok(file) => BodyReader::new(file)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(error),
        };
        Ok(reader.hash()? == *hash)
    }

    /// Gives a body another name. An existing name of another file is replaced; `NotFound` when a directory is missing.
    pub(crate) fn link(&self, hash: &BodyHash, to: &str) -> io::Result<()> {
        let from = place(hash);
        match self.disk.link(&from, to) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                let same = self.disk.stat(&from)?.map(|stat| stat.inode) == self.disk.stat(to)?.map(|stat| stat.inode);
                if same {
                    return Ok(());
                }
                disk::ensure_unlinked(&*self.disk, to)?;
                self.disk.link(&from, to)
            }
            other => other,
        }
    }

    /// Removes a body that has no other name and that nothing waits for. The caller sees to it that no apply runs.
    pub(crate) fn remove_unreferenced(&self, hash: &BodyHash) -> io::Result<Removal> {
        // Before anything is looked at: see `hold`.
        let _alone = self.lock(hash);
        {
            let waiting = self.waiting.lock();
            if waiting.names.contains_key(hash) || waiting.staged.contains_key(hash) {
                return Ok(Removal::Wanted);
            }
        }
        match self.disk.stat(&place(hash))? {
            Some(stat) if stat.links <= 1 => {
                disk::ensure_unlinked(&*self.disk, &place(hash))?;
                Ok(Removal::Removed)
            }
            _ => Ok(Removal::Unneeded),
        }
    }

    /// Bodies whose staged name may go once files are synced.
    pub(crate) fn placed_staged(&self) -> Vec<BodyHash> {
        let waiting = self.waiting.lock();
        let over = waiting.staged.iter().filter(|(hash, staged)| staged.placed && !waiting.names.contains_key(hash));
        let mut over: Vec<BodyHash> = over.map(|(hash, _)| *hash).collect();
        over.sort();
        over
    }

    /// Removes staged names: of placed bodies whose place is durable, and of those nothing named in time.
    pub(crate) fn sweep_staging(&self, placed: &[BodyHash]) -> io::Result<()> {
        let mut waiting = self.waiting.lock();
        let age = Duration::from_secs(limits::STAGED_ORPHAN_AGE_S);
        let orphan = |staged: &Staged| staged.fresh_since.is_some_and(|since| since.elapsed() > age);
        let mut over: Vec<BodyHash> = placed.to_vec();
        over.extend(waiting.staged.iter().filter(|(_, staged)| orphan(staged)).map(|(hash, _)| *hash));
        for hash in over {
            let named = waiting.names.contains_key(&hash);
            if let (false, Some(staged)) = (named, waiting.staged.get(&hash))
                && (staged.placed || orphan(staged))
            {
                disk::ensure_unlinked(&*self.disk, &staged_path(&hash))?;
                waiting.staged.remove(&hash);
            }
        }
        Ok(())
    }

    /// At the start: keeps the staged files in `named`, removes all others. Returns how many were removed.
    pub(crate) fn take_over_staging(&self, named: &HashSet<BodyHash>) -> io::Result<usize> {
        let mut removed = 0;
        let mut found = self.disk.list(STAGING)?;
        found.sort();
        let mut waiting = self.waiting.lock();
        for name in found {
            match hash_of(&name).filter(|hash| named.contains(hash)) {
                Some(hash) => {
                    waiting.staged.insert(hash, Staged { durable: false, fresh_since: None, placed: false });
                }
                None => {
                    disk::ensure_unlinked(&*self.disk, &format!("{STAGING}/{name}"))?;
                    removed += 1;
                }
            }
        }
        Ok(removed)
    }

    /// After recovery: removes staged names that no unapplied record needs.
    pub(crate) fn drop_unnamed_staging(&self) -> io::Result<()> {
        let mut waiting = self.waiting.lock();
        let mut over: Vec<BodyHash> =
            waiting.staged.keys().filter(|hash| !waiting.names.contains_key(hash)).copied().collect();
        over.sort();
        for hash in over {
            disk::ensure_unlinked(&*self.disk, &staged_path(&hash))?;
            waiting.staged.remove(&hash);
        }
        Ok(())
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

fn staged_path(hash: &BodyHash) -> String {
    format!("{STAGING}/{}", hash.to_hex())
}

fn hash_of(name: &str) -> Option<BodyHash> {
    let mut hash = [0; 32];
    if name.len() != 64 || !name.is_ascii() {
        return None;
    }
    for (byte, at) in hash.iter_mut().zip((0..64).step_by(2)) {
        *byte = u8::from_str_radix(name.get(at..at + 2)?, 16).ok()?;
    }
    Some(BodyHash(hash))
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
