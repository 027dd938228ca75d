//! The mailboxes of one account in memory: answers every request of the machine. Keeps the contract of
//! `protocols::imap::store` to the letter, so that it can stand for a real store.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use protocols::imap::store::{
    Changes, Copied, FlagNames, Flags, FolderId, MailboxInfo, MailboxStatus, MessageState, ModSeq, Reply, Request,
    Selected, SpecialUse, StoreAction, StoreError, Stored, Uid, UidRanges,
};
use protocols::mime::{Digest, Scanner};

/// One message in one folder.
#[derive(Clone)]
pub struct Message {
    pub state: MessageState,
    pub internaldate: i64,
    pub body: Arc<Vec<u8>>,
    pub digest: Arc<Digest>,
}

/// One folder.
pub struct Folder {
    pub id: FolderId,
    pub uidvalidity: u32,
    pub uidnext: Uid,
    pub modseq: ModSeq,
    pub messages: BTreeMap<Uid, Message>,
    pub keywords: Arc<Vec<String>>,
    pub expunged: Vec<(Uid, ModSeq)>,
    /// Expunges up to here are forgotten.
    pub forgotten: ModSeq,
    pub special_use: Option<SpecialUse>,
    /// What another client marks as drafts as soon as the next STORE is done.
    pub overtaking: Vec<Uid>,
}

/// A message being appended.
pub struct Draft {
    pub flags: FlagNames,
    pub internaldate: i64,
    pub body: Vec<u8>,
}

/// The account.
pub struct Account {
    pub folders: BTreeMap<String, Folder>,
    pub subscriptions: BTreeSet<String>,
    /// Folders changed since the driver last looked.
    pub touched: BTreeSet<FolderId>,
    /// The next request fails so.
    pub failure: Option<StoreError>,
    next_folder: FolderId,
}

/// Seconds since 1970 at which everything happens here.
pub const NOW: i64 = 1_000_000_000;

impl Account {
    /// With INBOX and the usual special folders.
    pub fn new() -> Self {
        let mut account = Self {
            folders: BTreeMap::new(),
            subscriptions: BTreeSet::new(),
            touched: BTreeSet::new(),
            failure: None,
            next_folder: 1,
        };
        account.add_folder("INBOX", None);
        account.add_folder("Sent", Some(SpecialUse::Sent));
        account.add_folder("Trash", Some(SpecialUse::Trash));
        account.subscriptions.insert("INBOX".into());
        account
    }

    fn add_folder(&mut self, name: &str, special_use: Option<SpecialUse>) -> FolderId {
        let id = self.next_folder;
        self.next_folder += 1;
        let folder = Folder {
            id,
            uidvalidity: 1000 + id as u32,
            uidnext: 1,
            modseq: 1,
            messages: BTreeMap::new(),
            keywords: Arc::default(),
            expunged: Vec::new(),
            overtaking: Vec::new(),
            forgotten: 0,
            special_use,
        };
        self.folders.insert(name.to_owned(), folder);
        id
    }

    /// Puts a message into a folder as a delivery would.
    pub fn deliver(&mut self, name: &str, draft: Draft) -> Option<Uid> {
        let folder = self.folders.get_mut(name)?;
        self.touched.insert(folder.id);
        Some(folder.add(&draft.flags, draft.internaldate, Arc::new(draft.body)))
    }

    /// A folder by id.
    pub fn folder(&mut self, id: FolderId) -> Result<&mut Folder, StoreError> {
        self.folders.values_mut().find(|folder| folder.id == id).ok_or(StoreError::NonExistent)
    }

    fn named(&mut self, name: &str) -> Result<&mut Folder, StoreError> {
        self.folders.get_mut(name).ok_or(StoreError::NonExistent)
    }

    /// Answers a request; appends, fetches and searches are the connection's.
    pub fn answer(&mut self, request: Request) -> Result<Reply, StoreError> {
        match request {
            Request::OpenAccount { authzid: Some(_), .. } => Err(StoreError::NotPermitted),
            Request::OpenAccount { .. } | Request::Deselect { .. } => Ok(Reply::Done),
            Request::Select { name, since, .. } => self.select(&name, since),
            Request::Changes { folder, since } => self.folder(folder).map(|folder| folder.changes(since)),
            Request::Vanished { folder, since } => Ok(Reply::Vanished(self.folder(folder)?.vanished(since))),
            Request::List => Ok(Reply::Mailboxes(self.list())),
            Request::Status { names, .. } => {
                Ok(Reply::Statuses(names.iter().map(|name| self.folders.get(name).map(Folder::status)).collect()))
            }
            Request::Create { name, special_use } => self.create(&name, special_use),
            Request::Delete { name } => self.delete(&name),
            Request::Rename { from, to } => self.rename(&from, &to),
            Request::Subscribe { name, subscribed } => {
                if subscribed {
                    self.subscriptions.insert(name);
                } else {
                    self.subscriptions.remove(&name);
                }
                Ok(Reply::Done)
            }
            Request::AppendStart { mailbox, size_bytes, .. } => {
                self.named(&mailbox)?;
                if size_bytes > 1_000_000 { Err(StoreError::OverQuota) } else { Ok(Reply::Done) }
            }
            Request::Store { folder, uids, action, flags, unchanged_since } => {
                self.touched.insert(folder);
                self.folder(folder)?.store(&uids, action, &flags, unchanged_since)
            }
            Request::Copy { folder, uids, to } => self.copy(folder, &uids, &to),
            Request::Move { folder, uids, to } => {
                let copied = self.copy(folder, &uids, &to)?;
                self.folder(folder)?.expunge(|message| uids.contains(message.state.uid));
                self.touched.insert(folder);
                Ok(copied)
            }
            Request::Expunge { folder, uids } => {
                self.touched.insert(folder);
                self.folder(folder)?.expunge(|message| {
                    uids.contains(message.state.uid) && message.state.flags.contains(Flags::DELETED)
                });
                Ok(Reply::Done)
            }
            Request::AppendCommit { .. } | Request::Fetch(_) | Request::Search(_) => Err(StoreError::Internal),
        }
    }

