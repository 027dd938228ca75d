//! Rows that say what lies on this node's disk now. Not replicated: every node has its own.

use crate::key::{self, Generation, Local};
use crate::rows::{Batch, Column, RowsRead};
use model::codec;
use model::{AccountId, BodyHash, FolderId, GroupId, MessageId, Touch, Uid};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::io;
use std::ops::ControlFlow;

/// Account, folder, UID.
pub type Spot = (AccountId, FolderId, Uid);

/// A message's file as it is on disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MessageOnDisk {
    /// Its name in `cur`.
    pub name: String,
    /// The body it is a name of.
    pub hash: BodyHash,
}

/// Something on disk that changed since the last sync of files, with the names it may still have after a crash.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Redo {
    /// An account's directory, relative to `mail/`.
    Account(AccountId, Vec<String>),
    /// A folder's directory, relative to its account's.
    Folder(AccountId, FolderId, Vec<String>),
    /// A message's file name.
    Message(AccountId, FolderId, Uid, Vec<String>),
    /// A queue message's hold.
    Queue(MessageId),
    /// A body that was put in its place and may be torn.
    Body(BodyHash),
}

impl Redo {
    /// What it changes, as the rules name it; bodies have no name there.
    pub fn touch(&self) -> Option<Touch> {
        match self {
            Redo::Account(account, _) => Some(Touch::Account(*account)),
            Redo::Folder(account, folder, _) => Some(Touch::Folder(*account, *folder)),
            Redo::Message(account, folder, uid, _) => Some(Touch::Message(*account, *folder, *uid)),
            Redo::Queue(message) => Some(Touch::Queue(*message)),
            Redo::Body(_) => None,
        }
    }

    /// Names it may have.
    pub fn names(&self) -> &[String] {
        match self {
            Redo::Account(_, names) | Redo::Folder(_, _, names) | Redo::Message(_, _, _, names) => names,
            Redo::Queue(_) | Redo::Body(_) => &[],
        }
    }
}

/// Local rows of a group with changes on top that go into a batch.
pub struct LocalRows<'a> {
    rows: &'a dyn RowsRead,
    group: GroupId,
    generation: Generation,
    changes: HashMap<Vec<u8>, Option<Vec<u8>>>,
    /// The changes as a batch.
    pub batch: Batch,
}

impl<'a> LocalRows<'a> {
    /// No changes yet. `generation` is that of the derived records, which go with their message.
    pub fn new(rows: &'a dyn RowsRead, group: GroupId, generation: Generation) -> Self {
        LocalRows { rows, group, generation, changes: HashMap::new(), batch: Batch::default() }
    }

    fn get(&self, key: &[u8]) -> io::Result<Option<Vec<u8>>> {
        match self.changes.get(key) {
            Some(value) => Ok(value.clone()),
            None => self.rows.get(Column::Local, key),
        }
    }

    fn set(&mut self, key: Vec<u8>, value: Option<Vec<u8>>) {
        match &value {
            Some(value) => self.batch.put(Column::Local, key.clone(), value.clone()),
            None => self.batch.delete(Column::Local, key.clone()),
        }
        self.changes.insert(key, value);
    }

    /// An account's directory relative to `mail/`.
    pub fn account(&self, account: AccountId) -> io::Result<Option<String>> {
        self.get(&key::account(self.group, account))?.map(text).transpose()
    }

    /// Sets or removes an account's directory.
    pub fn set_account(&mut self, account: AccountId, directory: Option<&str>) {
        self.set(key::account(self.group, account), directory.map(|name| name.as_bytes().to_vec()));
    }

    /// A folder's directory relative to its account's.
    pub fn folder(&self, account: AccountId, folder: FolderId) -> io::Result<Option<String>> {
        self.get(&key::folder(self.group, account, folder))?.map(text).transpose()
    }

    /// Sets or removes a folder's directory.
    pub fn set_folder(&mut self, account: AccountId, folder: FolderId, directory: Option<&str>) {
        let key = key::folder(self.group, account, folder);
        self.set(key, directory.map(|name| name.as_bytes().to_vec()));
    }

    /// A message's file.
    pub fn message(&self, spot: Spot) -> io::Result<Option<MessageOnDisk>> {
        let value = self.get(&key::message(self.group, Local::Message, spot))?;
        value.map(|value| codec::decode(&value).map_err(super::view::io_error)).transpose()
    }

