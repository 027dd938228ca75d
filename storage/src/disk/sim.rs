//! A disk in memory whose power can go out: unsynced bytes and names are lost, kept or torn as a seed decides.
//!
//! Harsher than a journaling filesystem: each unsynced change of a directory survives or not by itself.

use super::{Disk, DiskFile, Space, Stat};
use crate::sim::Power;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

type Inode = u64;
const ROOT: Inode = 0;

/// A simulated disk; clones share it.
#[derive(Clone)]
pub struct SimDisk {
    power: Power,
    tree: Arc<Mutex<Tree>>,
}

#[derive(Clone, Debug)]
enum Node {
    File { now: Vec<u8>, durable: Vec<u8> },
    Directory { now: BTreeMap<String, Inode>, durable: BTreeMap<String, Inode> },
}

/// A change of directories that a crash keeps or loses as a whole: (directory, name, what it leads to then).
type NameChange = Vec<(Inode, String, Option<Inode>)>;

#[derive(Default)]
struct Tree {
    nodes: BTreeMap<Inode, Node>,
    /// Names of each inode, as they are now.
    links: BTreeMap<Inode, u64>,
    next: Inode,
    unsynced: Vec<NameChange>,
}

fn error(kind: io::ErrorKind, path: &str) -> io::Error {
    io::Error::new(kind, format!("{path}: {kind}"))
}

impl Tree {
    fn add(&mut self, node: Node) -> Inode {
        let inode = self.next;
        self.next += 1;
        self.nodes.insert(inode, node);
        inode
    }

    fn names(&self, inode: Inode) -> Option<&BTreeMap<String, Inode>> {
        match self.nodes.get(&inode)? {
            Node::Directory { now, .. } => Some(now),
            Node::File { .. } => None,
        }
    }

    fn find(&self, path: &str) -> Option<Inode> {
        path.split('/')
            .filter(|name| !name.is_empty())
            .try_fold(ROOT, |inode, name| self.names(inode)?.get(name).copied())
    }

    /// The directory of a path, and its last name.
    fn parent<'a>(&self, path: &'a str) -> io::Result<(Inode, &'a str)> {
        let (above, name) = path.rsplit_once('/').unwrap_or(("", path));
        let inode = self.find(above).filter(|inode| self.names(*inode).is_some());
        Ok((inode.ok_or_else(|| error(io::ErrorKind::NotFound, path))?, name))
    }

    fn change(&mut self, changes: NameChange) {
        for (directory, name, to) in &changes {
            if let Some(Node::Directory { now, .. }) = self.nodes.get_mut(directory) {
                let before = set(now, name, *to);
                to.iter().for_each(|inode| *self.links.entry(*inode).or_default() += 1);
                if let Some(links) = before.and_then(|inode| self.links.get_mut(&inode)) {
                    *links -= 1;
                }
            }
        }
        self.unsynced.push(changes);
    }

    fn count_links(&mut self) {
        self.links.clear();
        let mut waiting = vec![ROOT];
        while let Some(directory) = waiting.pop() {
            let names: Vec<Inode> = self.names(directory).into_iter().flat_map(BTreeMap::values).copied().collect();
            for to in names {
                *self.links.entry(to).or_default() += 1;
                if self.names(to).is_some() {
                    waiting.push(to);
                }
            }
        }
    }

    /// Makes unsynced changes of a directory durable, in order.
    fn settle(&mut self, of: impl Fn(Inode) -> bool) {
        let (due, rest) = std::mem::take(&mut self.unsynced)
            .into_iter()
            .partition(|change: &NameChange| change.iter().any(|(at, ..)| of(*at)));
        self.unsynced = rest;
        let due: Vec<NameChange> = due;
        due.iter().flatten().for_each(|(directory, name, to)| self.set_durable(*directory, name, *to));
    }

    fn set_durable(&mut self, directory: Inode, name: &str, to: Option<Inode>) {
        if let Some(Node::Directory { durable, .. }) = self.nodes.get_mut(&directory) {
            set(durable, name, to);
        }
    }

    /// No disk keeps the second of two renames of a directory without the first: it would have two names.
    fn would_name_twice(&self, change: &NameChange) -> bool {
        change.iter().filter_map(|(.., to)| *to).filter(|to| self.names(*to).is_some()).any(|moved| {
            self.nodes.iter().any(|(at, node)| match node {
                Node::Directory { durable, .. } => durable.iter().any(|(name, to)| {
                    *to == moved && !change.iter().any(|(from, old, to)| from == at && old == name && to.is_none())
                }),
                Node::File { .. } => false,
            })
        })
    }

    fn links(&self, inode: Inode) -> u64 {
        self.links.get(&inode).copied().unwrap_or(0)
    }
}

