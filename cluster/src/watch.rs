//! Telling watchers of a group what changed. Bounded: a watcher that falls behind is told to read again.

use crate::limits::CHANGES_QUEUED_MAX;
use model::Change;
use parking_lot::RwLock;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{broadcast, mpsc};

/// The sending side of one group. Clones share it.
#[derive(Clone)]
pub struct Changes {
    shared: Arc<Shared>,
}

struct Shared {
    sender: RwLock<Option<broadcast::Sender<Notice>>>,
    version: AtomicU64,
}

/// What a watcher hears.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// This changed; the rows already show it.
    Changed(Change),
    /// Changes were missed: read everything again.
    Lagged,
}

/// The receiving side.
pub struct Subscription {
    source: Source,
    elsewhere: Option<Box<dyn Elsewhere>>,
}

enum Source {
    Here(broadcast::Receiver<Notice>),
    There(mpsc::Receiver<Notice>),
    Nowhere,
}

/// Where changes are heard when no replica of the group is here, or no more.
pub trait Elsewhere: Send + Sync {
    /// Starts to hear them; the first notice is [`Notice::Lagged`]. Ends when the replica that was listened to is gone, or
    /// one has come here. `None` when the node is shutting down.
    fn follow(&self) -> Option<mpsc::Receiver<Notice>>;

    /// The changes of the replica that is here by now.
    fn here(&self) -> Option<Changes>;
}

impl Changes {
    /// A group nobody watches yet.
    pub fn new() -> Self {
        let sender = RwLock::new(Some(broadcast::Sender::new(CHANGES_QUEUED_MAX)));
        Changes { shared: Arc::new(Shared { sender, version: AtomicU64::new(0) }) }
    }

    /// Hears everything from now on; nothing once the group is closed.
    pub fn subscribe(&self) -> Subscription {
        let receiver = match &*self.shared.sender.read() {
            Some(sender) => sender.subscribe(),
            None => broadcast::Sender::new(1).subscribe(),
        };
        Subscription { source: Source::Here(receiver), elsewhere: None }
    }

    /// As [`Self::subscribe`]; `None` once the group is closed.
    fn receiver(&self) -> Option<broadcast::Receiver<Notice>> {
        self.shared.sender.read().as_ref().map(broadcast::Sender::subscribe)
    }

    /// Tells every watcher. The rows must show it already.
    pub fn publish(&self, changes: Vec<Change>) {
        if !changes.is_empty() {
            self.send(changes.into_iter().map(Notice::Changed));
        }
    }

    /// Tells every watcher that anything may have changed.
    pub fn publish_all(&self) {
        self.send([Notice::Lagged]);
    }

    /// Rises with every change: what was read under one version holds while the version does.
    pub fn version(&self) -> u64 {
        self.shared.version.load(Ordering::Acquire)
    }

    /// Ends every subscription.
    pub fn close(&self) {
        self.shared.sender.write().take();
    }

    fn send(&self, notices: impl IntoIterator<Item = Notice>) {
        self.shared.version.fetch_add(1, Ordering::AcqRel);
        if let Some(sender) = &*self.shared.sender.read()
            && sender.receiver_count() > 0
        {
            for notice in notices {
                // Fails only when the last watcher left meanwhile.
                let _ = sender.send(notice);
            }
        }
    }
}

impl Default for Changes {
    fn default() -> Self {
        Self::new()
    }
}

impl Subscription {
    /// Hears what is heard elsewhere.
    pub fn elsewhere(elsewhere: Box<dyn Elsewhere>) -> Self {
        let source = elsewhere.follow().map_or(Source::Nowhere, Source::There);
        Subscription { source, elsewhere: Some(elsewhere) }
    }

    /// Goes on elsewhere when the group is closed here.
    pub fn or_elsewhere(self, elsewhere: Box<dyn Elsewhere>) -> Self {
        Subscription { elsewhere: Some(elsewhere), ..self }
    }

    /// The next notice; `None` once the cluster is shut down. Cancel-safe.
    pub async fn next(&mut self) -> Option<Notice> {
        loop {
            match &mut self.source {
                Source::Here(receiver) => match receiver.recv().await {
                    Ok(notice) => return Some(notice),
                    Err(RecvError::Lagged(_)) => return Some(Notice::Lagged),
                    Err(RecvError::Closed) => {}
                },
                Source::There(receiver) => {
                    if let Some(notice) = receiver.recv().await {
                        return Some(notice);
                    }
                }
                Source::Nowhere => return None,
            }
            let here = self.elsewhere.as_ref().and_then(|elsewhere| elsewhere.here()?.receiver());
            if let Some(receiver) = here {
                self.source = Source::Here(receiver);
                // What changed before was not heard.
                return Some(Notice::Lagged);
            }
            let followed = self.elsewhere.as_ref().and_then(|elsewhere| elsewhere.follow());
            self.source = followed.map_or(Source::Nowhere, Source::There);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::AccountId;

    #[tokio::test]
    async fn a_slow_watcher_hears_that_it_lagged_and_then_the_newest() {
        let changes = Changes::new();
        let mut slow = changes.subscribe();
        let count = CHANGES_QUEUED_MAX as u64 + 5;
        (0..count).for_each(|account| changes.publish(vec![Change::FolderList(AccountId(account))]));
        assert_eq!(slow.next().await, Some(Notice::Lagged));
        assert_eq!(slow.next().await, Some(Notice::Changed(Change::FolderList(AccountId(5)))));
        changes.close();
        let mut rest = 0;
        while slow.next().await.is_some() {
            rest += 1;
        }
        assert_eq!(rest, CHANGES_QUEUED_MAX - 1);
        assert_eq!(changes.subscribe().next().await, None);
        assert_eq!(changes.version(), count);
    }

    /// A replica that comes here while its changes are heard elsewhere.
    struct Comes {
        here: Changes,
        elsewhere: parking_lot::Mutex<Option<mpsc::Receiver<Notice>>>,
    }

    impl Elsewhere for Comes {
        fn follow(&self) -> Option<mpsc::Receiver<Notice>> {
            self.elsewhere.lock().take()
        }

        fn here(&self) -> Option<Changes> {
            self.elsewhere.lock().is_none().then(|| self.here.clone())
        }
    }

    #[tokio::test]
    async fn a_replica_that_came_is_heard_here_when_elsewhere_is_heard_no_more() {
        let (there, heard) = mpsc::channel(1);
        let here = Changes::new();
        let comes = Comes { here: here.clone(), elsewhere: parking_lot::Mutex::new(Some(heard)) };
        let mut changes = Subscription::elsewhere(Box::new(comes));
        there.send(Notice::Lagged).await.unwrap();
        assert_eq!(changes.next().await, Some(Notice::Lagged));
        drop(there);
        assert_eq!(changes.next().await, Some(Notice::Lagged));
        here.publish(vec![Change::Queue]);
        assert_eq!(changes.next().await, Some(Notice::Changed(Change::Queue)));
    }
}
