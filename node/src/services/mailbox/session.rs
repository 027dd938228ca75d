//! One session's view of the store: answers the IMAP machine's requests, one at a time, for the account that logged in.

use super::append::Appends;
use super::fetch::FetchRun;
use super::parts::{self, PartOf, Transfer};
use super::{Listener, Mailboxes, Owner, convert, search, views};
use crate::limits::{MESSAGE_BYTES_MAX, READ_PATIENCE, STALE_READ_AGAIN, STALE_READ_PATIENCE};
use crate::services::passwords::{AuthError, Passwords};
use model::mailbox::MailboxCommand;
use model::mailbox::row;
use model::{AccountId, FolderId, Read, ReadError, UidSet};
use protocols::imap::fetch::FetchPlan;
use protocols::imap::search::SearchPlan;
use protocols::imap::store::{FlagNames, Reply, Request, SpecialUse, StoreError, UidRanges};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// A session's store.
pub struct MailboxSession {
    mailboxes: Mailboxes,
    passwords: Passwords,
    owner: Option<Arc<Owner>>,
    selected: Option<Selected>,
    appends: Option<Box<Appends>>,
    behind: Behind,
}

/// Whether the client sees what may be behind what was acknowledged elsewhere, and knows it.
#[derive(Default)]
struct Behind {
    /// The rows that were read last.
    rows: bool,
    /// What the session knows of the selected folder: flags are shown from that.
    snapshot: bool,
    told: bool,
    /// When a leader was last waited for in vain.
    since: Option<Instant>,
}

impl Behind {
    /// How long the next read waits for a leader; `None`: not at all, because the last one waited in vain just now.
    fn patience(&self) -> Option<Duration> {
        match self.since {
            Some(since) if since.elapsed() < STALE_READ_AGAIN => None,
            Some(_) => Some(Duration::ZERO),
            None => Some(STALE_READ_PATIENCE),
        }
    }

    fn note_rows(&mut self, stale: bool) {
        self.rows = stale;
        self.note(stale);
    }

    fn note_snapshot(&mut self, stale: bool) {
        self.snapshot = stale;
        self.note(stale);
    }

    fn note(&mut self, stale: bool) {
        match stale {
            false => self.since = None,
            true if self.patience().is_some() => self.since = Some(Instant::now()),
            true => {}
        }
        self.told &= self.is();
    }

    fn is(&self) -> bool {
        self.rows || self.snapshot
    }
}

struct Selected {
    folder: FolderId,
    /// Length of the keyword table the machine knows; tables only ever grow.
    keywords_known: usize,
    listener: Listener,
}

type Answer = Result<Reply, StoreError>;

impl MailboxSession {
    /// A session that has not logged in.
    pub fn new(mailboxes: Mailboxes, passwords: Passwords) -> Self {
        MailboxSession { mailboxes, passwords, owner: None, selected: None, appends: None, behind: Behind::default() }
    }

    /// Waits for news of the selected folder; for ever when none is selected. Cancel-safe.
    pub async fn news(&mut self) {
        match &mut self.selected {
            Some(selected) => selected.listener.news().await,
            None => std::future::pending().await,
        }
    }

    /// Whether there were news of the selected folder since this was last asked.
    pub fn take_news(&mut self) -> bool {
        self.selected.as_mut().is_some_and(|selected| selected.listener.take_news())
    }

    /// Whether the client is to be told now that what it sees may be out of date: once, until that is over.
    pub fn take_staleness(&mut self) -> bool {
        self.behind.is() && !std::mem::replace(&mut self.behind.told, true)
    }