    /// Sets or removes a message's file.
    pub fn set_message(&mut self, spot: Spot, file: Option<&MessageOnDisk>) {
        let key = key::message(self.group, Local::Message, spot);
        self.set(key, file.map(codec::encode));
    }

    /// Notes or forgets that a file's name must be made to show its flags.
    pub fn set_rename(&mut self, spot: Spot, due: bool) {
        self.set(key::message(self.group, Local::Rename, spot), due.then(Vec::new));
    }

    /// The body a queue message holds.
    pub fn queue(&self, message: MessageId) -> io::Result<Option<BodyHash>> {
        let Some(value) = self.get(&key::queue(self.group, message))? else { return Ok(None) };
        Ok(Some(BodyHash(value.try_into().map_err(|_| broken())?)))
    }

    /// Sets or removes what a queue message holds.
    pub fn set_queue(&mut self, message: MessageId, hash: Option<BodyHash>) {
        self.set(key::queue(self.group, message), hash.map(|hash| hash.0.to_vec()));
    }

    /// Notes a body that lost a name by the entry at `index`.
    pub fn add_trash(&mut self, index: u64, hash: BodyHash) {
        self.batch.put(Column::Local, key::trash(self.group, index, &hash), Vec::new());
    }

    /// Notes, or forgets, a body that rows name and this node lacks.
    pub fn set_missing(&mut self, hash: &BodyHash, is_missing: bool) {
        self.set(key::missing(self.group, hash), is_missing.then(Vec::new));
    }

    /// Drops a message's derived records.
    pub fn drop_cache(&mut self, spot: Spot) {
        let range = key::under(key::cache(self.group, self.generation, spot));
        let mut keys = Vec::new();
        // Records may be lost at any time, so an unreadable one is no reason to stop.
        let _ = self.rows.scan(Column::Cache, &range.start..&range.end, &mut |key, _| {
            keys.push(key.to_vec());
            ControlFlow::Continue(())
        });
        keys.into_iter().for_each(|key| self.batch.delete(Column::Cache, key));
    }

    /// Directories of all folders of an account, with changes.
    pub fn folders(&self, account: AccountId) -> io::Result<HashMap<FolderId, String>> {
        let mut prefix = key::local(self.group, Local::Folder);
        prefix.extend_from_slice(&account.0.to_be_bytes());
        let mut found = HashMap::new();
        for (key, value) in self.under(prefix)? {
            if let Some(folder) = key::number_at(&key, key::LOCAL_BYTES + 8) {
                found.insert(FolderId(folder), text(value)?);
            }
        }
        Ok(found)
    }

    /// Files of all messages of a folder, with changes.
    pub fn messages(&self, account: AccountId, folder: FolderId) -> io::Result<Vec<(Uid, MessageOnDisk)>> {
        let mut prefix = key::local(self.group, Local::Message);
        prefix.extend_from_slice(&account.0.to_be_bytes());
        prefix.extend_from_slice(&folder.0.to_be_bytes());
        let mut found = Vec::new();
        for (key, value) in self.under(prefix)? {
            if let Some(uid) = key::short_at(&key, key::LOCAL_BYTES + 16) {
                found.push((uid, codec::decode(&value).map_err(super::view::io_error)?));
            }
        }
        Ok(found)
    }

    fn under(&self, prefix: Vec<u8>) -> io::Result<Vec<(Vec<u8>, Vec<u8>)>> {
        let mut found = std::collections::BTreeMap::new();
        let range = key::under(prefix.clone());
        self.rows.scan(Column::Local, &range.start..&range.end, &mut |key, value| {
            found.insert(key.to_vec(), value.to_vec());
            ControlFlow::Continue(())
        })?;
        for (key, value) in self.changes.iter().filter(|(key, _)| key.starts_with(&prefix)) {
            match value {
                Some(value) => drop(found.insert(key.clone(), value.clone())),
                None => drop(found.remove(key)),
            }
        }
        Ok(found.into_iter().collect())
    }
}

fn text(value: Vec<u8>) -> io::Result<String> {
    String::from_utf8(value).map_err(|_| broken())
}

fn broken() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "a row of what is on disk is broken")
}

/// Encodes the redo row of one batch: how many entries it ends with, and what it changed.
pub fn encode_redo(redo: &[Redo]) -> Vec<u8> {
    codec::encode(&redo.to_vec())
}

/// Reads what [`encode_redo`] wrote.
pub fn decode_redo(value: &[u8]) -> io::Result<Vec<Redo>> {
    codec::decode(value).map_err(super::view::io_error)
}