    fn select(&mut self, name: &str, since: Option<(u32, ModSeq)>) -> Result<Reply, StoreError> {
        let folder = self.named(name)?;
        let vanished = since.filter(|since| since.0 == folder.uidvalidity).and_then(|since| folder.vanished(since.1));
        Ok(Reply::Selected(Box::new(Selected {
            folder: folder.id,
            uidvalidity: folder.uidvalidity,
            uidnext: folder.uidnext,
            highest_modseq: folder.modseq,
            messages: Arc::new(folder.messages.values().map(|message| message.state).collect()),
            keywords: folder.keywords.clone(),
            read_only: false,
            vanished,
        })))
    }

    fn list(&self) -> Vec<MailboxInfo> {
        let mut names: BTreeSet<&String> = self.folders.keys().collect();
        names.extend(&self.subscriptions);
        let info = |name: &String| MailboxInfo {
            name: name.clone(),
            folder: self.folders.get(name).map(|folder| folder.id),
            subscribed: self.subscriptions.contains(name),
            no_select: false,
            special_use: self.folders.get(name).and_then(|folder| folder.special_use),
        };
        names.into_iter().map(info).collect()
    }

    fn create(&mut self, name: &str, special_use: Option<SpecialUse>) -> Result<Reply, StoreError> {
        if self.folders.contains_key(name) {
            return Err(StoreError::AlreadyExists);
        }
        if special_use.is_some() && self.folders.values().any(|folder| folder.special_use == special_use) {
            return Err(StoreError::UseAttribute);
        }
        for (at, _) in name.match_indices('/') {
            if !self.folders.contains_key(&name[..at]) {
                self.add_folder(&name[..at], None);
            }
        }
        Ok(Reply::Created { folder: self.add_folder(name, special_use) })
    }

    fn delete(&mut self, name: &str) -> Result<Reply, StoreError> {
        let folder = self.folders.remove(name).ok_or(StoreError::NonExistent)?;
        self.touched.insert(folder.id);
        Ok(Reply::Done)
    }

    fn rename(&mut self, from: &str, to: &str) -> Result<Reply, StoreError> {
        if self.folders.contains_key(to) {
            return Err(StoreError::AlreadyExists);
        }
        if from == "INBOX" {
            self.add_folder(to, None);
            let inbox = self.named("INBOX")?.id;
            self.copy(inbox, &UidRanges::range(1, Uid::MAX), to)?;
            self.touched.insert(inbox);
            self.folder(inbox)?.expunge(|_| true);
            return Ok(Reply::Done);
        }
        self.named(from)?;
        let below = format!("{from}/");
        let names: Vec<String> =
            self.folders.keys().filter(|name| *name == from || name.starts_with(&below)).cloned().collect();
        for name in names {
            if let Some(folder) = self.folders.remove(&name) {
                self.folders.insert(format!("{to}{}", &name[from.len()..]), folder);
            }
        }
        Ok(Reply::Done)
    }

    fn copy(&mut self, from: FolderId, uids: &UidRanges, to: &str) -> Result<Reply, StoreError> {
        let source = self.folder(from)?;
        let keywords = source.keywords.clone();
        let messages: Vec<Message> =
            source.messages.values().filter(|message| uids.contains(message.state.uid)).cloned().collect();
        let target = self.named(to)?;
        let mut copied = Copied { uidvalidity: target.uidvalidity, pairs: Vec::new() };
        for message in messages {
            let flags = flag_names(message.state.flags, &keywords);
            let uid = target.add(&flags, message.internaldate, message.body);
            copied.pairs.push((message.state.uid, uid));
        }
        let id = target.id;
        self.touched.insert(id);
        Ok(Reply::Copied(copied))
    }

    /// Stores drafts, all or none.
    pub fn append(&mut self, mailbox: &str, drafts: Vec<Draft>) -> Result<Reply, StoreError> {
        let folder = self.named(mailbox)?;
        let uids = drafts.into_iter().map(|draft| folder.add(&draft.flags, draft.internaldate, Arc::new(draft.body)));
        let uids = uids.collect();
        let (id, uidvalidity) = (folder.id, folder.uidvalidity);
        self.touched.insert(id);
        Ok(Reply::Appended { uidvalidity, uids })
    }
}

