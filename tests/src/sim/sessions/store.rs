//! Answers what the IMAP machine asks, through the cluster's handle, as `node/src/services/mailbox/session.rs` does: reads
//! behind a read barrier, each change under an operation id that lives no longer than its command.

use super::arriving::Arriving;
use super::here::{Here, look_at};
use super::{account_of, fetch};
use crate::sim::world::shard_of;
use cluster::runtime::{JoinHandle, sleep, spawn};
use cluster::{Cluster, Notice};
use model::mailbox::row;
use model::mailbox::{MailboxCommand, NewMessage};
use model::{AccountId, Change, FolderId, Read, UidSet};
use node::limits::{READ_PATIENCE, STALE_READ_PATIENCE, WATCH_AGAIN_WAIT};
use node::services::mailbox::{convert, views};
use protocols::imap::fetch::FetchPlan;
use protocols::imap::store::{FlagNames, Reply, Request, StoreError};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// The store of one session.
pub struct Store {
    here: Here,
    account: Option<AccountId>,
    selected: Option<Selected>,
    append: Option<Append>,
}

struct Selected {
    /// Length of the keyword table the machine knows.
    keywords_known: usize,
    /// Something of the folder has changed.
    news: Arc<AtomicBool>,
    listening: JoinHandle<()>,
}

struct Append {
    folder: FolderId,
    arriving: Option<(Arriving, FlagNames)>,
    complete: Vec<NewMessage>,
    has_failed: bool,
}

type Answer = Result<Reply, StoreError>;

/// Whether news could not be had because nobody leads.
pub fn is_stale(answer: &Answer) -> bool {
    matches!(answer, Err(StoreError::Unavailable))
}

impl Store {
    /// Of a session in which nobody has logged in.
    pub fn new(here: Here) -> Self {
        Store { here, account: None, selected: None, append: None }
    }

    /// Whether there were news of the selected folder since this was last asked.
    pub fn take_news(&mut self) -> bool {
        self.selected.as_ref().is_some_and(|selected| selected.news.swap(false, Relaxed))
    }

    /// Answers any request but [`Request::Fetch`], which is [`Self::fetch`]'s.
    pub async fn answer(&mut self, request: Request) -> Answer {
        match request {
            Request::OpenAccount { username, .. } => self.open_account(&username).await,
            Request::Select { name, since, .. } => self.select(name, since).await,
            Request::Deselect { .. } => {
                self.selected = None;
                Ok(Reply::Done)
            }
            Request::Changes { folder, since } => self.changes(FolderId(folder), since).await,
            Request::Status { names, .. } => {
                let account = self.account()?;
                let look = move |from: &dyn Read| views::statuses(from, account, &names);
                self.here.read(account, READ_PATIENCE, look).await.map(Reply::Statuses)
            }
            Request::Expunge { folder, uids } => {
                let (account, folder, uids) = (self.account()?, FolderId(folder), Some(convert::uid_set(&uids)));
                let expunged = self.here.change(account, MailboxCommand::Expunge { account, folder, uids }).await;
                expunged.map(|_| Reply::Done)
            }
            Request::AppendStart { mailbox, flags, .. } => self.append_start(&mailbox, flags).await,
            Request::AppendCommit { .. } => self.append_commit().await,
            store @ Request::Store { .. } => self.store(store).await,
            // No client here asks for the others.
            _ => Err(StoreError::Internal),
        }
    }

    fn account(&self) -> Result<AccountId, StoreError> {
        self.account.ok_or(StoreError::NotPermitted)
    }

    async fn open_account(&mut self, username: &str) -> Answer {
        let account = account_of(username).ok_or(StoreError::NotPermitted)?;
        let known = self.here.read(account, READ_PATIENCE, move |from| row::account(from, account)).await?;
        if known.is_none() {
            self.here.create_account(account).await?;
        }
        self.account = Some(account);
        Ok(Reply::Done)
    }

    async fn folder(&self, name: &str) -> Result<FolderId, StoreError> {
        let (account, name) = (self.account()?, name.to_owned());
        let look = move |from: &dyn Read| views::folder_id(from, account, &name);
        self.here.read(account, READ_PATIENCE, look).await?.ok_or(StoreError::NonExistent)
    }

    async fn select(&mut self, name: String, since: Option<(u32, u64)>) -> Answer {
        self.selected = None;
        let account = self.account()?;
        let folder = self.folder(&name).await?;
        // Listening begins before the snapshot is taken, so that nothing falls between them.
        let news = Arc::new(AtomicBool::new(false));
        let listening = spawn(listen(self.here.cluster.clone(), account, folder, news.clone()));
        let mut selected = Selected { keywords_known: 0, news, listening };
        let snapshots = self.here.snapshots.clone();
        let look = move |from: &dyn Read| views::select(from, &snapshots, account, &name, since);
        let snapshot = self.here.read(account, READ_PATIENCE, look).await?.ok_or(StoreError::NonExistent)?;
        selected.keywords_known = snapshot.keywords.len();
        self.selected = Some(selected);
        Ok(Reply::Selected(Box::new(snapshot)))
    }

