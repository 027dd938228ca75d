//! Bodies between their arrival and their place: which are staged, which records name them, and when a staged name may go.
//! A body is durable with the log record that names it (C1).

use super::{Bodies, place, shelf};
use crate::disk;
use crate::limits;
use model::{BodyHash, GroupId};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::io;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// Directory of bodies that no applied entry names yet.
pub(super) const STAGING: &str = "staging";

/// Bodies between their arrival and the entry that names them being applied.
#[derive(Default)]
pub(super) struct Waiting {
    pub(super) staged: HashMap<BodyHash, Staged>,
    pub(super) named: BTreeMap<(GroupId, u64), Vec<BodyHash>>,
    pub(super) names: HashMap<BodyHash, u32>,
    /// Nowhere, and records may name them: how often that was said.
    pub(super) gone: HashMap<BodyHash, u32>,
}

pub(super) struct Staged {
    durable: bool,
    /// When it was finished, until a record names it.
    fresh_since: Option<Instant>,
    /// Linked to its place or not wanted: the staged name is needed only until files are synced.
    placed: bool,
}

impl Staged {
    /// Nobody needs the staged name but one who staged the same bytes again and has not named them yet.
    pub(super) fn settle(&mut self) {
        self.placed |= self.fresh_since.is_none();
    }
}

impl Waiting {
    /// Whatever needed a body needs it no more.
    pub(super) fn unname(&mut self, hash: &BodyHash) {
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
    pub(super) fn miss(&mut self, hash: &BodyHash) {
        if let Some(count) = self.gone.get_mut(hash) {
            *count -= 1;
            if *count == 0 {
                self.gone.remove(hash);
            }
        }
    }
}

impl Bodies {
    pub(super) fn temporary_path(&self) -> String {
        format!("{STAGING}/arriving-{}", self.next_temporary.fetch_add(1, Ordering::Relaxed))
    }

    /// Gives an arrived file its name.
    pub(super) fn staged(&self, temporary: &str, hash: BodyHash) -> io::Result<()> {
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
}

pub(super) fn staged_path(hash: &BodyHash) -> String {
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