fn flag_names(flags: Flags, keywords: &[String]) -> FlagNames {
    let set = |index: &usize| Flags::keyword(*index).is_some_and(|flag| flags.contains(flag));
    FlagNames {
        system: Flags(flags.0 & Flags::SYSTEM.0),
        keywords: (0..keywords.len()).filter(set).map(|index| keywords[index].clone()).collect(),
    }
}

impl Folder {
    fn add(&mut self, flags: &FlagNames, internaldate: i64, body: Arc<Vec<u8>>) -> Uid {
        let flags = Flags(self.flags(flags, true).expect("room for keywords").0);
        let mut scanner = Scanner::new();
        scanner.push(&body);
        let digest = Arc::new(scanner.finish_digest());
        self.modseq += 1;
        let uid = self.uidnext;
        self.uidnext += 1;
        let state = MessageState { uid, modseq: self.modseq, flags };
        self.messages.insert(uid, Message { state, internaldate, body, digest });
        uid
    }

    fn flags(&mut self, names: &FlagNames, create: bool) -> Result<Flags, StoreError> {
        let mut flags = names.system;
        for name in &names.keywords {
            let known = self.keywords.iter().position(|known| known.eq_ignore_ascii_case(name));
            let index = match known {
                Some(index) => index,
                None if !create => continue,
                None => {
                    Arc::make_mut(&mut self.keywords).push(name.clone());
                    self.keywords.len() - 1
                }
            };
            flags.0 |= Flags::keyword(index).ok_or(StoreError::Limit)?.0;
        }
        Ok(flags)
    }

    fn store(
        &mut self,
        uids: &UidRanges,
        action: StoreAction,
        names: &FlagNames,
        unchanged_since: Option<ModSeq>,
    ) -> Result<Reply, StoreError> {
        let before = self.keywords.len();
        let flags = self.flags(names, action != StoreAction::Remove)?;
        let mut stored = Stored::default();
        let modseq = self.modseq + 1;
        for message in self.messages.values_mut().filter(|message| uids.contains(message.state.uid)) {
            if unchanged_since.is_some_and(|since| message.state.modseq > since) {
                stored.modified.push(message.state.uid);
                continue;
            }
            let old = message.state.flags.0;
            let new = match action {
                StoreAction::Replace => flags.0,
                StoreAction::Add => old | flags.0,
                StoreAction::Remove => old & !flags.0,
            };
            if new != old {
                message.state.flags = Flags(new);
                message.state.modseq = modseq;
                self.modseq = modseq;
            }
            stored.states.push(message.state);
        }
        for uid in std::mem::take(&mut self.overtaking) {
            let message = self.messages.get_mut(&uid).expect("the message exists");
            message.state.flags = Flags(message.state.flags.0 | Flags::DRAFT.0);
            self.modseq += 1;
            message.state.modseq = self.modseq;
            let found = stored.states.iter_mut().find(|state| state.uid == uid && state.modseq < modseq);
            if let Some(state) = found {
                *state = message.state;
                stored.overtaken.push(uid);
            }
        }
        stored.keywords = (self.keywords.len() > before).then(|| self.keywords.clone());
        Ok(Reply::Stored(stored))
    }

    fn expunge(&mut self, goes: impl Fn(&Message) -> bool) {
        let gone: Vec<Uid> = self.messages.values().filter(|message| goes(message)).map(|m| m.state.uid).collect();
        if !gone.is_empty() {
            self.modseq += 1;
        }
        for uid in gone {
            self.messages.remove(&uid);
            self.expunged.push((uid, self.modseq));
        }
    }

    fn vanished(&self, since: ModSeq) -> Option<UidRanges> {
        let gone = self.expunged.iter().filter(|(_, modseq)| *modseq > since).map(|(uid, _)| *uid);
        (since >= self.forgotten).then(|| gone.collect())
    }

    fn changes(&self, since: ModSeq) -> Reply {
        Reply::Changes(Box::new(Changes {
            changed: self.messages.values().map(|m| m.state).filter(|state| state.modseq > since).collect(),
            vanished: self.vanished(since).unwrap_or_default(),
            highest_modseq: self.modseq,
            uidnext: self.uidnext,
            keywords: Some(self.keywords.clone()),
        }))
    }

    fn status(&self) -> MailboxStatus {
        let count = |flag, set| self.messages.values().filter(|m| m.state.flags.contains(flag) == set).count() as u32;
        MailboxStatus {
            folder: self.id,
            messages: self.messages.len() as u32,
            uidnext: self.uidnext,
            uidvalidity: self.uidvalidity,
            unseen: count(Flags::SEEN, false),
            deleted: count(Flags::DELETED, true),
            size_bytes: self.messages.values().map(|message| message.body.len() as u64).sum(),
            highest_modseq: self.modseq,
        }
    }
}