/// Returns what the name led to before.
fn set(names: &mut BTreeMap<String, Inode>, name: &str, to: Option<Inode>) -> Option<Inode> {
    match to {
        Some(inode) => names.insert(name.to_owned(), inode),
        None => names.remove(name),
    }
}

impl SimDisk {
    /// An empty disk.
    pub fn new(power: Power) -> Self {
        let mut tree = Tree::default();
        tree.add(Node::Directory { now: BTreeMap::new(), durable: BTreeMap::new() });
        SimDisk { power, tree: Arc::new(Mutex::new(tree)) }
    }

    /// The power is back: what was synced is there, and whatever else chance kept.
    pub fn recover(&self) {
        let mut tree = self.tree.lock();
        for change in std::mem::take(&mut tree.unsynced) {
            if self.power.random(2) == 0 && !tree.would_name_twice(&change) {
                change.iter().for_each(|(directory, name, to)| tree.set_durable(*directory, name, *to));
            }
        }
        for node in tree.nodes.values_mut() {
            match node {
                Node::Directory { now, durable } => now.clone_from(durable),
                Node::File { now, durable } => {
                    self.tear(now, durable);
                    durable.clone_from(now);
                }
            }
        }
        tree.count_links();
    }

    /// What is left of a file: what was synced, all that was written, or something torn between.
    fn tear(&self, now: &mut Vec<u8>, durable: &[u8]) {
        match self.power.random(3) {
            0 => {}
            1 => *now = durable.to_vec(),
            _ if now.as_slice() != durable => {
                let kept = self.power.random(now.len() as u64 + 1) as usize;
                now.iter_mut().skip(kept).for_each(|byte| *byte = 0);
                if self.power.random(2) == 0 {
                    now.truncate(kept);
                }
            }
            _ => {}
        }
    }

    fn file(&self, path: &str) -> io::Result<Box<dyn DiskFile>> {
        let tree = self.tree.lock();
        let inode = tree.find(path).filter(|inode| matches!(tree.nodes.get(inode), Some(Node::File { .. })));
        let inode = inode.ok_or_else(|| error(io::ErrorKind::NotFound, path))?;
        Ok(Box::new(SimFile { disk: self.clone(), inode }))
    }

    /// Every path with its kind and links, for comparing with what rows say.
    pub fn paths(&self) -> BTreeMap<String, Inode> {
        let tree = self.tree.lock();
        let mut found = BTreeMap::new();
        let mut waiting = vec![(String::new(), ROOT)];
        while let Some((path, inode)) = waiting.pop() {
            for (name, to) in tree.names(inode).into_iter().flatten() {
                let path = if path.is_empty() { name.clone() } else { format!("{path}/{name}") };
                found.insert(path.clone(), *to);
                waiting.push((path, *to));
            }
        }
        found
    }
}

impl Disk for SimDisk {
    fn create(&self, path: &str) -> io::Result<Box<dyn DiskFile>> {
        self.power.step()?;
        {
            let mut tree = self.tree.lock();
            let (directory, name) = tree.parent(path)?;
            if tree.find(path).is_some() {
                return Err(error(io::ErrorKind::AlreadyExists, path));
            }
            let inode = tree.add(Node::File { now: Vec::new(), durable: Vec::new() });
            tree.change(vec![(directory, name.to_owned(), Some(inode))]);
        }
        self.file(path)
    }

