//! The one mechanism that brings files in line with rows, while running, after a crash and for a snapshot: read what the
//! rows say must be there, compare with the local row of what is there, change the difference. Every step may be repeated.
//!
//! Thorough mode believes nothing about the disk: it verifies bodies, links what is missing and removes every name
//! that a crash may have left.

use super::local::{LocalRows, MessageOnDisk, Redo, Spot};
use super::view::io_error;
use super::{Core, Shared};
use crate::bodies::Placed;
use crate::disk::{self, Disk};
use bytes::Bytes;
use model::mailbox::maildir;
use model::{AccountId, BodyHash, FolderId, MessageId, Read, Touch};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::io;

/// What must be in line, each with names a crash may have left.
pub type Touches = BTreeMap<Touch, Vec<String>>;

/// One pass over touched things.
pub struct Projection<'a> {
    core: &'a Core,
    desired: &'a dyn Read,
    /// What is on disk; its batch is to be written with or after the rows.
    pub local: LocalRows<'a>,
    /// Bodies whose bytes are at hand.
    pub inline: HashMap<BodyHash, Bytes>,
    thorough: bool,
    /// The entry that bodies which lose a name are noted under.
    index: u64,
    /// What changed on disk.
    pub redo: Vec<Redo>,
    placed: HashSet<BodyHash>,
    homes: HashMap<(AccountId, FolderId), String>,
}

impl<'a> Projection<'a> {
    /// Nothing done yet. `desired` are the rows to follow.
    pub fn new(shared: &'a Shared, desired: &'a dyn Read, local: LocalRows<'a>, thorough: bool, index: u64) -> Self {
        Projection {
            core: &shared.core,
            desired,
            local,
            inline: HashMap::new(),
            thorough,
            index,
            redo: Vec::new(),
            placed: HashSet::new(),
            homes: HashMap::new(),
        }
    }

