//! Mailboxes as sessions see them: the store behind the IMAP machine, on the replicated rows. Requests and replies of
//! `protocols::imap::store` go in and out; reads run behind a read barrier on blocking threads, changes go through the
//! account's mailbox actor, but for those that stand in no order to others. No socket and no protocol text here.

mod actor;
mod append;
pub mod convert;
mod digests;
mod fanout;
mod fetch;
mod lookup;
pub mod parts;
mod pieces;
pub mod proposals;
mod reaper;
mod registry;
#[cfg(test)]
mod sample;
mod search;
mod session;
pub mod snapshots;
mod source;
pub mod views;

pub use fanout::Listener;
pub use fetch::FetchRun;
pub use pieces::Piece;
pub use proposals::Owner;
pub use session::MailboxSession;

use crate::limits::{ACTOR_LOSSES_MAX, READ_PATIENCE};
use crate::services::following::follow;
use crate::services::reading::read_until;
use actor::Message;
use cluster::{Clock, Cluster, Notice, ReadView};
use fanout::Fanout;
use lookup::Lookup;
use model::mailbox::MailboxCommand;
use model::{AccountId, FolderId, GroupId, Read, ReadError, Reply};
use proposals::Proposer;
use protocols::imap::store::StoreError;
use ractor::{ActorCell, SpawnErr};
use registry::Registry;
use snapshots::Snapshots;
use std::cell::RefCell;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio_util::sync::{CancellationToken, DropGuard};

/// The mailboxes of this node. Clones are handles of the same ones.
#[derive(Clone)]
pub struct Mailboxes {
    proposer: Proposer,
    registry: Registry,
    fanout: Fanout,
    snapshots: Snapshots,
    /// What runs in the background ends with the last handle.
    _hearing: Arc<DropGuard>,
}

impl Mailboxes {
    /// Starts the supervisor of mailbox actors (below `parent`), the listeners to what changes in the shards, and the
    /// reaping of what deleted folders left. All of it ends with the last handle.
    ///
    /// # Errors
    /// When the actor system refuses.
    pub async fn start(
        cluster: Cluster,
        clock: Arc<dyn Clock>,
        parent: Option<ActorCell>,
    ) -> Result<Mailboxes, SpawnErr> {
        let stop = CancellationToken::new();
        let mailboxes = Mailboxes {
            _hearing: Arc::new(stop.clone().drop_guard()),
            registry: Registry::start(parent).await?,
            fanout: Fanout::default(),
            snapshots: Snapshots::default(),
            proposer: Proposer { cluster: cluster.clone(), clock },
        };
        for shard in GroupId::shards() {
            let hearing = hear(cluster.clone(), shard, mailboxes.fanout.clone());
            tokio::spawn(stop.clone().run_until_cancelled_owned(hearing));
        }
        let undoing = reaper::undo_abandoned(mailboxes.proposer.clone());
        tokio::spawn(stop.clone().run_until_cancelled_owned(undoing));
        tokio::spawn(stop.run_until_cancelled_owned(reaper::resume(mailboxes.proposer.clone())));
        Ok(mailboxes)
    }

    /// Carries out a change through the account's actor. An actor that is lost on the way is asked again, under the
    /// same operation id (I8).
    ///
    /// # Errors
    /// See [`Proposer::carry_out`].
    pub async fn change(&self, owner: &Owner, command: MailboxCommand) -> Result<Reply, StoreError> {
        let operation = self.proposer.operation();
        for _ in 0..ACTOR_LOSSES_MAX {
            let actor = self.registry.actor(owner, &self.proposer).ok_or(StoreError::Unavailable)?;
            let (answer, outcome) = oneshot::channel();
            let message = Message::Change { operation, command: command.clone(), answer };
            if actor.send_message(message).is_err() {
                self.registry.forget(&actor.get_cell());
                continue;
            }
            if let Ok(outcome) = outcome.await {
                return outcome;
            }
        }
        Err(StoreError::Unavailable)
    }

    /// Carries out a change that stands in no order to others of the account, as new messages do not: the log alone
    /// orders it. It goes past the account's actor, which would cost it three wakes.
    ///
    /// # Errors
    /// See [`Proposer::carry_out`].
    async fn change_unordered(&self, owner: &Owner, command: MailboxCommand) -> Result<Reply, StoreError> {
        self.proposer.carry_out(owner, self.proposer.operation(), command).await
    }