    fn open(&self, path: &str) -> io::Result<Box<dyn DiskFile>> {
        self.file(path)
    }

    fn open_write(&self, path: &str) -> io::Result<Box<dyn DiskFile>> {
        self.file(path)
    }

    fn stat(&self, path: &str) -> io::Result<Option<Stat>> {
        let tree = self.tree.lock();
        let Some(inode) = tree.find(path) else { return Ok(None) };
        Ok(match tree.nodes.get(&inode) {
            None => None,
            Some(Node::Directory { .. }) => Some(Stat { inode, size: 0, links: 1, directory: true }),
            Some(Node::File { now, .. }) => {
                Some(Stat { inode, size: now.len() as u64, links: tree.links(inode), directory: false })
            }
        })
    }

    fn link(&self, from: &str, to: &str) -> io::Result<()> {
        self.power.step()?;
        let mut tree = self.tree.lock();
        let inode = tree.find(from).ok_or_else(|| error(io::ErrorKind::NotFound, from))?;
        let (directory, name) = tree.parent(to)?;
        if tree.find(to).is_some() {
            return Err(error(io::ErrorKind::AlreadyExists, to));
        }
        tree.change(vec![(directory, name.to_owned(), Some(inode))]);
        Ok(())
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.power.step()?;
        let mut tree = self.tree.lock();
        let inode = tree.find(from).ok_or_else(|| error(io::ErrorKind::NotFound, from))?;
        let (from_directory, from_name) = tree.parent(from)?;
        let (to_directory, to_name) = tree.parent(to)?;
        if to.strip_prefix(from).is_some_and(|rest| rest.starts_with('/')) {
            return Err(error(io::ErrorKind::InvalidInput, to));
        }
        let replaced = tree.find(to).and_then(|there| tree.names(there));
        if replaced.is_some_and(|names| !names.is_empty()) {
            return Err(error(io::ErrorKind::DirectoryNotEmpty, to));
        }
        if tree.find(to) != Some(inode) {
            tree.change(vec![
                (from_directory, from_name.to_owned(), None),
                (to_directory, to_name.to_owned(), Some(inode)),
            ]);
        }
        Ok(())
    }

    fn unlink(&self, path: &str) -> io::Result<()> {
        self.power.step()?;
        let mut tree = self.tree.lock();
        let (directory, name) = tree.parent(path)?;
        match tree.find(path) {
            None => Err(error(io::ErrorKind::NotFound, path)),
            Some(inode) if tree.names(inode).is_some() => Err(error(io::ErrorKind::IsADirectory, path)),
            Some(_) => {
                tree.change(vec![(directory, name.to_owned(), None)]);
                Ok(())
            }
        }
    }

    fn mkdir(&self, path: &str) -> io::Result<()> {
        let mut tree = self.tree.lock();
        let (directory, name) = tree.parent(path)?;
        if tree.find(path).is_some() {
            return Err(error(io::ErrorKind::AlreadyExists, path));
        }
        self.power.step()?;
        let inode = tree.add(Node::Directory { now: BTreeMap::new(), durable: BTreeMap::new() });
        tree.change(vec![(directory, name.to_owned(), Some(inode))]);
        Ok(())
    }

    fn rmdir(&self, path: &str) -> io::Result<()> {
        self.power.step()?;
        let mut tree = self.tree.lock();
        let (directory, name) = tree.parent(path)?;
        let inode = tree.find(path).ok_or_else(|| error(io::ErrorKind::NotFound, path))?;
        if tree.names(inode).is_none_or(|names| !names.is_empty()) {
            return Err(error(io::ErrorKind::DirectoryNotEmpty, path));
        }
        tree.change(vec![(directory, name.to_owned(), None)]);
        Ok(())
    }