    async fn changes(&mut self, folder: FolderId, since: u64) -> Answer {
        let (account, known) = (self.account()?, self.keywords_known());
        let look = move |from: &dyn Read| views::changes(from, account, folder, since, known);
        let changes = self.here.read(account, STALE_READ_PATIENCE, look).await?.ok_or(StoreError::NonExistent)?;
        self.note_keywords(changes.keywords.as_deref());
        Ok(Reply::Changes(Box::new(changes)))
    }

    fn keywords_known(&self) -> usize {
        self.selected.as_ref().map_or(0, |selected| selected.keywords_known)
    }

    fn note_keywords(&mut self, keywords: Option<&Vec<String>>) {
        if let (Some(selected), Some(keywords)) = (&mut self.selected, keywords) {
            selected.keywords_known = keywords.len();
        }
    }

    async fn store(&mut self, request: Request) -> Answer {
        let Request::Store { folder, uids, action, flags, unchanged_since } = request else {
            return Err(StoreError::Internal);
        };
        let (account, folder, uids) = (self.account()?, FolderId(folder), convert::uid_set(&uids));
        let command = MailboxCommand::Store {
            account,
            folder,
            uids: uids.clone(),
            mode: convert::store_mode(action),
            flags: flags.system.0,
            keywords: flags.keywords,
            unchanged_since,
        };
        let stored = self.here.change(account, command).await?;
        let model::Reply::Stored { changed, modified, keywords, modseq } = stored else {
            return Err(StoreError::Internal);
        };
        let done = [views::StoreDone { uids, changed, modified, modseq }];
        let look = move |from: &dyn Read| views::stored(from, account, folder, &done);
        let mut stored = self.here.read(account, READ_PATIENCE, look).await?;
        stored.keywords = views::grown(keywords, self.keywords_known());
        self.note_keywords(stored.keywords.as_deref());
        Ok(Reply::Stored(stored))
    }

    /// Renders messages: the responses, whether they come from rows that may be old, and the answer.
    pub async fn fetch(&mut self, plan: Arc<FetchPlan>) -> Result<(Vec<u8>, bool, Reply), StoreError> {
        let account = self.account()?;
        let (view, stale) = match self.here.view(shard_of(account), STALE_READ_PATIENCE).await {
            Err(StoreError::Unavailable) => {
                let view = self.here.cluster.read_stale(shard_of(account));
                (view.map_err(|_| StoreError::Unavailable)?, true)
            }
            view => (view?, false),
        };
        let bodies = self.here.cluster.bodies();
        let rendered = look_at(view, move |from| Ok(fetch::render(from, &bodies, account, &plan, stale))).await?;
        rendered.map(|(text, answer)| (text, stale, answer))
    }

    async fn append_start(&mut self, mailbox: &str, flags: FlagNames) -> Answer {
        let account = self.account()?;
        if self.append.is_none() {
            let folder = self.folder(mailbox).await?;
            self.append = Some(Append { folder, arriving: None, complete: Vec::new(), has_failed: false });
        }
        if let Some(append) = &mut self.append {
            append.arriving = Some((Arriving::new(&self.here.cluster, shard_of(account)), flags));
        }
        Ok(Reply::Done)
    }

    /// Takes bytes of the message begun with [`Request::AppendStart`].
    pub async fn append_chunk(&mut self, bytes: &[u8]) {
        if let Some(append) = &mut self.append
            && let Some((arriving, _)) = &mut append.arriving
        {
            append.has_failed |= arriving.take(bytes).await.is_err();
        }
    }

    /// The message begun is complete.
    pub async fn append_end(&mut self) {
        let Some(append) = &mut self.append else { return };
        let Some((arriving, flags)) = append.arriving.take() else { return };
        match arriving.finish().await {
            Ok(body) => append.complete.push(NewMessage {
                body,
                flags: flags.system.0,
                keywords: flags.keywords,
                internal_date: None,
                internal_zone: 0,
            }),
            Err(_) => append.has_failed = true,
        }
    }

    /// Forgets every message since the last commit.
    pub fn append_abort(&mut self) {
        self.append = None;
    }

    async fn append_commit(&mut self) -> Answer {
        let account = self.account()?;
        let append = self.append.take().ok_or(StoreError::Internal)?;
        if append.has_failed {
            return Err(StoreError::Unavailable);
        }
        let command = MailboxCommand::Append { account, folder: append.folder, messages: append.complete };
        match self.here.change(account, command).await? {
            model::Reply::Appended { uidvalidity, uids, .. } => {
                Ok(Reply::Appended { uidvalidity, uids: UidSet::iter(&uids).collect() })
            }
            _ => Err(StoreError::Internal),
        }
    }
}

impl Drop for Selected {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

/// Notes what changes in a folder, wherever in the cluster the change was made.
async fn listen(cluster: Cluster, account: AccountId, folder: FolderId, news: Arc<AtomicBool>) {
    loop {
        if let Some(mut changes) = cluster.watch(shard_of(account)) {
            news.store(true, Relaxed);
            while let Some(notice) = changes.next().await {
                let concerns = match notice {
                    Notice::Lagged => true,
                    Notice::Changed(Change::Folder { account: whose, folder: which, .. }) => {
                        (whose, which) == (account, folder)
                    }
                    Notice::Changed(Change::FolderList(whose)) => whose == account,
                    Notice::Changed(_) => false,
                };
                news.fetch_or(concerns, Relaxed);
            }
        }
        sleep(WATCH_AGAIN_WAIT).await;
    }
}