    /// Reads the rows of a shard, with everything in them that was acknowledged before, on a blocking thread.
    ///
    /// # Errors
    /// `Unavailable` without a quorum, `Internal` when a row cannot be read.
    pub async fn read<T: Send + 'static>(
        &self,
        shard: GroupId,
        look: impl FnOnce(&dyn Read) -> Result<T, ReadError> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.read_within(shard, READ_PATIENCE, look).await
    }

    /// As [`Self::read`]; waits so long for a leader.
    async fn read_within<T: Send + 'static>(
        &self,
        shard: GroupId,
        patience: Duration,
        look: impl FnOnce(&dyn Read) -> Result<T, ReadError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let view = self.view_within(shard, patience).await?;
        on_blocking_thread(move || look(&view).map_err(|error| unread(&view, &error))).await
    }

    /// As [`Self::read`] for one or two rows, on this thread: they are in memory but for a first touch, and a hop to
    /// another thread costs more than the read.
    ///
    /// # Errors
    /// As [`Self::read`].
    async fn look_up<T>(
        &self,
        shard: GroupId,
        look: impl FnOnce(&dyn Read) -> Result<T, ReadError>,
    ) -> Result<T, StoreError> {
        let view = self.view(shard).await?;
        look(&view).map_err(|error| unread(&view, &error))
    }

    async fn view(&self, shard: GroupId) -> Result<ReadView, StoreError> {
        self.view_within(shard, READ_PATIENCE).await
    }

    async fn view_within(&self, shard: GroupId, patience: Duration) -> Result<ReadView, StoreError> {
        read_until(&self.proposer.cluster, shard, patience).await.map_err(|error| match error {
            cluster::ReadError::Broken(error) => broken(&error),
            _ => StoreError::Unavailable,
        })
    }

    /// The rows and bodies of one folder, for rendering and searching what a session has selected. Without a quorum
    /// they are shown as they are here (I10); they may lack what the session has been told of. `patience` is how long a
    /// leader is waited for, `None`: nobody is asked.
    async fn lookup(&self, owner: &Owner, folder: FolderId, patience: Option<Duration>) -> Result<Lookup, StoreError> {
        let cluster = &self.proposer.cluster;
        let state = cluster.store().state(owner.shard).map_err(|error| broken(&error))?;
        let fresh = match patience {
            Some(patience) => self.view_within(owner.shard, patience).await,
            None => Err(StoreError::Unavailable),
        };
        let (view, stale) = match fresh {
            Ok(view) => (view, false),
            Err(StoreError::Unavailable) => match cluster.read_stale(owner.shard) {
                Ok(view) => (view, true),
                Err(_) => return Err(StoreError::Unavailable),
            },
            Err(error) => return Err(error),
        };
        let (bodies, fresh) = (cluster.bodies(), RefCell::default());
        Ok(Lookup { view, stale, state, bodies, account: owner.account, folder, fresh })
    }

    /// Hears of changes of a folder from now on.
    pub fn listen(&self, account: AccountId, folder: FolderId) -> Listener {
        self.fanout.listen(account, folder)
    }

    /// How many mailbox actors run.
    pub fn actors(&self) -> usize {
        self.registry.count()
    }

    /// Makes every mailbox actor fail.
    #[cfg(test)]
    pub fn crash_actors(&self) {
        self.registry.crash();
    }

    /// Ends all mailbox actors; changes after this are refused as unavailable.
    pub fn stop(&self) {
        self.registry.stop();
    }
}

/// Tells the listeners of a shard's folders what changes in it, wherever in the cluster the change was made.
async fn hear(cluster: Cluster, shard: GroupId, fanout: Fanout) {
    let hear = |notice| match notice {
        Notice::Changed(change) => fanout.tell(&change),
        Notice::Lagged => fanout.tell_all(),
    };
    match follow(&cluster, shard, hear).await {}
}

async fn on_blocking_thread<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => Err(broken(&error)),
    }
}

async fn blocking_io<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| Err(io::Error::other(error)))
}

/// Rows of another node are lost with it; asked again, a third may have them.
fn unread(view: &ReadView, error: &ReadError) -> StoreError {
    if view.is_elsewhere() {
        tracing::info!(%error, "a mailbox was being read on a node that is gone");
        return StoreError::Unavailable;
    }
    broken(error)
}

fn broken(error: &dyn std::fmt::Display) -> StoreError {
    tracing::error!(%error, "a mailbox cannot be read");
    StoreError::Internal
}