    fn list(&self, path: &str) -> io::Result<Vec<String>> {
        let tree = self.tree.lock();
        let names = tree.find(path).and_then(|inode| tree.names(inode));
        Ok(names.ok_or_else(|| error(io::ErrorKind::NotFound, path))?.keys().cloned().collect())
    }

    fn sync_file(&self, path: &str) -> io::Result<()> {
        self.power.step()?;
        let mut tree = self.tree.lock();
        let inode = tree.find(path).ok_or_else(|| error(io::ErrorKind::NotFound, path))?;
        if let Some(Node::File { now, durable }) = tree.nodes.get_mut(&inode) {
            durable.clone_from(now);
        }
        Ok(())
    }

    fn sync_directory(&self, path: &str) -> io::Result<()> {
        self.power.step()?;
        let mut tree = self.tree.lock();
        let inode = tree.find(path).ok_or_else(|| error(io::ErrorKind::NotFound, path))?;
        tree.settle(|at| at == inode);
        Ok(())
    }

    fn sync_all(&self) -> io::Result<()> {
        self.power.step()?;
        let mut tree = self.tree.lock();
        tree.settle(|_| true);
        for node in tree.nodes.values_mut() {
            if let Node::File { now, durable } = node {
                durable.clone_from(now);
            }
        }
        Ok(())
    }

    fn space(&self) -> io::Result<Space> {
        Ok(Space { total: 1 << 40, free: 1 << 39, files: 1 << 30, files_free: 1 << 29 })
    }
}

struct SimFile {
    disk: SimDisk,
    inode: Inode,
}

impl SimFile {
    fn with<T>(&self, act: impl FnOnce(&mut Vec<u8>) -> T) -> io::Result<T> {
        match self.disk.tree.lock().nodes.get_mut(&self.inode) {
            Some(Node::File { now, .. }) => Ok(act(now)),
            _ => Err(error(io::ErrorKind::NotFound, "an open file")),
        }
    }
}

impl DiskFile for SimFile {
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.disk.power.step()?;
        self.with(|now| {
            let start = offset as usize;
            now.resize(now.len().max(start + bytes.len()), 0);
            now.iter_mut().skip(start).zip(bytes).for_each(|(to, from)| *to = *from);
        })
    }

    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<usize> {
        self.with(|now| {
            let rest = now.get(offset as usize..).unwrap_or_default();
            into.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
            into.len().min(rest.len())
        })
    }

    fn set_len(&self, size: u64) -> io::Result<()> {
        self.disk.power.step()?;
        self.with(|now| now.resize(size as usize, 0))
    }

    fn size(&self) -> io::Result<u64> {
        self.with(|now| now.len() as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn synced_bytes_and_names_outlive_every_crash() {
        for seed in 0..50 {
            let power = Power::new(u64::MAX, seed);
            let disk = SimDisk::new(power);
            disk.create("kept").unwrap().write_at(0, b"bytes").unwrap();
            disk.sync_file("kept").unwrap();
            disk.sync_directory("").unwrap();
            disk.link("kept", "perhaps").unwrap();
            disk.recover();
            let mut bytes = [0; 9];
            assert_eq!(disk.open("kept").unwrap().read_at(0, &mut bytes).unwrap(), 5);
            assert_eq!(&bytes[..5], b"bytes");
        }
    }

    #[test]
    fn something_unsynced_is_lost_sometimes() {
        let lost = (0..50).filter(|seed| {
            let disk = SimDisk::new(Power::new(u64::MAX, *seed));
            disk.create("new").unwrap();
            disk.recover();
            disk.stat("new").unwrap().is_none()
        });
        assert!((1..50).contains(&lost.count()));
    }

    #[test]
    fn nothing_happens_without_power() {
        let disk = SimDisk::new(Power::new(1, 7));
        disk.create("one").unwrap();
        assert!(disk.create("two").is_err());
        assert!(disk.stat("two").unwrap().is_none());
    }
}