    fn disk(&self) -> &'a dyn Disk {
        &*self.core.disk
    }

    /// Brings everything touched in line: accounts, then folders, then messages and queue messages.
    pub fn run(&mut self, touches: &Touches) -> io::Result<()> {
        self.accounts(touches)?;
        self.folders(touches)?;
        for (touch, stale) in touches {
            match touch {
                Touch::Message(account, folder, uid) | Touch::Flags(account, folder, uid) => {
                    self.message((*account, *folder, *uid), stale)?;
                }
                Touch::Queue(message) => self.queue(*message)?,
                Touch::Account(_) | Touch::Folder(..) => {}
            }
        }
        Ok(())
    }

    fn accounts(&mut self, touches: &Touches) -> io::Result<()> {
        for (touch, stale) in touches {
            if let Touch::Account(account) = touch {
                self.account(*account, stale)?;
            }
        }
        Ok(())
    }

    fn account(&mut self, account: AccountId, stale: &[String]) -> io::Result<()> {
        let want = maildir::account_directory(self.desired, account).map_err(io_error)?;
        let have = self.local.account(account)?;
        if !self.thorough && want == have {
            return Ok(());
        }
        if let Some(want) = &want {
            if let (Some(have), None) = (have.as_ref().filter(|have| *have != want), self.disk().stat(&mail(want))?) {
                self.rename_directory(&mail(have), &mail(want))?;
            }
            disk::ensure_directory(self.disk(), &mail(want))?;
        }
        for old in have.iter().chain(stale).filter(|old| Some(*old) != want.as_ref()) {
            disk::ensure_tree_removed(self.disk(), &mail(old))?;
        }
        self.redo.push(Redo::Account(account, have.iter().chain(&want).chain(stale).cloned().collect()));
        self.local.set_account(account, want.as_deref());
        self.homes.clear();
        Ok(())
    }

    fn rename_directory(&self, from: &str, to: &str) -> io::Result<()> {
        if let Some((above, _)) = to.rsplit_once('/') {
            disk::ensure_directory(self.disk(), above)?;
        }
        match self.disk().rename(from, to) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other,
        }
    }

    /// The directory of an account as it is on disk, made when the rows have it and the disk has not.
    fn account_home(&mut self, account: AccountId) -> io::Result<Option<String>> {
        if let Some(home) = self.account_on_disk(account)? {
            return Ok(Some(home));
        }
        self.account(account, &[])?;
        self.account_on_disk(account)
    }

    /// Folders may take each other's names, so all that move leave their names before any gets its new one.
    fn folders(&mut self, touches: &Touches) -> io::Result<()> {
        let mut left = BTreeSet::new();
        for (touch, stale) in touches {
            let Touch::Folder(account, folder) = touch else { continue };
            let want = maildir::folder_directory(self.desired, *account, *folder).map_err(io_error)?;
            let have = self.local.folder(*account, *folder)?;
            if self.thorough {
                left.extend(have.iter().chain(stale).chain(&want).map(|name| (*account, name.clone())));
                left.insert((*account, moving(*folder)));
            } else if let (Some(have), Some(home)) =
                (have.filter(|have| Some(have) != want.as_ref()), self.account_on_disk(*account)?)
            {
                left.insert((*account, if have.is_empty() { String::new() } else { moving(*folder) }));
                if !have.is_empty() {
                    self.rename_directory(&under(&home, &have), &under(&home, &moving(*folder)))?;
                }
            }
        }
        for touch in touches.keys() {
            if let Touch::Folder(account, folder) = touch {
                self.folder(*account, *folder)?;
            }
        }
        self.remove_left_folders(left)
    }

    fn account_on_disk(&self, account: AccountId) -> io::Result<Option<String>> {
        Ok(self.local.account(account)?.map(|directory| mail(&directory)))
    }

    fn folder(&mut self, account: AccountId, folder: FolderId) -> io::Result<()> {
        let want = maildir::folder_directory(self.desired, account, folder).map_err(io_error)?;
        let have = self.local.folder(account, folder)?;
        if !self.thorough && want == have {
            return Ok(());
        }
        self.homes.remove(&(account, folder));
        let names = have.iter().chain(&want).cloned().chain([moving(folder)]).collect();
        let home = match &want {
            Some(_) => self.account_home(account)?,
            None => None,
        };
        if let (Some(want), Some(home)) = (&want, &home) {
            let path = under(home, want);
            let moved = !self.thorough && have.is_some() && self.move_in(&under(home, &moving(folder)), &path)?;
            if !moved {
                self.make_maildir(&path)?;
                self.refill(account, folder, &path)?;
            }
        }
        self.redo.push(Redo::Folder(account, folder, names));
        self.local.set_folder(account, folder, want.filter(|_| home.is_some()).as_deref());
        Ok(())
    }

    /// INBOX is gone but its directory is the account's: only the files go.
    fn empty_inbox(&self, home: &str) -> io::Result<()> {
        let directory = format!("{home}/cur");
        if self.disk().stat(&directory)?.is_none() {
            return Ok(());
        }
        let mut names = self.disk().list(&directory)?;
        names.sort();
        names.iter().try_for_each(|name| disk::ensure_unlinked(self.disk(), &format!("{directory}/{name}")))
    }

    /// Whether the directory took its new name; not when it is not there or the name is taken.
    fn move_in(&self, from: &str, to: &str) -> io::Result<bool> {
        if self.disk().stat(from)?.is_none() || self.disk().stat(to)?.is_some() {
            return Ok(false);
        }
        self.disk().rename(from, to).map(|()| true)
    }

    fn make_maildir(&self, path: &str) -> io::Result<()> {
        for part in ["cur", "new", "tmp"] {
            disk::ensure_directory(self.disk(), &format!("{path}/{part}"))?;
        }
        Ok(())
    }

    /// Makes a folder's `cur` hold exactly the files its local rows name.
    fn refill(&mut self, account: AccountId, folder: FolderId, path: &str) -> io::Result<()> {
        let mut names: HashSet<String> = self.disk().list(&format!("{path}/cur"))?.into_iter().collect();
        for (_, file) in self.local.messages(account, folder)? {
            // A name that is there may be that of a file whose bytes a crash took: linking again replaces such a one.
            names.remove(&file.name);
            self.link(&file.hash, &format!("{path}/cur/{}", file.name), path)?;
        }
        let mut unknown: Vec<String> = names.into_iter().collect();
        unknown.sort();
        unknown.iter().try_for_each(|name| disk::ensure_unlinked(self.disk(), &format!("{path}/cur/{name}")))
    }

    fn remove_left_folders(&mut self, left: BTreeSet<(AccountId, String)>) -> io::Result<()> {
        let mut known: HashMap<AccountId, HashSet<String>> = HashMap::new();
        for (account, name) in left {
            let Some(home) = self.account_on_disk(account)? else { continue };
            let names = match known.entry(account) {
                std::collections::hash_map::Entry::Occupied(names) => names.into_mut(),
                std::collections::hash_map::Entry::Vacant(names) => {
                    names.insert(self.local.folders(account)?.into_values().collect())
                }
            };
            match names.contains(&name) {
                true => {}
                false if name.is_empty() => self.empty_inbox(&home)?,
                false => disk::ensure_tree_removed(self.disk(), &under(&home, &name))?,
            }
        }
        Ok(())
    }

    /// A folder's directory as it is on disk, made when the rows have it and the disk has not.
    fn home(&mut self, account: AccountId, folder: FolderId) -> io::Result<Option<String>> {
        if let Some(home) = self.homes.get(&(account, folder)) {
            return Ok(Some(home.clone()));
        }
        let Some(home) = self.account_home(account)? else { return Ok(None) };
        let mut directory = self.local.folder(account, folder)?;
        if directory.is_none() {
            self.folder(account, folder)?;
            directory = self.local.folder(account, folder)?;
        }
        let Some(directory) = directory else { return Ok(None) };
        let home = under(&home, &directory);
        self.homes.insert((account, folder), home.clone());
        Ok(Some(home))
    }

    /// Brings one message's file in line.
    pub fn message(&mut self, spot: Spot, stale: &[String]) -> io::Result<()> {
        let (account, folder, uid) = spot;
        let want = maildir::message_file(self.desired, account, folder, uid).map_err(io_error)?;
        let want = want.map(|file| MessageOnDisk { name: format!("{}:2,{}", file.base, file.flags), hash: file.hash });
        let have = self.local.message(spot)?;
        match want {
            Some(want) => self.message_present(spot, want, have, stale),
            None => self.message_absent(spot, have, stale),
        }
    }

    fn message_present(
        &mut self,
        spot: Spot,
        want: MessageOnDisk,
        have: Option<MessageOnDisk>,
        stale: &[String],
    ) -> io::Result<()> {
        if !self.thorough && have.as_ref() == Some(&want) {
            return Ok(());
        }
        let Some(home) = self.home(spot.0, spot.1)? else { return Ok(()) };
        let path = file(&home, &want.name);
        let renamed = match &have {
            Some(have) if !self.thorough && have.hash == want.hash => self.renamed(&file(&home, &have.name), &path)?,
            _ => false,
        };
        if !renamed {
            self.link(&want.hash, &path, &home)?;
            for old in have.iter().map(|have| &have.name).chain(stale).filter(|old| **old != want.name) {
                disk::ensure_unlinked(self.disk(), &file(&home, old))?;
            }
        }
        let names = have.into_iter().map(|have| have.name).chain(stale.iter().cloned()).collect();
        self.redo.push(Redo::Message(spot.0, spot.1, spot.2, names));
        self.local.set_message(spot, Some(&want));
        Ok(())
    }

    fn renamed(&self, from: &str, to: &str) -> io::Result<bool> {
        match self.disk().rename(from, to) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(self.disk().stat(to)?.is_some()),
            Err(error) => Err(error),
        }
    }

    fn message_absent(&mut self, spot: Spot, have: Option<MessageOnDisk>, stale: &[String]) -> io::Result<()> {
        let account = self.account_on_disk(spot.0)?;
        let home = account.zip(self.local.folder(spot.0, spot.1)?).map(|(home, directory)| under(&home, &directory));
        if let Some(home) = home {
            for old in have.iter().map(|have| &have.name).chain(stale) {
                disk::ensure_unlinked(self.disk(), &file(&home, old))?;
            }
        }
        if let Some(have) = have {
            self.local.set_message(spot, None);
            self.local.set_rename(spot, false);
            self.local.drop_cache(spot);
            self.local.add_trash(self.index, have.hash);
            self.redo.push(Redo::Message(spot.0, spot.1, spot.2, [vec![have.name], stale.to_vec()].concat()));
        }
        Ok(())
    }

    fn queue(&mut self, message: MessageId) -> io::Result<()> {
        let want = model::queue::body_of(self.desired, message).map_err(io_error)?.map(|(hash, _)| hash);
        let have = self.local.queue(message)?;
        if !self.thorough && want == have {
            return Ok(());
        }
        let path = format!("queue/{}", message.to_hex());
        match want {
            Some(want) => self.link(&want, &path, "queue")?,
            None => disk::ensure_unlinked(self.disk(), &path)?,
        }
        if let Some(have) = have.filter(|have| Some(*have) != want) {
            self.local.add_trash(self.index, have);
        }
        self.redo.push(Redo::Queue(message));
        self.local.set_queue(message, want);
        Ok(())
    }

    /// Names a body, putting it in its place first when it is not there.
    fn link(&mut self, hash: &BodyHash, path: &str, home: &str) -> io::Result<()> {
        if (self.thorough || self.inline.contains_key(hash)) && !self.place(hash)? {
            return Ok(());
        }
        match self.core.bodies.link(hash, path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            other => return other,
        }
        if !self.place(hash)? {
            return Ok(());
        }
        if home == "queue" {
            disk::ensure_directory(self.disk(), home)?;
        } else {
            self.make_maildir(home)?;
        }
        self.core.bodies.link(hash, path)
    }

    /// Whether the body is in its place now. One that is nowhere is asked of a peer before it is served (I2).
    fn place(&mut self, hash: &BodyHash) -> io::Result<bool> {
        if self.placed.contains(hash) {
            return Ok(true);
        }
        let inline = self.inline.get(hash).map(|bytes| &bytes[..]);
        match self.core.bodies.place(hash, inline, self.thorough)? {
            Placed::Yes => {
                self.placed.insert(*hash);
                self.redo.push(Redo::Body(*hash));
                Ok(true)
            }
            Placed::Missing => {
                tracing::warn!(body = %hash.to_hex(), "a body that rows name is not on this node");
                self.local.set_missing(hash, true);
                self.core.bodies.add_missing(*hash);
                Ok(false)
            }
        }
    }
}

fn mail(directory: &str) -> String {
    format!("mail/{directory}")
}

fn under(home: &str, directory: &str) -> String {
    if directory.is_empty() { home.to_owned() } else { format!("{home}/{directory}") }
}

fn file(home: &str, name: &str) -> String {
    format!("{home}/cur/{name}")
}

/// The name of a folder between two names; escaping gives no folder such a one.
fn moving(folder: FolderId) -> String {
    format!(".%moving~{:x}", folder.0)
}