    /// Answers any request but [`Request::Fetch`], which is [`Self::fetch`]'s.
    pub async fn answer(&mut self, request: Request) -> Answer {
        match request {
            Request::OpenAccount { username, authzid } => self.open_account(&username, authzid).await,
            Request::Select { name, since, .. } => self.select(name, since).await,
            Request::Deselect { .. } => {
                self.leave_folder();
                Ok(Reply::Done)
            }
            Request::Changes { folder, since } => self.changes(FolderId(folder), since).await,
            Request::Vanished { folder, since } => {
                let vanished = move |from: &dyn Read, account| views::vanished(from, account, FolderId(folder), since);
                self.read(vanished).await?.map(Reply::Vanished).ok_or(StoreError::NonExistent)
            }
            Request::List => self.read(|from, account| views::mailboxes(from, account)).await.map(Reply::Mailboxes),
            Request::Status { names, .. } => {
                self.read(move |from, account| views::statuses(from, account, &names)).await.map(Reply::Statuses)
            }
            Request::Search(plan) => self.search(plan).await,
            Request::Fetch(_) => Err(StoreError::Internal),
            change => self.answer_change(change).await,
        }
    }

    async fn answer_change(&mut self, request: Request) -> Answer {
        match request {
            Request::Create { name, special_use } => self.create(name, special_use).await,
            Request::Delete { name } => self.done(|account| MailboxCommand::DeleteFolder { account, name }).await,
            Request::Rename { from, to } => {
                self.done(|account| MailboxCommand::RenameFolder { account, from, to }).await
            }
            Request::Subscribe { name, subscribed } => {
                self.done(|account| MailboxCommand::Subscribe { account, name, on: subscribed }).await
            }
            Request::Expunge { folder, uids } => self.expunge(FolderId(folder), &uids).await,
            Request::Copy { folder, uids, to } => self.copy(FolderId(folder), &uids, to, false).await,
            Request::Move { folder, uids, to } => self.copy(FolderId(folder), &uids, to, true).await,
            Request::AppendStart { mailbox, flags, internaldate, size_bytes } => {
                self.append_start(mailbox, flags, internaldate, size_bytes).await
            }
            Request::AppendCommit { .. } => self.append_commit().await,
            store @ Request::Store { .. } => self.store(store).await,
            _ => Err(StoreError::Internal),
        }
    }

    /// The client's proven name leads to an account. Acting for others is not offered (RFC 4616 section 2).
    async fn open_account(&mut self, username: &str, authzid: Option<String>) -> Answer {
        if authzid.is_some_and(|other| !other.eq_ignore_ascii_case(username)) {
            return Err(StoreError::NotPermitted);
        }
        let account = self.passwords.proven(username).map_err(|error| match error {
            AuthError::Unavailable => StoreError::Unavailable,
            _ => StoreError::NotPermitted,
        })?;
        let owner = Owner { account: account.id, shard: account.shard, address: account.address };
        let known = |from: &dyn Read| row::account(from, account.id);
        if self.mailboxes.look_up(owner.shard, known).await?.is_none() {
            self.mailboxes.proposer.create_account(&owner).await?;
        }
        self.owner = Some(Arc::new(owner));
        Ok(Reply::Done)
    }

    fn owner(&self) -> Result<Arc<Owner>, StoreError> {
        self.owner.clone().ok_or(StoreError::NotPermitted)
    }

    async fn read<T: Send + 'static>(
        &self,
        look: impl FnOnce(&dyn Read, AccountId) -> Result<T, ReadError> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.read_within(READ_PATIENCE, look).await
    }

    async fn read_within<T: Send + 'static>(
        &self,
        patience: Duration,
        look: impl FnOnce(&dyn Read, AccountId) -> Result<T, ReadError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let owner = self.owner()?;
        self.mailboxes.read_within(owner.shard, patience, move |from| look(from, owner.account)).await
    }

    async fn folder(&self, name: &str) -> Result<FolderId, StoreError> {
        let owner = self.owner()?;
        let folder = self.mailboxes.look_up(owner.shard, |from| views::folder_id(from, owner.account, name)).await?;
        folder.ok_or(StoreError::NonExistent)
    }

    async fn change(&self, command: impl FnOnce(AccountId) -> MailboxCommand) -> Result<model::Reply, StoreError> {
        let owner = self.owner()?;
        self.mailboxes.change(&owner, command(owner.account)).await
    }

    async fn done(&self, command: impl FnOnce(AccountId) -> MailboxCommand) -> Answer {
        self.change(command).await.map(|_| Reply::Done)
    }

    async fn select(&mut self, name: String, since: Option<(u32, u64)>) -> Answer {
        self.leave_folder();
        let owner = self.owner()?;
        let folder = self.folder(&name).await?;
        // Listening begins before the snapshot is taken, so that nothing falls between them.
        let listener = self.mailboxes.listen(owner.account, folder);
        let snapshots = self.mailboxes.snapshots.clone();
        let snapshot = self.read(move |from, account| views::select(from, &snapshots, account, &name, since)).await?;
        let snapshot = snapshot.filter(|snapshot| snapshot.folder == folder.0).ok_or(StoreError::NonExistent)?;
        self.selected = Some(Selected { folder, keywords_known: snapshot.keywords.len(), listener });
        Ok(Reply::Selected(Box::new(snapshot)))
    }

    fn leave_folder(&mut self) {
        self.selected = None;
        self.behind.note_snapshot(false);
    }

    async fn changes(&mut self, folder: FolderId, since: u64) -> Answer {
        let known = self.keywords_known(folder);
        let changes = match self.behind.patience() {
            Some(patience) => {
                let look = move |from: &dyn Read, account| views::changes(from, account, folder, since, known);
                self.read_within(patience, look).await
            }
            None => Err(StoreError::Unavailable),
        };
        self.behind.note_snapshot(matches!(changes, Err(StoreError::Unavailable)));
        let changes = changes?.ok_or(StoreError::NonExistent)?;
        self.note_keywords(folder, changes.keywords.as_deref());
        Ok(Reply::Changes(Box::new(changes)))
    }

    fn keywords_known(&self, folder: FolderId) -> usize {
        self.selected.as_ref().filter(|selected| selected.folder == folder).map_or(0, |folder| folder.keywords_known)
    }

    fn note_keywords(&mut self, folder: FolderId, keywords: Option<&Vec<String>>) {
        if let (Some(selected), Some(keywords)) = (&mut self.selected, keywords)
            && selected.folder == folder
        {
            selected.keywords_known = keywords.len();
        }
    }

    async fn create(&self, name: String, special_use: Option<SpecialUse>) -> Answer {
        let special_use = match special_use {
            None => None,
            Some(wanted) => Some(convert::special_use_wanted(wanted).ok_or(StoreError::UseAttribute)?),
        };
        let use_wanted = special_use.is_some();
        let made = self.change(|account| MailboxCommand::CreateFolder { account, name, special_use }).await;
        match made {
            Ok(model::Reply::Folder { folder, .. }) => Ok(Reply::Created { folder: folder.0 }),
            Ok(_) => Err(StoreError::Internal),
            // The rules refuse a second folder of the same use; a name that cannot be is refused before that.
            Err(StoreError::Cannot) if use_wanted => Err(StoreError::UseAttribute),
            Err(error) => Err(error),
        }
    }

    async fn copy(&self, source: FolderId, uids: &UidRanges, to: String, remove: bool) -> Answer {
        let destination = self.folder(&to).await?;
        let parts = self.parts(source, convert::uid_set(uids), PartOf::Files).await?;
        let (mailboxes, owner) = (&self.mailboxes, &*self.owner()?);
        let transfer = Transfer { source, destination, remove };
        let change = |command| mailboxes.change(owner, command);
        parts::transfer(&mailboxes.proposer, owner, transfer, parts, change).await.map(Reply::Copied)
    }

    async fn expunge(&self, folder: FolderId, uids: &UidRanges) -> Answer {
        for uids in self.parts(folder, convert::uid_set(uids), PartOf::Files).await? {
            self.done(|account| MailboxCommand::Expunge { account, folder, uids: Some(uids) }).await?;
        }
        Ok(Reply::Done)
    }

    /// Cuts a set of messages into what single entries may hold; one that is small anyway is not looked at.
    async fn parts(&self, folder: FolderId, uids: UidSet, of: PartOf) -> Result<Vec<UidSet>, StoreError> {
        if !of.may_exceed(&uids) {
            return Ok(vec![uids]);
        }
        self.read(move |from, account| parts::cut(from, account, folder, &uids, of.messages_max())).await
    }

    async fn store(&mut self, request: Request) -> Answer {
        let Request::Store { folder, uids, action, flags, unchanged_since } = request else {
            return Err(StoreError::Internal);
        };
        let folder = FolderId(folder);
        let (mut done, mut table) = (Vec::new(), Vec::new());
        for uids in self.parts(folder, convert::uid_set(&uids), PartOf::Rows).await? {
            let stored = self
                .change(|account| MailboxCommand::Store {
                    account,
                    folder,
                    uids: uids.clone(),
                    mode: convert::store_mode(action),
                    flags: flags.system.0,
                    keywords: flags.keywords.clone(),
                    unchanged_since,
                })
                .await?;
            let model::Reply::Stored { changed, modified, keywords, modseq } = stored else {
                return Err(StoreError::Internal);
            };
            table = keywords;
            done.push(views::StoreDone { uids, changed, modified, modseq });
        }
        let mut stored = self.read(move |from, account| views::stored(from, account, folder, &done)).await?;
        stored.keywords = views::grown(table, self.keywords_known(folder));
        self.note_keywords(folder, stored.keywords.as_deref());
        Ok(Reply::Stored(stored))
    }

    async fn search(&mut self, plan: Arc<SearchPlan>) -> Answer {
        let owner = self.owner()?;
        let (matched, stale) = search::run(&self.mailboxes, &owner, plan, self.behind.patience()).await?;
        self.behind.note_rows(stale);
        Ok(Reply::Matched(matched))
    }

    /// Renders messages; the slices go to the client in order, then [`FetchRun::answer`] has the answer.
    ///
    /// # Errors
    /// When nobody has logged in or the shard cannot be read.
    pub async fn fetch(&mut self, plan: Arc<FetchPlan>) -> Result<FetchRun, StoreError> {
        let owner = self.owner()?;
        let run = FetchRun::start(&self.mailboxes, &owner, plan, self.behind.patience()).await?;
        self.behind.note_rows(run.is_stale());
        Ok(run)
    }

    async fn append_start(
        &mut self,
        mailbox: String,
        flags: FlagNames,
        internal_date: Option<i64>,
        size_bytes: u64,
    ) -> Answer {
        if size_bytes > MESSAGE_BYTES_MAX {
            return Err(StoreError::TooBig);
        }
        if self.mailboxes.proposer.cluster.store().space().full {
            return Err(StoreError::Unavailable);
        }
        let appends = match self.appends.take() {
            Some(begun) => begun,
            None => {
                let (cluster, shard) = (self.mailboxes.proposer.cluster.clone(), self.owner()?.shard);
                Box::new(Appends::new(cluster, shard, self.folder(&mailbox).await?))
            }
        };
        self.appends.insert(appends).start(flags, internal_date, size_bytes);
        Ok(Reply::Done)
    }

    /// Takes bytes of the message begun with [`Request::AppendStart`]; waits while they are written.
    pub async fn append_chunk(&mut self, bytes: &[u8]) {
        if let Some(appends) = &mut self.appends {
            appends.chunk(bytes).await;
        }
    }

    /// The message begun with [`Request::AppendStart`] is complete.
    pub async fn append_end(&mut self) {
        if let Some(appends) = &mut self.appends {
            appends.end().await;
        }
    }

    /// Forgets every message since the last commit.
    pub fn append_abort(&mut self) {
        self.appends = None;
    }

    async fn append_commit(&mut self) -> Answer {
        let mut appends = self.appends.take().ok_or(StoreError::Internal)?;
        let (messages, folder, owner) = (appends.take()?, appends.folder(), self.owner()?);
        let command = MailboxCommand::Append { account: owner.account, folder, messages };
        let appended = self.mailboxes.change_unordered(&owner, command).await?;
        match appended {
            model::Reply::Appended { uidvalidity, uids, .. } => {
                Ok(Reply::Appended { uidvalidity, uids: UidSet::iter(&uids).collect() })
            }
            _ => Err(StoreError::Internal),
        }
    }
}
